"""A story in the making: what is true in it, and its text so far."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from lexicon import (
    BOY_ENDS,
    BOYS,
    CHILDREN,
    GIRL_ENDS,
    GIRLS,
    HERO_TRAITS,
    KINDS,
    LINKS,
    MONTHS,
    PLACES,
    SEASONS,
    SIZES,
    STARTS,
    THINGS,
    WEATHER,
    YEARS,
    Kind,
    Place,
    Thing,
)
from style import REMARKS, SMALL, dress

MADE_UP = 0.4  # share of people whose names are made up
REMARKS_SHARE = 0.2  # share of sentences after which there is a remark

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_QUESTION = re.compile(r'\?"[^"]*$')
_FACT = re.compile(r"\{([^{}]*)\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=(?:[aeioAEIO]|u(?!ni|se)|U(?!ni|se|do)|hour|honest))")

PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself", "hers": "hers", "son": "daughter"},
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself", "hers": "his", "son": "son"},
}


@dataclass(frozen=True)
class Person:
    """Somebody with a name."""

    name: str
    kind: Kind
    pronoun: str
    looks: str


class Story:
    """What is true in a story, and its text so far."""

    def __init__(self, rng: random.Random, season: str | None = None):
        self.rng = rng
        self.facts: dict[str, str] = {}
        self.people: list[Person] = []
        self.paragraphs: list[list[str]] = [[]]
        self.dressed = True  # whether sentences are varied further, beyond the first paragraph
        self._said: set[str] = set()
        self._remarks = rng.sample(REMARKS, 3)
        self.place: Place = rng.choice(PLACES)
        self._put_place()
        self.season = season or rng.choice(SEASONS)
        weather = rng.choice([w for w in WEATHER if self.season in w.seasons])
        self.facts |= {"season": self.season, "weather": weather.said, "noticed": weather.noticed}
        self.put("month", MONTHS[self.season])
        self.put("year", YEARS[self.season])
        self.hero = self.person("h", HERO_TRAITS)

    # Facts.

    def put(self, key: str, text: str) -> str:
        """Makes something true: what {key} stands for from now on."""
        self.facts[key] = self.expand(text)
        return self.facts[key]

    def person(self, key: str, looks: list[str], skill: str | None = None) -> Person:
        """Somebody new, of a kind that nobody in the story is yet, if asked for with a skill."""
        rng = self.rng
        taken = {p.kind.noun for p in self.people}
        kinds = [k for k in (*KINDS, *CHILDREN) if k.noun not in taken and (skill is None or skill in k.skills)]
        children = [k for k in kinds if k in CHILDREN]
        if children and skill is None and rng.random() < 0.25:
            kinds = children
        kind = rng.choice(kinds)
        pronoun = {"girl": "she", "boy": "he"}.get(kind.noun) or rng.choice(("she", "he"))
        if self.people and kind not in CHILDREN and rng.random() < 0.7:
            pronoun = "he" if self.people[0].pronoun == "she" else "she"
        starts = {p.name[0] for p in self.people}
        name = self._name(pronoun)
        while name[0] in starts:
            name = self._name(pronoun)
        person = Person(name, kind, pronoun, rng.choice(looks))
        self.people.append(person)
        self._put_person(key, person)
        return person

    def _name(self, pronoun: str) -> str:
        rng = self.rng
        if rng.random() < MADE_UP:
            return rng.choice(STARTS) + rng.choice(LINKS) + rng.choice(GIRL_ENDS if pronoun == "she" else BOY_ENDS)
        return rng.choice(GIRLS if pronoun == "she" else BOYS)

    def _put_person(self, key: str, p: Person) -> None:
        rng = self.rng
        words = {
            **PRONOUNS[p.pronoun],
            "kind": p.kind.noun,
            "hand": p.kind.hand,
            "home": self.expand(p.kind.home),
            "looks": p.looks,
        }
        size = rng.choice(SIZES)
        looks = rng.choice((size, p.looks, f"{p.looks} {size}" if p.kind.small else p.looks))
        words["a"] = f"a {looks} {p.kind.noun}"
        words["the"] = f"the {rng.choice((size, p.looks))} {p.kind.noun}"
        words["intro"] = f"{words['a']} {rng.choice(('named', 'called', 'named', 'called', 'by the name of'))} {p.name}"
        self.facts[key] = p.name
        for word, text in words.items():
            self.facts[f"{key}.{word}"] = text
            self.facts[f"{key}.{word[0].upper()}{word[1:]}"] = text[0].upper() + text[1:]

    def thing(self, key: str, ways: tuple[str, ...] | None = None) -> Thing:
        """A thing that nobody in the story has yet; with ways, one that can get away in one of them."""
        used = {v for k, v in self.facts.items() if k.endswith(".noun")}
        fitting = [t for t in THINGS if t.noun not in used and (ways is None or set(ways) & set(t.ways))]
        thing = self.rng.choice(fitting)
        look = self.rng.choice(thing.looks)
        self.facts |= {
            key: thing.noun,
            f"{key}.noun": thing.noun,
            f"{key}.look": look,
            f"{key}.a": f"a {look} {thing.noun}",
            f"{key}.the": f"the {look} {thing.noun}",
            f"{key}.The": f"The {look} {thing.noun}",
            f"{key}.A": f"A {look} {thing.noun}",
        }
        self.put(f"{key}.use", thing.use)
        return thing

    def _put_place(self) -> None:
        p = self.place
        self.facts["p.here"] = p.here
        spots = self.rng.sample(p.spots, 2)
        self.put("p.at", p.at)
        self.facts["p.At"] = self.facts["p.at"][0].upper() + self.facts["p.at"][1:]
        for key, options in (("p.house", p.house), ("p.tall", p.tall), ("p.water", p.water), ("p.man", p.people)):
            self.facts[key] = self.rng.choice(options)
        self.facts |= {"p.spot": spots[0], "p.spot2": spots[1]}

    # Text.

    def expand(self, text: str) -> str:
        """Draws one of each [a|b|c], innermost first, and looks up each {fact}."""
        while "[" in text:
            text = _CHOICE.sub(lambda m: self.rng.choice(m[1].split("|")), text, count=1)
        while "{" in text:
            text = _FACT.sub(lambda m: self._fact(m[1]), text)
            while "[" in text:
                text = _CHOICE.sub(lambda m: self.rng.choice(m[1].split("|")), text, count=1)
        return text

    def _fact(self, key: str) -> str:
        if key == "both":
            return " and ".join(self.rng.sample((self.facts["h"], self.facts["f"]), 2))
        return self.facts[key]

    def say(self, *variants: str) -> None:
        """One of the variants, but none that was said before, if there is another."""
        fresh = [v for v in variants if v not in self._said] or list(variants)
        chosen = self.rng.choice(fresh)
        self._said.add(chosen)
        if len(self.paragraphs) == 1 or not self.dressed:
            self._tell(self._named(chosen))
            return
        people = {key for key in "hfg" if key in self.facts}
        self.facts["small"] = self.expand(f"[{SMALL}]")
        question = _QUESTION.search(self.paragraphs[-1][-1]) if self.paragraphs[-1] else None
        asked = {key for key in people if question and self.facts[key] not in question[0]}
        self._tell(dress(self._named(chosen), self.rng, people, asked, leads=bool(self.paragraphs[-1])))
        if self._remarks and self.rng.random() < REMARKS_SHARE:
            self._tell(self._remarks.pop())

    def _named(self, template: str) -> str:
        """The template with a name in place of a pronoun that begins it, where the name is not in it anyway."""
        key = template[1:2]
        if template.startswith(f"{{{key}.He}}") and f"{{{key}}}" not in template:
            return template.replace(f"{{{key}.He}}", f"{{{key}}}", 1)
        return template

    def _tell(self, template: str) -> None:
        text = _ARTICLE.sub(r"\1n ", self.expand(template))
        self.paragraphs[-1].append(_capitals(text))

    def maybe(self, chance: float, *variants: str) -> None:
        """say(), sometimes."""
        if self.rng.random() < chance:
            self.say(*variants)

    def either(self, *beats: Callable[[], None]) -> None:
        """One of the beats."""
        self.rng.choice(beats)()

    def paragraph(self) -> None:
        """What is said from now on stands in a paragraph of its own."""
        if self.paragraphs[-1]:
            self.paragraphs.append([])

    def text(self) -> str:
        """All of it; paragraphs are parted by a line's end."""
        return "\n".join(" ".join(p) for p in self.paragraphs if p)


def _capitals(text: str) -> str:
    """The first letter, and each after the end of a sentence, as a capital; a quotation's too."""
    text = re.sub(r'^("?)([a-z])', lambda m: m[1] + m[2].upper(), text)
    return re.sub(r'([.!?]"? "?)([a-z])', _after_stop, text)


def _after_stop(m: re.Match[str]) -> str:
    # '"Help!" said Ben': what follows a quotation that asks or cries goes on in small letters.
    goes_on = m[1].endswith('" ') and m[1][0] in "!?"
    return m[0] if goes_on else m[1] + m[2].upper()
