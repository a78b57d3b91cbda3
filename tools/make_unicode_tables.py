"""Writes what csrc/text knows of Unicode: unicode_tables.h, the classes of characters, and normal_tables.h, which
normalisation form C (Unicode Standard Annex 15) is made of.

The version of Unicode is fixed, so that every Python writes the same files: the one that Python carries is used where
it is that version, else the package unicodedata2.

    python tools/make_unicode_tables.py
"""

from __future__ import annotations

import importlib
import itertools
import textwrap
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

VERSION = "16.0.0"
FOLDER = Path(__file__).resolve().parent.parent / "csrc" / "text"
CLASSES = {"L": "letter", "N": "number", "P": "punctuation", "Z": "space"}
CONTROL_SPACES = (*range(0x9, 0xE), 0x85)  # White_Space beyond the separators
ORDER = ("other", "letter", "number", "punctuation", "space")
WORD_CATEGORIES = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc")
JOINERS = (0x200C, 0x200D)
SHAPES = (
    (0x24B6, 0x24EA),
    (0x1F130, 0x1F14A),
    (0x1F150, 0x1F16A),
    (0x1F170, 0x1F18A),
)  # letters in circles and the like
HANGUL = range(0xAC00, 0xAC00 + 11172)

HEADER = """\
/* text/{name}: {what} in Unicode {version}; written by tools/make_unicode_tables.py.
 *
 * {note} */
#ifndef TEXT_{guard}_H
#define TEXT_{guard}_H

#include <stdint.h>

/* clang-format off */
{tables}
/* clang-format on */

#endif
"""


def database() -> Any:
    """The module that knows this version of Unicode."""
    found = unicodedata if unicodedata.unidata_version == VERSION else importlib.import_module("unicodedata2")
    if found.unidata_version != VERSION:
        advice = f"pip install unicodedata2=={VERSION}"
        raise SystemExit(f"Unicode {found.unidata_version} is what Python has, {VERSION} is needed: {advice}")
    return found


def runs_of(value_of: Callable[[int], int]) -> Iterable[tuple[int, int]]:
    """Where a value changes from one code point to the next, and to what."""
    return ((next(codes), value) for value, codes in itertools.groupby(range(0x110000), value_of))


def stretches() -> list[int]:
    """(code point << 3 | class) wherever the class changes."""
    category = database().category

    def class_of(code: int) -> int:
        name = "space" if code in CONTROL_SPACES else CLASSES.get(category(chr(code))[0], "other")
        return ORDER.index(name)

    return [code << 3 | value for code, value in runs_of(class_of)]


def word_edges() -> list[int]:
    """Where what a regular expression calls \\w begins and ends, in turn, from U+0000 on, which is not of it.

    That is Alphabetic, M, Nd, Pc and Join_Control (Unicode Technical Standard 18); Alphabetic is more than L, M, Nl.
    """
    category = database().category
    others = {*JOINERS, *(code for begin, end in SHAPES for code in range(begin, end))}

    def is_word(code: int) -> bool:
        return category(chr(code)) in WORD_CATEGORIES or code in others

    return [code for code, _ in runs_of(is_word)][1:]


def combining_classes() -> list[int]:
    """(code point << 8 | canonical combining class) wherever that changes."""
    combining = database().combining
    return [code << 8 | value for code, value in runs_of(lambda code: combining(chr(code)))]


def decompositions() -> list[int]:
    """(code point << 42 | first << 21 | second) of each canonical decomposition, by code point; of one code point: 0 as
    the second. Those of Hangul syllables are computed."""
    found = []
    for code in range(0x110000):
        parts = database().decomposition(chr(code))
        if parts and not parts.startswith("<") and code not in HANGUL:
            first, *second = (int(part, 16) for part in parts.split())
            found.append(code << 42 | first << 21 | (second[0] if second else 0))
    return found


def compositions() -> list[int]:
    """The indexes in decompositions() of what is composed again, by first and second."""
    normalize, mask = database().normalize, 2**42 - 1
    pairs = [
        (entry & mask, index)
        for index, entry in enumerate(decompositions())
        if normalize("NFC", chr(entry >> 42)) == chr(entry >> 42)
    ]
    return [index for _, index in sorted(pairs)]


def table(kind: str, name: str, values: list[int]) -> str:
    """An array in C."""
    numbers = ", ".join(f"0x{value:x}" for value in values)
    lines = textwrap.fill(numbers, 118, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
    return f"static const {kind} {name}[] = {{\n{lines}\n}};"


def headers() -> dict[str, str]:
    """The files by their names."""
    classes = [table("uint32_t", "unicode_stretches", stretches()), table("uint32_t", "unicode_words", word_edges())]
    forms = [
        table("uint32_t", "normal_classes", combining_classes()),
        table("uint64_t", "normal_decompositions", decompositions()),
        table("uint16_t", "normal_compositions", compositions()),
    ]
    notes = {
        "unicode_tables": (
            "classes of code points",
            "Each entry begins a stretch that reaches to the next: code point << 3 | class; and what \\w matches,\n"
            " * which begins and ends at every other entry.",
            classes,
        ),
        "normal_tables": (
            "normalisation form C",
            "Classes: code point << 8 | combining class, each to the next. Decompositions: code point << 42 |\n"
            " * first << 21 | second. Compositions: indexes of these, by first and second.",
            forms,
        ),
    }
    return {
        f"{name}.h": HEADER.format(
            name=name, guard=name.upper(), version=VERSION, what=what, note=note, tables="\n\n".join(tables)
        )
        for name, (what, note, tables) in notes.items()
    }


def main() -> None:
    """Writes the files."""
    for name, text in headers().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
