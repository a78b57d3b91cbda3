"""tokenizer.json of Hugging Face's tokenizers: BPE of bytes or of characters, told in GGUF's terms.

What such a file asks for is recognised part by part: models, normalizers, pre-tokenizers with the exact text of their
expressions, post-processors. A part that is not known is refused by name, since the ids would be others without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llama2py._core import SourceValue
from llama2py._json import Settings, read_object, short
from llama2py._sentencepiece import Kind
from llama2py.errors import TokenizerError

__all__ = ["OWN", "Part", "Vocabulary", "read"]

OWN = "llama2py."  # what begins keys of our own, behind "tokenizer."

_ADDED, _LEFT, _RIGHT, _WORD, _NORMALIZED, _ONLY = 1, 2, 4, 8, 16, 32
_FLAGS = {"lstrip": _LEFT, "rstrip": _RIGHT, "single_word": _WORD, "normalized": _NORMALIZED}
_SPACE = "\u2581"
_LETTERS_MOST = 512  # of a piece that is compared with all its parts

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What cuts text into words before bytes are merged, and GGUF's name of it.
_WORDS: dict[tuple[str, ...], str] = {
    (_GPT2,): "gpt-2",
    (_LLAMA3,): "llama-bpe",
    (_LLAMA3.replace("{1,3}", ""),): "qwen2",
    (r"\p{N}", _GPT2): "smollm",
}


@dataclass
class Vocabulary:
    """What a file says, checked.

    texts, kinds: of the tokens by id; ids that the file leaves out are unused.
    first, last: the ids that its post-processor puts before and behind a text.
    added: flags of text/vocabulary.h, by id.
    """

    path: str
    texts: list[str]
    kinds: list[int]
    merges: list[tuple[str, str]]
    pre: str = ""  # none: merges of characters, with U+2581 for spaces
    unknown: int = -1
    first: int = -1
    last: int = -1
    added: dict[int, int] = field(default_factory=dict)
    normal: bool = False
    whole_words: bool = False
    each_unknown: bool = False
    split_spaces: bool = False
    space: str = ""  # none, "each", "wanting" or "first"

    def keys(self) -> dict[str, SourceValue]:
        """GGUF's keys, without "tokenizer."; and keys of our own, where GGUF has none for what matters."""
        keys: dict[str, SourceValue] = {
            "ggml.model": "gpt2" if self.pre else "llama",
            "ggml.tokens": [text.encode() for text in self.texts],
            "ggml.token_type": np.array(self.kinds, np.int32),
            "ggml.merges": [f"{left} {right}".encode() for left, right in self.merges],
        }
        if self.pre:
            keys["ggml.pre"] = self.pre
        else:
            keys |= {"ggml.add_space_prefix": bool(self.space), f"{OWN}ranked": True}
            keys["ggml.scores"] = np.array(self._scores(), np.float32)
        if self.unknown >= 0:
            keys["ggml.unknown_token_id"] = self.unknown
        return keys | self._own()

    def _own(self) -> dict[str, SourceValue]:
        keys: dict[str, SourceValue] = {}
        if self.normal:
            keys[f"{OWN}normalizer"] = "nfc"
        if self.whole_words != (self.pre == "llama-bpe"):
            keys[f"{OWN}whole_words"] = self.whole_words
        if self.space in ("wanting", "first"):
            keys[f"{OWN}space_prefix"] = self.space
        if self.split_spaces:
            keys[f"{OWN}split_spaces"] = True
        if self.each_unknown:
            keys[f"{OWN}each_unknown"] = True
        usual = {id: _ADDED for id, kind in enumerate(self.kinds) if kind in (Kind.USER, Kind.CONTROL, Kind.UNKNOWN)}
        told = {id: flags & ~_ONLY for id, flags in self.added.items()} == usual
        spaced = not self.pre and any(_SPACE in self.texts[id] for id in self.added)
        word = self.whole_words and any(self.kinds[id] == Kind.USER for id in self.added)
        if not told or spaced or word:
            flags = np.zeros(len(self.texts), np.int32)
            flags[list(self.added)] = list(self.added.values())
            keys[f"{OWN}added"] = flags
        return keys

    def _made(self) -> list[str]:
        """What each merge makes, for scores.

        Runs of one character whose merges stand among each other are one to scores, as Llama 2's runs of spaces are in
        SentencePiece: either way the leftmost grows first.
        """
        made = [left + right for left, right in self.merges]
        runs = [whole[0] * 2 if whole == whole[0] * len(whole) else whole for whole in made]
        apart = _apart(made)
        mixed = {run for whole, run in zip(made, runs, strict=True) if whole in apart}
        return [run if run in mixed else whole for whole, run in zip(made, runs, strict=True)]

    def _scores(self) -> list[float]:
        """SentencePiece's: a piece is the better the earlier it is made."""
        ranks = {one: i for i, one in enumerate(dict.fromkeys(self._made()))}
        found = {left + right: ranks[one] for (left, right), one in zip(self.merges, self._made(), strict=True)}
        return [-float(found.get(text, 0)) for text in self.texts]

    def _unlike_scores(self) -> str:
        """Why merges by scores would not be those by rank, or "": SentencePiece makes a piece of whatever two pieces
        it is made of, and one piece after another."""
        apart = _apart(self._made())
        if apart:
            return f"merges that make {short(min(apart))} stand apart"
        pieces = {text for text, kind in zip(self.texts, self.kinds, strict=True) if kind == Kind.NORMAL}
        made = set(self.merges)
        for piece in pieces:
            if len(piece) > _LETTERS_MOST:
                return f"a token has {len(piece)} characters"
            for left, right in ((piece[:i], piece[i:]) for i in range(1, len(piece))):
                if left in pieces and right in pieces and (left, right) not in made:
                    return f"{short(left)} and {short(right)} do not merge"
        return ""

    def untold(self) -> list[str]:
        """What GGUF's own keys do not say, so that other programs will not do it."""
        flags = 0
        for value in self.added.values():
            flags |= value
        said = {
            "texts are normalised (NFC)": self.normal,
            "words that are tokens are not merged": self.whole_words and self.pre != "llama-bpe",
            "words that are tokens are merged": not self.whole_words and self.pre == "llama-bpe",
            "a text that begins with a space gets no other": self.space in ("wanting", "first"),
            "text behind a special token gets no space": self.space == "first",
            "each unknown character is a token": self.each_unknown,
            "added tokens take white space or words into account, or are looked for in normalised text": bool(
                flags & ~_ADDED & ~_ONLY
            ),
        }
        return [what for what, asked in said.items() if asked]

    def refusal(self) -> str:
        """What keeps other programs from making the same tokens of a GGUF file at all, if anything does."""
        if self.pre:
            return ""
        return "each space begins a word" if self.split_spaces else self._unlike_scores()


def _apart(names: list[str]) -> set[str]:
    """Those that come again after another has come."""
    begun: set[str] = set()
    apart: set[str] = set()
    before = ""
    for name in names:
        if name != before and name in begun:
            apart.add(name)
        begun.add(name)
        before = name
    return apart


class Part(Settings):
    """An object of a tokenizer's files."""

    failure = TokenizerError

    def __init__(self, path: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise TokenizerError(f"{path} is {short(value)}, expected an object")
        super().__init__(path, value)

    @classmethod
    def read(cls, path: str) -> Part:
        """The whole of a file."""
        return cls(path, read_object(path, cls.failure))

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not _is_text(value):
            raise self.wrong(name, "a text")
        return value

    def list(self, name: str) -> list[Any]:
        value = self.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def kind(self, expected: Iterable[str]) -> str:
        value = self.get("type")
        if value not in tuple(expected):
            raise self.wrong("type", f"{' or '.join(expected)}; others cannot be read yet")
        return str(value)


def _is_text(value: str) -> bool:
    """Whether it has no half of a surrogate pair, as JSON may."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def read(path: str, vocab_size: int) -> Vocabulary:
    """What the file says. vocab_size: of the model; ids that the file leaves out are unused tokens."""
    root = Part.read(path)
    v = _tokens(root, vocab_size)
    _pre_tokenizer(root, v, _normalizer(root, v))
    _model(root, v)
    _post_processor(root, v)
    _decoder(root, v)
    return v


def _parts(root: Part, name: str, inside: str) -> list[Part]:
    """The parts of a sequence, or the only one."""
    value = root.get(name)
    if value is None:
        return []
    part = Part(f"{root.path}: {name}", value)
    if part.get("type") != "Sequence":
        return [part]
    return [Part(f"{part.path} {i}", inner) for i, inner in enumerate(part.list(inside))]


# The model and its tokens.


def _tokens(root: Part, vocab_size: int) -> Vocabulary:
    model = Part(f"{root.path}: model", root.get("model"))
    if model.get("type") is not None or not isinstance(model.get("merges"), list):
        model.kind(["BPE"])
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(name):
            raise model.wrong(name, "none")
    vocab = model.get("vocab")
    if not isinstance(vocab, dict):
        raise model.wrong("vocab", "an object")
    texts: dict[int, str] = {}
    for text, id in vocab.items():
        _put(root, texts, text, id, vocab_size)
    merges = _merges(model, vocab)
    listed = [] if root.get("added_tokens") is None else root.list("added_tokens")
    added = [Part(f"{root.path}: added_tokens {i}", token) for i, token in enumerate(listed)]
    kinds: dict[int, int] = {}
    flags: dict[int, int] = {}
    for token in added:
        text, id = token.text("content"), token.get("id")
        if not text:
            raise token.wrong("content", "a text that is not empty")
        if type(id) is not int or id in flags:
            raise token.wrong("id", "a whole number that no other token has")
        if vocab.get(text, id) != id:
            raise token.wrong("id", f"{vocab[text]}, as the vocabulary has {short(text)}")
        if text not in vocab:
            _put(root, texts, text, id, vocab_size)
        kinds[id] = Kind.CONTROL if token.flag("special") else Kind.USER
        flags[id] = _ADDED + sum(flag for name, flag in _FLAGS.items() if token.flag(name))
        flags[id] += 0 if text in vocab else _ONLY
    if not texts:
        raise TokenizerError(f"{root.path}: holds no tokens")
    repeated = [text for text, n in Counter(texts.values()).items() if n > 1]
    if repeated:
        raise TokenizerError(f"{root.path}: {short(repeated[0])} is the text of two tokens")
    return Vocabulary(
        root.path,
        [texts.get(id, f"[PAD{id}]") for id in range(vocab_size)],
        [kinds.get(id, Kind.NORMAL if id in texts else Kind.UNUSED) for id in range(vocab_size)],
        merges,
        added=flags,
    )


def _put(root: Part, texts: dict[int, str], text: str, id: Any, vocab_size: int) -> None:
    if type(id) is not int or id < 0 or not _is_text(text):
        raise TokenizerError(f"{root.path}: the token {short(text)} has the id {short(id)}, expected a whole number")
    if id >= vocab_size:
        raise TokenizerError(
            f"{root.path}: the token {short(text)} has the id {short(id)}, but the model has {vocab_size}"
        )
    if id in texts:
        raise TokenizerError(f"{root.path}: {short(texts[id])} and {short(text)} have the same id, {id}")
    texts[id] = text


def _merges(model: Part, vocab: dict[str, Any]) -> list[tuple[str, str]]:
    """Written as texts with a space between, or as lists of two. A pair that is there again does not count."""
    found: dict[tuple[str, str], None] = {}
    for i, merge in enumerate(model.list("merges")):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise TokenizerError(f"{model.path}: merge {i} is {short(merge)}, expected two tokens")
        left, right = parts
        for what, text in (("the first", left), ("the second", right), ("what they make", left + right)):
            if text not in vocab:
                raise TokenizerError(f"{model.path}: merge {i} is {short(merge)}, but {what} is not a token")
        if not left or not right or " " in left + right:
            raise TokenizerError(f"{model.path}: merge {i} is {short(merge)}, expected tokens without a space")
        found[left, right] = None
    return list(found)


def _model(root: Part, v: Vocabulary) -> None:
    """How merges go, and what becomes of characters that are not in the vocabulary."""
    model = Part(f"{root.path}: model", root.get("model"))
    ids = model.values["vocab"]
    v.whole_words = model.flag("ignore_merges")
    names = [name for name in (f"<0x{byte:02X}>" for byte in range(256)) if name in ids]
    has_bytes = model.flag("byte_fallback") and bool(names)
    if has_bytes and (v.pre or len(names) < 256):
        raise model.wrong("byte_fallback", f"false where {'bytes are merged' if v.pre else 'not all bytes are tokens'}")
    for name in names if has_bytes else ():
        v.kinds[ids[name]] = Kind.BYTE
    unknown = model.get("unk_token")
    if unknown is not None:
        if not isinstance(unknown, str) or unknown not in ids:
            raise model.wrong("unk_token", "a token of the vocabulary")
        v.unknown = ids[unknown]
        if not v.pre and v.kinds[v.unknown] in (Kind.CONTROL, Kind.NORMAL):
            v.kinds[v.unknown] = Kind.UNKNOWN
    v.each_unknown = not v.pre and not has_bytes and unknown is not None and not model.flag("fuse_unk")
    if not v.pre and _SPACE not in ids:
        raise TokenizerError(f"{model.path}: no token for {_SPACE!r}, which stands for a space")
    # To the core bytes and spaces stand for themselves. What it could not tell apart no text becomes in these files.
    alphabet = {*map(chr, (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144)))}
    for id, (text, kind) in enumerate(zip(v.texts, v.kinds, strict=True)):
        if kind == Kind.NORMAL and not (alphabet.issuperset(text) if v.pre else " " not in text):
            v.kinds[id] = Kind.UNUSED


# What is done to texts.


def _normalizer(root: Part, v: Vocabulary) -> bool:
    """Whether characters are merged, with U+2581 for spaces."""
    replaces = False
    for part in _parts(root, "normalizer", "normalizers"):
        kind = part.kind(["NFC", "Prepend", "Replace"])
        if kind == "NFC":
            v.normal = True
        elif kind == "Prepend":
            if part.get("prepend") != _SPACE or v.space:
                raise part.wrong("prepend", f"{_SPACE!r}, once")
            v.space = "each"
        else:
            if part.get("pattern") != {"String": " "} or part.get("content") != _SPACE:
                raise TokenizerError(f"{part.path}: {short(part.values)}, expected to replace ' ' by {_SPACE!r}")
            replaces = True
    if v.space and not replaces:
        raise TokenizerError(f"{root.path}: normalizer: Prepend without Replace, which cannot be read yet")
    return replaces


def _pre_tokenizer(root: Part, v: Vocabulary, replaces: bool) -> None:
    parts = _parts(root, "pre_tokenizer", "pretokenizers")
    if len(parts) == 1 and parts[0].get("type") == "Metaspace":
        _metaspace(parts[0], v)
        return
    if not parts and replaces:
        return
    words: list[str] = []
    for i, part in enumerate(parts):
        kind = part.kind(["ByteLevel", "Split", "Digits", *["Metaspace"] * (len(parts) == 1)])
        if kind == "Digits":
            if not part.flag("individual_digits"):
                raise part.wrong("individual_digits", "true")
            words.append(r"\p{N}")
        elif kind == "Split":
            words.append(_expression(part))
        else:
            if part.flag("add_prefix_space", True):
                raise part.wrong("add_prefix_space", "false; a space before each text cannot be put yet")
            if part.flag("use_regex", True):
                words.append(_GPT2)
            if i < len(parts) - 1:
                raise TokenizerError(f"{part.path}: ByteLevel is not the last, expected it behind what cuts words")
    if replaces or not parts or parts[-1].get("type") != "ByteLevel":
        found = short([part.get("type") for part in parts])
        raise TokenizerError(f"{root.path}: pre_tokenizer: {found}, expected ByteLevel as the last, or a Metaspace")
    if tuple(words) not in _WORDS:
        unknown = next((word for word in words if word not in (_GPT2, r"\p{N}", _LLAMA3)), "")
        said = f"cuts words by {short(unknown)}" if unknown else f"cuts words in {len(words)} steps"
        raise TokenizerError(f"{root.path}: pre_tokenizer: {said}, which is not known; expected one of "
                             f"{', '.join(_WORDS.values())}")  # fmt: skip
    v.pre = _WORDS[tuple(words)]


def _expression(part: Part) -> str:
    pattern = part.get("pattern")
    expression = pattern.get("Regex") if isinstance(pattern, dict) else None
    if not isinstance(expression, str):
        raise part.wrong("pattern", "a Regex")
    how = part.get("behavior"), part.flag("invert")
    if how not in (("Isolated", False), ("Removed", True)):
        raise TokenizerError(f"{part.path}: behavior {short(how[0])} with invert {how[1]}, expected Isolated")
    return expression


def _metaspace(part: Part, v: Vocabulary) -> None:
    if part.get("replacement") != _SPACE:
        raise part.wrong("replacement", repr(_SPACE))
    schemes = {"always": "wanting", "first": "first", "never": ""}
    scheme = part.get("prepend_scheme")
    prefix = part.flag("add_prefix_space", scheme != "never")
    scheme = ("always" if prefix else "never") if scheme is None or not prefix else scheme
    if not isinstance(scheme, str) or scheme not in schemes:
        raise part.wrong("prepend_scheme", "always, first or never")
    if v.space:
        raise TokenizerError(f"{part.path}: Metaspace behind Prepend, which cannot be read yet")
    v.pre, v.space = "", schemes[scheme]
    v.split_spaces = part.flag("split", True)


def _post_processor(root: Part, v: Vocabulary) -> None:
    for part in _parts(root, "post_processor", "processors"):
        if part.kind(["ByteLevel", "TemplateProcessing"]) == "TemplateProcessing":
            _template(part, v)


def _template(part: Part, v: Vocabulary) -> None:
    """What is put before and behind a text, each one token at most."""
    ids: list[int] = []
    at = -1
    for i, piece in enumerate(part.list("single")):
        said = Part(f"{part.path}: single {i}", piece)
        if "Sequence" in said.values:
            at = len(ids) if at < 0 else 9
            continue
        name = Part(said.path, said.get("SpecialToken")).get("id")
        tokens = part.get("special_tokens")
        known = tokens.get(name) if isinstance(tokens, dict) and isinstance(name, str) else None
        named = known.get("ids") if isinstance(known, dict) else None
        if not isinstance(named, list) or len(named) != 1 or type(named[0]) is not int:
            raise TokenizerError(f"{said.path}: {short(name)} is not one of its special_tokens, with one id")
        if not 0 <= named[0] < len(v.texts):
            raise TokenizerError(f"{said.path}: {short(name)} has the id {short(named[0])}, which no token has")
        ids.append(named[0])
    if at not in (0, 1) or len(ids) - at > 1:
        raise TokenizerError(f"{part.path}: puts {at} tokens before a text and {len(ids) - at} behind it, "
                             "expected at most one of each")  # fmt: skip
    v.first = ids[0] if at else -1
    v.last = ids[at] if len(ids) > at else -1


def _decoder(root: Part, v: Vocabulary) -> None:
    for part in _parts(root, "decoder", "decoders"):
        part.kind(["ByteLevel"] if v.pre else ["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"])
