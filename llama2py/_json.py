"""JSON objects from files that are not trusted: of a bounded size, with each name once, and with values that are
checked where they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import Repr
from typing import Any

from llama2py._files import Failure, read_bytes
from llama2py.errors import CheckpointError, TokenizerError

__all__ = ["Settings", "parse_object", "read_object", "short"]

_MOST = 64 * 2**20

_repr = Repr()
_repr.maxstring = 160
_repr.maxlevel = 3
short = _repr.repr  # any value of such a file in a message, cut where it is long


def read_object(path: str, failure: Failure = CheckpointError) -> dict[str, Any]:
    """The object that a file holds. failure: what is raised of another file."""
    return parse_object(read_bytes(path, _MOST, failure), path, failure)


def parse_object(data: bytes, where: str, failure: Failure = CheckpointError) -> dict[str, Any]:
    """The object that some bytes are. where: what a complaint begins with."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise failure(f"{where}: not JSON: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise failure(f"{where}: JSON of a {type(value).__name__}, expected an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{short(name)} is there twice")
        found[name] = value
    return found


class Settings:
    """The values of an object, each checked when it is asked for. One that is null is not there.

    failure: what a value that cannot be is told with.
    """

    failure: Failure = CheckpointError

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        """path: what a complaint begins with."""
        self.path = path
        self.values = values

    def get(self, name: str) -> Any:
        """Whatever it is."""
        return self.values.get(name)

    def names(self) -> list[str]:
        """Of those that are there."""
        return [name for name, value in self.values.items() if value is not None]

    def wrong(self, name: str, expected: str) -> CheckpointError | TokenizerError:
        """What to raise of a value that cannot be."""
        return self.failure(f"{self.path}: {name} is {short(self.values.get(name))}, expected {expected}")

    def whole(self, name: str, usual: int | None = None) -> int:
        """A size. usual: where it is not there."""
        value = self.get(name)
        value = usual if value is None else value
        if type(value) is not int or not 1 <= value < 2**31:
            raise self.wrong(name, "a whole number from 1 to 2147483647")
        return value

    def real(self, name: str, usual: float) -> float:
        """A number that is not negative."""
        value = self.get(name)
        value = usual if value is None else value
        if type(value) not in (int, float) or not 0 <= value <= 3e38:
            raise self.wrong(name, "a number from 0 to 3e38")
        return float(value)

    def flag(self, name: str, usual: bool = False) -> bool:
        """True or false. usual: where it is not there."""
        value = self.get(name)
        if value is not None and type(value) is not bool:
            raise self.wrong(name, "true or false")
        return usual if value is None else bool(value)

    def part(self, name: str) -> Settings | None:
        """An object inside."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return type(self)(f"{self.path}: {name}", value)
