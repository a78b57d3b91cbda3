#!/usr/bin/env python3
"""Measures whether the story model's stories hold together, and prints what the model's card says.

    python judge.py --data build/stories

lets the model tell 200 stories from nothing and asks of each: does it end by itself, does it keep to its hero, does
it keep to the corpus's words, and is it more than a patchwork of the corpus? The corpus is made anew where it is
missing, and what is held out from training goes through the same tests beside it. A model that was trained on more than
this corpus is compared with all of it: --also names the other folders. Exits with 1 if a measure is short of what is
demanded.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import corpus
from lexicon import BOYS, CHILDREN, GIRLS, KINDS

import llama2py

RUN = 24  # words: a story that shares a longer run with the training text is counted
FRAME = 2  # sentences at either end of a story that may be like others'
DEMANDED = {"ended": 0.95, "hero": 0.90, "words": 0.99, "shared": 0.02}  # at least; shared: less than

_INTRODUCED = re.compile(
    rf"\b(?:{'|'.join(kind.noun for kind in (*KINDS, *CHILDREN))}) (?:named|called|by the name of) ([A-Z][a-z]+)\b"
)
_STARTS_WITH_NAME = re.compile(r"^(?:One [a-z]+,? )?(?!There)([A-Z][a-z]+)(?: was|, an?) ")
_CAPITAL_INSIDE = re.compile(r"(?<![.!?\"\n] )(?<![\"\n])(?<!^)\b[A-Z][a-z]+\b")
_NOT_NAMES = set(
    """I Monday Tuesday Wednesday Thursday Friday Saturday Sunday Sundays January February March April May June July
    August September October November December Easter Great""".split()
)


def introduced(text: str) -> list[str]:
    """The names that a story gives to somebody, in their order."""
    names = _INTRODUCED.findall(text)
    first = _STARTS_WITH_NAME.match(text)
    return [first[1], *names] if first else names


def plain_words(training: Sequence[str]) -> set[str]:
    """The words of a text that are nobody's name in it, in small letters."""
    names = {name.lower() for text in training for name in introduced(text)}
    return {word for text in training for word in corpus.words(text)} - names


def heroes(text: str, plain: Collection[str] = ()) -> tuple[str | None, bool]:
    """The name that is introduced first, and whether it stays the hero's: it is told of to the end, each other name is
    introduced too, and no name is given to two. plain: words that are no names; what else has a capital at the start of
    a sentence is then taken for a name, as it is inside of one.
    """
    names = introduced(text)
    if not names:
        return None, False
    hero = names[0]
    known = set(GIRLS) | set(BOYS)
    used = set(_CAPITAL_INSIDE.findall(text))
    used |= {w for w in re.findall(r"[A-Z][a-z]+", text) if w in known or (plain and w.lower() not in plain)}
    used -= _NOT_NAMES
    end = text[2 * len(text) // 3 :]
    return hero, len(set(names)) == len(names) and used <= set(names) and re.search(rf"\b{hero}\b", end) is not None


def middle(text: str) -> str:
    """The story without its first and last sentences."""
    sentences = re.split(r'(?<=[.!?])"?\s+', text)
    return " ".join(sentences[FRAME:-FRAME])


def runs(texts: Sequence[str], numbers: dict[str, int]) -> npt.NDArray[np.uint64]:
    """A hash of each run of RUN words; runs over the ends of texts are like no other. numbers: of words, added to."""
    ids: list[int] = []
    for text in texts:
        ids += [numbers.setdefault(word, len(numbers) + 1) for word in corpus.words(text)]
        ids.append(-len(ids) - 1)
    values = np.array(ids, np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(29)
    found = np.zeros(max(0, len(values) - RUN + 1), np.uint64)
    for i in range(RUN):
        found = found * np.uint64(0xBF58476D1CE4E5B9) + values[i : i + len(found)]
    return found


@dataclass(frozen=True)
class Verdict:
    """Shares of the stories (words: of all their words), and what was read."""

    stories: int
    words_each: float
    ended: float
    hero: float
    words: float
    shared: float

    @property
    def short(self) -> list[str]:
        """The measures that are short of what is demanded."""
        return [
            name
            for name, bound in DEMANDED.items()
            if (getattr(self, name) >= bound if name == "shared" else getattr(self, name) < bound)
        ]


class Judge:
    """Knows the training text."""

    def __init__(self, training: Sequence[str]):
        self._numbers: dict[str, int] = {}
        self._runs = np.unique(runs(training, self._numbers))
        self._vocabulary = set(self._numbers)
        self._plain = plain_words(training)

    def shares_a_run(self, text: str) -> bool:
        """Whether RUN words in a row stand in the training text too, the ends of the story left out."""
        found = runs([middle(text)], self._numbers)
        at = np.minimum(np.searchsorted(self._runs, found), len(self._runs) - 1)
        return bool((self._runs[at] == found).any())

    def unknown(self, text: str) -> list[str]:
        """The words that the training text has not."""
        return [word for word in corpus.words(text) if word not in self._vocabulary]

    def judge(self, texts: Sequence[str], ended: Sequence[bool]) -> Verdict:
        """What is to be said of these stories."""
        n, words = len(texts), sum(len(corpus.words(text)) for text in texts)
        return Verdict(
            stories=n,
            words_each=words / n,
            ended=sum(ended) / n,
            hero=sum(heroes(text, self._plain)[1] for text in texts) / n,
            words=1 - sum(len(self.unknown(text)) for text in texts) / words,
            shared=sum(self.shares_a_run(text) for text in texts) / n,
        )


def sample(llama: llama2py.Llama, n: int, seed: int, temperature: float, top_p: float) -> tuple[list[str], list[bool]]:
    """n stories from nothing, and whether each ended by itself."""
    texts, ended = [], []
    for i in tqdm(range(n), desc="telling", unit="story", disable=None):
        told = llama.generate(temperature=temperature, top_p=top_p, seed=seed + i)
        texts.append(told.text.strip())
        ended.append(told.finish_reason == "stop")
    return texts, ended


def foretold(llama: llama2py.Llama, texts: Sequence[str]) -> tuple[float, float]:
    """Perplexity a token and a word, each text that the context holds from the start to its end token."""
    loss, tokens, words = 0.0, 0, 0
    for text in tqdm(texts, desc="reading", unit="story", disable=None):
        ids = llama.tokenize(text, eos=True)
        if len(ids) > llama.context:
            continue
        scores = llama.score(ids)
        loss -= float(scores.sum())
        tokens += scores.size
        words += len(corpus.words(text))
    return math.exp(loss / tokens), math.exp(loss / words)


def count(text: str) -> int:
    """An option's number of stories."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 story or more")
    return number


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Measures the story model.", epilog="example: python judge.py --model models/stories.gguf"
    )
    parser.add_argument("--model", help="a checkpoint (the model in the box)")
    parser.add_argument("--data", type=Path, default=Path("build/stories"), help="folder of the corpus (%(default)s)")
    parser.add_argument(
        "--also", type=Path, action="append", default=[], help="folder of another corpus that the model has seen"
    )
    parser.add_argument(
        "--megabytes",
        type=corpus.more_than_0,
        default=32,
        help="size of the corpus (%(default)s)",
    )
    parser.add_argument("--stories", type=count, default=200, metavar="N", help="how many are told (%(default)s)")
    parser.add_argument("--temperature", type=float, default=0.8, help="(%(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first story (%(default)s)")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print the first N of the stories too")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    corpus.ensure(options.data, options.megabytes, 1)
    seen = [folder / "train.txt" for folder in (options.data, *options.also)]
    for path in seen:
        if not path.is_file():
            parser.exit(1, f"judge: {path}: not there; expected a corpus that corpus.py has written\n")
    held_out = corpus.read(options.data / "held_out.txt")
    if not held_out:
        parser.exit(1, f"judge: {options.data}: no story is held out; more --megabytes make some\n")
    try:
        with llama2py.Llama(options.model) as llama:
            texts, ended = sample(llama, options.stories, options.seed, options.temperature, options.top_p)
            token, word = foretold(llama, held_out)
            name = str(options.model or llama2py.model_in_the_box())
    except llama2py.Llama2Error as error:
        parser.exit(1, f"judge: {error}\n")
    judge = Judge([text for path in seen for text in corpus.read(path)])
    verdict, control = judge.judge(texts, ended), judge.judge(held_out, [True] * len(held_out))
    if options.json:
        found = {
            "model": name,
            "told": asdict(verdict),
            "held_out": asdict(control),
            "perplexity": token,
            "word_perplexity": word,
        }
        print(json.dumps(found))
        return 1 if verdict.short else 0
    for text in texts[: options.show]:
        print(f"{text}\n")
    heading = f"of {verdict.stories:,} stories that the model tells"
    print(f"| {heading:<42} | demanded | measured | held-out text |")
    print("|---|---:|---:|---:|")
    for key, what, sign in (
        ("ended", "end by themselves", "≥"),
        ("hero", "keep to the hero's name", "≥"),
        ("words", "words that the training text has", "≥"),
        ("shared", f"share a run of {RUN} words with it", "<"),
    ):
        bound, found, of_control = DEMANDED[key], getattr(verdict, key), getattr(control, key)
        print(f"| {what:<42} | {sign} {bound:.0%} | {found:.1%} | {of_control:.1%} |")
    print(f"\nheld-out perplexity: {token:.3f} a token, {word:.2f} a word; words a story: {verdict.words_each:.0f}")
    if verdict.short:
        print(f"short of what is demanded: {', '.join(verdict.short)}")
    return 1 if verdict.short else 0


if __name__ == "__main__":
    sys.exit(main())
