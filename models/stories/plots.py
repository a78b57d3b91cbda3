"""The plots: each a way in which a story can go."""

import beats
from lexicon import FRIEND_TRAITS
from story import Story


def begin(s: Story) -> None:
    """The first part of the first paragraph, and what every plot may speak of."""
    s.put("dream", "[{p.water}|flying|the {p.spot}|a ship|tomorrow]")
    beats.food(s)
    beats.morning(s)
    beats.opening(s)


def lost_treasure(s: Story) -> None:
    """Something dear gets out of reach; somebody who can what the hero cannot brings it back."""
    begin(s)
    thing = beats.treasure(s)
    s.put("dream", "{o.the}")
    s.paragraph()
    s.say(
        "{morning} {weather}, and {h} took {o.the} to the {p.spot}.",
        "{morning}, when {weather}, {h} went to the {p.spot} with {o.the}.",
        "{morning} {h} was playing with {o.the} near the {p.spot}.",
        "{weather} {morning}. {h} carried {o.the} past the {p.house} and sang.",
    )
    beats.sky(s)
    site = beats.get_away(s, thing)
    beats.tries(s)
    s.paragraph()
    skill = beats.solve(s, site.need)
    beats.meet(s, skill)
    beats.ask(s)
    beats.help_out(s)
    beats.thanks(s)
    s.paragraph()
    beats.together(s)
    beats.close(
        s,
        "what one cannot do alone, two can do easily",
        "asking for help is nothing to be ashamed of",
        "a friend is worth more than any {o}",
        "everybody can do something that others cannot",
    )


def share_food(s: Story) -> None:
    """Somebody hungry asks for some of what the hero would rather keep."""
    begin(s)
    s.say(
        "{h} loved {food} more than anything.",
        "there was nothing {h} liked better than {food}.",
        "{h}'s favourite food was {food}, [morning, noon, and night|and everyone knew it|with a little salt].",
    )
    s.paragraph()
    s.say(
        "{morning} {h} [carried|was carrying] a whole basket of {food} home from the {p.spot}.",
        "{morning}, when {weather}, {h} found a big basket of {food} at the {p.house}. It was a gift from the {p.man}.",
        "{morning} {weather}, and {h} sat at the {p.spot} with a bag full of {food}.",
        "it had taken {h} [a week|three days|a long time] to save up {food} for the cold days, and {morning}, when {weather}, {h} had a whole [pot|sack|basket] of {food}.",
    )
    beats.sky(s)
    s.say(
        '"All the {food} for me, {h} the {h.kind}, and none for anybody else," {h} [thought|hummed].',
        "{h} wanted to eat all of it alone, [slowly|behind the {p.house}|before anyone came].",
        '"Some {food} for {h} now, some for {h} later, and the rest for [tomorrow|Sunday|the winter]," {h} [counted|planned|sang].',
    )
    beats.meet(s)
    s.say(
        '"I have not eaten since yesterday," said {f}. "Could you give me a little?"',
        "{f}'s belly growled so loudly that {h} heard it.",
        "{f} said nothing, but {f.he} looked at the {food} with very big eyes.",
        '"It smells wonderful," said {f}. "My own {p.spot2} gave nothing this year."',
    )
    s.paragraph()
    s.say(
        '"No," said {h} quickly, "it is mine," and {f} [went on|walked off] with {f.his} head low.',
        '{h} held the {food} tight. "I hardly have enough for myself, {f}," said {h}, and that was not true.',
        '"Find your own," said {h}. {f} [nodded sadly|sighed] and turned to go.',
        "{h} looked away and [pretended to sleep|hid it all behind {h.his} back|whistled], and {f} went off slowly.",
    )
    s.say(
        "but now that {f} was gone, the {food} did not taste good any more.",
        "but the first bite of {food} stuck in {h}'s throat.",
        "{h} took a bite. It tasted like [paper|dust|wet straw].",
        "then {h} thought of [the winter when {h.he} had been hungry|how cold {f} had looked|{h.his} grandmother, who always shared].",
    )
    s.say(
        '"Wait!" {h.he} called and ran after {f}. "There is enough for two."',
        "{h.He} jumped up, ran after {f}, and held out half of everything.",
        '"Come back, {f}!" {h} shouted. "I was wrong. Sit with me."',
        "so {h.He} took the {food} and followed {f} [to the {p.spot2}|down the path|through the rain of leaves].".replace("{h.He}", "{h.he}"),
    )
    s.say(
        "{both} ate together, and now the {food} tasted [sweet and good|better than ever|like a feast].",
        "{f} ate slowly and [smiled|hummed] at every bite, and {h} was {as.happy}.",
        "{both} sat [side by side|on the wall|in the grass] and ate {food} until [nothing was left|both were full|the birds got the crumbs].",
    )
    s.paragraph()
    s.say(
        "the next day {f} came back with a {cake}, as big as a [wheel|table|hat]. \"Half of it is yours, {h},\" {f.he} said.",
        "when the next winter came and {h} had nothing left, {f} knocked [twice|at the window|with one foot] and had brought a [pot of soup|sack of nuts|warm {cake}].",
        "a week later {h} [hurt a foot|had a cold|lay in bed], and {f} came every day and brought {food}.",
        "some days later {f} showed {h} a place [behind the {p.house}|near {p.water}] where the sweetest berries grew.",
    )
    beats.close(
        s,
        "everything tastes best when it is shared",
        "half a basket and a friend are more than a full basket",
        "nobody gets poor by giving",
        "a full heart is better than a full belly",
    )


FEARS = (
    ("the dark", "sleep without a lamp", "the lamp went out", "the dark was only the day with its eyes closed"),
    ("thunder", "go outside when a cloud was in the sky", "thunder rolled over the {p.house}", "thunder is only noise"),
    ("deep water", "go near {p.water}", "the waves splashed at {h.his} chin", "water carries those who trust it"),
    ("high places", "climb on as much as a chair", "the ground looked very far away", "one only has to look up and not down"),
    ("the old {p.house}", "walk past the old {p.house}", "the door of the {p.house} creaked", "old houses only creak because they are lonely"),
    ("strangers", "say a word when somebody new came", "{h.his} voice shook", "strangers are friends one has not met yet"),
    ("big dogs", "walk past the yard where the big dog lived", "the big dog barked", "a dog that wags its tail wants to play"),
    ("the forest at night", "take one step under the trees behind the {p.spot} after sunset", "a owl hooted", "the forest only whispers good night"),
    ("narrow tunnels", "crawl into any hole", "the roof touched {h.his} back", "every tunnel has two ends"),
    ("bees", "go near the hives", "a hundred bees hummed around {h.him}", "bees are only busy"),
)  # fmt: skip


def fear(s: Story) -> None:
    """Somebody needs help just where the hero is afraid to go."""
    begin(s)
    what, never, then, truth = s.rng.choice(FEARS)
    s.put("fear", what)
    s.put("never", never)
    s.put("then", then)
    s.put("truth", truth)
    s.say(
        "there was only one thing {h} was afraid of: {fear}.",
        "but {h} the {h.looks} {h.kind} was afraid of {fear}. {h.He} did not dare to {never}.",
        "nobody knew that {h} was afraid of {fear}.",
        "{h} the {h.kind} feared {fear} so much that {h.he} would never {never}.",
    )
    s.person("f", FRIEND_TRAITS)
    s.say(
        "the best friend of {h} the {h.kind} was {f.intro}.",
        "next door lived {f.intro}, and the two were the best of friends.",
        "{h} often played with {f.intro}.",
    )
    s.paragraph()
    s.say(
        "{morning} {weather}, and {f} did not come to play.",
        "{morning}, when {weather}, {h} heard a small voice. It was {f}.",
        "{morning} a [crow|beetle|gull] brought the news that {f} was in trouble.",
        "{morning} {h} waited at the {p.spot}, but {f} did not come.",
    )
    place = {
        "the dark": ("in the cellar of the {p.house}", "at the end of a dark tunnel", "in a cave behind the {p.spot}"),
        "thunder": ("out on the {p.spot} in the storm", "under {p.tall} in the storm"),
        "deep water": ("on a stone in the middle of {p.water}", "on a log that drifted on {p.water}"),
        "high places": ("at the top of {p.tall}", "on the roof of the {p.house}", "high up on a narrow ledge"),
        "strangers": ("in the house of a stranger behind the {p.spot}", "in a crowd of strangers at the {p.spot2}"),
        "big dogs": ("in the yard of the big dog", "behind the kennel of the big dog"),
        "the forest at night": ("under {p.tall} after sunset", "in the dark forest behind the {p.spot}"),
        "narrow tunnels": ("at the end of a narrow tunnel", "in a narrow hole behind the {p.house}"),
        "bees": ("between the bee hives behind the {p.house}", "under the bee hives at the {p.spot2}"),
    }.get(what, ("inside the old {p.house}", "behind the door of the old {p.house}"))
    s.put("there", s.rng.choice(place))
    s.say(
        '"Help!" called {f}. "I am {there}, and I [hurt my foot|cannot get back alone]!"',
        "{f} was {there} and could not get back.",
        "then {h} saw it: {f} was {there}, [shaking|crying] and all alone.",
    )
    s.say(
        "{h}'s knees [shook|turned to butter|knocked together]. {f} needed help, but everything in {h} wanted to run home.",
        "when {h} saw {f}, {h.his} heart beat like a [drum|hammer|woodpecker].",
        '"I cannot," whispered {h}. "Not there."',
        "{h} looked around for somebody else, but there was nobody.",
    )
    s.paragraph()
    s.say(
        "but then {h.he} thought of [all the {food} they had shared|how {f} always waited for {h.him}|{f}'s laugh] and took one step. Then another.",
        '"If I do not go, who will?" said {h} and took a deep breath.',
        "{h} closed {h.his} eyes, counted to [three|five|ten], and went.",
        "{h} sang {h.his} bravest song, and with every line about [{food}|the sun|kings|{f}|sailors|summer|a goat] {h.he} went a bit further.",
    )
    s.say(
        "when {then}, {h} [sang louder|bit {h.his} lip|thought of {f}] and did not turn back.",
        "once, [near the {p.spot}|at the {p.spot2}|on the way], {then}, and {h} almost turned around and left {f} there. Almost.",
        "then {then}. {h} [swallowed hard|shivered|stopped for a moment], but {h.he} went on.",
    )
    s.say(
        '"You came!" cried {f}. "And you are afraid of {fear}!" "I still am," said {h}, "but I like you more."',
        "at last {h.he} reached {f}, took {f.him} by the {f.hand}, and led {f.him} home.",
        '"Hold on to me," said {h} to {f}, and together they found the way back.',
        "there was {f}. They hugged each other and went back together, [step by step|slowly but safely].",
    )
    s.paragraph()
    s.say(
        "afterwards {both} sat [by the stove|in the sun|at the {p.spot}], ate {food}, and [laughed|told everyone about it].",
        "in the evening {f} gave {h} a medal made of [a button|a {cake}|silver paper].",
        'everyone praised {h}. "It was not so bad," said {h}, and {h.his} ears turned {as.red}.',
    )
    beats.close(
        s,
        "{truth}",
        "being brave means being afraid and going all the same",
        "love is stronger than fear",
        "fear gets smaller with every step",
    )


def broken(s: Story) -> None:
    """The hero breaks what belongs to somebody else, hides it, and tells the truth at last."""
    begin(s)
    s.thing("o")
    s.person("f", FRIEND_TRAITS)
    s.say(
        "next door lived {f.intro}, who owned {o.a}.",
        "{h.His} neighbour was {f.intro}. The finest thing {f} had was {o.a}.",
        "{h} had a friend, {f.intro}, and {f} was very proud of {f.his} {o.look} {o}.",
    )
    s.paragraph()
    s.say(
        "{morning} {f} [lent {h} {o.the}|left {o.the} at {h}'s]. \"Take good care of it,\" said {f}.",
        "{morning} {f} was [out|asleep|at the {p.spot}], and {h} wanted to try {o.the} just once.",
        "{morning}, when {weather}, {h} was alone with {o.the}. {h.He} only wanted to look at it.",
    )
    s.say(
        "crack! {f}'s {o.look} {o} fell [on the stones|off the table|down the steps] and broke, and {h} [turned cold|held the pieces].",
        "but {h} [ran too fast|tripped over the cat|turned around too quickly], and {o.the} broke.",
        "{h} held {f}'s {o} [too tight|behind {h.his} back|upside down], and suddenly there was a crack in {o.the}, from one end to the other.",
    )
    s.say(
        "{h} [turned pale|went hot and cold|looked around]. Nobody had seen it.",
        '"Oh no," whispered {h}. "Oh no, oh no."',
        "{h}'s heart stood still. What would {f} say?",
    )
    s.say(
        "quickly {h} hid what was left of {o.the} [under the bed|behind the {p.house}|in a flower pot].",
        "{h.He} pushed the pieces [under a bush at the {p.spot}|into the hay|behind the stove] and ran home.",
        "{h.He} wrapped the pieces in a [cloth|leaf|sock] and hid them [in a drawer|under a stone].",
    )
    s.paragraph()
    s.say(
        "when {f} asked about {o.the}, {h} said, \"[The wind took it|I have not seen it|Maybe a thief was here].\"",
        '"Have you seen my {o}?" asked {f}. {h} [shook {h.his} head|looked at the floor|said no].',
        '{f} looked for {o.the} [everywhere|all day|under every bush], and {h} helped to look for it, [with red ears|and felt terrible|and did not look at {f}].',
    )
    s.say(
        "that night {h} could not sleep. The lie lay on {h.his} belly like a [stone|sack of flour|wet blanket].",
        "at supper even the {food} tasted [of nothing|bitter|like soap] to {h}.",
        "it was as if [the moon|every picture on the wall|the clock] looked at {h} and knew.",
        "in {h}'s dream the pieces of {o.the} [walked in a row|knocked at the door|sang a sad song], and {f} [cried|looked on].",
    )
    s.say(
        "in the morning {h} took the pieces of {o.the}, went to {f}, and told {f.him} everything.",
        'at sunrise {h} knocked at {f}\'s door. "I broke your {o} and I lied," {h.he} said [very softly|in one breath].',
        'the next day {h} put the pieces on the table. "It was me," {h.he} said, and [tears ran down {h.his} nose|{h.his} voice shook].',
    )
    s.say(
        "{f} was silent for a [while|long moment]. Then {f.he} said, \"[I am sad about the {o}, but I am glad that you told me|A {o} can be mended. A lie is harder|Thank you for the truth].\"",
        '"I was angry," said {f}, "but [it is brave to say it|now I am only a little angry|you came by yourself]."',
        "{f} [sighed|looked at the pieces|scratched {f.his} ear]. \"Do you have any glue?\" {f.he} asked.",
    )
    s.paragraph()
    s.say(
        "{both} mended {o.the} with [glue and string|wax|a drop of honey and much patience]. One could still see the crack, but [{f} liked it that way|it looked to {f} like a smile|{f} said that it had a story now].",
        "{both} asked the {p.man} for [glue|wire|nails], and by evening {o.the} was almost as good as new.",
        "{h} worked for [the {p.man}|three days] and bought a new {o}. It was even [nicer|shinier] than the first.",
    )
    beats.close(
        s,
        "a lie is heavier to carry than the truth",
        "the truth may hurt for a moment, but a lie hurts for long",
        "what is broken can be mended if one is honest",
        "friends forgive when one is honest",
    )


CONTESTS = (
    ("race", "run from the {p.house} to {p.tall}", "running", "to be first"),
    ("kite contest", "fly a kite as high as {p.tall}", "kite flying", "to fly the highest"),
    ("cake contest", "bake the best {cake}", "baking", "to bake the best cake"),
    ("singing contest", "sing on the {p.spot}", "singing", "to sing the loudest"),
    ("boat race", "sail over {p.water}", "sailing", "to win the race"),
    ("snail race", "guide a snail along the wall of the {p.house}", "waiting", "to have the fastest snail"),
    ("building contest", "build a tower of stones at the {p.spot2}", "building", "to build the tallest tower"),
    ("whistling contest", "whistle a whole song in front of the {p.house}", "whistling", "to whistle the sweetest song"),
    ("jumping contest", "jump over the ditch behind the {p.house}", "jumping", "to jump the furthest"),
    ("sack race", "hop in a sack from the {p.spot} to {p.tall}", "hopping", "to hop home first"),
    ("riddle contest", "guess riddles under {p.tall}", "guessing", "to guess the hardest riddle"),
    ("painting contest", "paint a picture of {p.water}", "painting", "to paint the best picture"),
    ("dancing contest", "dance on one leg at the {p.spot}", "dancing", "to dance the longest"),
    ("soup contest", "cook a soup of {food}", "cooking", "to cook the finest soup"),
)


def contest(s: Story) -> None:
    """The hero could win but stops to help the rival."""
    begin(s)
    name, task, doing, aim = s.rng.choice(CONTESTS)
    s.put("contest", name)
    s.put("task", task)
    s.put("doing", doing)
    s.put("aim", aim)
    s.put("dream", "the great {contest}")
    s.paragraph()
    s.say(
        "every year there was a {contest}, and as {h} knew, one had to {task} better than [any other|every other|the next] {h.kind}, and the prize was a {cake}.",
        "{morning} the {p.man} put up a sign, and {h} read it aloud: \"Great {contest} for [all|everybody|young and old]! The winner gets a {cake}.\" To win it, {h} had to {task}.",
        "{morning} {h} and many others came together for the {contest}. The {p.man} explained to {h} what one had to do: {task}, and do it well.",
        "then came the day of the {contest} that {h} had waited for. To win the {cake}, {h} had to {task}, and the whole place came to watch.",
    )
    s.say(
        "{h} had practised {doing} for [weeks|months|half a year] and wanted {aim}.",
        "{h} wanted {aim}, and practised {doing} before breakfast and after supper.",
        '"This year I will win," said {h}, who had thought of nothing but {doing} since [winter|spring|Easter].',
    )
    s.person("f", "proud boastful loud fast strong fine".split())
    s.say(
        "but {f.intro} laughed. \"[You? You will never win|I win every year|Better stay at home],\" said {f}.",
        "{f.intro} wanted to win as well. \"[I am much better than you|You have no chance|The cake is as good as mine],\" said {f}.",
        "there was also {f.intro}, who had won [twice|three times|every year], and never let anyone forget it.",
    )
    s.paragraph()
    s.say(
        "then it began. {weather}, and {h} did well, [better than ever|even better than at home].",
        "the {p.man} rang a bell, and off they went. {h} was good, but {f} was just as good.",
        "[a whistle|a drum|a horn] sounded. {h} gave {h.his} best, and soon only {f} was still ahead.",
    )
    beats.sky(s)
    s.say(
        "suddenly there was a cry. {f} had [fallen|slipped|tripped] and [hurt {f.his} foot|could not get up|lay in the mud].",
        "then {h} saw that {f} [was stuck in the mud|had cut {f.his} {f.hand}|sat on the ground and cried], all alone.",
        "just before the end {f} [slipped|stumbled] and fell into {p.water} with a splash.",
    )
    s.say(
        "{h} could see the prize already. {h.He} [looked back|stopped|slowed down], just for a moment.",
        '"Now you can win, {h}," said a voice in {h.his} head. But another voice said, "Look at {f} and turn around."',
        "the others [did not stop|laughed|looked away], and only {h} heard how {f} [wept|sighed|sobbed].",
    )
    s.say(
        "then {h} turned around, [ran to {f}|knelt down beside {f}], and [helped {f.him} up|tied {h.his} scarf around the sore place|gave {f.him} a arm to lean on].",
        'so {h} went back. "Hold on to me," {h.he} said, and pulled {f} up.',
        "{h} gave up the prize without another thought, and helped {f} [to the {p.spot}|to the end|back on {f.his} feet].",
    )
    s.say(
        '"Why did you do that?" asked {f}. "[Because you needed me|A cake is soon eaten|You would have done the same]," said {h}.',
        '{f} looked at the ground. "I was not nice to you, {h}," {f.he} said. "[I am sorry|Forgive me|It will not happen again]."',
        '"But now you cannot win!" said {f}. {h} [shrugged|laughed]. "There is always next year, {f}."',
    )
    s.paragraph()
    s.say(
        "{h} came in [last|second to last], but the people [clapped the loudest|threw their hats in the air|cheered] for {h.him}.",
        "somebody else won the {cake}, [a snail with a fast friend|a goose who had just kept going|the smallest mouse of all|a [grey|shy|thin|limping|sleepy] [hen|goose|mole|pig|crow]], and neither {h} nor {f} minded.",
        "for {both} the {p.man} cut a [second|third|special] {cake} in [two|half].",
    )
    s.say(
        "from then on {h} and {f} practised {doing} together.",
        "{f} never boasted again, [or hardly ever|at least not before supper], and became {h}'s friend.",
        "that evening {f} brought {h} [some {food}|a medal of silver paper|a flower] and stayed until the moon came up.",
    )
    beats.close(
        s,
        "helping is a way of winning",
        "a friend is a better prize than a {cake}",
        "there are things that matter more than {doing}",
        "one can lose and be happy all the same",
    )


def newcomer(s: Story) -> None:
    """Somebody new is left out, until the hero asks them to play and they can do what nobody can."""
    begin(s)
    thing = s.thing("o", ("wind", "roll"))
    s.put("dream", "{o.the}")
    s.say(
        "every day {h} met the others at the {p.spot}, and they played with {o.a}.",
        "{h} and the other children [of the place|from the {p.spot}] shared {o.a} and played with it after [school|dinner|work].",
        "in the afternoon everyone came to the {p.spot}, and {h} brought {o.a}.",
    )
    s.paragraph()
    site = beats.away_site(s, thing)
    skill = beats.solve(s, site.need)
    s.person("f", "new quiet strange shy thin silent".split(), skill)
    s.say(
        "{morning} somebody new moved into the {p.house}. It was {f.intro}.",
        "{morning}, when {weather}, {f.intro} stood at the fence with a suitcase.",
        "{morning} {f.intro} arrived from far away and knew nobody.",
    )
    s.say(
        "{f} watched the others play, but nobody asked {f.him} to join.",
        '"{f.He} looks different," whispered the others about {f}. "We do not want {f.him}, {h}."',
        "the others [giggled|whispered] because {f} [spoke in a strange way|wore a coat with patches|had such big ears].",
        "{f} sat on the wall every day, always alone.",
    )
    s.say(
        "{h} remembered how it was to be alone, went over to {f}, and said, \"[Will you play with us?|I am {h}. What is your name?|Come, we need one more!]\"",
        '{h} [looked at {f}|thought for a moment] and then waved. "Come and play!"',
        'at first {h} did not dare, but then {h.he} walked over to {f}. "Do you like {food}?" {h.he} asked, and {f} nodded.',
    )
    s.maybe(
        0.6,
        '"Really? Me?" asked {f}.',
        "{f} [beamed|jumped off the wall|blinked twice].",
        "the others [groaned|made long faces], but {both} did not care.",
    )
    s.paragraph()
    beats.tell_away(s, site, thing)
    s.say(
        "{h} and all the others groaned. {why}.",
        '"That is the end of {h}\'s {o}," said the others. {why}.',
        "{h} and the others tried [a stick|a ladder|a rope], but {why.low}.",
        "{why}. Nobody but {f} knew what to do about the {o}.",
    )
    beats.help_out(s)
    s.say(
        '"Hurrah for {f}!" [shouted|cried] everyone.',
        "{h} and the others [stared|clapped|opened their mouths]. \"We did not know that you could do that, {f},\" they said.",
        'the others looked at their feet. "We were not kind to you or to {h}, {f}," they said. "Will you stay and play?"',
    )
    s.paragraph()
    s.say(
        "since that day {f} [always played along|was always asked first], and {h} had a new best friend.",
        "in the evening {h} [walked {f} home|showed {f} the {p.spot2}|shared {h.his} {food} with {f}], and they talked about the place {f} came from.",
        '"You were the first who spoke to me, {h}," said {f} to {h}. "I will never forget it."',
        "thanks to {both}, nobody {p.here} asked any more who was new and who was old.",
    )
    beats.close(
        s,
        "whoever is different may be just the one who was missing",
        "one kind word can change a whole life",
        "every friend was a stranger once",
        "a game is better when everyone may play",
    )


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
    begin(s)
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
        "in the end {h} ran to {f.intro}. \"[Come with me|I dare not go alone|Did you notice it too]?\" {h.he} asked.".replace("|I dare not go alone", "|Will you go with me"),
        "{h} knocked at the window of a friend, {f.intro}. \"We must find out what it is,\" {h.he} said.",
        "outside {h} met {f.intro}, who could not sleep either.",
    )
    s.say(
        '{f} [yawned|shivered|looked at the moon] and said, "[Two are braver than one|All right, but you go first|Let me get my coat]."',
        '"I am not afraid," said {f}, and {f.his} teeth chattered.',
        '"Ghosts do not like {food}," said {f} and took some along.',
    )
    s.paragraph()
    s.say(
        "{as.quiet.cap} they crept past the {p.spot}, {h.his} {h.hand} in {f}'s.",
        "they took a [lantern|candle] and went on tiptoe, {h} in front and {f} behind.",
        "the way to {from} had never been so long. A [twig|leaf|pebble] cracked, and {both} jumped.",
        "{h} went first, {as.quiet}, and {f} held on to {h.his} tail end of the scarf.".replace("{h.his} tail end of the scarf", "the end of {h.his} scarf"),
    )
    s.say(
        '"What if it bites?" whispered {f}. "Then we run," whispered {h}.',
        '"Do you see anything?" whispered {f}. "Only the dark," said {h}.',
        "nearer and nearer {both} came, and their hearts beat [louder|faster] than [drums|clocks].",
    )
    s.say(
        "then {h} lifted the [light|branch|lid], and they saw it: it was only {truth}!",
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
    begin(s)
    plant, grain, grown, fruit = s.rng.choice(PLANTS)
    s.put("plant", plant)
    s.put("grain", grain)
    s.put("grown", grown)
    s.put("fruit", fruit)
    s.put("dream", "a {plant} [up to the sky|as big as the moon|that could talk]")
    s.paragraph()
    s.say(
        "{morning} the {p.man} gave {h} a {plant} {grain}. \"Be patient with it,\" said the {p.man}.".replace("{plant} {grain}", "{grainname}"),
        "{morning}, when {weather}, {h} found a {grainname} [in {h.his} pocket|at the {p.spot}|in a old drawer].",
        "{morning} {h} bought a {grainname} for [a button|a song|two pennies] at the {p.spot}.",
    ) if s.put("grainname", plant if plant == grain else f"{plant} {grain}") else None
    s.say(
        "{h.He} dug a small hole near {p.tall}, put the {grainname} in, and [sang to it|patted the earth|wrote a sign].",
        "{h.He} planted the {grainname} behind the {p.house}, where the sun was warm, and gave it water from {p.water} every [morning|evening|second day|noon].",
        "{h.He} put the {grainname} in the earth near the {p.spot}, watered it, and sat down to wait.",
    )
    s.say(
        "the next morning {h} looked. There was no {plant}. [The day after|The next day|On Tuesday], {h} saw [nothing again|only a worm|only brown earth|only an ant and no {plant}].",
        "one day went by for {h}, then [two|three|a week|ten]. Nothing grew but [weeds|a little moss|two mushrooms|one daisy|grass], and {h} [stamped|frowned|lost all patience].",
        '"Grow!" said {h}. But the earth stayed [brown|bare|silent].',
        "{h} waited [five|seven|nine] days. It felt like [a year|forever|a hundred].",
    )
    s.say(
        '"I will dig it up and see what is wrong," said {h}.',
        "{h} was about to dig it up again.",
        "{h} stamped and said, \"I do not want a silly {plant} anyway.\"",
        "{h} wanted to [throw the watering can away|give up|plant something faster].",
    )
    s.paragraph()
    beats.meet(s)
    s.say(
        '"Good things take their time," said {f}. "[I was small for a long time too|You cannot pull grass to make it grow|Nobody sees a root grow, but it does]."',
        '"It is sleeping," said {f}. "[Let it sleep|Tell it a story while you wait|If you dig it up, it must begin again]."',
        '{f} put a ear to the ground. "[I can hear it stretch|It says that it needs three more days|It is hard at work down there]," {f.he} said.',
    )
    s.say(
        "so {h} waited. When it was dry, {f} helped to carry water from {p.water}.",
        "so {both} waited together, [told each other stories|played cards|counted clouds], and chased away the [snails|crows|beetles].",
        "when a storm came, {h} and {f} held [a blanket|a umbrella|their coats] over the spot all night.",
    )
    s.say(
        "and one morning {f} called {h}, for there it was: a [tiny green tip|green point, no bigger than a tooth|little leaf, bent like a bow].",
        "then, on the [tenth|twelfth|twentieth] day, {h} saw a crack in the earth, and out came the [first|pale|tiny|crooked] green tip of {h.his} {plant}.",
        '"Look, look!" called {f}. A green leaf [waved|shone] in the sun.',
    )
    s.paragraph()
    s.say(
        "by [autumn|the end of summer|the next year] {h}'s {plant} was {grown}, [the finest for miles around|and people came from far away to see it|and {f} measured it with a rope].",
        "{h}'s {plant} grew and grew, and [three weeks|two months|half a year|many weeks] later it was {grown}.",
        "weeks later {h}'s {plant} was {grown}, and {h} was {as.happy}.",
    )
    s.say(
        "{h} shared the {fruit} with {f} and with [everyone who came by|all the neighbours|the birds].",
        "half of the {fruit} went to {f}, and {h} kept one {grainname} for next year.",
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
    begin(s)
    s.person("f", FRIEND_TRAITS)
    s.thing("o")
    s.thing("a")
    s.thing("b")
    s.put("dream", "{f}'s face")
    s.say(
        "the best friend of {h} the {h.kind} was {f.intro}.",
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
        "at the {p.spot} {h} met {g.intro}, who looked at the {a} and said, \"[That is just what I need|I have always wanted one|How pretty|Just like my mother's]! I, {g}, will give you my {b.look} {b} for it.\"",
        "so {h} went to the {p.spot}. There sat {g.intro} with {b.a}. \"Will you trade?\" asked {g}, and {h} gave away {a.the} and got {b.the}.",
        "{h} asked {g.intro}, who had no {o} but only {b.a}. \"Take it for your {a},\" said {g}, and so they traded.",
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
        "{f} [laughed and wept at once|could not say a word|hugged {h} very hard]. \"It is the best present of my life, {h},\" {f.he} said.",
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
    ("snow castle", "of loose snow", "live like a king", "slid down with a sigh", "of hard blocks with water between them"),
    ("tree house", "of twigs", "look over the whole land", "came down with a crash", "of good planks"),
    ("windmill", "of cards", "grind a bit of flour", "blew away in all directions", "with sails of strong cloth"),
    ("boat", "of paper and glue", "row across {p.water}", "went soft and folded up", "of tarred planks"),
    ("ladder", "of straw", "look into the nest on {p.tall}", "broke at the second rung", "of ash wood"),
    ("puppet theatre", "of a old hat", "play the story of the lost king", "fell on the puppets", "with a frame and a curtain"),
    ("wagon with a sail", "of a tablecloth", "ride on the wind", "ran into the wall of the {p.house}", "with a rudder and a brake"),
    ("water wheel", "of cabbage leaves", "make the stream do some work", "fell to pieces in the first wave", "with spoons of tin"),
    ("bird house", "of mud", "have starlings for neighbours", "melted in the rain", "of old boards with a little roof"),
    ("oven", "of wet clay", "bake a {cake}", "cracked from top to bottom", "of bricks that were well dried"),
)


def build(s: Story) -> None:
    """What is built alone and in haste breaks; what is built with others holds."""
    begin(s)
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
        "{h} had one great wish: {h.he} wanted to {aim}. So {morning} {h.he} began to build a {grand} {what}.",
        "{morning}, when {weather}, {h} had a idea. \"I, {h}, will build a {grand} {what} and {aim}!\"",
        "{morning} {h} said, \"Today I will build a {grand} {what}. Then I, {h}, can {aim}.\"",
    )
    s.say(
        "{h.He} built it {first}, [in one morning|in great haste|and sang loudly], and asked nobody.",
        '"Let us help you, {h}," said the [neighbours|others|{p.man} and the neighbours]. "No, I can do it alone," said {h}, and built it {first}.',
        "{h.He} took no time to think and made it {first}.",
    )
    s.say(
        "{h}'s {what} looked [fine|grand|lovely]. But it {failed}.",
        "{h} [called everyone|bowed|rang a bell] and tried it out. It {failed}, and {h} sat [on the ground|in the mud] with [a bump|a red nose|straw in {h.his} ears].",
        "when {h} tried it, the {what} {failed}.",
    )
    s.say(
        "some [laughed|giggled]. {h} went [home|behind the {p.house}] and did not want to see anyone.",
        '"I will never build anything again," said {h}.',
        "{h} [threw {h.his} hammer into the grass|pulled {h.his} hat over {h.his} eyes|kicked the rest of it].",
    )
    s.paragraph()
    beats.meet(s)
    s.say(
        '"I have made worse things," said {f}. "[My first one fell on my head|Once I built a boat with a hole|Try again, but slowly]."',
        '"What did you learn from it?" asked {f}. {h} thought. "That it must not be built {first}," {h.he} said.',
        '"It was a good plan," said {f}. "[It only needs more nails|It only needs four {f.hand} more|Let us draw it first]."'.replace("four {f.hand} more", "somebody to hold the other end"),
    )
    s.say(
        "so {both} sat down and drew a plan [in the sand|on a big leaf|on the wall]. Then {f} fetched [wood|tools|what they needed] from the {p.spot}.",
        "{both} asked the {p.man} for [tools|nails|old planks|a good saw], and {f} paid with a {cake}.",
        "this time {both} [measured everything twice|tested every part|took their time].",
    )
    s.say(
        "{f} [held|sawed|lifted], and {h} [hammered|tied|painted]. They built the {what} {second}.",
        "for [two|three|four] days {both} worked. When it was done, {h}'s {what} stood there {second}, and when {f} [kicked|pushed|shook] it, it did not even [shake|creak].",
        "it took [a week|until Sunday|longer than {h} liked], but {f} was content: the new {what} was made {second}.",
    )
    s.paragraph()
    s.say(
        "then {h} could {aim} at last, with {f} [close beside|next to|right behind] {h.him}.",
        '"You first," said {f}. "No, both of us," said {h}. And so they went to {aim} together.',
        "and it held! All afternoon {h} and {f} [took turns|sang|cheered], and everyone who wanted could {aim} too.",
    )
    s.maybe(0.5, "on the {what} they painted [both their names|a star|the words \"{h} and {f}\"].", "afterwards {h} cut a {cake} for {f} and all who had helped.")
    beats.close(
        s,
        "a mistake is a good teacher",
        "slow and together is better than fast and alone",
        "whoever falls can try again",
        "four eyes see more than two",
    )


def lost_way(s: Story) -> None:
    """The hero gets lost; a light, a voice, somebody kind, and the way home."""
    begin(s)
    s.put("errand", "[fetch {food}|bring the {p.man} a {cake}|look for berries|carry a letter|visit {h.his} grandmother]")
    s.paragraph()
    s.say(
        "{morning} {h} went out to {errand}. \"Stay on the path,\" said {h.his} [mother|father|aunt].",
        "{morning}, when {weather}, {h} set out to {errand}.",
        '"Come back before dark," they told {h}, who went out {morning} to {errand}.',
    )
    s.say(
        "behind the {p.spot} there was a [blue|red|golden|white|shiny|strange] [butterfly|beetle|bird|lizard|moth], and {h} followed it, [left and right|further and further].",
        "{h} wanted to take a short way [through the bushes|behind the {p.spot2}|across the field] to {p.water}, but it was [longer than the long one|not short at all|as long as a winter|full of [nettles|puddles|geese|thistles]|a way for goats only|the longest {h.he} had ever gone].",
        "{h} [picked a flower here and a berry there|looked at the clouds|counted butterflies] near the {p.spot} and did not look at the path.",
    )
    s.say(
        "when {h} looked up, everything {p.here} was [grey and strange|strange and dark].",
        "suddenly every [tree|path|stone|bush|hill|corner] looked the same to {h}.",
        "then it got dark around {h}, [as if someone had blown out a candle|faster than on other days|like the inside of a boot|before the cows were home|as if ink ran down the sky], and {h} could not see [the path any more|the {p.spot} any more|{h.his} own {h.hand}].",
    )
    s.say(
        '"Hello?" called {h}. Only the [echo|wind|owl] answered.',
        "{h.He} went [in a circle|left, then right|back and forth] and came to the same [stump|rock|puddle] three times.",
        "{h}'s feet were [cold|wet|sore], and {h.his} belly growled for {food}.",
        "{h.He} sat down and sang the song [from home|of the seven geese|about the moon], very softly, [so as not to cry|to feel less alone|until {h.his} voice was hoarse].",
    )
    s.paragraph()
    s.person("f", FRIEND_TRAITS)
    s.say(
        "then {h} saw a small light [dance|swing] between the trees. It was a lantern, and it was carried by {f.intro}.",
        "far off {h} noticed [a bell|a humming|the smell of soup], followed it, and came to the door of {f.intro}.",
        '"Who [sings|cries|walks] there?" asked a voice. {h} turned around. The voice belonged to {f.intro}.',
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
        "at home they all [ran to meet {h.him}|had put candles in the windows|hugged {h.him}], and {f} had to stay for {cake}.",
        '"There you are!" cried everyone at home, and {h} told of {f}.',
        "how glad they were at home! {f} got the [best chair|biggest piece of {cake}|place beside the stove].",
    )
    s.say(
        "since then {h} visits {f} every [Sunday|week|full moon] and brings {food}. {h.He} stays on the path, [mostly|of course|and counts the stones].",
        "and in {h.his} own window {h} puts a lantern every night, for whoever may be lost.",
        "the next day {h} and {f} painted [white|red|yellow] dots on the stones, so that nobody would lose the way again.",
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
    ("meet the man in the moon", "the moon was so near that one could [see its freckles|almost tickle it]", "waved until the moon went down"),
    ("see where the sun sleeps", "the sun sank [like a coin into a pocket|red and round behind the last hill]", "said good night to it"),
    ("find the end of the rainbow", "the rainbow came down [in a puddle|on a old gate]", "painted its colours on a stone"),
    ("stand on the top of the hill", "the whole world lay below like a [blanket with patches|picture book]", "built a little tower of stones there"),
    ("hear the whale sing", "the whale sang [so deep that the stones hummed|of cold green places]", "sang back"),
    ("see snow in summer", "on the highest peak there was still snow, [white and cold|up to the knees]", "threw one snowball each"),
    ("see a falling star", "a star fell, and then [another|three more], like sparks", "wished for something and did not tell"),
    ("hear the oldest tree talk", "the old tree creaked and told of [kings|wolves|the great ice]", "left it a ribbon"),
    ("ride on a cart full of hay", "the hay swayed like a [ship|cradle|sleepy elephant]", "sang until the stars came out"),
    ("stand behind a waterfall", "the water hung there like a [curtain of glass|silver cloth]", "shouted their names through it"),
    ("see the big city", "there were more lamps than stars, and [nobody slept|everyone was in a hurry]", "bought one balloon and let it fly"),
    ("find the spring of the river", "the whole river came out of a hole [no bigger than a hat|under a fern]", "drank from it with both hands"),
    ("walk on the bottom of the sea", "the tide had gone out and left [mirrors|stars and shells] behind", "wrote a word in the sand"),
    ("meet a real giant", "the giant was [a rock with a beard of moss|asleep, and snored like thunder]", "tucked him in with ferns"),
)


def journey(s: Story) -> None:
    """A wish that is far away, and a long way there with somebody who did not believe in it."""
    begin(s)
    wish, sight, keepsake = s.rng.choice(WISHES)
    s.put("wish", wish)
    s.put("sight", sight)
    s.put("keepsake", keepsake)
    s.put("dream", "the next journey")
    s.say(
        "{h} had one [secret|great|old|strange] wish. {h} wanted to {wish}.",
        "more than anything else {h} wanted to {wish}.",
        "every night before sleeping {h} thought how it would be to {wish}.",
    )
    s.say(
        '"That is much too far for you, {h}," said the {p.man}.',
        'the {p.man} laughed. "Nobody {p.here} has ever done that, {h}," said the {p.man}.',
        '"A {h.kind} is too small for that, {h}," said the {p.man}.',
    )
    s.paragraph()
    s.say(
        "{morning}, when {weather}, {h} packed {food} and a [blanket|rope|candle] and set out.",
        "but {morning} {h} put on {h.his} [boots|hat|scarf], took a bag of {food}, and went.",
        '{morning} {h} said, "A {h.kind} who does not start will never {wish}," took some {food} along, and closed the door.',
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
        "once they wanted to turn back. \"[Only to the next bend|Just ten more steps|We will eat first],\" said {h}, and they went on.",
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
        "before {both} turned back, they {keepsake}.",
        "{both} stayed until evening and {keepsake}.",
        "then {both} {keepsake}, ate the last of the {food}, and {h} led the way home past the {p.spot}.",
    )
    s.paragraph()
    s.say(
        'at home the {p.man} and all the others wanted {h} to tell about it. "[I was not too small|It was far, but not too far|One only has to go]," said {h}.',
        "when they came home, the {p.man} [asked a hundred questions|baked a {cake}|wanted to see everything], and {h} and {f} told it [all night|twice|in turns].",
        "now, when somebody has a great wish, they go and ask {h} {p.here} for the way.",
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
    begin(s)
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
        "{morning}, when {weather}, something {does} behind the {p.house}. It was {it}, and {h} saw at once that it {lost}.",
        "{morning} on the way to the {p.spot} {h} almost stepped on {it}. {h} saw that it {lost}.",
    )
    s.say(
        '"[Dear|Good|Kind|Big|Sweet] {h.kind}, [take me home|I want to go home|I must go back|show me the way|I belong] to {homeland}," it said to {h} in a [thin|silver|tiny] voice.',
        "it trembled [like a leaf|like a bell|all over|from head to foot] when {h} touched it, and {does} [only a little|hardly at all|very faintly|just once].",
        '"Please do not [hurt|squash|eat|leave] me, [big|dear|kind|good] {h.kind}," whispered {the} when {h} bent down.',
    )
    s.say(
        "{h} took it home, [made a bed of moss|put it in a bowl|gave it a thimble of milk], and it {does} all evening.",
        "{h} carried it very carefully in both {h.hand} and gave it a place [by the window|on the shelf|next to {h.his} bed].",
        "{h} had never seen anything so lovely. \"[Stay with me|Stay here|You shall have {food}|I will keep you],\" said {h}.",
    )
    s.say(
        "but with every day in {h}'s home {the} grew [paler|quieter|smaller].",
        "but it did not eat {h}'s {food} and looked out of the window all the time.",
        "but at night {h} heard it [sigh|cry|call very softly].",
    )
    s.paragraph()
    s.person("f", FRIEND_TRAITS)
    s.say(
        "{h} asked {f.intro} for advice.",
        "then {f.intro} came to visit and saw it.",
        "{h} ran to {f.intro}, who [knew a lot about such things|had read many books|had travelled far].",
    )
    s.say(
        '"It is homesick," said {f}. "[Whoever loves it must let it go|Only at home can it be what it is|It belongs to {homeland}]."',
        '"Would you want to live in a jar?" asked {f}. {h} shook {h.his} head.',
        "{f} looked at {the} for a long time. \"You know what you have to do, {h},\" {f.he} said.",
    )
    s.say(
        "{h} swallowed hard and nodded. [That same night|The next morning|At once] they set out together.",
        '"Will you help me?" asked {h}, and {f} [took {h.his} {h.hand}|fetched a lantern|packed some {food}].',
        "it was not easy, but {h} wrapped {the} in a [scarf|leaf|soft cloth] and went, and {f} came along.",
    )
    s.say(
        "they climbed {p.tall}, [higher than the birds|branch by branch|as high as they dared], and {h} held {the} up.",
        "{both} went along {p.water}, past the {p.spot2}, and as far as [the land goes|their feet would carry them].",
        "at the {p.spot2} they waited for the [wind|right moment|moon]. Then {h} opened {h.his} {h.hand}.",
    )
    s.say(
        '"Go home," whispered {h}. And {the} {does} brighter than ever and was gone, back to {homeland}.',
        "there was a [flash|whisper|gust], and before {f} could say a word, {the} was [home|free].",
        '"Thank you, {h}," it called, "I will not forget you!" Then {homeland} had it back.',
    )
    s.paragraph()
    s.say(
        "{h} wept a little, and {f} [held {h.him}|said nothing and stayed|shared a {cake} with {h.him}].",
        "but every [evening|clear night|year|{month}|Sunday] it sends {h} a greeting, and {h} waves back.",
        "sometimes, when {h} is sad, something {does} outside the window. Then {h.he} smiles.".replace("is sad", "was sad").replace("something {does}", "something {does}").replace("Then {h.he} smiles", "Then {h.he} smiled"),
        "on the way home {h} was sad and glad at once. \"[It is where it belongs|I have never done anything harder|It shone so much]!\" {h.he} said to {f}.".replace("|It shone so much", ""),
    )
    beats.close(
        s,
        "whoever loves something does not lock it up",
        "letting go can be a present too",
        "everyone needs a home",
        "what one sets free stays in the heart",
    )


PLOTS = (
    lost_treasure, share_food, fear, broken, contest, newcomer, mystery, seed, gift, build, lost_way, journey, way_home,
)  # fmt: skip
SEASON_OF = {seed: "spring"}
