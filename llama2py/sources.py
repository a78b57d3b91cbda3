"""What a checkpoint is that the core does not open by itself, and who opens it.

Another kind is an Opener of its own in OPENERS; everything that takes a checkpoint asks here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from llama2py import _meta_folder, _torch, hub, huggingface
from llama2py._core import Source, SourceValue, StrPath
from llama2py._files import names_in
from llama2py._opened import Opened
from llama2py.errors import FileError

__all__ = ["OPENERS", "Opener", "located", "open_checkpoint", "opened", "tokenizer_keys", "tokenizer_source"]


@dataclass(frozen=True)
class Opener:
    """Opens one kind of checkpoints.

    recognises: whether a path is of the kind. opens: reads it, with its tokenizer if that is wanted.
    tokenizer: GGUF's keys of its tokenizer alone, for a model of that many tokens (0: not known), and whether they are
        to be written to a file. Errors: TokenizerError, also where it has none.
    """

    recognises: Callable[[str], bool]
    opens: Callable[[str, bool], Opened]
    tokenizer: Callable[[str, int, bool], dict[str, SourceValue]]


OPENERS = (
    Opener(huggingface.is_folder, huggingface.open_folder, huggingface.tokenizer_keys),
    Opener(_meta_folder.is_folder, _meta_folder.open_folder, _meta_folder.folder_keys),
    Opener(_torch.is_torch, _meta_folder.open_file, _meta_folder.no_keys),
)


def located(path: StrPath) -> StrPath:
    """The path that is meant: hf:NAME stands for a checkpoint of the Hub, unless there is a file of that name."""
    if isinstance(path, str) and path.startswith(hub.PREFIX) and not os.path.lexists(path):
        return hub.locate(path)
    return path


def _opener_of(path: str) -> Opener | None:
    """None: it is a file for the core to open, or to refuse."""
    for opener in OPENERS:
        if opener.recognises(path):
            return opener
    if os.path.isdir(path):
        names_in(path)
        failure = FileError(
            f"{path}: a directory without {huggingface.CONFIG} or {_meta_folder.PARAMS}, "
            "expected a file, or a folder of Hugging Face's or Meta's"
        )
        failure.errno, failure.filename = errno.EISDIR, path
        raise failure
    return None


def open_checkpoint(path: StrPath, tokenizer: bool = True) -> Opened | None:
    """What a checkpoint holds; None: it is a file for the core. path: located() before. tokenizer: whether the one that
    is in it is wanted.
    """
    opener = _opener_of(os.fspath(path))
    return None if opener is None else opener.opens(os.fspath(path), tokenizer)


def opened(path: StrPath) -> StrPath | Source:
    """What the core reads a model from: the path of a file, or what was put together."""
    path = located(path)
    found = open_checkpoint(path, tokenizer=False)
    return path if found is None else found.source()


def tokenizer_keys(path: StrPath, vocab_size: int, written: bool) -> dict[str, SourceValue] | None:
    """GGUF's keys of a tokenizer; None: it is a file for the core. vocab_size: the model's, or 0."""
    named = os.fspath(located(path))
    if named.endswith(".model") and os.path.isfile(named):
        return _meta_folder.tokenizer_keys(named, vocab_size, [], later=True)
    opener = _opener_of(named)
    return None if opener is None else opener.tokenizer(named, vocab_size, written)


def tokenizer_source(path: StrPath, vocab_size: int) -> StrPath | Source:
    """What the core reads a tokenizer from. vocab_size: the model's, or 0."""
    keys = tokenizer_keys(path, vocab_size, written=False)
    if keys is None:
        return path
    source = Source(path)
    for key, value in keys.items():
        source.put(key, value)
    return source
