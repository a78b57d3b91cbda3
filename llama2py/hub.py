"""Checkpoints of the Hugging Face Hub by their names: those in its cache, or pulled into it by huggingface_hub.

A name is OWNER/NAME, and /FILE or /FOLDER behind it for one of those in there; @REVISION may stand after NAME. What
that library heeds is heeded: HF_HOME, HF_TOKEN, HF_HUB_OFFLINE, HF_ENDPOINT. All that can fail is a Llama2Error.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from typing import Any

from llama2py._terminal import plain, size
from llama2py.errors import HubError, HubMissingError, InvalidArgumentError, Llama2Error, PackageMissingError

__all__ = ["PREFIX", "SHORT_NAMES", "Pulled", "find", "locate", "pull"]

PREFIX = "hf:"
_TINY = "karpathy/tinyllamas"  # where the README of karpathy/llama2.c has them
SHORT_NAMES = {f"stories{n}": f"{_TINY}/stories{n}.bin" for n in ("15M", "42M", "110M")}

_CONFIG, _PARAMS, _TOKENIZER_BIN = "config.json", "params.json", "tokenizer.bin"
_BESIDE = {
    *(_CONFIG, "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"),
}
_WEIGHTS = (("model", ".safetensors"), ("pytorch_model", ".bin"))  # the better ones first
_PATTERN = set("*?[")
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.\w+)", re.DOTALL)
_SHARD = re.compile(r"consolidated\.\d+\.pth")


@dataclass(frozen=True)
class Pulled:
    """What lies in the cache.

    path: the file or folder to give to Llama or to any command.
    single: whether that is one model; where a pattern took several files, it is the folder that they are in.
    repo, revision: where it is from; the commit.
    files: what was asked for of it. bytes: their size.
    notes: what to know of it, a line each.
    """

    path: str
    single: bool
    repo: str
    revision: str
    files: list[str]
    bytes: int
    notes: list[str]


@dataclass(frozen=True)
class _Asked:
    repo: str
    file: str
    revision: str | None
    include: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.repo}/{self.file}" if self.file else self.repo


@dataclass(frozen=True)
class _Choice:
    """files: in the order in which they are pulled: the last says that all are there.

    path: what is to be opened of them; None: there are several.
    missing: parts that should be there.
    named: whether it is what was named, whatever else there may be: not the only one, nor the only one like a pattern.
    """

    files: list[str]
    path: str | None
    missing: list[str] = field(default_factory=list)
    named: bool = False


def pull(name: str, *, include: str | Sequence[str] = (), revision: str | None = None) -> Pulled:
    """Has what a name stands for in the cache, and says where. What is there already is not downloaded again.

    name: OWNER/NAME, OWNER/NAME/FILE, or one of SHORT_NAMES. Of a repository a folder's configuration, tokenizer and
        weights are taken (safetensors before torch's files), or else its only GGUF or .bin file.
    include: patterns such as "*Q4_K_M*", in either case; files of which one matches are taken instead.
    revision: a branch, tag or commit; None takes what the name says, or main.

    A download that breaks off goes on where it was (huggingface_hub 2.4 does so, 1.0 when it is called again). A file
    appears under its name when it is whole.
    Without a network, what is in the cache is given, if it is all there.
    """
    return _had(_library(), _parse(name, include, revision), one=False)


def _had(hub: Any, asked: _Asked, one: bool) -> Pulled:
    """one: whether it must be one model, and known to be the only one that is meant."""
    try:
        with _quiet(hub):
            info = hub.HfApi().model_info(asked.repo, revision=asked.revision, files_metadata=True)
            sizes = {entry.rfilename: entry.size or 0 for entry in info.siblings or ()}
            choice = _choose(sorted(sizes), asked)
            if one and choice.path is None:
                raise InvalidArgumentError(f"{asked.repo}: several files: {_listed(choice.files)}; expected one model")
            if choice.missing:
                raise HubMissingError(f"{asked.name}: parts are not there: {_listed(choice.missing)}")
            _check_room(hub, asked, info.sha, {file: sizes[file] for file in choice.files})
            for files in (choice.files[:-1], choice.files[-1:]):
                if files:
                    options = {"revision": asked.revision, "allow_patterns": [escape(file) for file in files]}
                    folder = hub.snapshot_download(asked.repo, **options, tqdm_class=_bar(hub))
    except Llama2Error:
        raise
    except Exception as error:
        found = _cached(hub, asked) if _is_out_of_reach(hub, error) else None
        if found is None:
            raise _failure(hub, asked, error) from None
        _, choice = found
        if one and not choice.named:
            raise HubError(
                f"{asked.name}: the cache has {_listed(choice.files)}, but the Hub, which may have others that are "
                "meant too, was not asked, or not reached; name the file"
            ) from None
        note = f"{asked.name}: the Hub was not asked, or not reached; this is what the cache has of it"
        return _pulled(asked, *found, [note])
    notes = []
    if choice.path and choice.path.endswith(".bin") and not any(f.endswith(_TOKENIZER_BIN) for f in choice.files):
        notes.append(
            f"{asked.repo} has no {_TOKENIZER_BIN} beside it; the one of stories15M, 42M and 110M is "
            "https://github.com/karpathy/llama2.c/raw/master/tokenizer.bin, to be named with -z"
        )
    return _pulled(asked, folder, choice, notes)


def find(repo: str, filename: str | None = None, revision: str | None = None) -> str:
    """The path of one checkpoint: what is in the cache, or else what is pulled. filename: a file, or a pattern.

    The cache may have one of several, so where the only file is meant, or the only one like a pattern, the Hub is asked
    for what there is. Where it cannot be, that is an error which tells what the cache has.
    """
    include = () if filename is None else filename
    if filename is not None and not _PATTERN & set(filename):
        repo, include = f"{repo}/{filename}", ()
    asked = _parse(repo, include, revision)
    hub = _library()
    with suppress(InvalidArgumentError):  # of several files in the cache; there may be a folder on the Hub
        there = _cached(hub, asked)
        if there is not None and there[1].named:
            return _pulled(asked, *there, []).path
    return _had(hub, asked, one=True).path


def locate(name: str) -> str:
    """What hf:NAME stands for."""
    return find(name)


# Names.


def _parse(name: str, include: str | Sequence[str], revision: str | None) -> _Asked:
    plain_name = name.removeprefix(PREFIX).removeprefix("//").rstrip("/")
    owner, _, rest = SHORT_NAMES.get(plain_name, plain_name).partition("/")
    model, _, file = rest.partition("/")
    model, _, said = model.partition("@")
    if not owner or not model or (said and revision is not None):
        short = ", ".join(SHORT_NAMES)
        raise InvalidArgumentError(
            f"{plain(name)}: not the name of a checkpoint on the Hub; expected OWNER/NAME, OWNER/NAME/FILE or one of "
            f"{short}, with one revision at most"
        )
    patterns = (include,) if isinstance(include, str) else tuple(include)
    if file and patterns:
        raise InvalidArgumentError(f"{plain(name)}: names a file, and patterns say another; expected one of the two")
    if _PATTERN & set(file):
        patterns, file = (file,), ""
    return _Asked(f"{owner}/{model}", file, revision or said or None, patterns)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(plain(name) for name in names[:8]) or "nothing") + more


# Which files.


def _choose(there: list[str], asked: _Asked) -> _Choice:
    """What of these files is meant. Refuses to guess between several."""
    if asked.include:
        matching = [file for file in there if any(_matches(file, pattern) for pattern in asked.include)]
        if not matching:
            wanted = " or ".join(plain(pattern) for pattern in asked.include)
            raise HubMissingError(f"{asked.repo}: no file is like {wanted}; there are {_listed(there)}")
        return _choose_included(matching, there)
    if asked.file in there:
        return replace(_whole(asked.file, there), named=True)
    folder = f"{asked.file}/" if asked.file else ""
    here = [file.removeprefix(folder) for file in there if file.startswith(folder)]
    here = [file for file in here if "/" not in file]
    if folder and not here:
        raise HubMissingError(f"{asked.repo}: no file or folder {plain(asked.file)}; there are {_listed(there)}")
    choice = _choose_folder(here) or _choose_file(here, asked)
    return _Choice(
        [folder + file for file in choice.files],
        None if choice.path is None else (folder + choice.path).rstrip("/"),
        [folder + file for file in choice.missing],
        choice.named,
    )


def _matches(file: str, pattern: str) -> bool:
    return fnmatchcase(file.lower(), pattern.lower())


def _choose_included(matching: list[str], there: list[str]) -> _Choice:
    if _CONFIG in matching or _PARAMS in matching:
        return _Choice(sorted(matching, key=lambda file: file in (_CONFIG, _PARAMS)), "")
    models = [file for file in matching if os.path.basename(file) != _TOKENIZER_BIN]
    if len(_first_parts(models)) == 1:
        whole = _whole(models[0], there)
        return replace(whole, files=[*sorted(set(matching) - set(whole.files)), *whole.files])
    return _Choice(matching, None)


def _whole(file: str, there: Sequence[str]) -> _Choice:
    """A file: with all parts if it is one of several, and a file of llama2.c's with the tokenizer beside it."""
    match = _PART.fullmatch(file)
    if match is None:
        beside = file[: file.rfind("/") + 1] + _TOKENIZER_BIN
        return _Choice([beside, file] if beside in there and not file.endswith(".gguf") else [file], file)
    parts = [f"{match[1]}-{n + 1:05}-of-{match[3]}{match[4]}" for n in range(int(match[3]))]
    have = [part for part in parts if part in there]
    return _Choice(have, parts[0], [part for part in parts if part not in there])


def _first_parts(files: Sequence[str]) -> list[str]:
    """Each model once."""
    return list(dict.fromkeys(_PART.sub(r"\1-00001-of-\3\4", file) for file in files))


def _choose_folder(here: list[str]) -> _Choice | None:
    """A folder of Hugging Face's, or else of Meta's."""
    beside = [file for file in here if file in _BESIDE and file != _CONFIG]
    if _CONFIG in here:
        for stem, ending in _WEIGHTS:
            index = f"{stem}{ending}.index.json"
            parts = [file for file in here if re.fullmatch(rf"{stem}-\d{{5}}-of-\d{{5}}{ending}", file)]
            if f"{stem}{ending}" in here:
                return _Choice([*beside, f"{stem}{ending}", _CONFIG], "", named=True)
            if index in here and parts:
                return _Choice([*beside, index, *parts, _CONFIG], "", _whole(parts[0], here).missing, named=True)
    shards = [file for file in here if _SHARD.fullmatch(file)]
    if _PARAMS in here and shards:
        return _Choice([*({"tokenizer.model"} & set(here)), *shards, _PARAMS], "", named=True)
    return None


def _choose_file(here: list[str], asked: _Asked) -> _Choice:
    for ending in (".gguf", ".bin"):
        models = [file for file in here if file.endswith(ending) and file != _TOKENIZER_BIN]
        found = _first_parts(models)
        if len(found) > 1:
            raise InvalidArgumentError(f"{asked.name}: several models: {_listed(found)}; name one, or a pattern")
        if found:
            return _whole(models[0], here)
    raise HubMissingError(
        f"{asked.name}: no checkpoint that can be read, but {_listed(here)}; expected {_CONFIG} or {_PARAMS} with "
        "weights, or a GGUF or llama2.c file"
    )


# The cache.


def _cached(hub: Any, asked: _Asked) -> tuple[str, _Choice] | None:
    """The folder in the cache and what is meant of it, if it is all there. Refuses to guess, as _choose() does."""
    try:
        with _quiet(hub):
            options = {"local_files_only": True, "allow_patterns": []}
            folder = hub.snapshot_download(asked.repo, revision=asked.revision, **options)
    except (OSError, ValueError):
        return None
    there = [
        os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder) for name in names
    ]
    try:
        choice = _choose(sorted(there), asked)
    except HubMissingError:
        return None
    return None if choice.missing else (folder, choice)


def _pulled(asked: _Asked, folder: str, choice: _Choice, notes: list[str]) -> Pulled:
    paths = [os.path.join(folder, file) for file in choice.files]
    for file, path in zip(choice.files, paths, strict=True):
        if not os.path.exists(path):
            raise HubError(f"{asked.repo}: {plain(file)} was pulled, but is not in {folder}; try again")
    return Pulled(
        path=os.path.join(folder, choice.path) if choice.path else folder,
        single=choice.path is not None,
        repo=asked.repo,
        revision=os.path.basename(folder),
        files=choice.files,
        bytes=sum(os.stat(path).st_size for path in paths),
        notes=notes,
    )


def _check_room(hub: Any, asked: _Asked, commit: str, sizes: dict[str, int]) -> None:
    place = cache = hub.constants.HF_HUB_CACHE
    while not os.path.exists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    needed = sum(
        n
        for file, n in sizes.items()
        if not isinstance(hub.try_to_load_from_cache(asked.repo, file, revision=commit), str)
    )
    free = shutil.disk_usage(place).free
    if needed > free:
        error = HubError(
            f"{asked.name}: {size(needed)} to pull, but {size(free)} are free at {cache}; make room, or set HF_HOME to "
            "a place on another disk"
        )
        error.errno = errno.ENOSPC
        raise error


# The library.


def _library() -> Any:
    try:
        import huggingface_hub  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
        import huggingface_hub.utils  # noqa: PLC0415
    except ImportError:
        raise PackageMissingError("the Hub is reached by huggingface_hub; pip install 'llama2py[hub]'") from None
    return huggingface_hub


def _bar(hub: Any) -> Any:
    """Its bar on a terminal, and none in a pipe."""
    if sys.stderr is not None and sys.stderr.isatty():
        return hub.utils.tqdm

    class Nothing(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

    return Nothing


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """What goes wrong is told once, by what is raised."""
    logging = hub.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _is_out_of_reach(hub: Any, error: BaseException) -> bool:
    """Whether it was not asked, or gave no answer: what the libraries below raise passes through."""
    errors = hub.errors
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return True
    below = type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests", "urllib3")
    return below and not isinstance(error, errors.HfHubHTTPError)


def _failure(hub: Any, asked: _Asked, error: Exception) -> Llama2Error:
    """What the library raised, as one line."""
    errors = hub.errors
    site = hub.constants.ENDPOINT
    said = plain(str(error).strip().partition("\n")[0]) or type(error).__name__
    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{asked.repo}: is gated: ask for it at {site}/{asked.repo}, and set HF_TOKEN to a token of who may read it"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubMissingError(
            f"{asked.repo}: no such repository at {site}, or a private one, which needs HF_TOKEN; check the name"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubMissingError(f"{asked.repo}: no revision {plain(asked.revision or 'main')}; name another one")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return HubError(f"{asked.repo}: {site} refuses the token (status {status}); set HF_TOKEN to a valid one")
        return HubError(f"{asked.repo}: {site} answers with status {status}; try again later")
    if isinstance(error, errors.HFValidationError):
        return InvalidArgumentError(f"{plain(asked.repo)}: {said}")
    if isinstance(error, errors.OfflineModeIsEnabled):
        cache = hub.constants.HF_HUB_CACHE
        return HubError(f"{asked.name}: not in the cache, {cache}, and HF_HUB_OFFLINE is set; unset it, or pull before")
    if _is_out_of_reach(hub, error):
        return HubError(f"{asked.repo}: cannot reach {site}: {said}; check the network and try again")
    failure = HubError(f"{asked.repo}: cannot pull: {said}")
    failure.errno = error.errno if isinstance(error, OSError) else None
    return failure
