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

# Made-up names teach a model to keep to a name that it has never met.
STARTS = (
    "Bal Bim Cal Dar Del Fen Fil Gor Jop Kel Lim Lor Mel Mop Nal Nim Pel Pim Rin Sil Tam Tol Vel Wim Zan Zol".split()
)
GIRL_ENDS = "a ana ella etta ia ika ina issa ita ola una".split()
BOY_ENDS = "bo do en ert ik in ko lo mo o on or us".split()


@dataclass(frozen=True)
class Kind:
    """What somebody is: its noun, its home, what it can do (see NEEDS) and what it holds things with."""

    noun: str
    home: str
    skills: tuple[str, ...]
    hand: str = "paws"
    small: bool = True


KINDS = (
    Kind("fox", "a den under the roots of a beech", ("find", "dig")),
    Kind("rabbit", "a burrow with two front doors", ("dig", "run")),
    Kind("mouse", "a teapot that nobody wanted any more", ("gnaw", "squeeze")),
    Kind("bear", "a cave that smelled of honey", ("lift", "climb"), small=False),
    Kind("hedgehog", "a heap of dry leaves", ("thorns", "find")),
    Kind("owl", "a hollow tree", ("fly", "dark"), "wings"),
    Kind("duck", "a nest among the reeds", ("swim", "fly"), "wings"),
    Kind("cat", "a basket beside the stove", ("climb", "dark")),
    Kind("dog", "a house with a green roof", ("find", "dig")),
    Kind("frog", "a room under a water lily", ("swim", "jump"), "hands"),
    Kind("squirrel", "a round nest high in a pine", ("climb", "gnaw")),
    Kind("turtle", "a hut of flat stones", ("swim", "thorns"), "feet"),
    Kind("badger", "a long house under the ground", ("dig", "lift"), small=False),
    Kind("otter", "a house with a door under the water", ("swim", "squeeze")),
    Kind("mole", "a tunnel with seven bends", ("dig", "dark")),
    Kind("pig", "a shed with a round window", ("find", "dig"), "feet"),
    Kind("goat", "a hut on a steep rock", ("climb", "lift"), "feet", small=False),
    Kind("sparrow", "a nest under the eaves", ("fly", "squeeze"), "wings"),
    Kind("crow", "a nest full of shiny things", ("fly", "find"), "wings"),
    Kind("beaver", "a lodge of sticks and mud", ("gnaw", "swim")),
    Kind("bat", "an attic with an old clock", ("fly", "dark"), "wings"),
    Kind("donkey", "a stable with a warm lamp", ("lift", "run"), "feet", small=False),
    Kind("weasel", "a gap between two walls", ("squeeze", "run")),
    Kind("raccoon", "a barrel turned on its side", ("climb", "untie")),
    Kind("goose", "a yard behind the mill", ("swim", "fly"), "wings"),
    Kind("hare", "a hollow in the long grass", ("run", "jump")),
    Kind("toad", "a flower pot with a crack in it", ("dark", "jump"), "hands"),
    Kind("horse", "a stable at the end of the lane", ("lift", "run"), "feet", small=False),
    Kind("robot", "a shed full of clocks", ("lift", "dark"), "hands", small=False),
    Kind("dragon", "a tower without a roof", ("fly", "lift"), "claws", small=False),
)
CHILDREN = (
    Kind("girl", "a house with a blue door", ("untie", "climb"), "hands"),
    Kind("boy", "a house with a crooked chimney", ("untie", "climb"), "hands"),
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
        "spoke so softly that only the [mice|bees|ants] could hear",
    ),
    "curious": (
        "asked [ten|twenty|a hundred] questions before breakfast",
        "looked under every [stone|leaf|log|bucket]",
    ),
    "cheerful": ("whistled on the way to the [well|shop|barn]", "said good morning to every [beetle|snail|flower]"),
    "gentle": (
        "carried [snails|beetles|worms] off the path so that nobody stepped on them",
        "never pulled a flower out of the ground",
    ),
    "clever": ("could count the [stars|geese|apples] faster than anyone", "knew a trick for every [door|knot|lock]"),
    "stubborn": ("never took no for an answer", "tried everything [three|four|seven] times"),
    "dreamy": (
        "often forgot to eat because of the [clouds|swallows|rain]",
        "put the [left|right] shoe on the wrong foot",
    ),
    "lively": ("could not sit still, not even at [supper|tea|breakfast]", "jumped over every [puddle|bucket|fence]"),
    "patient": ("could watch a [bud|snail|spider] for a whole morning", "never pushed in when others were talking"),
    "proud": ("held {h.his} head very high", "liked to be praised for every little thing"),
    "quiet": ("listened more than {h.he} talked", "walked so softly that the [grass|floor|snow] made no sound"),
    "restless": (
        "wanted to be [up and down|here and there|inside and outside] at the same time",
        "woke before the [cock|baker|sun]",
    ),
    "careful": ("looked [twice|three times] before every step", "tied every knot [twice|three times]"),
    "merry": (
        "laughed until {h.his} [belly|nose|head] shook",
        "made up [songs|rhymes|riddles] about the [soup|rain|geese]",
    ),
    "hopeful": ("believed that every day had a [surprise|present|song] in it", "took a basket along, just in case"),
    "kind": ("gave the [first|last|biggest] [cherry|nut|crumb] to the birds", "waved to everyone who passed"),
    "busy": ("swept, cooked, and mended from morning to night", "had a list of [nine|ten|twelve] things to do"),
    "thoughtful": ("liked to think on the [stairs|wall|gate]", "thought about every question for a long time"),
    "playful": ("turned every [stick|spoon|bucket] into a toy", "played catch with the [leaves|shadows|wind]"),
    "hasty": ("ran first and thought later", "always spilled the [milk|soup|tea]"),
    "lonely": ("talked to the [moon|wind|rain] in the evening", "often set a second cup on the table"),
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
    Site("on a ledge of the steep rock", ("wind",), "high", "[The rock was smooth and wet|There was nothing to hold on to|It was much too high]"),
    Site("in the middle of {p.water}", ("wind", "float", "roll"), "wet", "[The water was cold and deep|The water was too deep to stand in|{h} could not swim that far]"),
    Site("on the other side of {p.water}", ("float", "wind"), "wet", "[There was no bridge|The stones were slippery|The current was strong]"),
    Site("at the bottom of {p.water}", ("drop",), "dive", "[It gleamed far below|Only a few bubbles came up|The water was dark and deep]"),
    Site("in a hole under the roots", ("roll", "drop"), "deep", "[The hole was narrow|Earth had fallen into the hole|{h.His} arm was too short]"),
    Site("in a crack between two rocks", ("drop", "roll"), "narrow", "[The crack was as thin as a finger|{h} could see it but not reach it|The rocks would not move]"),
    Site("under a fallen log", ("roll", "drop"), "heavy", "[The log was as heavy as a cart|The log did not move at all|{h} pushed until {h.his} cheeks were red]"),
    Site("in the middle of the thorn bush", ("wind", "roll"), "thorny", "[The thorns were long and sharp|Every branch had a hundred thorns|The thorns pricked {h.his} nose]"),
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
    Place("at the edge of [a great|a dark|an old] forest", "in the forest", ("hut", "sawmill", "cabin"), ("the old oak", "the tall pine", "the great beech"), ("the brook", "the forest pond", "the dark lake"), ("clearing", "mossy bridge", "fern valley", "fallen tree"), ("woodcutter", "ranger")),
    Place("in a [small|windy|sleepy] harbour", "in the harbour", ("net house", "harbour office", "lighthouse"), ("the mast of the old ship", "the flagpole", "the crane"), ("the harbour", "the bay", "the tide pool"), ("pier", "beach", "fish market", "sea wall"), ("fisherman", "lighthouse keeper")),
    Place("on a [big|quiet|muddy] farm", "on the farm", ("barn", "hen house", "stable"), ("the apple tree", "the hay barn", "the walnut tree"), ("the duck pond", "the ditch", "the stream"), ("orchard", "hay field", "vegetable patch", "yard"), ("farmer", "dairymaid")),
    Place("in a [tiny|merry|crooked] village", "in the village", ("bakery", "school", "mill"), ("the bell tower", "the linden tree", "the weathervane"), ("the mill stream", "the fountain", "the village pond"), ("market", "square", "crooked lane", "baker's yard"), ("baker", "miller")),
    Place("high up in the [white|grey|lonely] mountains", "in the mountains", ("cheese hut", "chapel", "inn"), ("the crooked fir", "the tall rock", "the old larch"), ("the mountain lake", "the waterfall pool", "the icy stream"), ("pass", "goat path", "flower slope", "stone bridge"), ("shepherd", "cheese maker")),
    Place("beside a [wide|slow|winding] river", "by the river", ("ferry house", "boathouse", "water mill"), ("the silver willow", "the poplar", "the tall alder"), ("the river", "the quiet pool", "the old canal"), ("bank", "ford", "reed bed", "sandy bend"), ("ferryman", "miller")),
    Place("in a [secret|large|wild] garden", "in the garden", ("greenhouse", "tool shed", "summer house"), ("the pear tree", "the garden wall", "the cherry tree"), ("the lily pond", "the rain barrel", "the fish pond"), ("rose bed", "herb corner", "gravel path", "berry hedge"), ("gardener", "beekeeper")),
    Place("at the foot of a [round|green|windy] hill", "on the hill", ("windmill", "shepherd's hut", "chapel"), ("the lonely elm", "the windmill", "the tall ash"), ("the sheep pond", "the spring", "the stream"), ("hilltop", "stone wall", "clover field", "sunken road"), ("shepherd", "miller")),
    Place("in the [old|narrow|noisy] part of a town", "in the town", ("clock shop", "station", "library"), ("the chestnut tree", "the street lamp", "the clock tower"), ("the canal", "the park pond", "the fountain"), ("park", "market hall", "courtyard", "long stairs"), ("clockmaker", "postman")),
    Place("on a [little|rocky|far] island", "on the island", ("boathouse", "lighthouse", "weather station"), ("the palm tree", "the signal mast", "the tall cliff"), ("the lagoon", "the bay", "the rock pool"), ("beach", "cliff path", "gull rock", "dunes"), ("sailor", "lighthouse keeper")),
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
strawberries waffles raisins pumpkin""".split()
CAKES = "apple honey cherry carrot plum nut lemon berry pear poppy".split()
SOUNDS = "a hum|a tapping|a sniffle|a squeak|a soft knocking|a rattle|a whistle|a sigh|a splash|a rustle"
SIMILES = {
    "happy": "as happy as a [lark|bee in clover|king|duck in the rain]",
    "light": "as light as a [feather|leaf|bubble|cloud]",
    "quiet": "as quiet as a [mouse|shadow|snowflake|stone]",
    "fast": "as fast as [the wind|a hare|an arrow|a swallow]",
    "red": "as red as a [cherry|beet|poppy|tomato]",
}
