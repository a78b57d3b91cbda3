"""How a sentence is dressed: synonyms, adjectives that go with a noun, ways to say "said", lead-ins and small remarks.

A template says what happens; what is in here sees to it that it is hardly ever said twice in the same words.
"""

import random
import re

# A word of a template becomes one of these. Each fits wherever templates use the word.
SYNONYMS = {
    "a while": "a while|a moment|a little while|some time|a good while",
    "afraid of": "afraid of|frightened of|scared of",
    "all alone": "all alone|quite alone",
    "at last": "at last|finally|in the end|after all that",
    "best friend of": "best friend of|dearest friend of|oldest friend of|truest friend of",
    "big": "big|large|huge",
    "carefully": "carefully|gently|slowly",
    "cried": "cried|shouted|called out|exclaimed",
    "crept": "crept|sneaked|tiptoed|stole",
    "every day": "every day|each day|day after day",
    "everyone": "everyone|everybody",
    "fine": "fine|splendid|lovely|grand",
    "for a long time": "for a long time|for a good while|for what felt like hours",
    "from far away": "from far away|from far and wide|from beyond the hills",
    "giggled": "giggled|sniggered|tittered|snorted",
    "glad": "glad|happy|pleased",
    "hugged": "hugged|embraced|squeezed|threw both arms around",
    "hurried": "hurried|rushed|dashed",
    "in no time": "in no time|in the blink of an eye|before anyone could cough|faster than a hare",
    "in the evening": "in the evening|towards evening|when evening came|as the day ended|at dusk",
    "in the morning": "in the morning|at first light|when morning came|as soon as it was light|right after breakfast",
    "laughed": "laughed|chuckled|giggled",
    "looked at": "looked at|gazed at|eyed|studied",
    "next door": "next door|two doors away|across the way|just around the corner|in the house next door",
    "nobody": "nobody|no one",
    "of course": "of course|naturally",
    "quickly": "quickly|swiftly|in a hurry",
    "ran": "ran|hurried|rushed|dashed|scurried",
    "sighed": "sighed|sighed deeply|gave a sigh|heaved a long sigh",
    "side by side": "side by side|shoulder to shoulder|close together",
    "small": "small|tiny|little",
    "smiled": "smiled|grinned|beamed|smiled a little",
    "softly": "softly|quietly|gently",
    "step by step": "step by step|bit by bit|one step at a time|little by little",
    "strange": "strange|odd|curious|peculiar",
    "suddenly": "suddenly|all of a sudden|all at once|without warning",
    "that evening": "that evening|later that evening|that same evening|when the lamps were lit",
    "that night": "that night|all that night|late that night|when the lamp was out",
    "the next day": "the next day|the day after|the following day|a day later",
    "the next evening": "the next evening|one evening later|the evening after",
    "the next morning": "the next morning|on the next morning|the morning after",
    "the whole place": "the whole place|the whole neighbourhood|everybody around",
    "whispered": "whispered|murmured",
    "wonderful": "wonderful|marvellous|lovely",
}

# Adjectives for a noun that has none yet.
ADJECTIVES = {
    "bag": "old|leather|heavy|patched|linen",
    "basket": "wicker|heavy|round|brown|willow",
    "bed": "warm|narrow|soft|creaky",
    "bell": "little|cracked|brass|clear",
    "belly": "round|empty|warm",
    "blanket": "woollen|warm|checked|thick|grey",
    "book": "thick|old|dusty",
    "bottle": "green|dusty|old|tall",
    "bowl": "blue|deep|wooden|chipped|clay",
    "box": "dusty|wooden|little|tin|square",
    "branch": "low|crooked|thick|bare|knotty",
    "bucket": "rusty|wooden|dented|full",
    "bush": "prickly|round|thick|dark",
    "candle": "short|yellow|fat|crooked",
    "cart": "creaky|old|blue|rattling",
    "cave": "damp|narrow|dim|cool",
    "chair": "wobbly|old|soft|creaky",
    "cloud": "fat|white|grey|pink",
    "coat": "thick|patched|brown|warm|long",
    "corner": "dark|dusty|cosy|quiet",
    "door": "crooked|green|low|wooden|heavy|creaky",
    "earth": "brown|damp|cool|dark|soft",
    "fence": "crooked|white|low|old|wooden",
    "fire": "crackling|little|bright|warm",
    "floor": "cold|wooden|stone",
    "flower": "blue|white|pale|late",
    "flower pot": "cracked|empty|red|clay",
    "grass": "wet|high|soft|tall|dry",
    "hammer": "old|heavy|rusty",
    "hay": "sweet|dry|warm",
    "house": "crooked|little|old|quiet",
    "kettle": "old|black|dented|singing",
    "ladder": "long|wobbly|old|shaky",
    "lantern": "little|swinging|bright|round",
    "leaf": "wide|green|curled|yellow",
    "log": "mossy|hollow|rotten|thick",
    "moon": "round|pale|thin|full|yellow",
    "moss": "green|cool|soft|damp",
    "mud": "brown|deep|cold|soft",
    "nose": "wet|cold|pink|round|freckled",
    "path": "narrow|sandy|stony|winding|steep|muddy",
    "pebble": "smooth|white|round",
    "pillow": "soft|cool|feather",
    "plan": "clever|bold|careful|good",
    "pocket": "left|deep|back|torn",
    "pot": "clay|iron|big|dented",
    "prize": "great|sweet|golden",
    "puddle": "deep|brown|shallow",
    "rain": "cold|warm|soft|silver",
    "road": "dusty|long|white",
    "root": "crooked|thick|hidden|knobbly",
    "rope": "long|thick|old|strong",
    "scarf": "warm|long|woollen|checked",
    "shelf": "high|dusty|wooden|narrow",
    "song": "silly|slow|merry|old|short|sad",
    "spot": "sunny|shady|quiet",
    "stick": "long|crooked|bent|thin",
    "stone": "flat|mossy|cold|smooth|grey|round",
    "storm": "wild|sudden|loud|black",
    "stove": "old|green|warm|iron",
    "stump": "mossy|old|broad|rotten",
    "suitcase": "brown|tiny|battered|huge",
    "sun": "low|bright|warm|morning",
    "table": "round|wooden|long|kitchen",
    "tear": "salty|hot|warm",
    "tower": "tall|shaky|fine",
    "tree": "hollow|crooked|old|bare|leafy",
    "twig": "dry|thin|brittle",
    "umbrella": "torn|black|huge",
    "voice": "thin|clear|shaky|low|tiny|kind|hoarse",
    "wall": "low|mossy|warm|crumbling|old",
    "water": "clear|green|dark|cool|still",
    "wind": "wild|cold|strong|sudden|east",
    "window": "round|open|little|dusty|lit",
}

SAID = ("said", "said", "said", "declared", "murmured", "announced", "remarked", "put in", "mumbled", "said")
REPLIED = ("said", "said", "answered", "replied", "returned", "explained")  # where something was asked
ASKED = ("asked", "asked", "asked", "inquired")
MANNER = """softly slowly gravely kindly cheerfully bravely gently firmly quietly seriously hopefully simply politely dreamily calmly
warmly thoughtfully solemnly drily earnestly shyly mildly""".split()

# What can stand before a sentence in the middle of a story: any, and one that says what somebody did.
LEADS = (
    "after [a while|a moment|a long pause|some time|a little while|a minute or two]",
    "[a moment|two breaths|three heartbeats|a minute|a little|not much|five blinks] later",
    "[before long|by and by|all the same|sure enough|this time|for once|as it happened|as if by magic|just then|oddly enough]",
    "[while|just as|at the moment when] a [{small}|{small}|cloud|leaf] [looked on|hummed|passed by|came along|went by]",
    "[under the eyes of a {small}|with a {small} for a witness|to the wonder of a {small}]",
    "[near|close to|not far from|in sight of] the [{p.house}|{p.spot}|{p.spot2}]",
)
DOING = (
    *LEADS,
    "[without a word|without another word|with a nod|with a deep breath|with bright eyes|with a beating heart]",
)

SMALL = """beetle|snail|blackbird|cricket|ladybird|spider|robin|wasp|worm|lizard|magpie|dragonfly|moth|wren|grasshopper|starling|ant|
pigeon|caterpillar|newt|finch|woodpecker|gull|bumblebee|jackdaw|earwig|hen|cuckoo|dormouse|stork|thrush|swan|lamb|cockerel|
bullfinch|glow-worm|heron|shrew|titmouse|water flea""".replace("\n", "")
COLOUR = "grey|brown|black|spotted|striped|fat|thin|lame|sleepy|very old|very small|green|nosy|busy|dusty|shy|bored|one-eyed|clever|cross|young|puzzled|wet|cheerful|limping|round|hungry"
WHERE = """on the fence|in the hedge|on the wall|under a leaf|on a stone|in the ivy|on the {p.house} roof|near the {p.spot}|by {p.water}|
under {p.tall}|on a twig|beside the path|in a puddle|behind the {p.spot2}|in the nettles|on a window sill|in the gutter|between two stones""".replace(
    "\n", ""
)
DID = """stopped to listen|shook its head|pretended not to see|forgot what it wanted to say|yawned|sneezed twice|nodded wisely|
turned around to look|began to hum|held its breath|winked|hurried on|thought its own thoughts|went on with its breakfast|
moved a little closer|told it to its cousins|did not believe it|found this very interesting|cleaned its glasses|cleared its throat|
wished it had stayed in bed|dropped its lunch|wrote it all down|rolled its eyes|counted its legs|looked the other way""".replace(
    "\n", ""
)
REMARKS = (
    f"a [{SMALL}] told a [{SMALL}] about it, and the [{SMALL}] [{DID}].",
    f"[high above|not far away|close by|just then|for a moment], a [{COLOUR}] [{SMALL}] [{DID}].",
    f"only a [{COLOUR}] [{SMALL}] [{WHERE}] saw it and [{DID}].",
    f"a [{SMALL}] who lived near the {{p.house}} [{DID}].",
    f"a [{COLOUR}] [{SMALL}] [{WHERE}] [{DID}].",
    f"[{WHERE}] a [{SMALL}] [{DID}].",
    f"a [{SMALL}] and a [{SMALL}] [{WHERE}] [looked at each other|argued about it|nodded to each other|forgot their quarrel|moved closer together].",
    f"even the [{COLOUR}] [{SMALL}] [{WHERE}] [{DID}].",
    "somewhere [a dog barked|a door banged|a bell rang|a cock crowed|someone was chopping wood|someone was singing|a window was closed] "
    "[once|twice|three times|and then it was still|far away|behind the {p.spot2}|near the {p.house}].",
    "it smelled of [wet earth|smoke|hay|fresh bread|tar|apples|mint|soap|old wood|resin|honey] and [a little of|of] [rain|{food}|dust|the sea|moss|stables].",
)  # fmt: skip

_FIRST = re.compile(r"\{[^}]*\}|[A-Za-z']+")
_NOUN = re.compile(
    r"(\b(?:a|an|the|one|my|your|his|her)|\{[a-z]\.his\}) ("
    + "|".join(sorted(ADJECTIVES, key=len, reverse=True))
    + r")\b"
)
_SYNONYM = re.compile(r"\b(" + "|".join(sorted(SYNONYMS, key=len, reverse=True)) + r")\b(?![^{]*\})")
_SAID = re.compile(r'([,!?.])" (said|asked) (\{[hfg]\})([.,]|)')
_QUESTION = re.compile(r'\?"[^"]*$')
_SPEAKS = re.compile(r'"|\b(?:asked|told|nodded|sang|breath)\b')
_LED = re.compile(r"the (?:\[|next|following|day|rest)")  # begins with a time already
_OTHER = {"{h}": "{f}", "{f}": "{h}"}
_THEY = re.compile(r"^((?:then |so |but |and |now |in the evening |that evening |at night )?)they (?!say)")


def dress(template: str, rng: random.Random, people: set[str], asked: set[str], leads: bool) -> str:
    """The template in other words. people: the keys of those who are in the story; asked: of those whom the sentence
    before it has asked something; leads: whether words may stand before it.
    """
    two = {"h", "f"} <= people

    def adjective(m: re.Match[str]) -> str:
        return f"{m[1]} [{ADJECTIVES[m[2]]}] {m[2]}" if rng.random() < 0.6 else m[0]

    def synonym(m: re.Match[str]) -> str:
        return f"[{SYNONYMS[m[1]]}]"

    def said(m: re.Match[str]) -> str:
        before = template[: m.start()]
        other = _OTHER.get(m[3], "")
        called = other in before.rsplit('"', 1)[-1]
        name = f", {other}" if other and two and not called and rng.random() < 0.35 else ""
        replies = _QUESTION.search(before.rpartition('"')[0]) or (m[3][1:-1] in asked and before.count('"') == 1)
        verb = rng.choice(ASKED if m[2] == "asked" else REPLIED if replies else SAID)
        manner = f" {rng.choice(MANNER)}" if m[4] and rng.random() < 0.45 else ""
        return f'{name}{m[1]}" {verb} {m[3]}{manner}{m[4]}'

    text = _SAID.sub(said, template)
    if two:
        text = _THEY.sub(lambda m: m[1] + rng.choice(("{h} and {f} ", "{f} and {h} ", "the two of them ")), text)
    text = _SYNONYM.sub(synonym, _NOUN.sub(adjective, text))
    first = _FIRST.match(text)
    if leads and first and not _LED.match(text) and rng.random() < 0.35:
        if text.startswith(("{h} ", "{f} ", "{both} ")):
            return f"{rng.choice(LEADS if _SPEAKS.search(text) else DOING)}, {text}"
        if first[0] in {"{h}", "{f}", "they", "the"}:
            return f"{rng.choice(LEADS)}, {text}"
    return text
