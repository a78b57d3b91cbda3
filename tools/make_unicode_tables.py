"""Writes csrc/text/unicode_tables.h: where each stretch of code points of one class begins.

The version of Unicode is fixed, so that every Python writes the same file: the one that Python carries is used where it
is that version, else the package unicodedata2.

    python tools/make_unicode_tables.py
"""

from __future__ import annotations

import importlib
import itertools
import textwrap
import unicodedata
from pathlib import Path

VERSION = "16.0.0"
TABLE = Path(__file__).resolve().parent.parent / "csrc" / "text" / "unicode_tables.h"
CLASSES = {"L": "letter", "N": "number", "P": "punctuation", "Z": "space"}
CONTROL_SPACES = (*range(0x9, 0xE), 0x85)  # White_Space beyond the separators
ORDER = ("other", "letter", "number", "punctuation", "space")

HEADER = """\
/* text/unicode_tables: classes of code points in Unicode {version}; written by tools/make_unicode_tables.py.
 *
 * Each entry begins a stretch that reaches to the next: code point << 3 | class. */
#ifndef TEXT_UNICODE_TABLES_H
#define TEXT_UNICODE_TABLES_H

#include <stdint.h>

/* clang-format off */
static const uint32_t unicode_stretches[] = {{
{entries}
}};
/* clang-format on */

#endif
"""


def database() -> object:
    """The module that knows this version of Unicode."""
    found = unicodedata if unicodedata.unidata_version == VERSION else importlib.import_module("unicodedata2")
    if found.unidata_version != VERSION:
        advice = f"pip install unicodedata2=={VERSION}"
        raise SystemExit(f"Unicode {found.unidata_version} is what Python has, {VERSION} is needed: {advice}")
    return found


def stretches() -> list[int]:
    """The table: (code point << 3 | class) wherever the class changes."""
    category = database().category  # type: ignore[attr-defined]

    def class_of(code: int) -> int:
        name = "space" if code in CONTROL_SPACES else CLASSES.get(category(chr(code))[0], "other")
        return ORDER.index(name)

    runs = itertools.groupby(range(0x110000), class_of)
    return [next(codes) << 3 | kind for kind, codes in runs]


def main() -> None:
    """Writes the table."""
    entries = textwrap.fill(
        ", ".join(f"0x{entry:x}" for entry in stretches()),
        118,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
    )
    TABLE.write_text(HEADER.format(version=VERSION, entries=entries), encoding="utf-8")


if __name__ == "__main__":
    main()
