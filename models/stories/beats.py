"""What many stories have in common: how they open and close, what somebody is like, walks, meetings, thanks."""

from lexicon import CAKES, FOODS, FRIEND_TRAITS, GIVERS, HABITS, MORNINGS, SIMILES, SITES, SOLVES, Site, Thing
from story import Story


def begin(s: Story) -> None:
    """The first part of the first paragraph, and what every plot may speak of."""
    s.put("dream", "[{p.water}|flying|the {p.spot}|a ship|tomorrow]")
    food(s)
    morning(s)
    opening(s)


def opening(s: Story) -> None:
    """Who it is about, and where; every story introduces its hero first."""
    for name, simile in SIMILES.items():
        text = s.put(f"as.{name}", simile)
        s.facts[f"as.{name}.cap"] = text[0].upper() + text[1:]
    s.say(
        "once upon a time there was {h.intro}.",
        "once upon a time, {h.intro} lived {p.at}.",
        "once upon a time there was {h.intro} who lived {p.at}.",
        "once there was {h.intro}.",
        "there once was {h.intro}.",
        "{p.at} there lived {h.intro}.",
        "long ago, when [the moon was still young|wishes cost nothing|animals sent each other letters|every hill had a name], {h.intro} lived {p.at}.",
        "not far from here, {p.at}, lived {h.intro}.",
        "this is the story of {h.intro}.",
        "{p.at}, [behind|next to|not far from] {p.water}, there was {h.intro}.",
        "{h} was {h.a} who lived {p.at}.",
        "in {year} there was {h.intro}.",
        "in {year}, {h.intro} lived {p.at}.",
        "{h} was {h.a}.",
        "{h} was {h.a}, [and {p.at} everyone knew {h.him}|who was born {p.at}|and {h.he} was at home {p.at}].",
        "one day, {h}, {h.a} who lived {p.at}, [became part of a story|had something to tell|remembered an old story|met with an adventure], and it went like this.",
        "one [day|morning|evening] {h}, {h.a}, [sat down and told this story to the [moon|fire|cat|rain]|moved to a house {p.at}|came to live {p.at}].",
        "have you heard of {h.intro}? {h.He} lived {p.at}.",
    )
    looks = s.hero.looks
    if s.rng.random() < 0.75:
        s.put("looks", looks)
        s.put("habit", s.rng.choice(HABITS[looks]))
        s.say(
            "{h} {habit}.",
            "everyone knew that {h} was {looks}, for {h.he} {habit}.",
            "{h.He} was known[| {p.here}| far and wide| to young and old| to everyone at the {p.house}| from the {p.spot} to the {p.spot2}] for being {looks}: {h.he} {habit}.",
            "{h.He} {habit}, and that was how [all the neighbours|the whole place|even the postman|the {p.man}|everyone at the {p.house}|friend and stranger|half the land|all {p.here}] knew {h.him}.",
            "{h} [surely|always|truly] was {looks}: {h.he} {habit}, [even on Sundays|come rain or shine|year after year|as the {p.man} could tell|and {p.here} nobody wondered any more].",
        )
    s.maybe(
        0.45,
        "{h.His} home was {h.home}.",
        "{h.He} lived in {h.home}[| [behind|near|next to|not far from] the {p.house}| with a view of the {p.spot}].",
        "{h.He} shared {h.home} with [nobody at all|a cricket|[two|three|five|seven] spiders|a old clock|a [sleepy|fat|very small|singing] beetle|a family of [ants|moths|snails]|a moth|[three|four|six] potted plants|a broken [piano|umbrella|chair]].",
        "{h.His} home was {h.home}, [and it was [always|hardly ever|mostly] tidy|and [nobody|no king|not even the {p.man}] knew a better one|where the kettle was never cold|where it smelled of {food}|with a view of the {p.spot}|not far from the {p.spot2}|ten steps from the {p.house}|and {p.water} was close by].",
    )


def food(s: Story) -> None:
    """Something to eat: {food} and {cake}."""
    s.facts["food"] = s.rng.choice(FOODS)
    s.facts["cake"] = f"{s.rng.choice(CAKES)} cake"


def morning(s: Story) -> None:
    """{morning}: when it was."""
    s.put("morning", s.rng.choice(MORNINGS))


def sky(s: Story) -> None:
    """Sometimes, what the weather did meanwhile."""
    s.maybe(0.3, "{noticed}")


def treasure(s: Story, ways: tuple[str, ...] | None = None) -> Thing:
    """{o}: what the hero owns and loves; with ways, it can get away in one of them."""
    thing = s.thing("o", ways)
    s.put("giver", s.rng.choice(GIVERS))
    s.say(
        "{h} owned {o.a}, a present from {giver}.",
        "the [greatest|dearest|best] treasure that {h} owned was {o.a} from {giver}.",
        "of all the things {h} had, {h.he} loved {o.the} most, because it came from {giver}.",
        "{giver} had given {h.him} {o.a}, and {h} {o.use}.",
        "{h} never went out without {o.a}, for it had once belonged to {giver}.",
        "{h.He} had {o.a}. {h.He} {o.use} and [would not have given it away for all the [gold|cheese|honey|ships|stars|cake] in the [world|land|sea]|took good care of it, [day and night|come rain or shine|for {giver}'s sake]|thought it the finest {o} [anywhere|far and wide|between here and the moon]].",
        "on {h.his} birthday {giver} had brought {h.him} {o.a}, and ever since {h} {o.use}.",
    )
    return thing


def get_away(s: Story, thing: Thing) -> Site:
    """The treasure {o} ends where its owner cannot reach it."""
    site = away_site(s, thing)
    tell_away(s, site, thing)
    return site


def away_site(s: Story, thing: Thing) -> Site:
    """Where {o} will end: {where}, and {why} it is hard to reach there."""
    site = s.rng.choice([site for site in SITES if set(site.ways) & set(thing.ways)])
    s.put("where", site.where)
    why = s.put("why", site.why)
    s.facts["why.low"] = why if why.startswith(s.hero.name) else why[0].lower() + why[1:]
    return site


def tell_away(s: Story, site: Site, thing: Thing) -> None:
    """How {o} got there."""
    way = s.rng.choice([w for w in site.ways if w in thing.ways])
    how = {
        "wind": (
            "a gust of wind [tore|took|pulled] {o.the} away from {h}, and it ended {where}.",
            "the wind snatched {o.the}, whirled it [twice|three times] around {h}'s head, and dropped it {where}.",
            "there came a [gust|great gust|blast of wind|whirlwind], and {o.the} [flew off|sailed off|was gone]. {h} ran after it [as fast as {h.he} could|past the {p.house}|with both arms in the air|and called to it|over hedges and puddles|until {h.his} side hurt], but {h} saw it come down {where}.",
        ),
        "roll": (
            "{o.the} slipped, rolled away from {h}, [bump, bump, bump|faster and faster|over the {p.spot}|past a surprised {small}], and [stopped|came to rest|got stuck] {where}.",
            "{h} [stumbled|tripped] over a [root|stone|step|bucket|sleeping {small}]. {o.The} [rolled off|got away from {h.him}|was off like a shot] and [ended|stopped|got stuck] {where}.",
            "{o.the} [rolled|jumped|slid] out of {h}'s {h.hand} and [ran from {h}|danced away from {h}|went its own way|shot past {h}'s {h.hand}, which came too late|passed a {small}] until it was {where}, [to {h}'s horror|as if it had planned it|and all {h} could do was watch|and {h} stood there with nothing|while {h} called for help|and {h} ran after it in vain].",
        ),
        "drop": (
            "{o.the} slipped out of {h}'s {h.hand}, and [plop|before one could say {food}|with a little clink|a blink later], it lay {where}.",
            "{h} [sneezed|hiccupped|laughed|jumped] so [hard|wildly|suddenly] that {h.he} dropped {o.the}, and [now it was|a moment later it lay|it ended] {where}.",
            "there was a hole in {h}'s [bag|pocket|basket|sleeve], and {o.the} [fell out|slipped through]. [When {h} noticed, it was|There it lay, and {h} could see it,|{h} heard it land] {where}.",
        ),
        "float": (
            "the current caught {o.the} and carried it off before {h} could [grab it|blink|shout], and soon it was {where}.",
            "{o.the} sailed away from {h} all by itself until it was {where}.",
        ),
    }[way]
    s.say(*how)


def walk(s: Story) -> None:
    """Somewhere."""
    s.say(
        "{h} [walked|strolled|hopped|ran] [past|around|along] the {p.spot} and [hummed a tune|counted {h.his} steps|thought about supper].",
        "{h}'s way led [past|across|by] the {p.spot} and [over|through] the {p.spot2}.",
        "{h.He} went [down to|up to|as far as] the {p.spot} and looked [left|around|up].",
        "at the {p.spot} {h} [stopped|sat down|rested] for a while.",
    )


def tries(s: Story) -> None:
    """The hero tries alone, in vain."""
    s.say(
        "{why}. {h} tried [once|with a stick|on tiptoe|with a long rope], [then twice|then again|and again], but it was no use.",
        "{h} tried [all morning|until noon|with all {h.his} might|again and again|from the left and from the right], [but in vain|with no luck|and got nowhere]. {why}.",
        '"I can do it alone," said {h}, and [leaned|stepped|ran|climbed] as far as {h.he} could. {why}.',
        "first {h} tried [a stick|a rope|a broom]. Then {h.he} tried [a ladder of boxes|a hook|asking nicely]. Nothing helped. {why}.",
        "{why}, and however [hard|long|often] {h} [tried|jumped and stretched|thought about it|pleaded with it], {o.the} [stayed where it was|did not come back|would not move|was not to be had].",
    )
    s.say(
        "{h.He} sat down on a [stone|stump|box|bucket|fallen branch] and [sighed|wept a little|put {h.his} chin on {h.his} knees|stared at the ground|thought of {giver}].",
        "a [tear|big tear|small tear|hot tear] rolled down {h}'s nose.",
        '"What shall I do without my {o.look} {o}?" {h} [whispered|asked the wind|sighed].',
        "{h} was [close to tears|tired and sad|cold and hungry|cross with {h.himself}] and did not know [what to do|whom to ask|where to turn|whether to stay or to go].",
        "{h.He} [kicked a stone|pulled up some grass|stamped|scratched {h.his} head|threw up {h.his} {h.hand}] and felt very [small|alone|sad|foolish|tired].",
    )


def meet(s: Story, skill: str | None = None) -> None:
    """{f}: somebody who comes by, and who has a skill."""
    s.person("f", FRIEND_TRAITS, skill)
    s.say(
        "just then {f.intro} came [by|along|around the corner].",
        "{f.intro} [had watched from afar|had heard it all|was just passing|had been on the way to the {p.spot2}|had been asleep nearby] and came [closer|over|nearer|up to {h}].",
        "then somebody [coughed|giggled|said hello] behind {h}. It was {f.intro}.",
        "a [shadow|head|nose|hat] [appeared|rose|could be seen] [behind the fence|in the grass|at the {p.spot}|behind {p.tall}|between two bushes]. It belonged to {f.intro}.",
        "along came {f.intro} with a [basket|bundle|bucket|sack] on {f.his} back.",
        "on the [path|wall|bank|way to the {p.house}] [sat|stood|waited] {f.intro}[| with a [pipe|book|bag of {food}|broom|watering can]].",
    )


def ask(s: Story) -> None:
    """The one asks what the matter is, and the other says it."""
    s.say(
        '"Why [are you so sad|do you look so sad|are you crying]?" asked {f}. "My {o} is {where}," said {h}.',
        '"What is the matter?" asked {f}. {h} [pointed and said|sniffed and said|looked up and said], "My {o} is {where}, and [I cannot reach it|there it will stay|I have tried everything|nobody can get it back]."',
        '"Can I help you?" asked {f}. "Oh, please," said {h}. "My {o.look} {o} is {where}."',
        '"You look like [three days of rain|a wet sock|a lost mitten]," said {f}. "I have lost my {o}," said {h}. "It is {where}."',
        "{f} asked what had happened, and {h} told {f.him} about the {o} that was {where}.",
    )


def solve(s: Story, need: str) -> str:
    """{deed}: what somebody with a fitting skill does, {boast}: what is said of it. The skill is given back."""
    skill, boast, deed = s.rng.choice(SOLVES[need])
    s.facts["boast"], s.facts["deed.form"] = boast, deed
    return skill


def help_out(s: Story) -> None:
    """The friend does what the friend can do."""
    s.put("deed", s.facts["deed.form"])
    s.say(
        '"[Leave it to me|Let me try|That is easy for me|Is that all|Step aside, please|Nothing easier]," said {f}. "{boast}." {deed}.',
        '"{boast}," said {f}. "[Wait here|Watch me|Hold my hat|Count to twenty|Stand back a little|Do not look down]." {deed}.',
        '{f} [smiled|nodded|winked]. "{boast}," {f.he} said, and {h} [held {h.his} breath|crossed {h.his} toes|closed {h.his} eyes|hardly dared to look|hoped with all {h.his} heart]. {deed}.',
        'then {f} laughed. "{boast}!" {deed}, [quick as a wink|in no time|before {h} could count to [ten|seven|twenty]|while {h} looked on|as if it were nothing].',
    )


def thanks(s: Story) -> None:
    """And how they part, or do not."""
    s.say(
        '"Thank you, thank you!" [cried|called] {h} and [hugged {f}|danced around {f}|shook {f} by the {f.hand}|jumped [three|seven] times in the air|would not let go of {f}].',
        '"[How can I ever thank you|What can I do for you|What can I give you for that|How can I make it up to you]?" asked {h}. "[Share your {food} with me|Just be my friend|Tell me a story some day|Bake me a {cake} on Sunday|Come and see me at the {p.spot2}|Help somebody else one day]," said {f}.',
        "{h} was {as.happy} and gave {f} [half of {h.his} {food}|a kiss on the nose|the biggest piece of {cake}].",
        '"You are [a true friend|the best {f.kind} I know|kinder than anyone|my hero]," said {h}, and {f} turned {as.red}.',
        "{h} thanked {f} [a hundred times|with a song|with a deep bow], and {f} [grinned|blushed|laughed].",
    )


def together(s: Story) -> None:
    """The evening of such a day."""
    s.say(
        "that evening {h} and {f} [ate {food} together|shared a {cake}|sat by the fire] and [talked until the stars came out|laughed about the day|watched the moon rise].",
        "in the evening {both} [sat on the wall|lay in the grass|sat in the doorway], ate {food}, and [counted stars|told riddles|listened to the crickets].",
        "from that day on {h} and {f} met [every Sunday|every evening|at the {p.spot}|under {p.tall}] to [play|eat {food}|tell stories|fish|look at the clouds].",
        "they walked home [side by side|arm in arm|in step], and {h} let {f} [hold {o.the}|carry {o.the}|try {o.the}] all the way.",
        "when it got dark, {f} [walked|brought] {h} home, and they [waved|whistled] to each other until neither could see the other.",
    )


def close(s: Story, *lessons: str) -> None:
    """What is learned, and the end."""
    s.dressed = False
    taught = s.rng.random() < 0.8
    if taught:
        s.say(
            *(f"{{h}} had learned that {lesson}." for lesson in lessons),
            *(f"so {{h}} found out that {lesson}." for lesson in lessons),
            *(f'"Now I know that {lesson}," said {{h}}.' for lesson in lessons),
            *(f"and {{h}} never forgot that {lesson}." for lesson in lessons),
        )
    s.maybe(
        0.5 if taught else 1,
        "that night {h} slept [very well|deep and long|with a smile] and dreamed of {dream}.",
        "and if you are ever {p.at}, you may [see|meet|hear] {h} there.",
        "then {h} [yawned|stretched|curled up], and the day was over.",
        "the moon looked in at the window and [smiled|said nothing|kept watch].",
        "and that is the end of the story of {h}.",
        "good night, {h}!",
    )
