"""Plots about what is sought: sounds in the night, plants, presents, things to build, ways out and ways home."""

import beats
from lexicon import FRIEND_TRAITS
from story import Story

MYSTERIES = (
    ("a strange howling", "the wind in an empty bottle", "took the bottle home and blew a tune on it"),
    ("a tap, tap, tap", "a shutter that had come loose", "tied the shutter with a string"),
    ("a green light", "a hundred fireflies who held a ball", "danced with the fireflies until midnight"),
    ("a deep snoring", "a old bear who had overslept the spring", "woke the bear with a bowl of {food}"),
    ("a soft weeping", "a baby owl who had fallen out of the nest", "put the baby owl back in its nest"),
    ("a jingling of little bells", "a lost goat with a bell on its neck", "brought the goat home to the {p.man}"),
    ("a huge shadow", "a very small moth in front of a lamp", "opened the window for the moth"),
    ("a splashing", "a fish who was learning to fly", "clapped for the fish every time it jumped"),
    ("a whispering", "two mice who were telling each other stories", "sat down with the mice and told a story as well"),
    ("a creaking", "a old chair on which a cat was rocking", "gave the cat a cushion"),
    ("a long low hum", "bees who were moving to a new house", "led the bees to a hollow tree"),
    ("a blue glimmer", "a cup of water in which the moon was bathing", "drank a toast to the moon"),
    ("a thin squeaking", "a gate that wanted some oil", "gave the gate a drop of oil and a kind word"),
    ("a rustling of paper", "a hedgehog who was reading old newspapers", "listened to the news of last year"),
    ("a heavy stamping", "a calf that had run away to dance", "danced one dance with the calf"),
    ("a ringing of glass", "icicles, spoons, and jars that somebody had hung in a tree", "played a tune on the jars"),
    ("a white figure", "a shirt on a washing line", "wished the shirt a good night"),
    ("a gurgling", "a rain pipe that was telling jokes", "laughed at the jokes of the rain pipe"),
    ("a soft singing", "a old snail on its way to a wedding", "carried the snail to its wedding"),
    ("a row of red dots", "six young foxes with lanterns", "went for a walk with the six foxes"),
    ("a scratching", "a branch that wanted to come in", "tied the branch back with a bow"),
)


def mystery(s: Story) -> None:
    """Something strange at night; those who look find that it is nothing to fear."""
    beats.begin(s)
    what, truth, deed = s.rng.choice(MYSTERIES)
    s.put("what", what)
    s.put("truth", truth)
    s.put("deed", deed)
    s.put("from", "[{p.water}|the {p.house}|the {p.spot}|the {p.spot2}]")
    s.paragraph()
    s.say(
        "one night {h} woke up. There was {what}, and it came from {from}.",
        "one night in {month}, when [the moon was full|no star was out|everyone slept], {h} noticed {what} near {from}.",
        "in the middle of the night {h} [sat up|opened one eye|pulled the blanket up]. From {from} came {what}.",
        "for [two|three|four|five] nights there had been {what} near {from}, and neither {h} nor anyone else {p.here} could sleep.",
    )
    s.say(
        '"A ghost!" thought {h} and [hid under the blanket|held {h.his} breath|crept under the bed].',
        '"It is a monster with [seven|nine|twelve] legs, {h}," said the {p.man}. "Stay at home and lock the door."',
        '"What can that be?" {h} [wondered|whispered|asked the pillow].',
        "{h} tried to count [sheep|stars|spoons], but it did not help.",
    )
    s.person("f", FRIEND_TRAITS)
    s.say(
        'in the end {h} ran to {f.intro}. "[Will you come with me|I dare not go alone|Did you notice it too]?" {h.he} asked.'.replace(
            "|I dare not go alone", "|Will you go with me"
        ),
        '{h} knocked at the window of a friend, {f.intro}. "We must find out what it is," {h.he} said.',
        "outside {h} met {f.intro}, who could not sleep either.",
    )
    s.say(
        '{f} [yawned|shivered|looked at the moon|thought it over|pulled up {f.his} collar] and said, "[Two are braver than one|All right, but you go first|Let me get my [coat|boots|hat|spoon]|Not without {food}|I was awake anyway]."',
        '"I am not afraid," said {f}, and {f.his} teeth chattered.',
        '"Ghosts do not like {food}," said {f} and took some along.',
    )
    s.paragraph()
    s.say(
        "{as.quiet.cap} they crept past the {p.spot}, {h.his} {h.hand} in {f}'s.",
        "they took a [lantern|candle] and went on tiptoe, {h} in front and {f} behind.",
        "the way to {from} had never been so [long|dark|still]. A [twig|leaf|pebble|snail shell] [cracked|crunched|rolled away], and {both} [jumped|clung to each other|stood like posts].",
        "{h} went first, {as.quiet}, and {f} [held on to the end of {h.his} scarf|came after with a [spoon|broom|pillow]|counted the steps|walked backwards to be safe].",
    )
    s.say(
        '"[What if it bites|And if it has teeth|What if it is hungry]?" whispered {f}. "[Then we run|Then we give it {food}|Then we say good evening|Then you may scream]," whispered {h}.',
        '"[Do you see anything|Is it still there|What is it|Can you see it]?" whispered {f}. "[Only the dark|Not yet|Something is moving|Keep still and listen]," said {h}.',
        "nearer and nearer {both} came, and their hearts beat [louder|faster] than [drums|clocks].",
    )
    s.say(
        "then {h} [lifted|moved|pushed aside] the [light|branch|lid|curtain of leaves], and {f} [gasped|squeaked|rubbed {f.his} eyes]: it was only {truth}!",
        "{h} [counted to three|took a deep breath] and looked around the corner of the {p.house}. What did {both} see? They saw {truth}.",
        "and what did {both} see? It was nothing but {truth}!",
        '"Come and look!" called {h}. It was {truth}, and nothing else.',
    )
    s.say(
        "{h} laughed until [{h.his} belly hurt|the owls complained|{h.he} had to sit down], and {f} laughed even louder. Then they {deed}.",
        "{f} laughed first, then {h}, and then they {deed}.",
        "how {both} laughed! Before they went home, they {deed}.",
    )
    s.paragraph()
    s.say(
        "in the morning {both} told everyone [at the {p.spot}|at breakfast], and [the whole place laughed|nobody was afraid any more|the {p.man} gave them {food}].",
        "the rest of the night {h} and {f} slept [like stones|side by side|until noon].",
        "the next evening {both} went back to {from}, [just to say hello|with a {cake}|and took all their friends along].",
    )
    beats.close(
        s,
        "things are only frightening until one looks at them closely",
        "fear has big eyes",
        "whoever asks and looks finds out the truth",
        "in the dark everything looks bigger than it is",
    )


PLANTS = (
    ("sunflower", "seed", "as tall as the {p.house}", "seeds"),
    ("pumpkin", "seed", "as big as a cart", "soup"),
    ("apple tree", "pip", "full of white flowers", "apples"),
    ("bean", "bean", "so long that it climbed over the roof", "beans"),
    ("rose", "twig", "of the deepest red", "petals"),
    ("strawberry", "plant", "full of berries like lanterns", "berries"),
    ("melon", "seed", "round and striped", "slices"),
    ("carrot", "seed", "as long as a arm", "carrots"),
    ("tulip", "bulb", "as yellow as the sun", "flowers"),
    ("cherry tree", "stone", "white from top to bottom", "cherries"),
    ("gourd", "seed", "as round as a moon", "slices"),
    ("radish", "seed", "as red as a lamp", "radishes"),
    ("pea", "pea", "so high that it looked in at the window", "peas"),
    ("lily", "bulb", "as white as milk", "flowers"),
    ("walnut tree", "nut", "as tall as a chair already", "leaves"),
    ("leek", "seedling", "as thick as a broom", "soup"),
)


def seed(s: Story) -> None:
    """Something is planted; it takes long, and a friend's help, before it grows."""
    beats.begin(s)
    plant, grain, grown, fruit = s.rng.choice(PLANTS)
    s.put("plant", plant)
    s.put("grain", grain)
    s.put("grown", grown)
    s.put("fruit", fruit)
    s.put("grainname", plant if plant == grain else f"{plant} {grain}")
    s.put("dream", "a {plant} [up to the sky|as big as the moon|that could talk]")
    s.paragraph()
    s.say(
        '{morning} the {p.man} gave {h} a {grainname}. "[Be patient with it|It needs sun and time|Give it water, not too much|It is the last one I have]," said the {p.man}.',
        "{morning}, when {weather}, {h} found a {grainname} [in {h.his} pocket|at the {p.spot}|in a old drawer].",
        "{morning} {h} bought a {grainname} for [a button|a song|two pennies] at the {p.spot}.",
    )
    s.say(
        "{h.He} dug a small hole near {p.tall}, put the {grainname} in, and [sang to it|patted the earth|wrote a sign].",
        "{h.He} [planted|put|buried] the {grainname} [behind|beside|in front of|not far from] the {p.house}, where [the sun was warm|the wind was kind|the earth was [black|soft|deep]|nobody would step on it|no goat ever came|the old leaves lay], and gave it water from {p.water} [every morning|every evening|every second day|at noon], [one [spoon|cup|drop] at a time|and a song|and said good night to it|in {h.his} [hat|boot]].",
        "{h.He} put the {grainname} in the earth near the {p.spot}, [watered it|put a stick beside it|drew a ring around it|wished it good luck], and [sat down to wait|waited|did not take {h.his} eyes off it|lay down on {h.his} belly to watch].",
    )
    s.say(
        "the next morning {h} looked. There was no {plant}. [The day after|The next day|On Tuesday], {h} saw [nothing again|only a worm|only brown earth|only an ant and no {plant}].",
        "one day went by for {h}, then [two|three|a week|ten]. [Nothing grew but|All that came was|There was nothing to see but] [weeds|a little moss|[two|three] mushrooms|one daisy|[grass|clover]|a [snail|feather|puddle]], and {h} [frowned|lost all patience|counted the hours|went to bed cross|sighed like a bellows].",
        '"[Grow|Come out|Hurry up|Show yourself]!" said {h}. But the earth stayed [brown|bare|silent|as it was], [day after day|all week|until Sunday|whatever {h.he} did].',
        "{h} waited [five|seven|nine] days. It felt like [a year|forever|a hundred].",
    )
    s.say(
        '"I will dig it up and see what is wrong," said {h}.',
        "{h} [was about to|fetched a spade to|had half a mind to|made up {h.his} mind to] dig it up again[| and [look|see|plant {food}]].",
        '{h} stamped and said, "I do not want [a silly {plant}|any {plant} at all|to wait until I am old|to look at earth all day]."',
        "{h} wanted to [throw the watering can away|give up|plant something faster].",
    )
    s.paragraph()
    beats.meet(s)
    s.say(
        '"Good things take their time," said {f}. "[I was small for a long time too|You cannot pull grass to make it grow|Nobody sees a root grow, but it does]."',
        '"It is sleeping," said {f}. "[Let it sleep|Tell it a story while you wait|If you dig it up, it must begin again]."',
        '{f} put a ear to the [ground|earth|wet earth] [and listened|and smiled|for a minute|and shut one eye]. "[I can hear it [stretch|yawn|sing]|It says that it needs [three|four|a few] more days|It is hard at work down there|It only wants to be left alone]," {f.he} said.',
    )
    s.say(
        "so {h} waited. When it was dry, {f} helped to carry water from {p.water}, [in a hat|cup by cup|in two buckets|in an old boot], [and sang to it|without a grumble|and spilled half of it].",
        "so {both} waited together, [told each other stories|played cards|counted clouds|ate {food}], and chased away the [snails|crows|beetles|hens|caterpillars].",
        "when a storm came, {h} and {f} held [a blanket|a umbrella|their coats] over the spot all night.",
    )
    s.say(
        "and one [morning|evening|rainy day|Sunday] {f} [called|woke|fetched] {h}, for [there it was|there was something|something had come]: a [tiny green tip|green point, no bigger than a [tooth|crumb|pin]|little leaf, bent like a bow|pale shoot with [a ant|a drop of dew] on it].",
        "then, on the [tenth|twelfth|twentieth] day, {h} [saw a crack in the earth|saw the earth move|looked twice|called {f}], and out came the [first|pale|tiny|crooked] green [tip|nose|finger] of {h.his} {plant}, [as thin as a [hair|thread|needle]|and it was no weed|with a crumb of earth on top|as if it had only overslept].",
        '"[Look, look|Come here|Wake up|It is there]!" called {f}. A [green|tiny|crumpled|pale] leaf [waved|shone|trembled|stood] [in the sun|in the wind|over the earth|between two clods].',
    )
    s.paragraph()
    s.say(
        "by [autumn|the end of summer|the next year|the first frost] {h}'s {plant} was {grown}, [the finest for miles around|and people came from far away to see it|and {f} measured it with a [rope|broom|ribbon]|and the {p.man} painted a picture of it|and {h} {as.happy}].",
        "{h}'s {plant} [grew and grew|grew day and night|went up and up|did not stop growing], and [three weeks|two months|half a year|many weeks|one summer] later it was {grown}[|, and {f} clapped|, and the {p.man} [came to look|put on his glasses|measured it]|, and all {p.here} talked of {h}|, to the joy of {f}|, and a {small} moved in].",
        "[weeks|months|many suns and rains] later {h}'s {plant} was {grown}, and {h} [was {as.happy}|danced with {f}|wrote to {h.his} [aunt|uncle|mother]|invited everyone to the {p.spot}].",
    )
    s.say(
        "{h} shared the {fruit} with {f} and with [everyone who came by|all the neighbours|the birds].",
        "[half of the|the best] {fruit} went to {f}, and {h} kept one {grainname} for [next year|the {p.man}|{h.his} children|a rainy day].",
        "{both} gave a feast with {fruit} and {cake}, and the {p.man} [played the fiddle|danced|made a speech].",
    )
    beats.close(
        s,
        "good things take their time",
        "waiting is easier with a friend",
        "much happens under the ground before one sees it",
        "whoever is patient gets more than whoever pulls",
    )


def gift(s: Story) -> None:
    """A birthday, no money, and a chain of trades."""
    beats.begin(s)
    s.person("f", FRIEND_TRAITS)
    s.thing("o")
    s.thing("a")
    s.thing("b")
    s.put("dream", "{f}'s face")
    s.say(
        "the best friend of {h} the {h.kind} was {f.intro}[|, who lived near the {p.spot}|, and had always been].",
        "{h} had a good friend, {f.intro}.",
        "the one {h} liked best in the whole world was {f.intro}.",
    )
    s.paragraph()
    s.say(
        "{morning} {h} remembered that {f} had {f.his} birthday the next day, and that what {f} wished for was {o.a}.",
        "{f}'s birthday was near, and {f} wished for nothing but {o.a}.",
        '"If only I had {o.a}!" {f} often said. And tomorrow was {f}\'s birthday.',
    )
    s.say(
        "but {h} had no money, only {a.a}.",
        "{h} looked into {h.his} [box|purse|pockets]. There was no penny in it, only {a.a}.",
        "all {h} had was {a.a}.",
    )
    beats.sky(s)
    s.person("g", FRIEND_TRAITS)
    s.say(
        'at the {p.spot} {h} met {g.intro}, who looked at the {a} and said, "[That is just what I need|I have always wanted one|How pretty|Just like my mother\'s]! I, {g}, will give you my {b.look} {b} for it."',
        'so {h} went to the {p.spot}. There sat {g.intro} with {b.a}. "Will you trade?" asked {g}, and {h} gave away {a.the} and got {b.the}.',
        '{h} asked {g.intro}, who had no {o} but only {b.a}. "Take it for your {a}," said {g}, and so they traded.',
    )
    s.say(
        "{h} went on with {b.the} until {h.he} came to the {p.house}, where the {p.man} lived.",
        "with {b.the} under {h.his} arm {h} came to the {p.spot2}, where the {p.man} was at work.",
        "the {p.man} at the {p.house} had {o.a}, as {h} knew.",
    )
    s.say(
        '"A {b}, {h}!" said the {p.man}. "[Mine got lost last week|My daughter would love it|I have looked for one for years]. What do you want for it, little {h.kind}?" "{o.The}, please," said {h}.',
        '"I need {b.a}," said the {p.man}, "and this {o} only [stands around|gathers dust]. Take it, {h}, and good luck."',
        "the {p.man} [scratched a ear|thought for a while|laughed] and gave {h} {o.the} for {b.the}.",
    )
    s.paragraph()
    s.say(
        "the next day {h} [wrapped {o.the} in leaves|tied a bow around {o.the}|hid {o.the} behind {h.his} back] and knocked at {f}'s door.",
        "in the morning {f} found {o.the} [on the doorstep|beside the bed|in a nest of hay], and behind it stood {h}.",
        "at {f}'s party there was {cake}, and in the middle of the table lay {o.the} from {h}.",
    )
    s.say(
        '"{o.A}!" cried {f}. "How did you know?" "[Friends listen|You said it a hundred times|A bird told me]," said {h}.',
        '{f} [laughed and wept at once|could not say a word|hugged {h} very hard]. "It is the best present of my life, {h}," {f.he} said.',
        '"But you had no money," said {f}. Then {h} told the story of the {a} and the {b}, and {f} [listened with big eyes|laughed at every word].',
    )
    s.maybe(
        0.6,
        "in the evening {g} came as well, and {g.he} had brought {food}.",
        "all evening they [sang|danced|played], {h}, {f}, and {g} too.",
        "and what became of {h}'s {a.look} {a}? {g} still has it.",
    )
    beats.close(
        s,
        "a present does not need money but thought",
        "giving makes one as rich as getting",
        "whoever asks nicely can get far",
        "the best presents have a story",
    )


BUILDS = (
    ("raft", "of branches", "sail over {p.water}", "sank like a stone", "with empty barrels under it"),
    ("hut", "of leaves", "sleep outside", "fell down in the first wind", "with strong posts"),
    ("bridge", "of reeds", "cross {p.water} with dry feet", "bent and broke", "of thick boards"),
    ("sled", "of a old box", "race down the hill", "lost its runners at the first bump", "with iron nails"),
    ("swing", "of thin string", "swing on {p.tall}", "tore with a snap", "of strong rope"),
    ("cart", "with wheels of cheese", "ride to the {p.spot}", "lost all its wheels", "with wheels of oak"),
    ("flying machine", "of paper", "fly over {p.tall}", "flew no further than a hen", "with wings of cloth"),
    (
        "snow castle",
        "of loose snow",
        "live like a king",
        "slid down with a sigh",
        "of hard blocks with water between them",
    ),
    ("tree house", "of twigs", "look over the whole land", "came down with a crash", "of good planks"),
    ("windmill", "of cards", "grind a bit of flour", "blew away in all directions", "with sails of strong cloth"),
    ("boat", "of paper and glue", "row across {p.water}", "went soft and folded up", "of tarred planks"),
    ("ladder", "of straw", "look into the nest on {p.tall}", "broke at the second rung", "of ash wood"),
    (
        "puppet theatre",
        "of a old hat",
        "play the story of the lost king",
        "fell on the puppets",
        "with a frame and a curtain",
    ),
    (
        "wagon with a sail",
        "of a tablecloth",
        "ride on the wind",
        "ran into the wall of the {p.house}",
        "with a rudder and a brake",
    ),
    (
        "water wheel",
        "of cabbage leaves",
        "make the stream do some work",
        "fell to pieces in the first wave",
        "with spoons of tin",
    ),
    ("bird house", "of mud", "have starlings for neighbours", "melted in the rain", "of old boards with a little roof"),
    ("oven", "of wet clay", "bake a {cake}", "cracked from top to bottom", "of bricks that were well dried"),
)


def build(s: Story) -> None:
    """What is built alone and in haste breaks; what is built with others holds."""
    beats.begin(s)
    winter = ("sled", "snow castle")
    what, first, aim, failed, second = s.rng.choice([b for b in BUILDS if (b[0] in winter) <= (s.season == "winter")])
    s.put("what", what)
    s.put("first", first)
    s.put("aim", aim)
    s.put("failed", failed)
    s.put("second", second)
    s.put("grand", "[big|real|proper|splendid|grand|mighty|secret|fine|wonderful]")
    s.put("dream", "{what} with [sails|a flag|golden doors]")
    s.facts["dream"] = "a " + s.facts["dream"]
    s.paragraph()
    s.say(
        "{h} had one [great|secret|old|burning] wish: {h.he} wanted to {aim}. So {morning} {h} [began to build|set about building|rolled up {h.his} sleeves and began] a {grand} {what} [near the {p.spot}|behind the {p.house}|under {p.tall}|beside {p.water}].",
        '{morning}, when {weather}, {h} had a idea. "I, {h}, will build a {grand} {what} and {aim}!"',
        '{morning} {h} said, "Today I will build a {grand} {what}. Then I, {h}, can {aim}."',
    )
    s.say(
        "{h.He} built it {first}, [in one morning|in great haste|and sang loudly], and asked nobody.",
        '"Let us help you, {h}," said the [neighbours|others|{p.man} and the neighbours]. "No, I can do it [alone|without you|before you have had your tea]," said {h}, and [built it|made it|put it together] {first}.',
        "{h.He} [took no time to think|did not measure anything|could not wait|wanted it to be quick] and made it {first}[|, [in one morning|in half a day|before lunch|all by {h.himself}]].",
    )
    s.say(
        "{h}'s {what} looked [fine|grand|lovely|very good|almost right], [for a moment|from a distance|at sunset|and {h} sang]. But it {failed}.",
        "{h} [called everyone|bowed|rang a bell] and tried it out. It {failed}, and {h} sat [on the ground|in the mud] with [a bump|a red nose|straw in {h.his} ears].",
        "when {h} [tried it|tried it out] [the first time|in front of everyone|before breakfast|with a loud hurrah], [it {failed}|{h}'s {what} {failed}|the fine {what} {failed}].",
    )
    s.say(
        "some [laughed|giggled]. {h} went [home|behind the {p.house}] and did not want to see anyone.",
        '"I will never build [anything|as much as a box|a {what}] again," said {h} and [threw {h.his} hammer into the grass|went home|kicked a bucket|lay down in the grass].',
        "{h} [threw {h.his} hammer into the grass|pulled {h.his} hat over {h.his} eyes|kicked the rest of it].",
    )
    s.paragraph()
    beats.meet(s)
    s.say(
        '"I have made worse things," said {f}. "[My first one fell on my head|Once I built a boat with a hole|Try again, but slowly]."',
        '"What did you learn from it?" asked {f}. {h} thought. "That it must not be built {first}," {h.he} said.',
        '"It was a good plan," said {f}. "[It only needs more nails|It only needs four {f.hand} more|Let us draw it first]."'.replace(
            "four {f.hand} more", "somebody to hold the other end"
        ),
    )
    s.say(
        "so {both} sat down and drew a plan [in the sand|on a big leaf|on the wall]. Then {f} fetched [wood|tools|what they needed] from the {p.spot}.",
        "{both} asked the {p.man} for [tools|nails|old planks|a good saw], and {f} paid with a {cake}.",
        "this time {both} [measured everything twice|tested every part|took their time].",
    )
    s.say(
        "{f} [held|sawed|lifted], and {h} [hammered|tied|painted]. They built the {what} {second}, [and {f} painted it [red|blue|green|yellow]|and {h} asked twice before each nail|and the {p.man} looked on|and it took {f}'s last nail].",
        "for [two|three|four] days {both} worked. When it was done, {h}'s {what} stood there {second}, and when {f} [kicked|pushed|shook] it, it did not even [shake|creak].",
        "it took [a week|until Sunday|longer than {h} liked|[nine|six|twelve] days and many nails], but {f} was [content|proud|in high spirits]: the new {what} was made {second}, and [it stood firm, come [wind|rain|what may]|nothing [wobbled|creaked|leaned]|{f} painted it [red|blue|green|yellow]|{h} was {as.happy}|{h} gave it a name|the {p.man} [whistled|took off his hat|wanted one too]|a {small} was the first to sit on it].",
    )
    s.paragraph()
    s.say(
        "then {h} could {aim} at last, with {f} [close beside|next to|right behind] {h.him}.",
        '"You first," said {f}. "No, both of us," said {h}. And so they went to {aim} together.',
        "and [it held|it worked|nothing broke|see there]! All [afternoon|day|evening] {h} and {f} [took turns|sang|cheered|invited their neighbours], and everyone who [wanted|asked|had laughed before|brought {food}] could {aim} too.",
    )
    s.maybe(
        0.5,
        'on the {what} they painted [both their names|a star|the words "{h} and {f}"].',
        "afterwards {h} cut a {cake} for {f} and all who had helped.",
    )
    beats.close(
        s,
        "a mistake is a good teacher",
        "slow and together is better than fast and alone",
        "whoever falls can try again",
        "four eyes see more than two",
    )


def lost_way(s: Story) -> None:
    """The hero gets lost; a light, a voice, somebody kind, and the way home."""
    beats.begin(s)
    s.put(
        "errand", "[fetch {food}|bring the {p.man} a {cake}|look for berries|carry a letter|visit {h.his} grandmother]"
    )
    s.paragraph()
    s.say(
        '{morning} {h} went out to {errand}. "Stay on the path," said {h.his} [mother|father|aunt].',
        "{morning}, when {weather}, {h} set out to {errand}.",
        '"Come back before dark," they told {h}, who went out {morning} to {errand}.',
    )
    s.say(
        "behind the {p.spot} there was a [blue|red|golden|white|shiny|strange] [butterfly|beetle|bird|lizard|moth], and {h} followed it, [left and right|further and further|over [sticks|roots] and stones|until {h.he} was out of breath|as if on a string|without a look back].",
        "{h} [wanted to take|took|knew of|had heard of] a short way [through the bushes|behind the {p.spot2}|across the field|past the {p.house}] to {p.water}, but it was [longer than the long one|not short at all|as long as a [winter|sermon|goose]|full of [nettles|puddles|geese|thistles]|a way for [goats|birds|ants] only|the [longest|wettest|steepest] {h.he} had ever gone], and [soon it ended|it ended at a [wall|ditch|hedge]|it went [up and down|round and round]|{h} had to [crawl|jump|wade]|it turned and turned|there was no [sign|bridge|light]|{h} met nobody but a {small}].",
        "{h} [picked a [flower|feather|leaf] here and a [berry|pebble|nut] there|looked at the clouds|counted [butterflies|swallows|molehills]] near the {p.spot} and [did not look at the path|forgot what {h.he} had been told|walked on without thinking|thought of {food}|hummed to {h.himself}].",
    )
    s.say(
        "when {h} looked up, everything {p.here} was [grey and strange|strange and dark].",
        "suddenly every [tree|path|stone|bush|hill|corner] looked [the same|strange|like the one before|twice as tall] to {h}[|, and {h.he} [stood still|began to run|called for {h.his} mother]].",
        "[then|soon|little by little|and then] it got dark around {h}, [as if someone had blown out a candle|faster than on other days|like the inside of a [boot|sack|bell]|before the [cows|hens|boats] were home|as if ink flowed down the sky], and {h} could not see [the path|the {p.spot}|{h.his} own {h.hand}|where {p.water} was|so much as a {small}] [any more|now|for all {h.his} trying].",
    )
    s.say(
        '"[Hello|Is anybody there|Mother|Where am I]?" called {h}. Only the [echo|wind|owl|crickets] answered, [from afar|and it sounded sad|and then it was still|twice].',
        "{h.He} went [in a circle|left, then right|back and forth|wherever it was less dark|after {h.his} nose] and came to the same [stump|rock|puddle|crooked tree|signpost|bush] [twice|three times|four times|again and again], [and it seemed to [grin|wait|yawn]|and each time it was [darker|colder]|until {h} knew it by heart|and a {small} on it shrugged|and {h} was close to tears|as if there were no other].",
        "{h}'s feet were [cold|wet|sore|heavy], and {h.his} belly [growled for|thought of|wanted] {food}[| and {cake}|, a great deal of it].",
        "{h.He} sat down and sang the song [from home|of the seven geese|about the moon], very softly, [so as not to cry|to feel less alone|until {h.his} voice was hoarse].",
    )
    s.paragraph()
    s.person("f", FRIEND_TRAITS)
    s.say(
        "then {h} saw a [small|yellow|faint|red] light [dance|swing|wander|blink] [between the trees|near the {p.spot}|behind the {p.spot2}|far ahead]. It was a lantern, and it was carried by {f.intro}.",
        "far off {h} noticed [a bell|a humming|the smell of soup], followed it, and came to the door of {f.intro}.",
        '"Who [sings|cries|walks|sniffs] there[|, and so late|, in the middle of the night]?" asked a voice. {h} [turned around|looked up|nearly fell over]. [The voice belonged to|It was the voice of|There, with a lamp, stood] {f.intro}.',
    )
    s.say(
        '"I am {h}, and I have lost my way," said {h}. "[Then warm yourself first|Nobody is lost who can sing|I know every stone here]," said {f}.',
        '"You are shivering," said {f}, and wrapped {h} in a [blanket|shawl|warm coat].',
        "{f} asked no questions, but put a bowl of hot [soup|{food}|milk] in front of {h}.",
    )
    s.say(
        "when {h} was warm, {f} took the lantern and led {h.him} [past the {p.spot}|along {p.water}|over the {p.spot2}] to the place where {h} could see the lights of home.",
        "then they walked side by side, and {f} showed {h} how to find north by [the moss on the trees|the big star|the wind].",
        '"Look for the brightest star," said {f}. "It stands above your home, {h}." And so it was.',
    )
    s.paragraph()
    s.say(
        "at home they all [ran to meet {h.him}|had put candles in the windows|hugged {h.him}], and {f} had to stay for {cake}[| and [tell all about it|sing a song|sleep beside the stove]].",
        '"There you are!" cried everyone at home, and {h} told of {f}.',
        "how glad they were at home! {f} got the [best chair|biggest piece of {cake}|place beside the stove].",
    )
    s.say(
        "since then {h} visits {f} every [Sunday|week|full moon] and brings {food}. {h.He} stays on the path, [mostly|of course|and counts the stones].",
        "and in {h.his} own window {h} puts a lantern every night, for whoever may be lost.",
        "the next day {h} and {f} painted [white|red|yellow] [dots|arrows|stars|crosses] on the [stones|trees|fences], so that [nobody would lose the way again|even a {small} could find the way|{h} could visit {f} in any weather].",
    )
    beats.close(
        s,
        "even in the dark somebody may have a light",
        "a short way can be a long one",
        "whoever was helped can help the next one",
        "a kind stranger is like a lamp in the night",
    )


WISHES = (
    ("see the sea", "the sea was [as wide as the sky|bigger than all the ponds of the world]", "brought home a shell"),
    ("touch a cloud", "the cloud was [cool and wet|softer than wool]", "brought home a drop of it in a bottle"),
    ("hear the echo", "the echo answered [three|seven] times", "taught the echo a rhyme"),
    (
        "meet the man in the moon",
        "the moon was so near that one could [see its freckles|almost tickle it]",
        "waved until the moon went down",
    ),
    (
        "see where the sun sleeps",
        "the sun sank [like a coin into a pocket|red and round behind the last hill]",
        "said good night to it",
    ),
    (
        "find the end of the rainbow",
        "the rainbow came down [in a puddle|on a old gate]",
        "painted its colours on a stone",
    ),
    (
        "stand on the top of the hill",
        "the whole world lay below like a [blanket with patches|picture book]",
        "built a little tower of stones there",
    ),
    ("hear the whale sing", "the whale sang [so deep that the stones hummed|of cold green places]", "sang back"),
    (
        "see snow in summer",
        "on the highest peak there was still snow, [white and cold|up to the knees]",
        "threw one snowball each",
    ),
    (
        "see a falling star",
        "a star fell, and then [another|three more], like sparks",
        "wished for something and did not tell",
    ),
    ("hear the oldest tree talk", "the old tree creaked and told of [kings|wolves|the great ice]", "left it a ribbon"),
    (
        "ride on a cart full of hay",
        "the hay swayed like a [ship|cradle|sleepy elephant]",
        "sang until the stars came out",
    ),
    (
        "stand behind a waterfall",
        "the water hung there like a [curtain of glass|silver cloth]",
        "shouted their names through it",
    ),
    (
        "see the big city",
        "there were more lamps than stars, and [nobody slept|everyone was in a hurry]",
        "bought one balloon and let it fly",
    ),
    (
        "find the spring of the river",
        "the whole river came out of a hole [no bigger than a hat|under a fern]",
        "drank from it with both hands",
    ),
    (
        "walk on the bottom of the sea",
        "the tide had gone out and left [mirrors|stars and shells] behind",
        "wrote a word in the sand",
    ),
    (
        "meet a real giant",
        "the giant was [a rock with a beard of moss|asleep, and snored like thunder]",
        "tucked him in with ferns",
    ),
)


def journey(s: Story) -> None:
    """A wish that is far away, and a long way there with somebody who did not believe in it."""
    beats.begin(s)
    wish, sight, keepsake = s.rng.choice(WISHES)
    s.put("wish", wish)
    s.put("sight", sight)
    s.put("keepsake", keepsake)
    s.put("dream", "the next journey")
    s.say(
        "{h} had one [secret|great|old|strange] wish. {h} wanted to {wish}.",
        "more than [anything else|{food} and {cake}|anyone knew] {h} [wanted|longed|wished] to {wish}.",
        "every [night|evening|day] before [sleeping|supper|the lamp went out] {h} [thought how it would be|imagined how fine it would be|told the [wall|pillow|cat] how {h.he} wanted] to {wish}.",
    )
    s.say(
        '"That is [much too far|nothing|far too hard|a foolish wish] for [you|one as small as you|a {h.kind}], {h}," said the {p.man}[| and [went on working|turned away]].',
        'the {p.man} [laughed|frowned|put down the newspaper|looked up from work]. "[{h}, nobody {p.here} has ever done that|My own uncle tried, {h}, and came home with a cold|That is only found in books, {h}|Better learn to cook, {h}]," said the {p.man}.',
        '"A {h.kind} [is too small for that|stays at home|has other things to do|cannot walk so far], {h}," said the {p.man} [over the fence|with a yawn|and lit a pipe|not unkindly].',
    )
    s.paragraph()
    s.say(
        "{morning}, when {weather}, {h} packed {food} and a [blanket|rope|candle] and set out.",
        "but {morning} {h} put on {h.his} [boots|hat|scarf], took a bag of {food}, and went.",
        '"A {h.kind} who does not start will never {wish}," [said|thought] {h} {morning}, took some {food} along, and [closed the door|did not look back|left a note on the door|whistled {h.his} way down the road].',
    )
    beats.meet(s)
    s.say(
        '"Where are you going?" asked {f}. "I want to {wish}," said {h}. "[Let me come along|Nonsense, but I have time today|That I must see]," said {f}.',
        "{f} did not believe {h} that one could {wish}, but {f.he} was [bored|curious|fond of walking] and came along.",
        '"I always wanted to {wish} too," said {f}, "but I never dared to go alone."',
    )
    s.say(
        "{both} walked past the {p.spot} and [over|around] the {p.spot2}, [one day|two days|three days] long.",
        "the path was steep. When {h} was tired, {f} sang, and when {f} was tired, {h} [told stories|pulled {f.him} along|carried the bag].",
        "they crossed {p.water} on [a log|a door|stepping stones], and {f} fell in [twice|only once].",
        "at night {both} slept [in the hay|under a bush|beneath {p.tall}] and listened to [the crickets|the wind|the owls].",
    )
    s.maybe(
        0.7,
        'once they wanted to turn back. "[Only to the next bend|Just ten more steps|We will eat first]," said {h}, and they went on.',
        '"My feet hurt," said {f}. "Mine too," said {h}. "Shall we count to a hundred and see?"',
        "a [storm|fog|cold wind] came, and {both} hid in a [hollow tree|cave|barn] until it was over.",
    )
    s.paragraph()
    s.say(
        "and then, [early in the morning|one evening|all at once], {both} were there. {sight}.",
        "then {h} came around the last bend and called {f}. {sight}.",
        '"Look," whispered {f}. {sight}.',
    )
    s.say(
        "for a long time neither {h} nor {f} said a word.",
        "{h} [laughed|wept a little|jumped in the air], {as.happy}.",
        '"It is even better than I thought, {f}," said {h}. "I am glad I was wrong," said {f}.',
        "{both} held each other by the {h.hand} and [looked and looked|breathed very quietly].",
    )
    s.say(
        "before {both} turned back, they [ate {food}|sat down for a while|sang a [song|round]|shared the last [bread|drop|biscuit]|took off their shoes] and {keepsake}.",
        "{both} stayed [until evening|for an hour|all afternoon|longer than they had planned|until their noses were [cold|red]|three whole days] and {keepsake}.",
        "then {both} {keepsake}, ate the last of the {food}, and {h} led the way home past the {p.spot}[|, [singing|limping a little|through the rain]].",
    )
    s.paragraph()
    s.say(
        'at home the {p.man} and all the others wanted {h} to tell about it. "[I was not too small|It was far, but not too far|One only has to go]," said {h}.',
        "when they came home, the {p.man} [asked a hundred questions|baked a {cake}|wanted to see everything], and {h} and {f} told it [all night|twice|in turns].",
        "[now, when|and when|ever since, when|whenever] somebody {p.here} has a [great|secret|far|foolish] wish, they [go and ask|come and ask|knock and ask|turn to] {h} for [the way|advice|a map|courage], [and never in vain|and get {food} too|even the {p.man}|big and small].",
    )
    beats.close(
        s,
        "the longest way begins with one step",
        "a wish needs feet",
        "the way is half as long with a friend",
        "small legs can go far",
    )


STARS = (
    ("a little star", "had fallen out of the sky", "shone", "the sky"),
    ("a baby cloud", "had got caught in a bush", "drifted", "the sky"),
    ("a young fish", "had been left in a puddle", "splashed", "the water"),
    ("a snowflake", "had come too early", "glittered", "the high mountains"),
    ("a small whale", "had swum into {p.water} by mistake", "sang", "the open sea"),
    ("a moonbeam", "had slept too long", "glimmered", "the moon"),
    ("a swallow", "had missed the others on the way south", "twittered", "the flock"),
    ("a lost echo", "had forgotten whom it belonged to", "hummed", "its own valley"),
    ("a bit of rainbow", "had broken off in the storm", "gleamed", "the rainbow"),
    ("a young wind", "had run away from its mother", "whistled", "the four winds"),
    ("a seal pup", "had been washed over the wall", "barked", "the grey sea"),
    ("a firefly", "had been carried off by a gust", "blinked", "the warm meadow"),
    ("a wild gosling", "had rolled out of its nest", "peeped", "the great marsh"),
    ("a drop of dew", "had not dried up in the sun", "sparkled", "the morning"),
    ("a tiny giant", "had been forgotten on an outing", "chuckled", "the land of the giants"),
    ("a letter with wings", "had no address any more", "fluttered", "the one who wrote it"),
)


def way_home(s: Story) -> None:
    """Somebody small and strange must be brought home, though the hero would love to keep it."""
    beats.begin(s)
    who, why, does, home = s.rng.choice(STARS)
    s.put("it", who)
    s.put("the", "the " + who.split(" ", 1)[1])
    s.facts["The"] = s.facts["the"].capitalize()
    s.put("lost", why)
    s.put("does", does)
    s.put("homeland", home)
    s.put("dream", "{the}")
    s.paragraph()
    s.say(
        "{morning} {h} found {it} near the {p.spot}. It {lost}.",
        "{morning}, when {weather}, something {does} [behind|next to|under the window of|in front of] the {p.house}. It was {it}, and {h} [saw [at once|by its looks|and understood]|soon found out|could tell] that it {lost}.",
        "{morning} on the way to the {p.spot} {h} almost stepped on {it}. {h} saw that it {lost}.",
    )
    s.say(
        '"[Dear|Good|Kind|Brave|Sweet] {h.kind}, [take me home|I want to go home|I must go back|show me the way|I belong] to {homeland}," [said|begged|sighed] {the} [to {h} |]in a voice [like a [bell|reed|hinge|flute]|as thin as a [thread|hair|straw]|full of tears|that was hardly there].',
        "it trembled [like a [leaf|flame|jelly]|like a bell|all over|from head to foot] when {h} [touched it|came near|bent down|spoke to it|held out {h.his} {h.hand}], and {does} [only a little|hardly at all|very faintly|just once|as if in a dream].",
        '"Please do not [hurt|squash|eat|leave|sell|forget] me, [brave|dear|kind|good|great] {h.kind}," whispered {the} when {h} [bent down|came closer|touched it|held {h.his} breath].',
    )
    s.say(
        "{h} took it home, [made a bed of moss|put it in a bowl|gave it a thimble of milk], and it {does} all evening.",
        "{h} [carried|brought|took] {the} [very carefully|like a full cup|without a jolt] [home|home in both {h.hand}|to {h.his} room] and gave it a place [by the window|on the shelf|next to {h.his} bed|on a [blue|red|green|white] [cushion|plate|cloth]|in a nest of [wool|hay|feathers|moss]].",
        '{h} had never seen anything so lovely. "[Stay with me|Stay here|You shall have {food}|I will keep you]," said {h}.',
    )
    s.say(
        "but [day by day|hour by hour|night by night] in {h}'s home {the} grew [paler|quieter|smaller|sadder], [like a candle at its end|whatever {h.he} did|and it hardly stirred|and not even {cake} helped].",
        "but it did not [eat|touch|even look at|want] {h}'s {food} and [looked out of the window|turned its back to the room|listened at the door|watched the sky|sat with its face to the wall] [all the time|day and night|from morning to evening|and said no word].",
        "but at night {h} heard it [sigh|cry|call very softly|talk of {homeland}|knock at the window pane].",
    )
    s.paragraph()
    s.person("f", FRIEND_TRAITS)
    s.say(
        "{h} asked {f.intro} for advice[|, over a plate of {food}|, for {f} was known to be wise|, who lived by the {p.spot2}].",
        "then {f.intro} came to [visit|tea|borrow a spoon|bring {food}] and saw it [at once|on the shelf|and frowned|by the window].",
        "{h} ran to {f.intro}, who [knew a lot about such things|had read many books|had travelled far].",
    )
    s.say(
        '"It is homesick," said {f}. "[Whoever loves it must let it go|Only at home can it be what it is|It belongs to {homeland}]."',
        '"Would you want to live [in a jar|on a shelf|so far from home|where nobody speaks like you]?" asked {f}. {h} [shook {h.his} head|looked at the floor|did not answer|blushed].',
        '{f} looked at {the} for a [while|long time|moment]. "[You know what you have to do|It cannot stay here|See how it looks at the door|It needs more than a friend], {h}," {f.he} said.',
    )
    s.say(
        "{h} [swallowed hard|sniffed|sighed] and nodded. [That same night|The next morning|At once|After supper] they set out together[|, with {food} for the way|, and it rode in {h}'s hood|, all three of them].",
        '"Will you help me?" asked {h}, and {f} [took {h.his} {h.hand}|fetched a lantern|packed some {food}].',
        "it was not easy, but {h} [wrapped {the} in|laid {the} on|covered {the} with] a [scarf|leaf|soft cloth|handkerchief] and [went|set out|opened the door], and {f} [came along|went ahead|held the lantern|carried the {food}].",
    )
    s.say(
        "they climbed {p.tall}, [higher than the birds|as high as they dared|puffing all the way|{f} in front], and {h} [held {the} up|lifted {the} over {h.his} head|stretched out {h.his} {h.hand}], [as far as {h.he} could|into the wind|and for a moment nothing happened|with a heavy heart].",
        "{both} went along {p.water} and past the {p.spot2}, and {h} carried {the} as far as [the land goes|their feet would carry them|the last house|the end of the world, or nearly], [hour after hour|without a rest|and hardly spoke|until the air smelled new|{h} in front|and ate the last {food}|and {f} told of {f.his} [aunt|youth|travels]].",
        "at the {p.spot2} they waited for the [wind|right moment|moon|first star]. Then {h} [opened {h.his} {h.hand}|said goodbye|put {the} down|let go].",
    )
    s.say(
        '"[Go home|Off you go|Good journey|Be happy]," whispered {h}. And {the} {does} [as never before|one last time|twice in farewell|with all its might] and was [gone|off|away], [back to {homeland}|home at last|where it belonged].',
        "there was a [flash|whisper|gust|rustle|small song], and before {f} could [say a word|blink|take off {f.his} hat|say {cake}], {the} was [home|free|gone|far away], [and the air smelled of {food}|and {h} waved for a long time|and {h} felt very light|and only a {small} had seen it].",
        '"[Thank you|Farewell|Be well|Goodbye], {h}," it called, "[I will not forget you|I will tell them all about you|come and see me|you were good to me]!" Then {homeland} had it back.',
    )
    s.paragraph()
    s.say(
        "{h} wept a little, and {f} [held {h.him}|said nothing and stayed|shared a {cake} with {h.him}].",
        "but every [evening|clear night|year|{month}|Sunday] it sends {h} a greeting, and {h} waves back.",
        "sometimes, when {h} [was sad|could not sleep|stood at the {p.spot}|sat alone], something {does} [outside the window|far away|in the dark|high up]. Then {h.he} [smiled|waved|said good night|felt warm inside].",
        'on the way home {h} was sad and glad at once. "[It is where it belongs|I have never done anything harder|It did not even look back|My home will be so quiet]!" {h.he} said to {f}.',
    )
    beats.close(
        s,
        "whoever loves something does not lock it up",
        "letting go can be a present too",
        "everyone needs a home",
        "what one sets free stays in the heart",
    )
