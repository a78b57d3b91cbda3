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
    )
    looks = s.hero.looks
    if s.rng.random() < 0.75:
        s.put("looks", looks)
        s.put("habit", s.rng.choice(HABITS[looks]))
        s.say(
            "{h} {habit}.",
            "everyone knew that {h} was {looks}, for {h.he} {habit}.",
            "{h.He} was known for being {looks}: {h.he} {habit}.",
            "{h.He} {habit}, and that was how [all the neighbours|the whole place|even the postman] knew {h.him}.",
        )
    s.maybe(
        0.45,
        "{h.His} home was {h.home}.",
        "{h.He} lived in {h.home}.",
        "{h.He} shared {h.home} with [nobody at all|a cricket|two spiders|a old clock|a sleepy beetle].",
        "{h.His} home was {h.home}, [and it was always tidy|and nobody knew a better one|where the kettle was never cold].",
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
        "{h.He} had {o.a}. {h.He} {o.use} and [would not have given it away for all the [gold|cheese|honey|ships] in the world|took good care of it|thought it the finest {o} anywhere].",
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
            "there came a gust, and {o.the} flew off. {h} ran after it, but it came down {where}.",
        ),
        "roll": (
            "{o.the} slipped, rolled away from {h}, [bump, bump, bump|faster and faster|over the {p.spot}], and stopped {where}.",
            "{h} stumbled over a [root|stone|step]. {o.The} rolled off and ended {where}.",
            "{o.the} rolled out of {h}'s {h.hand} and did not stop until it was {where}.",
        ),
        "drop": (
            "{o.the} slipped out of {h}'s {h.hand}, and plop, it lay {where}.",
            "{h} [sneezed|hiccupped|laughed] so hard that {h.he} dropped {o.the}, and now it was {where}.",
            "there was a hole in {h}'s [bag|pocket|basket], and {o.the} fell out. Now it was {where}.",
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
        "{h} tried [all morning|until noon|with all {h.his} might]. {why}.",
        '"I can do it alone," said {h}, and [leaned|stepped|ran|climbed] as far as {h.he} could. {why}.',
        "first {h} tried [a stick|a rope|a broom]. Then {h.he} tried [a ladder of boxes|a hook|asking nicely]. Nothing helped. {why}.",
        "{why}, and however hard {h} tried, {o.the} stayed where it was.",
    )
    s.say(
        "{h.He} sat down on a [stone|stump|box] and [sighed|wept a little|put {h.his} chin on {h.his} knees].",
        "a [tear|big tear|small tear|hot tear] rolled down {h}'s nose.",
        '"What shall I do without my {o.look} {o}?" {h} [whispered|asked the wind|sighed].',
        "{h} was [close to tears|tired and sad|cold and hungry] and did not know what to do.",
        "{h.He} [kicked a stone|pulled up some grass|stamped] and felt very [small|alone|sad].",
    )


def meet(s: Story, skill: str | None = None) -> None:
    """{f}: somebody who comes by, and who has a skill."""
    s.person("f", FRIEND_TRAITS, skill)
    s.say(
        "just then {f.intro} came [by|along|around the corner].",
        "{f.intro} [had watched from afar|had heard it all|was just passing] and came closer.",
        "then somebody [coughed|giggled|said hello] behind {h}. It was {f.intro}.",
        "a [shadow|head|nose] appeared [behind the fence|in the grass|at the {p.spot}]. It belonged to {f.intro}.",
        "along came {f.intro} with a [basket|bundle|bucket|sack] on {f.his} back.",
        "on the [path|wall|bank] [sat|stood] {f.intro}.",
    )


def ask(s: Story) -> None:
    """The one asks what the matter is, and the other says it."""
    s.say(
        '"Why [are you so sad|do you look so sad|are you crying]?" asked {f}. "My {o} is {where}," said {h}.',
        '"What is the matter?" asked {f}. {h} pointed and said, "My {o} is {where}, and I cannot reach it."',
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
        '"[Leave it to me|Let me try|That is easy for me]," said {f}. "{boast}." {deed}.',
        '"{boast}," said {f}. "[Wait here|Watch me|Hold my hat]." {deed}.',
        '{f} [smiled|nodded|winked]. "{boast}," {f.he} said, and {h} [held {h.his} breath|crossed {h.his} toes|closed {h.his} eyes]. {deed}.',
        'then {f} laughed. "{boast}!" {deed}, [quick as a wink|in no time|before {h} could count to ten].',
    )


def thanks(s: Story) -> None:
    """And how they part, or do not."""
    s.say(
        '"Thank you, thank you!" [cried|called] {h} and [hugged {f}|danced around {f}|shook {f} by the {f.hand}].',
        '"How can I ever thank you?" asked {h}. "[Share your {food} with me|Just be my friend|Tell me a story some day]," said {f}.',
        "{h} was {as.happy} and gave {f} [half of {h.his} {food}|a kiss on the nose|the biggest piece of {cake}].",
        '"You are a true friend," said {h}, and {f} turned {as.red}.',
        "{h} thanked {f} [a hundred times|with a song|with a deep bow], and {f} [grinned|blushed|laughed].",
    )


def together(s: Story) -> None:
    """The evening of such a day."""
    s.say(
        "that evening {h} and {f} [ate {food} together|shared a {cake}|sat by the fire] and [talked until the stars came out|laughed about the day|watched the moon rise].",
        "in the evening {both} [sat on the wall|lay in the grass|sat in the doorway], ate {food}, and [counted stars|told riddles|listened to the crickets].",
        "from that day on {h} and {f} met [every Sunday|every evening|at the {p.spot}] to [play|eat {food}|tell stories].",
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
