"""The words that stories are made of, and what goes with what: names, kinds, objects, places, weather, food.

All of it was written for this corpus.
"""

from dataclasses import dataclass

GIRLS = """Ada Alma Anya Bea Bella Berta Clara Cora Daisy Dora Edda Ella Emma Etta Faye Flora Freya Gerda Greta Hanna
Hazel Hilda Ida Ina Iris Ivy Jana June Kaia Kira Lena Lila Lotte Lucy Luna Mara Mia Mila Mina Mira Nana Nell Nina Nora
Olga Olive Opal Pearl Petra Pia Poppy Rhea Rita Romy Rosa Ruby Runa Sally Selma Sofie Stella Suki Tessa Thea Tilda Tina
Uma Vera Viola Wanda Willa Wren Yara Zara Zoe Abby Agda Alice Amber Annika Asta Bertha Betty Birgit Bonnie Carla Celia Cilla Dana
Della Dina Elin Elsa Erna Esme Eva Fanny Fiona Frida Gina Gwen Heidi Helga Inga Isa Janka Jette Jill Josie Judy Karin Kate
Kitty Lara Laura Leni Lina Lisa Lola Lulu Maja Marta Maud May Meg Merle Molly Nadia Nelly Nika Oda Orla Paula Peggy Polly
Renate Ronja Rosie Sara Sina Sissi Susi Tara Thora Toni Trudy Ulla Undine Vicky Wilma Yvette Zita""".split()

BOYS = """Abel Albin Anton Arlo Axel Basil Ben Bodo Bruno Carl Cosmo Dan Dirk Eddie Elmo Emil Enzo Erik Felix Finn Fritz
Gus Hamish Hans Hugo Igor Ivan Jack Jasper Joel Jonas Juri Kai Karlo Knut Lars Leo Linus Louis Luca Magnus Marlo Max Milo
Moritz Ned Nico Nils Noah Odin Olaf Oscar Otto Pablo Paul Percy Piet Quinn Ralph Remy Robin Rufus Sam Silas Sven Ted
Theo Tim Toby Tom Udo Viktor Walter Wim Yuri Zeno Adam Albert Alec Andy Arne Aron Barney Bert Bill Bjorn Boris Casper Charlie Claus
Colin Cyril Damian Dario David Dennis Don Edgar Edwin Eli Elias Ernst Ewan Ferdy Frank Fred Gabor Georg Gilbert Gordon Gregor
Harald Harry Henry Herman Hubert Ingo Jakob Janosch Jeremy Jim Johan Jost Julius Kaspar Kurt Lasse Lenny Levi Lorenz Lutz
Malte Marius Matti Morten Nathan Nepomuk Norbert Ole Oliver Pascal Peter Philip Pit Ralf Rolf Ruben Simon Stan Stefan
Tarik Thomas Timo Tony Ulf Urs Valentin Vincent Willy Xaver""".split()

# Made-up names, of a start, perhaps a link, and an ending, teach a model to keep to a name that it has hardly ever met. Most
# come up in the corpus a few times, so that the model has met what it makes of these.
STARTS = """Bal Bar Ber Bil Bim Bon Bor Cal Cor Dar Del Dil Dom Fal Fen Fer Fil Gil Gor Gul Hal Hem Jal Jil Jop Kar Kel Kol
Lan Lim Lor Lum Mal Mel Mir Mol Mop Nal Nel Nim Nor Pel Per Pim Pol Ral Rin Rom Sal Sil Sol Tam Tar Tib Tol Tum Val Vel
Ver Wal Wim Yan Zan Zim Zol""".split()
LINKS = ("", "", "an", "er", "im")
GIRL_ENDS = "a ana ea ella etta ia ika ina ira issa ita ola ona osa una wen".split()
BOY_ENDS = "ard bo do ek en ert ik im in ko lo mo o on or ulf us".split()


@dataclass(frozen=True)
class Kind:
    """What somebody is: its noun, its home, what it can do (see NEEDS) and what it holds things with."""

    noun: str
    home: str
    skills: tuple[str, ...]
    hand: str = "paws"
    small: bool = True


KINDS = (
    Kind("fox", "a den under the roots of a [beech|lime tree|old elm|hazel bush]", ("find", "dig")),
    Kind("rabbit", "a burrow with [two|three|four] front doors", ("dig", "run")),
    Kind("mouse", "a [teapot|boot|jam jar|cigar box] that nobody wanted any more", ("gnaw", "squeeze")),
    Kind("bear", "a [cave|cabin|den] that smelled of [honey|moss|smoke]", ("lift", "climb"), small=False),
    Kind("hedgehog", "a heap of [dry|brown|red and yellow] leaves", ("thorns", "find")),
    Kind("owl", "a hollow [tree|oak|poplar]", ("fly", "dark"), "wings"),
    Kind("duck", "a nest among the [reeds|rushes|yellow irises]", ("swim", "fly"), "wings"),
    Kind("cat", "a [basket|box|drawer] beside the stove", ("climb", "dark")),
    Kind("dog", "a house with a [green|red|tin|mossy] roof", ("find", "dig")),
    Kind("frog", "a room under a [water lily|flat stone|sunken boat]", ("swim", "jump"), "hands"),
    Kind("squirrel", "a round nest high in a [pine|fir|larch]", ("climb", "gnaw")),
    Kind("turtle", "a hut of [flat|round|white] stones", ("swim", "thorns"), "feet"),
    Kind("badger", "a [long|wide|warm] house under the ground", ("dig", "lift"), small=False),
    Kind("otter", "a house with a [door|window|staircase] under the water", ("swim", "squeeze")),
    Kind("mole", "a tunnel with [seven|nine|twelve] bends", ("dig", "dark")),
    Kind("pig", "a shed with a [round|crooked|broken|blue] window", ("find", "dig"), "feet"),
    Kind("goat", "a hut on a steep [rock|slope|meadow]", ("climb", "lift"), "feet", small=False),
    Kind("sparrow", "a nest under the [eaves|roof|gutter]", ("fly", "squeeze"), "wings"),
    Kind("crow", "a nest full of [shiny|borrowed|silver] things", ("fly", "find"), "wings"),
    Kind("beaver", "a lodge of [sticks|twigs|reeds] and mud", ("gnaw", "swim")),
    Kind("bat", "an attic with an old [clock|trunk|harp]", ("fly", "dark"), "wings"),
    Kind("donkey", "a stable with a [warm|yellow|round] lamp", ("lift", "run"), "feet", small=False),
    Kind("weasel", "a gap between two [walls|houses|boulders]", ("squeeze", "run")),
    Kind("raccoon", "a [barrel|bathtub|barrow] turned on its side", ("climb", "untie")),
    Kind("goose", "a yard behind the [mill|dairy|toll gate]", ("swim", "fly"), "wings"),
    Kind("hare", "a hollow in the [long grass|clover|heather]", ("run", "jump")),
    Kind("toad", "a [flower pot|milk jug|clay pot] with a crack in it", ("dark", "jump"), "hands"),
    Kind("horse", "a stable at the end of the [lane|world, or nearly|meadow]", ("lift", "run"), "feet", small=False),
    Kind("robot", "a shed full of [clocks|springs|old bicycles]", ("lift", "dark"), "hands", small=False),
    Kind("dragon", "a tower without a [roof|door|staircase]", ("fly", "lift"), "claws", small=False),
)
CHILDREN = (
    Kind("girl", "a house with a [blue|green|yellow|red|low|narrow|white] door", ("untie", "climb"), "hands"),
    Kind("boy", "a house with a crooked [chimney|gate|gable|fence|balcony]", ("untie", "climb"), "hands"),
)

SIZES = "little small young tiny".split()
HERO_TRAITS = """brave shy curious cheerful gentle clever stubborn dreamy lively patient proud quiet restless careful merry
hopeful kind busy thoughtful playful hasty lonely""".split()
FRIEND_TRAITS = """old friendly sleepy tall wise cheerful polite grumpy round quick calm shy kind funny busy gentle thin
proud clever jolly""".split()

# What a trait made somebody do.
HABITS = {
    "brave": (
        "was not afraid of the [dark stairs|big geese|loud thunder|deep snow]",
        "always went first through the [gate|tunnel|tall grass]",
    ),
    "shy": (
        "hid behind the [door|curtain|fence] when guests came",
        "spoke so softly that only the [mice|bees|ants|spiders|flowers] could [hear|hear it|understand]",
    ),
    "curious": (
        "asked [ten|twenty|a hundred] questions before breakfast",
        "looked under every [stone|leaf|log|bucket]",
    ),
    "cheerful": (
        "[whistled|skipped|sang] on the way to the [well|shop|barn|baker]",
        "said good [morning|evening|day] to every [beetle|snail|flower|post]",
    ),
    "gentle": (
        "carried [snails|beetles|worms|toads] off the [path|road|stairs] so that [nobody stepped on them|they came to no harm|no boot would hurt them]",
        "never [pulled|picked|tore] a [flower|leaf|mushroom] out of the [ground|moss|grass]",
    ),
    "clever": ("could count the [stars|geese|apples] faster than anyone", "knew a trick for every [door|knot|lock]"),
    "stubborn": ("never took no for [an answer|a no|the last word]", "tried everything [three|four|seven] times"),
    "dreamy": (
        "often forgot to [eat|sleep|answer] because of the [clouds|swallows|rain|stars]",
        "put the [left|right] [shoe|boot|sock] on the wrong foot",
    ),
    "lively": (
        "could not [sit|stand|lie] still, not even at [supper|tea|breakfast|church]",
        "jumped over every [puddle|bucket|fence]",
    ),
    "patient": (
        "could watch a [bud|snail|spider|candle] for a whole [morning|hour|day]",
        "never [pushed in|interrupted|yawned] when others were [talking|singing|thinking]",
    ),
    "proud": (
        "held {h.his} head [very high|like a king|as if it wore a crown]",
        "liked to be [praised|admired|thanked] for every [little thing|button|word|supper]",
    ),
    "quiet": (
        "[listened|listened and nodded|smiled] more than {h.he} talked",
        "walked so softly that the [grass|floor|snow] made no sound",
    ),
    "restless": (
        "wanted to be [up and down|here and there|inside and outside|at home and away] [at the same time|at once|all day long]",
        "woke before the [cock|baker|sun]",
    ),
    "careful": (
        "looked [twice|three times|left and right] before every [step|corner|puddle|bite]",
        "tied every knot [twice|three times]",
    ),
    "merry": (
        "laughed until {h.his} [belly|nose|head] [shook|hurt|was hot]",
        "made up [songs|rhymes|riddles] about the [soup|rain|geese]",
    ),
    "hopeful": (
        "believed that every [day|week|morning|grey day|walk] had a [surprise|present|song|secret|bit of luck] in it",
        "took a [basket|rope|second spoon] along, just in case",
    ),
    "kind": (
        "gave the [first|last|biggest] [cherry|nut|crumb] to the birds",
        "waved to everyone who [passed|looked up|came by]",
    ),
    "busy": (
        "[swept|baked|dug], [cooked|washed|sewed], and [mended|painted|hammered] from morning to night",
        "had a list of [nine|ten|twelve] things to do",
    ),
    "thoughtful": (
        "liked to [think|dream|ponder] on the [stairs|wall|gate|roof]",
        "thought about every [question|riddle|word] for [a long time|two days|a week]",
    ),
    "playful": ("turned every [stick|spoon|bucket] into a toy", "played catch with the [leaves|shadows|wind]"),
    "hasty": (
        "[ran|jumped|spoke|promised] first and thought [later|afterwards]",
        "[always|often] spilled the [milk|soup|tea|paint]",
    ),
    "lonely": (
        "talked to the [moon|wind|rain|stove] in the evening",
        "often set a second [cup|plate|spoon] on the table",
    ),
}


@dataclass(frozen=True)
class Thing:
    """Something that can be owned, loved and lost. ways: how it gets away (wind, roll, drop, float)."""

    noun: str
    looks: tuple[str, ...]
    use: str
    ways: tuple[str, ...]


COLOURS = ("red", "blue", "green", "yellow", "white", "orange")
METALS = ("silver", "brass", "golden", "copper")
THINGS = (
    Thing("kite", (*COLOURS, "paper", "striped"), "flew it on the hill", ("wind",)),
    Thing("ball", (*COLOURS, "rubber", "striped", "leather"), "bounced it against the wall", ("roll",)),
    Thing("boat", (*COLOURS, "wooden", "paper"), "sailed it across puddles", ("float",)),
    Thing("drum", ("red", "blue", "tin", "round"), "beat it at every feast", ("roll",)),
    Thing("lantern", ("brass", "paper", "green", "round"), "lit it when the nights grew long", ("drop", "roll")),
    Thing("bell", (*METALS, "tiny"), "rang it every morning", ("roll", "drop")),
    Thing("whistle", ("tin", "wooden", "silver"), "blew it from the top of the wall", ("drop",)),
    Thing("key", (*METALS, "rusty", "tiny"), "wore it on a string", ("drop",)),
    Thing("button", (*COLOURS, "shiny", "glass", "wooden"), "kept it in a matchbox", ("drop", "roll")),
    Thing("ribbon", (*COLOURS, "silk", "striped"), "wore it on Sundays", ("wind",)),
    Thing("scarf", (*COLOURS, "woollen", "striped", "long"), "wore it even in summer", ("wind",)),
    Thing("hat", (*COLOURS, "straw", "felt", "tall"), "wore it day and night", ("wind",)),
    Thing("spoon", ("silver", "wooden", "tin"), "stirred the porridge with it", ("drop",)),
    Thing("cup", (*COLOURS, "tin", "wooden"), "drank rain from it", ("roll", "drop")),
    Thing("marble", (*COLOURS, "glass", "shiny"), "held it up to the light", ("roll", "drop")),
    Thing("feather", (*COLOURS, "long", "silver"), "wrote letters with it", ("wind",)),
    Thing("shell", ("white", "striped", "shiny", "pink"), "listened to the sea in it", ("drop", "roll")),
    Thing("top", (*COLOURS, "wooden", "striped"), "made it hum on the kitchen floor", ("roll",)),
    Thing("flute", ("wooden", "silver", "reed"), "played it at sunset", ("drop", "roll")),
    Thing("compass", ("brass", "silver", "old"), "always knew where north was", ("drop",)),
    Thing("map", ("old", "paper", "folded"), "dreamed over it in bed", ("wind",)),
    Thing("umbrella", (*COLOURS, "striped", "big"), "danced under it in the rain", ("wind",)),
    Thing("balloon", (*COLOURS, "round", "striped"), "took it along everywhere", ("wind",)),
    Thing("paintbrush", ("thin", "wooden", "old"), "painted clouds with it", ("drop",)),
    Thing("mitten", (*COLOURS, "woollen", "striped"), "wore it when it froze", ("wind", "drop")),
    Thing("pebble", ("white", "round", "shiny", "striped"), "rubbed it for luck", ("drop", "roll")),
    Thing("ring", (*METALS, "glass", "tiny"), "turned it when {h.he} had to think", ("drop", "roll")),
    Thing("pencil", (*COLOURS, "short", "long"), "drew maps with it", ("drop",)),
    Thing("letter", ("long", "folded", "yellow"), "read it every night", ("wind",)),
    Thing("wooden horse", ("little", "red", "blue", "painted"), "galloped it over the blankets", ("drop", "roll")),
)
GIVERS = (
    "{h.his} grandmother", "{h.his} grandfather", "{h.his} aunt", "{h.his} uncle", "{h.his} big sister",
    "{h.his} big brother", "a old sailor", "the baker", "a travelling tinker", "the postman", "the clockmaker",
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """Where a lost thing lies, and what it takes to get it back. ways: those of things that can end there."""

    where: str
    ways: tuple[str, ...]
    need: str
    why: str


SITES = (
    Site("in the top of {p.tall}", ("wind",), "high", "[The trunk was smooth|It was much too high|The lowest branch was far above {h.his} head]"),
    Site("on the roof of the {p.house}", ("wind",), "high", "[There was no ladder|The wall was steep and smooth|The roof was far above {h.his} head]"),
    Site("on a ledge of the steep rock", ("wind",), "high", "[The rock was [smooth|steep|mossy] and wet|There was nothing to hold on to|It was much too high]"),
    Site("in the middle of {p.water}", ("wind", "float", "roll"), "wet", "[The water was cold and deep|The water was too deep to stand in|{h} could not swim that far]"),
    Site("on the other side of {p.water}", ("float", "wind"), "wet", "[There was no bridge|The stones were slippery|The current was strong]"),
    Site("at the bottom of {p.water}", ("drop",), "dive", "[It gleamed far below|Only a few bubbles came up|The water was dark and deep]"),
    Site("in a hole under the roots", ("roll", "drop"), "deep", "[The hole was narrow|Earth had fallen into the hole|{h.His} arm was too short]"),
    Site("in a crack between two rocks", ("drop", "roll"), "narrow", "[The crack was as thin as a finger|{h} could see it but not reach it|The rocks would not move]"),
    Site("under a fallen log", ("roll", "drop"), "heavy", "[The log was as heavy as a cart|The log did not move at all|{h} pushed until {h.his} cheeks were red]"),
    Site("in the middle of the thorn bush", ("wind", "roll"), "thorny", "[The thorns were [long|black|thick] and sharp|Every branch had [a hundred|a thousand] thorns|The thorns pricked {h.his} nose]"),
    Site("at the back of a dark cave", ("roll", "wind"), "black", "[It was black as ink inside|Nothing could be seen in there|Something dripped in the dark]"),
    Site("in the dry well", ("drop", "wind"), "black", "[It was deep and dark down there|The bottom could not be seen|Only an echo came up]"),
    Site("under the floor of the old {p.house}", ("drop", "roll"), "narrow", "[The gap was as thin as a hand|The boards were nailed down|It was too narrow for {h}]"),
)  # fmt: skip

# What solves a need: the skill, what its owner says of it, and what is then done. {o} is what was lost.
SOLVES = {
    "high": (
        ("fly", "I have wings", "{f} spread {f.his} wings, flew up, and came back with {o.the}"),
        ("climb", "I have climbed higher than that", "{f} went up like a spider, [step by step|hand over hand], and tossed {o.the} down"),
    ),
    "wet": (
        ("swim", "I love to swim", "{f} slipped into the water, swam with strong strokes, and pushed {o.the} back to {h}"),
        ("fly", "I can fly right across", "{f} flew low over the water and picked up {o.the}"),
    ),
    "dive": (
        ("swim", "I can hold my breath for a long time", "{f} took a deep breath, dived, and came up with {h}'s {o.look} {o} and a bit of weed on {f.his} head"),
    ),
    "deep": (
        ("dig", "I have dug since I was a baby", "{f} dug so fast that the earth flew, and soon {o.the} lay in the light"),
        ("squeeze", "I fit into any hole", "{f} made {f.himself} thin, slid into the hole, and pushed {o.the} out"),
    ),
    "narrow": (
        ("squeeze", "I can make myself very thin", "{f} breathed out, slipped into the gap, and came back with {o.the}"),
        ("gnaw", "My teeth are sharp", "{f} cut a long twig, bent its end into a hook, and fished {o.the} out"),
        ("untie", "My fingers are quick", "{f} bent a wire into a hook and fished {o.the} out"),
    ),
    "heavy": (
        ("lift", "I am stronger than I look", "{f} put {f.his} shoulder to the log, puffed, and rolled it away from {h}'s {o.look} {o}"),
        ("gnaw", "I can chew through wood", "{f} gnawed until the log broke in two, and there was {o.the}"),
        ("dig", "What is too heavy, one digs under", "{f} dug a little tunnel under the log and pulled out {o.the}"),
    ),
    "thorny": (
        ("thorns", "Thorns cannot hurt me", "{f} rolled right into the bush as if the thorns were grass, and brought {o.the} back"),
        ("gnaw", "I will cut a path", "{f} bit off one thorny branch after another until {h}'s {o} was free"),
        ("squeeze", "I will crawl below the thorns", "{f} crept in flat on {f.his} belly and pulled {o.the} out"),
    ),
    "black": (
        ("dark", "I can see in the dark", "{f} went in without a lamp, hummed [a little|a waltz|to {f.himself}], and came out with {h}'s {o.look} {o}"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a story happens; every story keeps to what its place has."""

    at: str
    here: str
    house: tuple[str, ...]
    tall: tuple[str, ...]
    water: tuple[str, ...]
    spots: tuple[str, ...]
    people: tuple[str, ...]


PLACES = (
    Place("at the edge of [a great|a dark|an old] forest", "in the forest", ("hut", "sawmill", "cabin", "hunting lodge", "charcoal kiln"), ("the old oak", "the tall pine", "the great beech"), ("the brook", "the forest pond", "the dark lake", "the beaver dam"), ("clearing", "mossy bridge", "fern valley", "fallen tree", "bramble path", "crossroads", "owl stone"), ("woodcutter", "ranger", "basket maker", "charcoal burner")),
    Place("in a [small|windy|sleepy] harbour", "in the harbour", ("net house", "harbour office", "lighthouse", "sail loft", "customs house"), ("the mast of the old ship", "the flagpole", "the crane"), ("the harbour", "the bay", "the tide pool", "the boat basin"), ("pier", "beach", "fish market", "sea wall", "slipway", "rope walk", "ferry landing"), ("fisherman", "lighthouse keeper", "sailmaker", "boat builder")),
    Place("on a [big|quiet|muddy] farm", "on the farm", ("barn", "hen house", "stable", "milk house", "cider press"), ("the apple tree", "the hay barn", "the walnut tree"), ("the duck pond", "the ditch", "the stream", "the horse pond"), ("orchard", "hay field", "vegetable patch", "yard", "dung heap", "cow path", "turnip field"), ("farmer", "dairymaid", "ploughman", "blacksmith")),
    Place("in a [tiny|merry|crooked] village", "in the village", ("bakery", "school", "mill", "smithy", "post office"), ("the bell tower", "the linden tree", "the weathervane"), ("the mill stream", "the fountain", "the village pond", "the old well pond"), ("market", "square", "crooked lane", "baker's yard", "churchyard", "bowling green", "village gate"), ("baker", "miller", "blacksmith", "schoolmaster")),
    Place("high up in the [white|grey|lonely] mountains", "in the mountains", ("cheese hut", "chapel", "inn", "hay hut", "toll house"), ("the crooked fir", "the tall rock", "the old larch"), ("the mountain lake", "the waterfall pool", "the icy stream", "the green tarn"), ("pass", "goat path", "flower slope", "stone bridge", "gorge", "high pasture", "ice field"), ("shepherd", "cheese maker", "innkeeper", "mountain guide")),
    Place("beside a [wide|slow|winding] river", "by the river", ("ferry house", "boathouse", "water mill", "lock house", "fish hut"), ("the silver willow", "the poplar", "the tall alder"), ("the river", "the quiet pool", "the old canal", "the backwater"), ("bank", "ford", "reed bed", "sandy bend", "towpath", "weir", "osier bed"), ("ferryman", "miller", "lock keeper", "eel catcher")),
    Place("in a [secret|large|wild] garden", "in the garden", ("greenhouse", "tool shed", "summer house", "dovecote", "potting shed"), ("the pear tree", "the garden wall", "the cherry tree"), ("the lily pond", "the goldfish pool", "the fish pond", "the duck pool"), ("rose bed", "herb corner", "gravel path", "berry hedge", "compost heap", "sundial", "rhubarb patch"), ("gardener", "beekeeper", "old countess", "gardener's boy")),
    Place("at the foot of a [round|green|windy] hill", "on the hill", ("windmill", "shepherd's hut", "chapel", "watchtower", "sheepfold"), ("the lonely elm", "the windmill", "the tall ash"), ("the sheep pond", "the spring", "the stream", "the dew pond"), ("hilltop", "stone wall", "clover field", "sunken road", "quarry", "gorse patch", "ring of stones"), ("shepherd", "miller", "drover", "stonemason")),
    Place("in the [old|narrow|noisy] part of a town", "in the town", ("clock shop", "station", "library", "theatre", "town hall"), ("the chestnut tree", "the street lamp", "the clock tower"), ("the canal", "the park pond", "the fountain", "the town moat"), ("park", "market hall", "courtyard", "long stairs", "tram stop", "back alley", "iron bridge"), ("clockmaker", "postman", "chimney sweep", "bookseller")),
    Place("on a [little|rocky|far] island", "on the island", ("boathouse", "lighthouse", "weather station", "smokehouse", "pilot house"), ("the palm tree", "the signal mast", "the tall cliff"), ("the lagoon", "the bay", "the rock pool", "the sound"), ("beach", "cliff path", "gull rock", "dunes", "shell bank", "salt marsh", "landing stage"), ("sailor", "lighthouse keeper", "pilot", "net mender")),
)  # fmt: skip

SEASONS = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class Weather:
    """A day's weather: how it is said, what is noticed of it later, and when there is such a thing."""

    said: str
    noticed: str
    seasons: tuple[str, ...] = SEASONS


WEATHER = (
    Weather("the sun was shining", "The [stones|roofs|walls] were warm from the sun.", ("spring", "summer", "autumn")),
    Weather("the wind was blowing", "The wind [tugged at the grass|sang in the fence|pushed the clouds]."),
    Weather("it was raining softly", "Rain [dripped from every leaf|drummed on the roofs|ran down {h.his} nose].", SEASONS[:3]),
    Weather("it was snowing", "Snow [lay on every fence|squeaked under {h.his} feet|fell without a sound].", ("winter",)),
    Weather("a thin fog had come", "The fog [hid the far hills|made everything soft|smelled of wet wool].", ("autumn", "winter")),
    Weather("big white clouds were sailing by", "A cloud like a [sheep|teapot|whale] went over."),
    Weather("it was so hot that even the bees were tired", "The air [shimmered above the path|smelled of hay|was as still as glass].", ("summer",)),
    Weather("the frost had painted the windows", "{h.His} breath [made little clouds|steamed like a kettle].", ("winter",)),
    Weather("the first leaves were falling", "A [yellow|red|brown] leaf landed on {h.his} head.", ("autumn",)),
    Weather("the whole land smelled of spring", "[Swallows|Larks|Bees] were busy everywhere.", ("spring",)),
    Weather("the cherry trees were white with flowers", "A [white|pink] petal landed on {h.his} nose.", ("spring",)),
    Weather("the sky was as blue as ink", "Somewhere a [lark|cuckoo|blackbird] was singing.", ("spring", "summer")),
    Weather("the sky was clear and cold", "The puddles [had skins of ice|crackled underfoot].", ("winter",)),
)  # fmt: skip
YEARS = {
    "spring": "[a spring full of swallows|the spring when the storks came late]",
    "summer": "[the summer of the long days|a summer with more bees than ever]",
    "autumn": "[a year of many apples|the autumn of the great winds]",
    "winter": "[the winter of the deep snow|the coldest winter that anyone remembered]",
}
MONTHS = {
    "spring": "[March|April|May]", "summer": "[June|July|August]", "autumn": "[September|October|November]", "winter": "[December|January|February]",
}  # fmt: skip
MORNINGS = (
    "one morning", "one day", "one afternoon", "one Monday", "one Sunday", "one day in {month}", "one morning in {season}",
    "on the first day of {season}", "early one morning", "one fine day", "on a [Tuesday|Friday|Saturday]", "on the [third|fifth|last] of {month}",
)  # fmt: skip

FOODS = """bread apples pancakes soup cherries plums nuts honey cheese carrots berries porridge pears dumplings
strawberries waffles raisins pumpkin biscuits noodles chestnuts radishes turnips buns peas apricots jam hazelnuts rhubarb gooseberries""".split()
CAKES = "apple honey cherry carrot plum nut lemon berry pear poppy almond cream ginger raisin butter rhubarb sugar pumpkin".split()
SOUNDS = "a hum|a tapping|a sniffle|a squeak|a soft knocking|a rattle|a whistle|a sigh|a splash|a rustle"
SIMILES = {
    "happy": "as happy as a [lark|bee in clover|king|duck in the rain]",
    "light": "as light as a [feather|leaf|bubble|cloud]",
    "quiet": "as quiet as a [mouse|shadow|snowflake|stone]",
    "fast": "as fast as [the wind|a hare|an arrow|a swallow]",
    "red": "as red as a [cherry|beet|poppy|tomato]",
}
