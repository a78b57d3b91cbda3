#!/usr/bin/env python3
"""Makes children's stories out of a grammar, to train a small language model on.

A story is drawn in two steps: first what is true in it (who, where, what is wanted, what is in the way, who can help),
then the sentences, which only ever look facts up. So names, things, places and pronouns stay the same to the end.
The same seed makes the same corpus; no two stories of it are alike.

    python corpus.py --out build/stories --megabytes 32

writes train.txt and held_out.txt, one story a block, blocks parted by an empty line. A story is held out by its plot
and its hero's name: such a pair is in one of the files only.
"""

import argparse
import hashlib
import itertools
import math
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

from plots import PLOTS, SEASON_OF
from story import Story

HELD_OUT = 25  # one in so many pairs of plot and name
COMPARED = 500  # stories of a corpus that are told again to see where it comes from
LONGEST = 10_000  # characters; no story has as many


@dataclass(frozen=True)
class Told:
    """A story and what it is known by."""

    plot: str
    hero: str
    text: str

    @property
    def held_out(self) -> bool:
        """Whether its pair of plot and hero's name is kept from training."""
        digest = hashlib.sha256(f"{self.plot} {self.hero}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % HELD_OUT == 0


def tell(rng: random.Random) -> Told:
    """A story, drawn at random."""
    plot = rng.choice(PLOTS)
    story = Story(rng, SEASON_OF.get(plot))
    plot(story)
    return Told(plot.__name__, story.hero.name, story.text())


def stories(seed: int) -> Iterator[Told]:
    """Endless stories, no two of the same text."""
    rng = random.Random(seed)
    seen: set[bytes] = set()
    while True:
        told = tell(rng)
        digest = hashlib.blake2b(told.text.encode(), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield told


def words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def ensure(out: Path, megabytes: float, seed: int) -> None:
    """Writes the corpus where none is. SystemExit where the one that is there is not what would be written: its first
    stories are told again, and its size must be right.
    """
    path = out / "train.txt"
    if not path.exists():
        write(out, megabytes, seed)
        return
    size = path.stat().st_size
    if not megabytes * 1e6 <= size < megabytes * 1e6 + LONGEST:
        raise SystemExit(f"{path}: {size:,} bytes; expected {megabytes} MB; name another --data, or remove it")
    first = itertools.islice((told.text for told in stories(seed) if not told.held_out), COMPARED)
    with path.open(encoding="utf-8") as file:
        for n, text in enumerate(first, 1):
            expected = text + "\n\n"
            found = file.read(len(expected))
            if found and found != expected:
                raise SystemExit(
                    f"{path}: story {n} is not that of seed {seed} and this grammar; name another --data, or remove it"
                )


def read(path: Path) -> list[str]:
    """The stories of a file that write() has written."""
    return [story for story in path.read_text(encoding="utf-8").split("\n\n") if story]


def write(out: Path, megabytes: float, seed: int) -> dict[str, int]:
    """Writes train.txt of about so many megabytes, and held_out.txt beside it; gives the number of stories of each."""
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / f"{name}.txt" for name in ("train", "held_out")}
    files = {name: path.with_suffix(".part").open("w", encoding="utf-8") for name, path in paths.items()}
    counts = dict.fromkeys(paths, 0)
    left = int(megabytes * 1e6)
    with tqdm(total=left, unit="B", unit_scale=True, desc="corpus", disable=None) as bar:
        for told in stories(seed):
            name = "held_out" if told.held_out else "train"
            size = files[name].write(told.text + "\n\n")
            counts[name] += 1
            if name == "train":
                left -= size
                bar.update(size)
                if left <= 0:
                    break
    for name, file in files.items():
        file.close()
        paths[name].with_suffix(".part").replace(paths[name])
    return counts


def more_than_0(text: str) -> float:
    """An option's number."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return number


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Makes a corpus of children's stories.", epilog="example: python corpus.py --out build/stories"
    )
    parser.add_argument("--out", type=Path, default=Path("build/stories"), help="folder to write to (%(default)s)")
    parser.add_argument("--megabytes", type=more_than_0, default=32, help="size of train.txt (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another corpus (%(default)s)")
    parser.add_argument("--show", type=int, metavar="N", help="print N stories instead, and write nothing")
    options = parser.parse_args()
    if options.show is not None:
        source = stories(options.seed)
        for _ in range(options.show):
            told = next(source)
            print(f"-- {told.plot}, {told.hero}\n{told.text}\n")
        return
    counts = write(options.out, options.megabytes, options.seed)
    print(f"{options.out}: {counts['train']:,} stories to train on, {counts['held_out']:,} held out")


if __name__ == "__main__":
    main()
