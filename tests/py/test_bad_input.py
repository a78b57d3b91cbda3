"""Damaged files and wrong arguments: each ends in a typed exception, or in one line and exit code 1; no crash."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
from checkpoints import Part, Shape, Weights
from conftest import Run

import llama2py
from llama2py import (
    CheckpointError,
    ContextOverflowError,
    DeviceError,
    FileError,
    FileMissingError,
    InsufficientMemoryError,
    InvalidArgumentError,
    Llama,
    Llama2Error,
    NumericError,
    TextError,
    Tokenizer,
    TokenizerError,
    _core,
)

SHAPE = Shape(dim=8, hidden_dim=12, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=270, context=16, shared=False)
FIELDS = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "context")
WEIGHTS = checkpoints.random_weights(SHAPE, 1)
TOKENS = checkpoints.made_up_tokens(SHAPE.vocab_size)

PARTS: dict[int, list[Part]] = {
    0: list(checkpoints.v0_parts(WEIGHTS)),
    1: list(checkpoints.v1_parts(WEIGHTS)),
    2: list(checkpoints.v2_parts(WEIGHTS, group_size=4)),
}
GOOD = {version: b"".join(data for _, data in parts) for version, parts in PARTS.items()}
FIELDS_AT = {0: 0, 1: 8, 2: 8}
TOKENIZER_PARTS = list(checkpoints.tokenizer_parts(TOKENS))
TOKENIZER = b"".join(data for _, data in TOKENIZER_PARTS)


def edges(parts: list[Part]) -> list[int]:
    """Where each part begins, and where the last one ends."""
    return list(accumulate((len(data) for _, data in parts), initial=0))


def patched(data: bytes, at: int, format: str, value: int) -> bytes:
    patch = struct.pack(format, value)
    return data[:at] + patch + data[at + len(patch) :]


def with_fields(version: int, **fields: int) -> bytes:
    data = GOOD[version]
    for name, value in fields.items():
        data = patched(data, FIELDS_AT[version] + 4 * FIELDS.index(name), "<i", value)
    return data


def damaged_checkpoints() -> Iterator[tuple[str, bytes]]:
    """Names and contents of files that are no checkpoint."""
    yield "empty", b""
    yield "text", b"This is not a checkpoint, but it is longer than a header.\n" * 8
    yield "zeros", bytes(4096)
    yield "ones", b"\xff" * 4096
    yield "GGUF", b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(512)
    yield "zip", b"PK\3\4" + bytes(512)
    yield "magic reversed", GOOD[1][3::-1] + GOOD[1][4:]
    for version in (-1, 0, 3, 2**31 - 1):
        yield f"version {version}", patched(GOOD[1], 4, "<i", version)
    for version, data in GOOD.items():
        yield f"v{version}: two files, one after the other", data + data
        for extra in (1, 4, 4096):
            yield f"v{version}: {extra} bytes too many", data + bytes(extra)
        for name in FIELDS:
            for value in (0, -1, -(2**31), 2**31 - 1, 2**30):
                yield f"v{version}: {name} {value}", with_fields(version, **{name: value})
        yield f"v{version}: heads that do not group", with_fields(version, n_heads=3, n_kv_heads=2)
        yield f"v{version}: more groups than heads", with_fields(version, n_heads=2, n_kv_heads=4)
        for large in (2**16, 2**21, 2**31 - 1):
            absurd = dict.fromkeys(("dim", "hidden_dim", "n_layers", "vocab_size"), large)
            yield f"v{version}: all of {large}", with_fields(version, **absurd)
            yield (
                f"v{version}: all of {large}, as many heads",
                with_fields(version, **absurd, n_heads=large, n_kv_heads=large),
            )
    for version in (1, 2):
        for flag in (0 if GOOD[version][36] else 1, 2, 255):
            yield f"v{version}: shared classifier {flag}", patched(GOOD[version], 36, "<B", flag)
    for size in (0, -1, -(2**31), 2**31 - 1, 3, 5, 2):
        yield f"v2: group size {size}", patched(GOOD[2], 37, "<i", size)


def one_line(message: str, path: Path | None = None) -> None:
    assert message
    assert "\n" not in message
    assert path is None or str(path) in message


def refuse(path: Path, kind: type[Llama2Error], run: Run | None = None) -> str:
    """The message with which a checkpoint is refused by Python and, where it is given, by ./run."""
    with pytest.raises(kind) as caught:
        Llama(path)
    one_line(str(caught.value), path)
    with pytest.raises(kind):
        llama2py.plan(path)
    if run is not None:
        assert str(path) in complaint(run, path, "-n", "4")
    return str(caught.value)


def complaint(run: Run, *arguments: str | bytes | Path, **options: Any) -> str:
    """The one line that ./run says of what it cannot do."""
    done = run(*arguments, **options)
    said = done.stderr.decode("utf-8")
    assert done.returncode == 1, f"exit code {done.returncode}, {said!r}"
    assert re.fullmatch(r"[^\n]+\n", said), said
    assert not done.stdout
    return said


@pytest.mark.parametrize(("name", "content"), [pytest.param(*case, id=case[0]) for case in damaged_checkpoints()])
def test_damaged_checkpoints(name: str, content: bytes, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    message = refuse(path, CheckpointError, run)
    assert re.search(r"\d", message.replace(str(path), "")) or name in ("GGUF", "zip")


@pytest.mark.parametrize("version", PARTS)
def test_checkpoints_cut_short(version: int, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "model.bin"
    data, ends = GOOD[version], edges(PARTS[version])
    lengths = set(range(ends[1] + 1)) | {end + step for end in ends for step in (-1, 0, 1)}
    for length in sorted(n for n in lengths if 0 <= n < len(data)):
        path.write_bytes(data[:length])
        message = refuse(path, CheckpointError, run if length in (0, 4, 28, 255, 256, *ends[-3:]) else None)
        assert str(length) in message or length == 0, message
    path.write_bytes(data)
    Llama(path).close()


@pytest.mark.parametrize("version", PARTS)
def test_any_byte_of_a_header_may_lie(version: int, tmp_path: Path) -> None:
    """A file is refused, or what it says makes sense and runs."""
    path = tmp_path / "model.bin"
    survived = 0
    for at in range(len(PARTS[version][0][1][:48])):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            path.write_bytes(patched(GOOD[version], at, "<B", value))
            try:
                with Llama(path, context=4) as llama:
                    assert llama.logits([0, 1, 2]).shape == (3, llama.info.vocab_size)
                    survived += 1
            except (CheckpointError, ContextOverflowError, InvalidArgumentError) as error:
                one_line(str(error))
    assert survived > 0


def test_a_checkpoint_that_is_no_file(tmp_path: Path, run: Run) -> None:
    missing = tmp_path / "missing.bin"
    refuse(missing, FileMissingError, run)
    refuse(tmp_path, FileError, run)
    with pytest.raises(FileNotFoundError):
        Llama(missing)
    with pytest.raises(InvalidArgumentError):
        Llama("a\0b")


def test_a_model_larger_than_memory(tmp_path: Path, run: Run) -> None:
    """A truthful header over a file of holes: 2.6 TiB that no machine here has."""
    shape = Shape(dim=8192, hidden_dim=28672, n_layers=800, n_heads=64, n_kv_heads=64, vocab_size=32000, context=2048)
    sizes = {
        name: int(np.prod(dims)) for name, dims in checkpoints.tensor_shapes(shape).items() if name != "classifier"
    }
    path = tmp_path / "model.bin"
    header = struct.pack("<Ii7iB", checkpoints.MAGIC, 1, *(getattr(shape, name) for name in FIELDS), 1)
    path.write_bytes(header.ljust(256, b"\0"))
    try:
        os.truncate(path, 256 + 4 * sum(sizes.values()))
    except OSError as error:
        pytest.skip(f"no file of holes can be that large here: {error}")
    with pytest.raises(InsufficientMemoryError) as caught:
        Llama(path)
    assert caught.value.required > 2**41
    assert 0 < caught.value.available < 2**41
    assert llama2py.plan(path).fits is False
    assert re.search(r"\d", complaint(run, path))


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("quantize", [None, "q8_0"])
def test_weights_that_are_no_numbers(value: float, quantize: str | None, tmp_path: Path, run: Run) -> None:
    path = write_model(tmp_path, replace(WEIGHTS, final_norm=np.full(SHAPE.dim, value)))
    with Llama(path, quantize=quantize) as llama:
        for temperature in (0.0, 1.0):
            with pytest.raises(NumericError) as caught:
                llama.generate("", 4, temperature)
            one_line(str(caught.value))
    assert "finite" in complaint(run, path, *(["--quant", quantize] if quantize else []))


def write_model(folder: Path, weights: Weights = WEIGHTS) -> Path:
    """A good model with its tokenizer beside it."""
    (folder / "tokenizer.bin").write_bytes(TOKENIZER)
    return checkpoints.write_v0(folder / "model.bin", weights)


# Tokenizers.


def damaged_tokenizers() -> Iterator[tuple[str, bytes]]:
    starts = edges(TOKENIZER_PARTS)
    for length in [*range(starts[5] + 2), starts[200], starts[200] + 7, len(TOKENIZER) - 1]:
        yield f"{length} bytes", TOKENIZER[:length]
    for token in (0, 5, 269):
        for length in (-1, -(2**31), 2**31 - 1, 2**16, len(TOKENIZER)):
            yield f"token {token} of length {length}", patched(TOKENIZER, starts[token + 1] + 4, "<i", length)
    yield "text", b"This is not a tokenizer.\n" * 200
    yield "ones", b"\xff" * len(TOKENIZER)


@pytest.mark.parametrize(("name", "content"), [pytest.param(*case, id=case[0]) for case in damaged_tokenizers()])
def test_damaged_tokenizers(name: str, content: bytes, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    for vocab_size in (None, SHAPE.vocab_size):
        if vocab_size is None and any(content == TOKENIZER[:edge] for edge in edges(TOKENIZER_PARTS)[2:]):
            continue  # a whole file, of fewer tokens
        with pytest.raises(TokenizerError) as caught:
            Tokenizer(path, vocab_size)
        one_line(str(caught.value), path)
    model = write_model(tmp_path)
    said = complaint(run, model, "-z", path)
    assert str(path) in said
    assert re.search(r"\d", said.replace(str(path), ""))


def test_a_tokenizer_of_another_vocabulary(tmp_path: Path, run: Run) -> None:
    model, other = write_model(tmp_path), tmp_path / "other.bin"
    for size in (SHAPE.vocab_size - 1, SHAPE.vocab_size + 1, 512):
        checkpoints.write_tokenizer(other, size)
        for tokenizer in (other, Tokenizer(other)):
            with pytest.raises(TokenizerError) as caught:
                Llama(model, tokenizer)
            one_line(str(caught.value), other)
            assert str(SHAPE.vocab_size) in str(caught.value)
        said = complaint(run, model, "-z", other)
        assert str(other) in said
        assert str(SHAPE.vocab_size) in said


def test_a_tokenizer_that_is_no_file(tmp_path: Path, run: Run) -> None:
    model = write_model(tmp_path)
    for path, kind in ((tmp_path / "missing.bin", FileMissingError), (tmp_path, FileError)):
        with pytest.raises(kind) as caught:
            Tokenizer(path)
        one_line(str(caught.value), path)
        assert str(path) in complaint(run, model, "-z", path)


@pytest.mark.parametrize("version", PARTS)
def test_a_checkpoint_is_no_tokenizer(version: int, tmp_path: Path, run: Run) -> None:
    model, other = write_model(tmp_path), tmp_path / "other.bin"
    other.write_bytes(b"".join(data for _, data in PARTS[version]))
    for path in (model, other):
        for vocab_size in (None, SHAPE.vocab_size):
            with pytest.raises(TokenizerError, match=r"a llama2\.c checkpoint") as caught:
                Tokenizer(path, vocab_size)
            one_line(str(caught.value), path)
        with pytest.raises(TokenizerError, match=r"a llama2\.c checkpoint"):
            llama2py.quantize(model, tmp_path / "new.gguf", tokenizer=path)
        assert "a llama2.c checkpoint" in complaint(run, model, "-z", path)


def test_no_tokenizer_beside_the_checkpoint(tmp_path: Path, run: Run) -> None:
    path = write_model(tmp_path)
    checkpoints.write_tokenizer(tmp_path / "tokenizer.bin", 100)
    with Llama(path) as llama, pytest.raises(TokenizerError) as caught:
        llama.generate("")
    one_line(str(caught.value))
    said = complaint(run, path)
    assert str(SHAPE.vocab_size) in said


# Prompts and arguments.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("good"))


def test_a_prompt_longer_than_the_context(model: Path, run: Run) -> None:
    prompt = "q z " * SHAPE.context
    with Llama(model) as llama:
        n = len(llama.tokenize(prompt))
        for call in (llama.generate, lambda text: llama.logits(llama.tokenize(text))):
            with pytest.raises(ContextOverflowError) as caught:
                call(prompt)
            one_line(str(caught.value))
            assert (caught.value.required, caught.value.available) == (n, SHAPE.context)
        assert llama.logits([1] * SHAPE.context).shape == (SHAPE.context, SHAPE.vocab_size)
    said = complaint(run, model, "-i", prompt)
    assert str(n) in said
    assert str(SHAPE.context) in said


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b"\xff", 0),
        (b"ab\x80", 2),
        (b"ab\xc3", 2),
        (b"a\xe2\x82", 1),
        (b"\xf0\x9f\xa6 ", 0),
        (b"\xc0\x80", 0),
        (b"\xc1\xbf", 0),
        (b"\xe0\x80\x80", 0),
        (b"\xf0\x80\x80\x80", 0),
        (b"abc\xed\xa0\x80", 3),
        (b"\xf4\x90\x80\x80", 0),
        (b"\xf8\x88\x80\x80\x80", 0),
    ],
    ids=repr,
)
def test_prompts_that_are_not_utf8(text: bytes, offset: int, model: Path, run: Run) -> None:
    said = complaint(run, model, "-i", text)
    assert "UTF-8" in said
    assert re.search(rf"\b{offset}\b", said)


def test_a_string_that_is_not_unicode(model: Path) -> None:
    with Llama(model) as llama:
        for call in (llama.tokenize, llama.generate):
            with pytest.raises(TextError):
                call("a\ud800")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-n", "-5"], "-5"),
        (["-n", "many"], "many"),
        (["-n", "1e3"], "1e3"),
        (["-n", "99999999999999999999"], "99999999999999999999"),
        (["-n", ""], "-n"),
        (["-t", "nan"], "nan"),
        (["-t", "inf"], "inf"),
        (["-t", "-1"], "-1"),
        (["-t", "warm"], "warm"),
        (["-p", "2"], "2"),
        (["-p", "-0.1"], "-0.1"),
        (["-p", "nan"], "nan"),
        (["-s", "abc"], "abc"),
        (["-m", "sing"], "sing"),
        (["-q", "1"], "-q"),
        (["-n"], "-n"),
        (["--unknown"], "--unknown"),
        (["--unknown", "1"], "--unknown"),
        (["--threads", "-1"], "-1"),
        (["--threads", "257"], "257"),
        (["--threads", "two"], "two"),
        (["--quant", "q9"], "q9"),
        (["--isa", "mmx"], "mmx"),
        (["another.bin"], "another.bin"),
    ],
    ids=" ".join,
)
def test_options_of_run(arguments: list[str], named: str, model: Path, run: Run) -> None:
    assert named in complaint(run, model, *arguments)


def test_an_isa_from_the_environment(model: Path, run: Run) -> None:
    assert "mmx" in complaint(run, model, env={"LLAMA2_ISA": "mmx"})


def test_a_stdout_that_cannot_be_written(model: Path, run: Run) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        said = complaint(run, model, "-n", "8", stdout=full)
    finally:
        os.close(full)
    assert "No space left" in said


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (InvalidArgumentError, {"quantize": "q9"}),
        (InvalidArgumentError, {"threads": -1}),
        (InvalidArgumentError, {"threads": 257}),
        (InvalidArgumentError, {"threads": 2**40}),
        (InvalidArgumentError, {"batch": -1}),
        (InvalidArgumentError, {"context": -1}),
        (ContextOverflowError, {"context": SHAPE.context + 1}),
        (DeviceError, {"isa": "mmx"}),
    ],
    ids=str,
)
def test_options_of_a_model(kind: type[Llama2Error], options: dict[str, Any], model: Path) -> None:
    with pytest.raises(kind) as caught:
        Llama(model, **options)
    one_line(str(caught.value))


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (InvalidArgumentError, lambda llama: llama.generate("", max_tokens=-5)),
        (InvalidArgumentError, lambda llama: llama.generate("", temperature=float("nan"))),
        (InvalidArgumentError, lambda llama: llama.generate("", temperature=float("inf"))),
        (InvalidArgumentError, lambda llama: llama.generate("", temperature=-1)),
        (InvalidArgumentError, lambda llama: llama.generate("", top_p=2)),
        (InvalidArgumentError, lambda llama: llama.generate("", top_p=-0.1)),
        (InvalidArgumentError, lambda llama: llama.generate("", top_p=float("nan"))),
        (InvalidArgumentError, lambda llama: llama.generate("", seed=-1)),
        (InvalidArgumentError, lambda llama: llama.generate("", seed=2**64)),
        (InvalidArgumentError, lambda llama: llama.generate([])),
        (InvalidArgumentError, lambda llama: llama.generate([SHAPE.vocab_size])),
        (InvalidArgumentError, lambda llama: llama.generate([-1])),
        (InvalidArgumentError, lambda llama: llama.logits([])),
        (InvalidArgumentError, lambda llama: llama.logits([1, SHAPE.vocab_size])),
        (InvalidArgumentError, lambda llama: llama.logits([2**40])),
        (InvalidArgumentError, lambda llama: llama.detokenize([SHAPE.vocab_size])),
        (InvalidArgumentError, lambda llama: llama.detokenize([-1])),
    ],
    ids=range(17),
)
def test_arguments_of_a_call(kind: type[Llama2Error], call: Callable[[Llama], object], model: Path) -> None:
    with Llama(model) as llama:
        before = llama.logits([1, 2, 3])
        with pytest.raises(kind) as caught:
            call(llama)
        one_line(str(caught.value))
        assert np.array_equal(llama.logits([1, 2, 3]), before)


def test_a_failed_call_leaves_the_sequence_as_it_was(model: Path) -> None:
    loaded = _core.Model(model, quantize=None, threads=1, isa=None)
    session = _core.Session(loaded, context=None, batch=2, threads=1)
    first = session.eval_logits([1, 2, 3], SHAPE.vocab_size)
    for tokens, kind in (([4, 5, 6, 7, SHAPE.vocab_size], InvalidArgumentError), ([4] * 14, ContextOverflowError)):
        with pytest.raises(kind):
            session.eval(tokens)
    second = session.eval_logits([4, 5], SHAPE.vocab_size)
    session.close()
    with Llama(model) as llama:
        assert np.array_equal(llama.logits([1, 2, 3, 4, 5]), np.concatenate([first, second]))
