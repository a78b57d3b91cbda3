"""GGUF files that lie: each ends in one line that names what is wrong, for models, their tokenizers and files in parts.

What is refused before a model is looked for is in test_gguf.py; in tests/c/test_bad_gguf.c each byte is overwritten.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from checkpoints import SHAPES, Shape
from conftest import Run
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFValueType as Type
from test_bad_input import complaint, one_line
from test_gguf import KINDS, Metadata, array, key, logits, metadata_of, raw, tensors_of, text, write

from llama2py import CheckpointError, FileError, Llama, NumericError, Tokenizer, TokenizerError

WEIGHTS = checkpoints.random_weights(SHAPES["plain"], 1)
VALUES: dict[Type, Any] = {
    **{type: 4 for type in Type if type not in (Type.FLOAT32, Type.FLOAT64, Type.BOOL, Type.STRING, Type.ARRAY)},
    Type.FLOAT32: 0.5,
    Type.FLOAT64: 0.5,
    Type.BOOL: True,
    Type.STRING: "4",
    Type.ARRAY: [4, 4, 4],
}
INTEGERS = {type for type in Type if "INT" in type.name}
REALS = {Type.FLOAT32, Type.FLOAT64}


def refusal(path: Path, load: Callable[[Path], object] = Llama) -> str:
    with pytest.raises((CheckpointError, TokenizerError)) as caught:
        load(path)
    message = str(caught.value)
    one_line(message, path)
    return message.replace(str(path), "")


# Models.

ARCHITECTURE_KEYS = [name for name in metadata_of(SHAPES["plain"]) if name.startswith(".")]
OPTIONAL = {".attention.head_count_kv", ".rope.dimension_count"}


@pytest.mark.parametrize("name", ["general.architecture", "general.alignment", *ARCHITECTURE_KEYS, ".rope.freq_base"])
def test_keys_of_other_types(name: str, tmp_path: Path) -> None:
    """A number may be stored as any type of number of its sort; all else is refused by the name of the key."""
    fits = REALS if name.endswith(("epsilon", "freq_base")) else INTEGERS
    fits = {Type.STRING} if name == "general.architecture" else fits
    for type, value in VALUES.items():
        path = tmp_path / f"{type.name}.gguf"
        write(path, WEIGHTS, metadata={name: (type, value)})
        if type in fits:
            continue
        message = refusal(path)
        assert name in message, message
        assert "expected" in message, message


@pytest.mark.parametrize("name", ARCHITECTURE_KEYS)
def test_keys_that_are_missing(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf", WEIGHTS, metadata={name: None})
    if name in OPTIONAL:
        Llama(path).close()
    else:
        assert f"llama{name} is missing" in refusal(path)


@pytest.mark.parametrize("name", sorted(tensors_of(WEIGHTS)))
def test_shapes_that_disagree(name: str, tmp_path: Path) -> None:
    tensor = tensors_of(WEIGHTS)[name]
    others = [tensor[..., :32], np.concatenate([tensor, tensor]), np.stack([tensor, tensor])]
    if tensor.ndim == 2:
        others += [tensor[:-1], tensor.reshape(-1)]
        others += [tensor.T] if tensor.shape[0] != tensor.shape[1] else []
    for i, other in enumerate(others):
        path = write(tmp_path / f"{i}.gguf", WEIGHTS, tensors={name: np.ascontiguousarray(other)})
        message = refusal(path)
        # Of the embedding's rows the metadata says nothing: they are the vocabulary.
        assert re.search(rf"{re.escape(name)} is \d+ x \d+, expected \d+ x \d+", message), message
        if name == "token_embd.weight":
            break


@pytest.mark.parametrize("kind", [*KINDS, Kind.Q4_0, Kind.Q5_1], ids=lambda kind: kind.name)
@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_no_story_without_numbers(kind: Kind, value: float, tmp_path: Path, run: Run) -> None:
    """A classifier whose scales, or numbers, are none: the model loads, and says so when a token is drawn."""
    shape = Shape(32, 32, 1, 2, 1, 270, 16)
    weights = checkpoints.random_weights(shape, 1)
    mark = np.float32(1000.0)
    weights.embedding[5] = mark
    path = write(tmp_path / "model.gguf", weights, kind)
    checkpoints.write_tokenizer(tmp_path / "tokenizer.bin", shape.vocab_size)
    half = np.float16(value).tobytes()
    row = {
        Kind.F32: (mark.tobytes(), np.float32(value).tobytes()),
        Kind.F16: (np.float16(mark).tobytes() * 32, half * 32),
        Kind.BF16: (mark.tobytes()[2:] * 32, np.float32(value).tobytes()[2:] * 32),
        Kind.Q8_0: (np.float16(1000 / 127).tobytes() + b"\x7f" * 32, half + b"\x7f" * 32),
        Kind.Q4_0: (np.float16(-125).tobytes() + bytes(16), half + bytes(16)),
        Kind.Q5_1: (bytes(2) + np.float16(mark).tobytes() + bytes(20), half * 2 + bytes(20)),
    }[kind]
    assert row[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*row))
    with Llama(path) as llama:
        for temperature in (0.0, 1.0):
            with pytest.raises(NumericError) as caught:
                llama.generate("a", 4, temperature)
            one_line(str(caught.value))
    assert "finite" in complaint(run, path, "-n", "4")


# Tokenizers.

WORDS = ["<unk>", "<s>", "</s>", "a", "b", "ab"]
NORMAL, UNKNOWN, CONTROL = 1, 2, 3


def column(what: str, type: int, n: int, items: bytes) -> bytes:
    return key(f"tokenizer.ggml.{what}", 9, array(type, n, items))


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def number(what: str, type: int, format: str, value: float) -> bytes:
    return key(f"tokenizer.ggml.{what}", type, struct.pack(f"<{format}", value))


def texts(*words: str | bytes) -> bytes:
    return b"".join(map(text, words))


PARTS = {
    "model": key("tokenizer.ggml.model", 8, text("llama")),
    "tokens": column("tokens", 8, 6, texts(*WORDS)),
    "scores": column("scores", 6, 6, floats(0, 0, 0, -1, -2, -3)),
    "token_type": column("token_type", 5, 6, ints(UNKNOWN, CONTROL, CONTROL, NORMAL, NORMAL, NORMAL)),
}
GPT2: dict[str, bytes | None] = {"model": key("tokenizer.ggml.model", 8, text("gpt2"))}


def vocabulary(path: Path, changes: dict[str, bytes | None]) -> Path:
    path.write_bytes(raw([part for part in (PARTS | changes).values() if part is not None]))
    return path


REFUSED_VOCABULARIES: list[tuple[str, str, dict[str, bytes | None]]] = [
    ("no model", r"ggml\.model is missing", {"model": None}),
    ("model of another type", r"ggml\.model is of type uint32", {"model": number("model", 4, "I", 1)}),
    (
        "an unknown model",
        r"model 'bert', expected llama or gpt2",
        {"model": key("tokenizer.ggml.model", 8, text("bert"))},
    ),
    ("a model that is no text", r"model '\?\?a\?'", {"model": key("tokenizer.ggml.model", 8, text(b"\xff\na\x1b"))}),
    ("no tokens", r"ggml\.tokens is missing", {"tokens": None}),
    ("an empty list", r"holds no tokens", {"tokens": column("tokens", 8, 0, b""), "scores": None, "token_type": None}),
    ("tokens as numbers", r"tokens is of type array of int32", {"tokens": column("tokens", 5, 6, ints(*range(6)))}),
    ("tokens as one text", r"tokens is of type string", {"tokens": key("tokenizer.ggml.tokens", 8, text("a b c"))}),
    (
        "tokens in arrays",
        r"tokens is of type array of array",
        {"tokens": column("tokens", 9, 1, array(8, 6, texts(*WORDS)))},
    ),
    ("too few scores", r"scores has 5 items, expected 6", {"scores": column("scores", 6, 5, floats(*[0] * 5))}),
    ("too many scores", r"scores has 7 items, expected 6", {"scores": column("scores", 6, 7, floats(*[0] * 7))}),
    ("scores as integers", r"scores is of type array of int32", {"scores": column("scores", 5, 6, ints(*range(6)))}),
    (
        "too few types",
        r"token_type has 5 items, expected 6",
        {"token_type": column("token_type", 5, 5, ints(*[1] * 5))},
    ),
    ("too many types", r"token_type has 9 items", {"token_type": column("token_type", 5, 9, ints(*[1] * 9))}),
    ("no types", r"token_type has 0 items", {"token_type": column("token_type", 5, 0, b"")}),
    (
        "type 0",
        r"token 3 is of type 0, expected 1 to 6",
        {"token_type": column("token_type", 5, 6, ints(1, 1, 1, 0, 1, 1))},
    ),
    ("type 7", r"token 5 is of type 7", {"token_type": column("token_type", 5, 6, ints(1, 1, 1, 1, 1, 7))}),
    ("type -1", r"token 0 is of type -1", {"token_type": column("token_type", 5, 6, ints(*[-1] * 6))}),
    (
        "what is no byte",
        r"token 3 is a byte and reads 'a'",
        {"token_type": column("token_type", 5, 6, ints(1, 1, 1, 6, 1, 1))},
    ),
    ("bos beyond the tokens", r"BOS token is 6, but it holds 6", {"bos": number("bos_token_id", 4, "I", 6)}),
    ("eos beyond the tokens", r"EOS token is 2147483648", {"eos": number("eos_token_id", 4, "I", 2**31)}),
    (
        "unknown beyond the tokens",
        r"unknown token is 4294967294",
        {"unk": number("unknown_token_id", 4, "I", 2**32 - 2)},
    ),
    ("a negative bos", r"bos_token_id is -2, expected -1 to 4294967295", {"bos": number("bos_token_id", 5, "i", -2)}),
    ("a huge bos", r"bos_token_id is 4294967297, expected", {"bos": number("bos_token_id", 10, "Q", 2**32 + 1)}),
    (
        "bos as float",
        r"bos_token_id is of type float32, expected a whole number",
        {"bos": number("bos_token_id", 6, "f", 1.0)},
    ),
    (
        "add_bos as number",
        r"add_bos_token is of type uint8, expected bool",
        {"add": number("add_bos_token", 0, "B", 1)},
    ),
    (
        "an unknown rule",
        r"as 'klingon' does, expected one of",
        GPT2 | {"pre": key("tokenizer.ggml.pre", 8, text("klingon"))},
    ),
    ("rule as number", r"ggml\.pre is of type uint32", {"pre": number("pre", 4, "I", 1)}),
    ("half a merge", r"merge 1 is 'ab', expected two", GPT2 | {"merges": column("merges", 8, 2, texts("a b", "ab"))}),
    ("an empty merge", r"merge 0 is '', expected two", GPT2 | {"merges": column("merges", 8, 1, texts(""))}),
    ("a merge of a stranger", r"the second is not a token", GPT2 | {"merges": column("merges", 8, 1, texts("a z"))}),
    ("a merge into a stranger", r"what they make is not", GPT2 | {"merges": column("merges", 8, 1, texts("b a"))}),
    ("merges as numbers", r"merges is of type array of int32", GPT2 | {"merges": column("merges", 5, 1, ints(1))}),
]


@pytest.mark.parametrize(("complaint", "changes"), [pytest.param(*row, id=name) for name, *row in REFUSED_VOCABULARIES])
def test_vocabularies_that_are_refused(complaint: str, changes: dict[str, bytes | None], tmp_path: Path) -> None:
    vocabulary(tmp_path / "good.gguf", {})
    assert Tokenizer(tmp_path / "good.gguf").encode("ab", bos=False) == [5]
    message = refusal(vocabulary(tmp_path / "bad.gguf", changes), Tokenizer)
    assert re.search(complaint, message), message


@pytest.mark.parametrize("value", [-1, 2**32 - 1])
def test_an_id_that_is_none(value: int, tmp_path: Path) -> None:
    type, format = (5, "i") if value < 0 else (4, "I")
    path = vocabulary(tmp_path / "model.gguf", {"bos": number("bos_token_id", type, format, value)})
    assert Tokenizer(path).bos_id == -1


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_tokens_of_any_bytes(model: str, tmp_path: Path) -> None:
    """NULs, and what is no UTF-8, and nothing at all: texts go in and come out, with U+FFFD for what is none."""
    odd = [b"a\0b", b"\xff", b"\xc3", b"", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\nb", b"\0"]
    path = vocabulary(
        tmp_path / "model.gguf",
        {
            "model": key("tokenizer.ggml.model", 8, text(model)),
            "tokens": column("tokens", 8, 6 + len(odd), texts(*WORDS, *odd)),
            "scores": None,
            "token_type": None,
        },
    )
    tokenizer = Tokenizer(path)
    assert tokenizer.vocab_size == 6 + len(odd)
    assert tokenizer.decode([6]) == "a\0b"
    assert "\ufffd" in tokenizer.decode([7])
    assert tokenizer.decode([12]) == "a\nb"
    for id in range(tokenizer.vocab_size):
        assert tokenizer.decode([id, 3]).endswith("a")


@pytest.mark.parametrize("more", [-2, 1])
def test_a_vocabulary_of_another_model(more: int, tmp_path: Path, run: Run) -> None:
    """The file has another number of tokens than its embedding has rows."""
    shape = Shape(32, 32, 1, 2, 1, 6, 16)
    words = [*WORDS, "more"][: 6 + more]
    metadata: Metadata = {
        "tokenizer.ggml.model": (Type.STRING, "llama"),
        "tokenizer.ggml.tokens": (Type.ARRAY, words),
    }
    path = tmp_path / "model.gguf"
    write(path, checkpoints.random_weights(shape, 1), metadata=metadata)
    said = complaint(run, path, "-i", "ab")
    assert f"holds {6 + more} tokens, but the model has 6" in said
    with Llama(path) as llama, pytest.raises(TokenizerError, match=f"holds {6 + more} tokens, but the model has 6"):
        llama.generate("ab")


# Files in parts.


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    write(tmp_path / "model.gguf", WEIGHTS, Kind.Q8_0, split_max_tensors=10)
    return sorted(tmp_path.glob("model-*.gguf"))


def patch(path: Path, name: str, type: int, value: bytes) -> None:
    """Gives a key another type and value of the same length in the file."""
    data = path.read_bytes()
    at = data.index(name.encode()) + len(name)
    path.write_bytes(data[:at] + struct.pack("<I", type) + value + data[at + 4 + len(value) :])


@pytest.mark.parametrize(
    ("name", "type", "value", "said"),
    [
        ("split.count", 2, 3, r"does not end in -00001-of-00003\.gguf"),
        ("split.count", 2, 65535, r"does not end in -00001-of-65535\.gguf"),
        ("split.count", 2, 1, r"tensor \S+ is missing among its 10"),
        ("split.count", 3, -1, r"split\.count is -1, expected 0 to 65535"),
        ("split.no", 2, 1, r"part 2 of 2; open the first one"),
        ("split.no", 2, 2, r"split\.no is 2, expected 0 to 1"),
        ("split.no", 3, -1, r"split\.no is -1, expected 0 to 1"),
    ],
)
def test_first_parts_that_lie(name: str, type: int, value: int, said: str, parts: list[Path]) -> None:
    patch(parts[0], name, type, struct.pack("<h" if value < 0 else "<H", value))
    assert re.search(said, refusal(parts[0]))


def test_parts_of_other_models(parts: list[Path], tmp_path: Path) -> None:
    """Of other shapes, with tensors that the first part has, or of more layers than it knows."""
    good = logits(parts[0], [1, 2, 3])
    second = parts[1].read_bytes()
    for shape, size, said in (
        (Shape(32, 128, 2, 4, 4, 320, 128), 10, r"tensor \S+ is \d+ x \d+, expected"),
        (SHAPES["plain"], 14, r"have 16 tensors, expected the 20 that"),
        (Shape(64, 128, 3, 4, 4, 320, 128), 15, r"have 24 tensors, expected the 20 that"),
    ):
        folder = tmp_path / str(size) / str(shape.dim)
        folder.mkdir(parents=True)
        write(folder / "other.gguf", checkpoints.random_weights(shape, 2), Kind.Q8_0, split_max_tensors=size)
        parts[1].write_bytes((folder / "other-00002-of-00002.gguf").read_bytes())
        assert re.search(said, refusal(parts[0]))
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(CheckpointError, match="part 1 of 2, expected 2 of 2"):
        Llama(parts[0])
    patch(parts[1], "split.no", 2, struct.pack("<H", 1))
    assert re.search(r"tensor \S+ is there twice", refusal(parts[0]))
    parts[1].unlink()
    with pytest.raises(FileError, match=re.escape(str(parts[1]))):
        Llama(parts[0])
    parts[1].mkdir()
    with pytest.raises(FileError, match="a directory"):
        Llama(parts[0])
    parts[1].rmdir()
    parts[1].write_bytes(second)
    assert (logits(parts[0], [1, 2, 3]) == good).all()
