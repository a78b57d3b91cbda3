"""GGUF's tokenizers against recorded ids, and against the libraries sentencepiece and tokenizers on made-up text."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabularies import (
    BYTE,
    CONTROL,
    EXPRESSIONS,
    NORMAL,
    SNIPPETS,
    UNKNOWN,
    USER,
    CTokenizer,
    TokenizerError,
    Vocabulary,
    build_library,
    seconds,
    words_of,
)

import llama2py

SEPARATOR = "\n__ggml_vocab_test__\n"
MILLION = 1_000_000

# Which rules are tried on which vocabulary: its own on each, and all on the one that is read fastest.
RULES = [("llama-bpe", "llama-bpe"), *(("gpt-2", rule) for rule in EXPRESSIONS)]

TEXTS = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=6), max_size=24).map("".join)
MANY = settings(max_examples=400, deadline=None)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build_library(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def vocabulary(data: Path) -> Callable[[str], Vocabulary]:
    """Reads one of the recorded vocabularies, once."""
    read: dict[str, Vocabulary] = {}

    def get(name: str) -> Vocabulary:
        if name not in read:
            read[name] = Vocabulary.of(data / "tokenizers" / f"ggml-vocab-{name}.gguf")
        return read[name]

    return get


@pytest.fixture(scope="session")
def build(library: ctypes.CDLL, vocabulary: Callable[[str], Vocabulary]) -> Iterator[Callable[..., CTokenizer]]:
    """Makes a tokenizer of a recorded vocabulary, once for each rule of words."""
    made: dict[tuple[str, str], CTokenizer] = {}

    def get(name: str, pre: str = "") -> CTokenizer:
        if (name, pre) not in made:
            v = vocabulary(name)
            made[name, pre] = CTokenizer(library, replace(v, pre=pre.encode()) if pre else v)
        return made[name, pre]

    yield get
    for tokenizer in made.values():
        tokenizer.close()


def splits_of(peer: Any, rule: str) -> list[Any]:
    """A rule of words in the tokenizers library."""
    return [peer.pre_tokenizers.Split(peer.Regex(expression), "isolated") for expression in EXPRESSIONS[rule]]


def peer_of(v: Vocabulary, rule: str) -> Any:
    """The same vocabulary in the tokenizers library."""
    peer = pytest.importorskip("tokenizers", reason="the tokenizers package is not installed")
    texts = [text.decode() for text in v.texts]
    pairs = [tuple(merge.decode().split(" ")) for merge in v.merges]
    whole = rule in ("llama-bpe", "llama3", "llama-v3")
    tokenizer = peer.Tokenizer(peer.models.BPE({t: i for i, t in enumerate(texts)}, pairs, ignore_merges=whole))
    byte_level = peer.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = peer.pre_tokenizers.Sequence([*splits_of(peer, rule), byte_level])
    tokenizer.decoder = peer.decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize("name", ["llama-spm", "llama-bpe", "gpt-2"])
def test_recorded_ids(data: Path, build: Callable[..., CTokenizer], name: str) -> None:
    recorded = data / "tokenizers" / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{recorded}.inp").read_bytes().decode().split(SEPARATOR)
    expected = [[int(i) for i in line.split()] for line in Path(f"{recorded}.out").read_text().split("\n")]
    tokenizer = build(name)
    assert len(texts) == len(expected) > 40
    for text, ids in zip(texts, expected, strict=True):
        assert tokenizer.encode(text) == ids
        assert "".join(tokenizer.stream(ids)) == text


def test_as_sentencepiece(data: Path, build: Callable[..., CTokenizer]) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="the sentencepiece package is not installed")
    peer = sentencepiece.SentencePieceProcessor(model_file=str(data / "tokenizers" / "tokenizer.model"))
    tokenizer = build("llama-spm")

    @MANY
    @given(TEXTS)
    def check(text: str) -> None:
        ids = tokenizer.encode(text)
        assert ids == peer.encode(text)
        assert "".join(tokenizer.stream(ids)) == peer.decode(ids) == text.replace("\u2581", " ")

    check()


@pytest.mark.parametrize("rule", EXPRESSIONS)
def test_words_are_what_the_expressions_match(library: ctypes.CDLL, rule: str) -> None:
    peer = pytest.importorskip("tokenizers", reason="the tokenizers package is not installed")
    splitter = peer.pre_tokenizers.Sequence(splits_of(peer, rule))

    @MANY
    @given(TEXTS)
    def check(text: str) -> None:
        assert words_of(library, rule, text) == [word for word, _ in splitter.pre_tokenize_str(text)]

    check()


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_as_tokenizers(
    build: Callable[..., CTokenizer], vocabulary: Callable[[str], Vocabulary], name: str, rule: str
) -> None:
    peer, tokenizer = peer_of(vocabulary(name), rule), build(name, rule)

    @MANY
    @given(TEXTS)
    def check(text: str) -> None:
        ids = tokenizer.encode(text)
        assert ids == peer.encode(text).ids
        assert "".join(tokenizer.stream(ids)) == peer.decode(ids) == text

    check()


def test_control_tokens_only_where_asked(
    build: Callable[..., CTokenizer], vocabulary: Callable[[str], Vocabulary]
) -> None:
    v, tokenizer = vocabulary("llama-bpe"), build("llama-bpe")
    peer = peer_of(v, "llama-bpe")
    plain = peer_of(v, "llama-bpe")
    marks = [text.decode() for text, kind in zip(v.texts, v.kinds, strict=True) if kind == CONTROL]
    peer.add_special_tokens(marks)
    parts = st.sampled_from([*marks[:12], *SNIPPETS, "<|", "<|eot_id", "|>", "<|eot_id|"])

    @MANY
    @given(st.lists(parts, max_size=12).map("".join))
    def check(text: str) -> None:
        assert tokenizer.encode(text, special=True) == peer.encode(text).ids
        assert tokenizer.encode(text) == plain.encode(text).ids

    check()
    assert tokenizer.encode("x", bos=True, eos=True) == [v.bos, *tokenizer.encode("x"), v.eos]


@pytest.mark.parametrize("name", ["llama-spm", "llama-bpe", "gpt-2"])
def test_streams_give_whole_characters(build: Callable[..., CTokenizer], name: str) -> None:
    tokenizer = build(name)

    @MANY
    @given(TEXTS)
    def check(text: str) -> None:
        ids = tokenizer.encode(text)
        parts = tokenizer.stream(ids)  # each is decoded strictly
        assert "".join(parts) == (text.replace("\u2581", " ") if name == "llama-spm" else text)
        assert parts[-1] == ""

    check()


@pytest.mark.parametrize(
    "unit", ["the quick brown fox ", "a", " ", "3", "\n", "'", "\u00e9", "\U0001f999\u4f60q", "<|"]
)
@pytest.mark.parametrize(
    ("name", "rule"), [("llama-spm", ""), ("llama-bpe", "llama-bpe"), ("gpt-2", "default"), ("gpt-2", "smollm")]
)
def test_time_grows_as_text_does(build: Callable[..., CTokenizer], name: str, rule: str, unit: str) -> None:
    tokenizer = build(name, rule)
    text = unit * (MILLION // len(unit.encode()))
    whole, part = seconds(lambda: tokenizer.encode(text)), seconds(lambda: tokenizer.encode(text[: len(text) // 16]))
    assert whole < 80 * part, f"{whole:.3f} s for 16 times what takes {part:.4f} s"


BYTES = [b"<0x%02X>" % byte for byte in range(256)]


def small(**changes: Any) -> Vocabulary:
    """A vocabulary of SentencePiece's kind with a user-defined token."""
    texts = [
        b"<unk>",
        b"<s>",
        b"</s>",
        *BYTES,
        *(t.encode() for t in ("\u2581", "a", "b", "ab", "\u2581a", "[u]", "[uv]")),
    ]
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * 5, USER, USER]
    scores = [0.0] * 259 + [-9.0, -9.0, -9.0, -1.0, -2.0, 0.0, 0.0]
    v = Vocabulary(b"llama", texts, kinds, scores, bos=1, eos=2, unknown=0)
    return replace(v, **changes)


SPACE, A, B, AB, SPACE_A, U, UV = range(259, 266)


def test_user_defined_tokens_are_always_read(library: ctypes.CDLL) -> None:
    tokenizer = CTokenizer(library, small())
    assert tokenizer.encode("ab[u]a[uv]</s>b") == [
        *(SPACE, AB, U, SPACE_A, UV, SPACE),
        *(3 + byte for byte in b"</s>"),
        B,
    ]
    ids = tokenizer.encode("ab[u]a[uv]</s>b", special=True)
    assert ids == [SPACE, AB, U, SPACE_A, UV, 2, SPACE, B]
    assert "".join(tokenizer.stream(ids)) == "ab[u]a[uv]b"
    tokenizer.close()
    tokenizer = CTokenizer(library, small(add_space=0))
    assert tokenizer.encode("ab[u]a") == [AB, U, A]
    assert "".join(tokenizer.stream([SPACE_A])) == " a"
    tokenizer.close()
    tokenizer = CTokenizer(library, small(texts=[*small().texts[:U], b" u", b" uu"]))
    assert tokenizer.encode(" ua") == [U, SPACE_A]
    assert "".join(tokenizer.stream([U, SPACE_A])) == " ua"
    tokenizer.close()


def test_what_no_token_says(library: ctypes.CDLL) -> None:
    without = small(texts=[*small().texts[:3], *(b"x%d" % i for i in range(256)), *small().texts[259:]])
    without.kinds = [NORMAL if kind == BYTE else kind for kind in without.kinds]
    tokenizer = CTokenizer(library, without)
    assert tokenizer.encode("acdeab") == [SPACE_A, 0, AB]
    tokenizer.close()
    tokenizer = CTokenizer(library, replace(without, unknown=0xFFFFFFFF))
    with pytest.raises(TokenizerError, match="no token for the byte 0x63"):
        tokenizer.encode("acd")
    tokenizer.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": b"bert"}, "model 'bert', expected llama or gpt2"),
        ({"model": b"gpt2", "pre": b"gpt-3"}, "as 'gpt-3' does, expected one of llama-bpe"),
        ({"texts": [], "kinds": [], "scores": []}, "holds no tokens"),
        ({"bos": 266}, "its BOS token is 266, but it holds 266 tokens"),
        ({"eos": 0x80000000}, "its EOS token is 2147483648"),
        ({"unknown": 1 << 20}, "its unknown token is 1048576"),
        ({"kinds": [7] * 266}, "token 0 is of type 7, expected 1 to 6"),
        ({"kinds": [BYTE] * 266}, "token 0 is a byte and reads '<unk>'"),
        ({"model": b"gpt2", "merges": [b"ab"]}, "merge 0 is 'ab', expected two pieces"),
        ({"model": b"gpt2", "merges": [b"a "]}, "merge 0 is 'a ', expected two pieces"),
        ({"model": b"gpt2", "merges": [b" b"]}, "merge 0 is ' b', expected two pieces"),
        ({"model": b"gpt2", "merges": [b"a b", b"b a"]}, "merge 1 is 'b a', but what they make is not a token"),
        ({"model": b"gpt2", "merges": [b"a q"]}, "but the second is not a token"),
    ],
)
def test_refused(library: ctypes.CDLL, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TokenizerError) as caught:
        CTokenizer(library, small(**changes))
    assert message in str(caught.value)


def test_the_unicode_tables_are_what_their_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(str(root / "tools"))
    script = importlib.import_module("make_unicode_tables")
    try:
        expected = script.headers()
    except (ImportError, SystemExit) as error:
        pytest.skip(str(error))
    assert len(expected) == 2
    for name, text in expected.items():
        assert (root / "csrc" / "text" / name).read_text("utf-8") == text


@pytest.mark.parametrize("name", ["llama-spm", "llama-bpe", "gpt-2"])
def test_a_file_of_a_vocabulary_alone(data: Path, name: str) -> None:
    path = data / "tokenizers" / f"ggml-vocab-{name}.gguf"
    tokenizer = llama2py.Tokenizer(path)
    texts = Path(f"{path}.inp").read_bytes().decode().split(SEPARATOR)
    for text, line in zip(texts, Path(f"{path}.out").read_text().split("\n"), strict=True):
        ids = [int(number) for number in line.split()]
        assert tokenizer.encode(text, bos=False) == ids
        assert tokenizer.decode(ids) == text
