"""Plots about others: what is lost, shared, broken, feared, won, and who is let in."""

import beats
from lexicon import FRIEND_TRAITS
from story import Story


def lost_treasure(s: Story) -> None:
    """Something dear gets out of reach; somebody who can what the hero cannot brings it back."""
    beats.begin(s)
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
    beats.begin(s)
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
        "{f} said nothing, but {f.he} looked at the {food} with [big|hungry|round|shining] eyes.",
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
        "but now that {f} was gone, the {food} [did not taste good any more|had lost all its smell|seemed dull and cold|was no fun at all].",
        "but the first bite of {food} stuck in {h}'s throat[| and would not go [up or down|anywhere]|, and so did the second|, as if it had corners].",
        "{h} took a bite. It tasted like [paper|dust|wet straw|old socks|sand|rain].",
        "then {h} thought of [the winter when {h.he} had been hungry|how cold {f} had looked|{h.his} grandmother, who always shared].",
    )
    s.say(
        '"Wait!" {h.he} called and ran after {f}. "There is enough for two."',
        "{h.He} jumped up, ran after {f}, and held out half of everything.",
        '"Come back, {f}!" {h} shouted. "I was wrong. Sit with me."',
        "so {h.He} took the {food} and followed {f} [to the {p.spot2}|down the path|through the rain of leaves].".replace(
            "{h.He}", "{h.he}"
        ),
    )
    s.say(
        "{both} ate together, and now the {food} tasted [sweet and good|better than ever|like a feast].",
        "{f} ate [slowly|with both cheeks|like a king] and [smiled|hummed|nodded|sighed] at every [bite|spoonful|crumb], and {h} was {as.happy}.",
        "{both} sat [side by side|on the wall|in the grass] and ate {food} until [nothing was left|both were full|the birds got the crumbs].",
    )
    s.paragraph()
    s.say(
        'the next day {f} came back with a {cake}, as big as a [wheel|table|hat]. "Half of it is yours, {h}," {f.he} said.',
        "when the next winter came and {h} had nothing left, {f} knocked [twice|at the window|with one foot] and had brought a [pot of soup|sack of nuts|warm {cake}].",
        "a [week|month|fortnight] later {h} [hurt a foot|had a [cold|cough|fever]|lay in bed], and {f} came [every day|each morning|through the rain] and brought {food}.",
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
    beats.begin(s)
    what, never, then, truth = s.rng.choice(FEARS)
    s.put("fear", what)
    s.put("never", never)
    s.put("then", then)
    s.put("truth", truth)
    s.say(
        "there was only one thing {h} [was afraid of|could not stand|ran away from]: {fear}.",
        "but {h} the {h.looks} {h.kind} was [afraid|frightened|terribly afraid|in terror] of {fear}. [Not for a [mountain|wagon|sack] of {food}|Not even for a {cake}|Not for all the {cake} {p.here}|Not even with the {p.man}|Not even [holding hands|by day|with a lantern|for a song]] would {h} {never}.",
        "nobody knew that {h} was afraid of {fear}.",
        "{h} the {h.kind} feared {fear}, and [neither {food} nor {cake}|neither kind words nor {food}|no promise of {cake}|no song in the world|not even a letter from [the king|the {p.man}|{h}'s [uncle|aunt]]|nobody at the {p.house}|not even the {p.man}] could make {h} {never}.",
    )
    s.person("f", FRIEND_TRAITS)
    s.say(
        "the best friend of {h} the {h.kind} was {f.intro}[|, who lived near the {p.spot}|, and had always been|, who baked the best {cake}].",
        "next door lived {f.intro}, and the two [were the best of friends|shared all their {food}|met every day at the {p.spot}|told each other everything].",
        "{h} [often|always|every afternoon] [played|went fishing|ate {food}|climbed about] with {f.intro}.",
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
        "{f} was {there} and could [not get back|neither go on nor turn back|not move for fear|only call for help].",
        "then {h} saw it: {f} was {there}, [shaking|crying] and all alone.",
    )
    s.say(
        "{h}'s knees [shook|turned to butter|knocked together]. {f} needed help, but everything in {h} wanted to run home.",
        "when {h} saw {f}, {h.his} [heart beat like a [drum|hammer|woodpecker]|throat went dry|ears went [cold|hot]].",
        '"I cannot," whispered {h}. "Not there."',
        "{h} looked around for [somebody else|the {p.man}|a grown-up|anyone at all], but there was nobody[|, only a {small}|, not even a {small}].",
    )
    s.paragraph()
    s.say(
        "but then {h.he} thought of [all the {food} they had shared|how {f} always waited for {h.him}|{f}'s laugh|the day when {f} had [mended {h.his} roof|baked {h.him} a {cake}]] and took one step[| towards {f}]. Then another.",
        '"If I do not go, who will?" said {h} and took a deep breath.',
        "{h} closed {h.his} eyes, counted to [three|five|ten], and went.",
        "{h} sang {h.his} [bravest|loudest|only] song, and with every [line|verse] about [{food}|the sun|kings|{f}|sailors|summer|a goat|the {p.spot}|a [blue|grey|fat|lame|merry] {small}|{cake}] {h.he} went [a bit|one step|three steps|a yard] further.",
    )
    s.say(
        "when {then}, {h} [sang louder|bit {h.his} lip|thought of {f}|held on to {h.his} scarf|made {h.himself} small] and [did not turn back|kept going|took ten more steps|put one foot before the other].",
        "[once|twice|then], [near the {p.spot}|at the {p.spot2}|on the way|halfway there|a few steps on], {then}, and {h} almost [turned around|ran home|gave up] and left {f} [there|alone|to {f.himself}]. Almost.",
        "then {then}. {h} [swallowed hard|shivered|stopped for a moment|turned as white as milk|wanted to scream], but {h.he} [went on|did not run|stayed on the way|walked on, slowly].",
    )
    s.say(
        '"You came!" cried {f}. "And you are afraid of {fear}!" "I still am," said {h}, "but I like you more."',
        "at last {h.he} reached {f}, took {f.him} by the {f.hand}, and [led {f.him} home|brought {f.him} safely back|did not let go until they were home|led {f.him} back to the {p.spot}].",
        '"[Hold on to me|Take my {h.hand}|Close your eyes and follow me|Walk right behind me]," said {h} to {f}, and together they [found the way back|got home|came out again].',
        "there was {f}, [quite pale|shaking all over|cold and stiff|all in tears]. {h} hugged {f} [twice|for a long time|without a word|as hard as {h.he} could], and they went back together, [step by step|slowly but safely|arm in arm|without looking back].",
    )
    s.paragraph()
    s.say(
        "afterwards {both} sat [by the stove|in the sun|at the {p.spot}], ate {food}, and [laughed|told everyone about it].",
        "in the evening {f} gave {h} a medal made of [a button|a {cake}|silver paper].",
        '[everyone praised|the {p.man} praised|all the neighbours praised|even the {p.man} bowed to] {h}. "[It was not so bad|Anyone would have gone|I only thought of {f}|My knees did all the work]," said {h}, and {h.his} ears turned {as.red}.',
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
    beats.begin(s)
    s.thing("o")
    s.person("f", FRIEND_TRAITS)
    s.say(
        "next door lived {f.intro}, who owned {o.a}.",
        "{h.His} neighbour was {f.intro}. The finest thing {f} had was {o.a}.",
        "{h} had a friend, {f.intro}, and {f} was very proud of {f.his} {o.look} {o}.",
    )
    s.paragraph()
    s.say(
        '{morning} {f} [lent {h} {o.the}|left {o.the} at {h}\'s]. "Take good care of it," said {f}.',
        "{morning} {f} was [out|asleep|at the {p.spot}], and {h} wanted to try {o.the} just once.",
        "{morning}, when {weather}, {h} was alone with {o.the}. {h.He} only wanted to look at it.",
    )
    s.say(
        "crack! {f}'s {o.look} {o} fell [on the stones|off the table|down the steps] and broke, and {h} [turned cold|held the pieces].",
        "but {h} [ran too fast|tripped over the cat|turned around too quickly], and {o.the} broke.",
        "{h} held {f}'s {o} [too tight|behind {h.his} back|upside down|up to the light|and turned it about], and suddenly there was a [crack|hole|dent|split] in {o.the}, [from one end to the other|as long as a finger|for all to see|right in the middle].",
    )
    s.say(
        "{h} [turned pale|went hot and cold|looked around]. Nobody had seen it.",
        '"Oh [no|dear|my whiskers|heavens]," whispered {h}. "[Oh no, oh no|What have I done|That will never be whole again|If only I had left it alone]."',
        "{h}'s heart stood still. What would {f} say?",
    )
    s.say(
        "quickly {h} hid what was left of {o.the} [under the bed|behind the {p.house}|in a flower pot].",
        "{h.He} pushed the pieces [under a bush at the {p.spot}|into the hay|behind the stove] and ran home.",
        "{h.He} wrapped the pieces in a [cloth|leaf|sock] and hid them [in a drawer|under a stone].",
    )
    s.paragraph()
    s.say(
        'when {f} asked about {o.the}, {h} said, "[The wind took it|I have not seen it|Maybe a thief was here]."',
        '"Have you seen my {o}?" asked {f}. {h} [shook {h.his} head|looked at the floor|said no].',
        "{f} looked for {o.the} [everywhere|all day|under every bush], and {h} helped to look for it, [with red ears|and felt terrible|and did not look at {f}].",
    )
    s.say(
        "that night {h} could not sleep. The lie lay on {h.his} belly like a [stone|sack of flour|wet blanket].",
        "at supper even the {food} tasted [of nothing|bitter|like soap] to {h}.",
        "it was as if [the moon|every picture on the wall|the clock] looked at {h} and knew.",
        "in {h}'s dream the pieces of {o.the} [walked in a row|knocked at the door|sang a sad song], and {f} [wept|looked on].",
    )
    s.say(
        "in the morning {h} took the pieces of {o.the}, went to {f}, and told {f.him} everything.",
        'at sunrise {h} knocked at {f}\'s door. "I broke your {o} and I lied," {h.he} said [very softly|in one breath].',
        'the next day {h} put the pieces on the table. "It was me," {h.he} said, and [tears rolled down {h.his} nose|{h.his} voice shook].',
    )
    s.say(
        '{f} was silent for a [while|long moment]. Then {f.he} said, "[I am sad about the {o}, but I am glad that you told me|A {o} can be mended. A lie is harder|Thank you for the truth|I knew it, {h}, and I hoped that you would come|I liked that {o}. But I like you more]."',
        '"I was angry," said {f}, "but [it is brave to say it|now I am only a little angry|you came by yourself]."',
        '{f} [sighed|looked at the pieces|scratched {f.his} ear]. "Do you have any glue?" {f.he} asked.',
    )
    s.paragraph()
    s.say(
        "{both} mended {o.the} with [glue and string|wax|a drop of honey and much patience]. One could still see the crack, but [{f} liked it that way|it looked to {f} like a smile|{f} said that it had a story now].",
        "{both} asked the {p.man} for [glue|wire|nails], and by evening {o.the} was almost as good as new.",
        "{h} worked for [the {p.man}|three days|a whole month] [at the {p.house}|from dawn to dusk|without a break|and saved every penny] and bought a new {o}. It was [even nicer than|nearly as fine as|the same colour as|a bit bigger than] the first.",
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
    (
        "whistling contest",
        "whistle a whole song in front of the {p.house}",
        "whistling",
        "to whistle the sweetest song",
    ),
    ("jumping contest", "jump over the ditch behind the {p.house}", "jumping", "to jump the furthest"),
    ("sack race", "hop in a sack from the {p.spot} to {p.tall}", "hopping", "to hop home first"),
    ("riddle contest", "guess riddles under {p.tall}", "guessing", "to guess the hardest riddle"),
    ("painting contest", "paint a picture of {p.water}", "painting", "to paint the best picture"),
    ("dancing contest", "dance on one leg at the {p.spot}", "dancing", "to dance the longest"),
    ("soup contest", "cook a soup of {food}", "cooking", "to cook the finest soup"),
)


def contest(s: Story) -> None:
    """The hero could win but stops to help the rival."""
    beats.begin(s)
    name, task, doing, aim = s.rng.choice(CONTESTS)
    s.put("contest", name)
    s.put("task", task)
    s.put("doing", doing)
    s.put("aim", aim)
    s.put("dream", "the great {contest}")
    s.paragraph()
    s.say(
        "every [year|second year] there was a {contest}, and as {h} knew, one had to {task} better than [any other|every other|the next] {h.kind}, and the prize was a {cake} [as big as a wheel|with thick icing|for the winner alone|baked by the {p.man}].",
        '{morning} the {p.man} put up a sign, and {h} read it aloud: "Great {contest} for [all|everybody|young and old]! The winner gets a {cake}." To win it, {h} had to {task}.',
        "{morning} {h} and many others came together for the {contest}. The {p.man} explained to {h} what one had to do: {task}, [and do it well|without any help|and nothing else|fairly and squarely].",
        "then came the [great|long awaited] day of the {contest} that {h} had [waited for|dreamed of|counted the days to]. To win the {cake}, {h} had to {task}, and [the whole place came to [watch|cheer|see it]|{h}'s [mother|aunt|uncle|brother] sat in the first row|the {p.man} was the judge|there was {food} for all who watched].",
    )
    s.say(
        "{h} had practised {doing} for [weeks|months|half a year|as long as {h.he} could think] [at the {p.spot}|behind the {p.house}|in secret|with the {p.man}] and wanted {aim}.",
        "{h} wanted {aim}, and practised {doing} before breakfast and after supper.",
        '"[This year I will win|This time it is my turn|I can smell the {cake} already|Nobody can beat me now]," said {h}, who had thought of nothing but {doing} since [winter|spring|Easter|the last time|{h.his} birthday].',
    )
    s.person("f", ["proud", "boastful", "loud", "fast", "strong", "fine"])
    s.say(
        'but {f.intro} laughed. "[You? You will never win|I win every year|Better stay at home]," said {f}.',
        '{f.intro} wanted to win as well. "[I am much better than you|You have no chance|The cake is as good as mine]," said {f}.',
        "there was also {f.intro}, who had won [twice|three times|every year|[five|seven|nine] times in a row|since anyone could remember], and [never let [anyone|a soul|the world] forget it|told everyone about it, even the {small}|wore [a|two|three] medals on a ribbon|was sure to win again|had brought a bag for the prize].",
    )
    s.paragraph()
    s.say(
        "then it [began|started|was time]. {weather}, and {h} did well, [better than ever|even better than at home|so well that the {p.man} whistled|though {h.his} knees shook].",
        "the {p.man} [rang a bell|dropped a handkerchief|blew a horn|counted to three], and off they went. {h} was [good|quick|better than most], but {f} was [just as good|a little better|not far behind|hard to beat].",
        "[a whistle|a drum|a horn|a cowbell] sounded. {h} [gave {h.his} best|thought of the {cake}|forgot everything around {h.him}], and soon only {f} was [still ahead|better|left to beat].",
    )
    beats.sky(s)
    s.say(
        "suddenly there was a [cry|thud|crash|yelp]. {f} had [fallen|slipped|tripped over [a root|a bucket|{f.his} own feet]] and [hurt {f.his} foot|could not get up|lay in the mud|looked very pale].",
        "then {h} saw that {f} [was stuck in the mud|had cut {f.his} {f.hand}|sat on the ground and wept|lay in a ditch|had hurt {f.his} back], [all alone|far from everyone|and nobody cared|and held {f.his} head].",
        "[just before the end|right after that|all of a sudden|halfway through] {f} [slipped|stumbled|lost {f.his} balance] and fell [into {p.water}|into a deep puddle|into the mud|into a trough] with a [splash|cry|great splash|shriek].",
    )
    s.say(
        "{h} could [see the prize|smell the {cake}|taste the {cake}|hear the cheers] already. {h.He} [looked back|stopped|slowed down|hesitated], just for a [moment|heartbeat|breath].",
        '"[Now you can win|Go on|Do not stop now|The {cake} is yours], {h}," said a voice in {h.his} head. But another voice said, "[Look at {f} and turn around.|And what about {f}?|{f} would like a hand.|Would you want to lie there?]"',
        "the others [did not stop|laughed|looked away|had no time], and only {h} [heard|saw|noticed] how {f} [wept|sighed|sobbed|bit {f.his} lip|tried to get up].",
    )
    s.say(
        "then {h} turned around, [ran to {f}|knelt down beside {f}], and [helped {f.him} up|tied {h.his} scarf around the sore place|gave {f.him} a arm to lean on].",
        'so {h} [went back|ran back|turned around]. "[Hold on to me|Up you get|Put your arm around my neck|Let me see that]," {h.he} said, and [pulled|helped|lifted] {f} up.',
        "{h} [gave up|forgot|waved goodbye to] the [prize|{cake}|medal] without another [thought|look|word], and [helped|carried|led] {f} [to the {p.spot}|to the {p.house}|to a dry place].",
    )
    s.say(
        '"Why did you do that?" asked {f}. "[Because you needed me|A cake is soon eaten|You would have done the same]," said {h}.',
        '{f} looked at the ground. "[I was not nice to you|I was rude to you|I have been a bad neighbour|I laughed at you], {h}," {f.he} said. "[I am sorry|Forgive me|It will not happen again|And you, {h}, are kind to me all the same]."',
        '"But now you [cannot win|will be last|will lose the {cake}]!" said {f}. {h} [shrugged|laughed|smiled]. "[There is always next year|I can bake a {cake} at home|One cannot win every day|I have won already], {f}."',
    )
    s.paragraph()
    s.say(
        "{h} came in [last|second to last|long after the others], but the people [clapped the loudest|threw their hats in the air|cheered|stamped and whistled|rang all the bells] for {h.him}[|, most of all the {p.man}|, and {f} too].",
        "neither {h} nor {f} won the {cake}, but [a snail with a fast friend|a goose who had just kept going|the smallest mouse of all|a [grey|shy|thin|limping|sleepy] [hen|goose|mole|pig|crow]], and [nobody minded|{h} was the first to clap|{f} laughed about it|that was fine by {h}].",
        "for {both} the {p.man} cut a [second|third|special] {cake} in [two|half].",
    )
    s.say(
        "from then on {h} and {f} practised {doing} together[| [every Sunday|at the {p.spot2}|after supper|until it was dark]].",
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
    beats.begin(s)
    thing = s.thing("o", ("wind", "roll"))
    s.put("dream", "{o.the}")
    s.say(
        "every day {h} met the others at the {p.spot}, and they played with {o.a}.",
        "{h} and the [other|bigger|other young] children [of the place|from the {p.spot}|from next door|{p.here}] [shared|had|owned] {o.a} and [played with it|never tired of it|took turns with it|drew lots for it] [after|before] [school|dinner|work|the bell rang|homework].",
        "in the afternoon everyone came to the {p.spot}, and {h} brought {o.a}.",
    )
    s.paragraph()
    site = beats.away_site(s, thing)
    skill = beats.solve(s, site.need)
    s.person("f", ["new", "quiet", "strange", "shy", "thin", "silent"], skill)
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
        '{h} remembered how it was to be alone, went over to {f}, and said, "[Will you play with us?|I am {h}. What is your name?|Come, we need one more!|I like your [coat|hat|voice]. Will you play?]"',
        '{h} [looked at {f}|thought for a moment] and then waved. "Come and play!"',
        'at first {h} did not dare, but then {h.he} walked over to {f}. "Do you like {food}?" {h.he} asked, and {f} nodded.',
    )
    s.maybe(
        0.6,
        '"Really? Me?" asked {f}.',
        "{f} [beamed|jumped off the wall|blinked twice].",
        "the others [groaned|made long faces], but {both} did not [care|mind|even see it].",
    )
    s.paragraph()
    beats.tell_away(s, site, thing)
    s.say(
        "{h} and all the others groaned. {why}.",
        '"[That is the end of {h}\'s {o}|Now we can go home and eat {food}|{h}, we will never get it back|That was our last {o}, {h}|Who will go in after that?|Poor {h}|Well, {h}, what now?|Let us look for another game]," said [the others|the biggest of them|somebody]. {why}.',
        "{h} and the others tried [a stick|a ladder|a rope], but {why.low}.",
        "{why}. [Nobody but {f} knew what to do about the {o}|All looked at {h}, and {h} looked at {f}|The others, and {h} as well, [wanted|were ready|began] to [give up|go home|cry]|Even {h} had no idea what to do].",
    )
    beats.help_out(s)
    s.say(
        '"Hurrah for {f}!" [shouted|cried] everyone.',
        '{h} and the others [stared|clapped|opened their mouths]. "[We did not know that you could do that|You must teach us that|That was better than the circus], {f}," they said.',
        'the others looked at their [feet|toes|shoes]. "We were [not kind|not nice|unfair|rude] to you, {f}," they said. "Will you [stay and play|forgive us|eat some {food} with us|come again tomorrow]?"',
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
