"""tokenizer.json files in the forms that the families of models have, made up from small vocabularies.

written(form)                   the file's values, by the name of a form
save(path, values, **files)     a folder with it, without weights
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
from folders import train_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from vocabularies import EXPRESSIONS

SPACE = "\u2581"
TEXTS = [
    "the cat sat on the mat, and the dog isn't there: 12 of 3456 saw it!",
    "  Two  spaces\n\nand   lines\t; größer e\u0301t\u00e9 caf\u00e9 \u4f60\u597d \u05e9\u05dc\u05d5\u05dd",
    "the theme of them; there, then, other; I'll we've DON'T",
] * 20

Values = dict[str, Any]


def added(content: str, special: bool = False, **flags: bool) -> Values:
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special}
    return {"content": content, "special": special, **usual, **flags}


# Tokens that are read out of a text whole, one for each way to do it.
ADDED = [
    added("<s>", True),
    added("</s>", True),
    added("<|eot|>", True),
    added("<tool>", normalized=False),
    added("<left>", True, lstrip=True),
    added("<right>", rstrip=True, normalized=False),
    added("word", single_word=True, normalized=False),
    added("<both>", lstrip=True, rstrip=True, normalized=False),
    added("caf\u00e9!"),
    added("e\u0301!", normalized=True),
    added("<tool>>", normalized=False),
]


def values_of(tokenizer: Tokenizer) -> Values:
    values: Values = json.loads(tokenizer.to_str())
    return values


def put_added(values: Values, tokens: list[Values]) -> Values:
    """With tokens behind those of the vocabulary, or with those of its own."""
    vocab = values["model"]["vocab"]
    new = iter(range(len(vocab), len(vocab) + len(tokens)))
    ids = [vocab[t["content"]] if t["content"] in vocab else next(new) for t in tokens]
    listed = sorted(({"id": id, **t} for id, t in zip(ids, tokens, strict=True)), key=lambda t: t["id"])
    return {**values, "added_tokens": listed}


@functools.cache
def trained() -> str:
    """Merges of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=520, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer.to_str()


def split(expression: str) -> Values:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def byte_level(use_regex: bool) -> Values:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def sequence(name: str, *parts: Values) -> Values:
    return {"type": "Sequence", name: list(parts)}


def bytes_of(rule: str) -> Values:
    """Llama 3's, Qwen 2's, SmolLM's and GPT-2's."""
    values = values_of(Tokenizer.from_str(trained()))
    cut = [split(expression) for expression in EXPRESSIONS[rule]]
    before: dict[str, Values] = {
        "gpt-2": byte_level(True),
        "smollm": sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level(True)),
    }
    values["pre_tokenizer"] = before.get(rule) or sequence("pretokenizers", *cut, byte_level(False))
    values["decoder"] = byte_level(True)
    values["model"]["ignore_merges"] = rule == "llama-bpe"
    values["normalizer"] = {"type": "NFC"} if rule == "qwen2" else None
    return values


def merges_of(pieces: dict[str, float]) -> list[tuple[str, str]]:
    """All two pieces that make a third, the best of these first; of one piece, those with the longest first piece."""
    pairs = [
        (score, len(piece[:i]), piece[:i], piece[i:])
        for piece, score in pieces.items()
        for i in range(1, len(piece))
        if piece[:i] in pieces and piece[i:] in pieces
    ]
    return [(left, right) for _, _, left, right in sorted(pairs, key=lambda pair: (-pair[0], -pair[1]))]


@functools.cache
def sentence_pieces(byte_fallback: bool) -> tuple[bytes, tuple[tuple[str, float], ...]]:
    """A tokenizer.model, and its pieces with their scores."""
    with tempfile.TemporaryDirectory() as folder:
        path = train_tokenizer(
            Path(folder) / "tokenizer.model", byte_fallback=byte_fallback, vocab_size=320 if byte_fallback else 120
        )
        model = path.read_bytes()
    peer = sentencepiece.SentencePieceProcessor(model_proto=model)
    return model, tuple((peer.id_to_piece(i), peer.get_score(i)) for i in range(peer.get_piece_size()))


PREPEND = {"type": "Prepend", "prepend": SPACE}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def metaspace(scheme: str, split: bool = False) -> Values:
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}


def characters_of(
    normalizer: Values | None,
    pre_tokenizer: Values | None,
    *,
    byte_fallback: bool = True,
    fuse_unk: bool = True,
    strip: int = 1,
) -> Values:
    """Llama 2's and Mistral's."""
    _, pieces = sentence_pieces(byte_fallback)
    tail = [{"type": "Strip", "content": " ", "start": strip, "stop": 0}] if strip else []
    replace = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": fuse_unk,
        "byte_fallback": byte_fallback,
        "ignore_merges": False,
        "vocab": {piece: id for id, (piece, _) in enumerate(pieces)},
        "merges": [f"{left} {right}" for left, right in merges_of(dict(pieces[3 + 256 * byte_fallback :]))],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": sequence("decoders", replace, {"type": "ByteFallback"}, {"type": "Fuse"}, *tail),
        "model": model,
    }


def pairs(values: Values) -> Values:
    """With merges as lists."""
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in values["model"]["merges"]]
    return {**values, "model": {**values["model"], "merges": merges}}


LEGACY = sequence("normalizers", PREPEND, REPLACE)
FORMS: dict[str, Callable[[], Values]] = {
    "gpt-2": lambda: bytes_of("gpt-2"),
    "llama-bpe": lambda: bytes_of("llama-bpe"),
    "qwen2": lambda: pairs(bytes_of("qwen2")),
    "smollm": lambda: bytes_of("smollm"),
    "llama": lambda: characters_of(LEGACY, None),
    "first": lambda: characters_of(None, metaspace("first")),
    "always": lambda: pairs(characters_of(None, metaspace("always"))),
    "never": lambda: characters_of(None, metaspace("never"), strip=0),
    "replace": lambda: characters_of(REPLACE, None, strip=0),
    "split": lambda: characters_of(None, metaspace("always", True)),
    "normal": lambda: characters_of(sequence("normalizers", {"type": "NFC"}, PREPEND, REPLACE), None),
    "unknown": lambda: characters_of(LEGACY, None, byte_fallback=False),
    "each unknown": lambda: characters_of(LEGACY, None, byte_fallback=False, fuse_unk=False),
    "whole": lambda: whole(characters_of(None, metaspace("first"))),
}


def whole(values: Values) -> Values:
    return {**values, "model": {**values["model"], "ignore_merges": True}}


@functools.cache
def _written(form: str) -> str:
    unknown = [added("<unk>", True)] if form not in ("gpt-2", "llama-bpe", "qwen2", "smollm") else []
    return json.dumps(put_added(FORMS[form](), [*unknown, *ADDED]))


def written(form: str) -> Values:
    """The file of a form, with every kind of added token."""
    values: Values = json.loads(_written(form))
    return values


def inside(values: Values, *names: str, **changes: Any) -> Values:
    """With other values in an object that lies inside."""
    if not names:
        return {**values, **changes}
    return {**values, names[0]: inside(values[names[0]], *names[1:], **changes)}


def templated(values: Values, *before: str, behind: tuple[str, ...] = ()) -> Values:
    ids = {token["content"]: token["id"] for token in values["added_tokens"]}
    single: list[Values] = [
        *({"SpecialToken": {"id": text, "type_id": 0}} for text in before),
        {"Sequence": {"id": "A", "type_id": 0}},
        *({"SpecialToken": {"id": text, "type_id": 0}} for text in behind),
    ]
    named = {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in (*before, *behind)}
    template = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": named}
    return {**values, "post_processor": template}


def peer_of(values: Values) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(values))


def size_of(values: Values) -> int:
    ids: list[int] = [*values["model"]["vocab"].values(), *(token["id"] for token in values["added_tokens"])]
    return max(ids) + 1


def save(path: Path, values: Values, config: Values | None = None, **files: Values) -> Path:
    """A folder with the file, and others by their names without .json."""
    path.mkdir(exist_ok=True)
    (path / "tokenizer.json").write_text(json.dumps(values))
    (path / "config.json").write_text(json.dumps({"vocab_size": size_of(values), **(config or {})}))
    for name, said in files.items():
        (path / f"{name}.json").write_text(json.dumps(said))
    return path
