"""tokenizer.json in the forms of the families, against the library tokenizers; and a row for each thing that is
refused.
"""

from __future__ import annotations

import importlib
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import gguf
import pytest
import sentencepiece
from checkpoints import SHAPES, Shape
from folders import write_folder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsons import (
    ADDED,
    FORMS,
    LEGACY,
    SPACE,
    Values,
    added,
    byte_level,
    characters_of,
    inside,
    merges_of,
    peer_of,
    put_added,
    save,
    sentence_pieces,
    sequence,
    size_of,
    templated,
    written,
)
from test_tokenizers import SEPARATOR
from vocabularies import SNIPPETS, CTokenizer, Vocabulary, build_library, seconds

import llama2py
from llama2py import Llama, TextError, Tokenizer, TokenizerError

unicode: Any = importlib.import_module("unicodedata2")
MANY = settings(max_examples=300, deadline=None)
MARKS = [token["content"] for token in ADDED]
# Unicode has grown since the library's tables of normal forms were made.
OLD = st.characters(codec="utf-8").filter(lambda c: unicode.ucd_3_2_0.category(c) != "Cn")
PARTS = [
    *SNIPPETS,
    *("caf\u00e9", "cafe\u0301", "e\u0301", "\u212b", "\u1100\u1161\u11a8", "a\u0323\u0307", "a\u0307\u0323", "\u0344"),
    *(
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631",
        "\U0001f468\u200d\U0001f469",
        "<unk>",
        "<0x41>",
        "</s",
        "tool>",
        "words",
    ),
    *("the cat", "under the tree", "      ", "99999999"),
]
PLAIN = st.lists(st.sampled_from(PARTS) | st.text(OLD, max_size=4), max_size=16).map("".join)
MARKED = st.lists(st.sampled_from(MARKS) | st.sampled_from(PARTS) | st.sampled_from([" ", "a"]), max_size=14).map(
    "".join
)
BYTES = ("gpt-2", "llama-bpe", "qwen2", "smollm")
PIECES_OF_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Tokenizer, Any]]:
    """The tokenizer of a form here and there."""
    made: dict[str, tuple[Tokenizer, Any]] = {}

    def get(form: str) -> tuple[Tokenizer, Any]:
        if form not in made:
            values = written(form)
            made[form] = Tokenizer(save(tmp_path_factory.mktemp("form") / "f", values)), peer_of(values)
        return made[form]

    return get


@pytest.mark.parametrize("form", FORMS)
def test_tokens_are_those_of_the_library(form: str, pair: Callable[[str], tuple[Tokenizer, Any]]) -> None:
    ours, peer = pair(form)

    def is_plain(text: str) -> bool:
        """Whether no word of it is a byte's piece: the library finds that one whole, and so as the byte."""
        return form != "whole" or not any(piece in text for piece in PIECES_OF_BYTES)

    @MANY
    @given((PLAIN | MARKED).filter(is_plain))
    @example(" x")
    @example("  x  <left>  y <right>  z")
    @example("words word, word\u0301 word")
    @example("<tool>><tool>>> <both> <both>  <both>")
    @example("e\u0301! \u00e9! caf\u00e9! cafe\u0301!")
    def check(text: str) -> None:
        assert ours.encode(text, special=True) == peer.encode(text).ids, text

    check()


@pytest.mark.parametrize("form", FORMS)
def test_text_that_is_not_to_be_control_tokens(form: str, pair: Callable[[str], tuple[Tokenizer, Any]]) -> None:
    ours = pair(form)[0]
    peer = peer_of(written(form))
    peer.encode_special_tokens = True

    # The library finds a word that is a token among control tokens and bytes too: text could become one, asked or not.
    known = [mark for mark in (*MARKS, "<unk>", *PIECES_OF_BYTES) if form == "whole" and mark in peer.get_vocab(False)]

    @MANY
    @given(MARKED.filter(lambda text: not any(mark in text for mark in known)))
    def check(text: str) -> None:
        assert ours.encode(text) == peer.encode(text).ids

    check()


def normal(form: str, text: str) -> str:
    return unicode.normalize("NFC", text) if form in ("qwen2", "normal") else text


@pytest.mark.parametrize("form", [form for form in FORMS if "unknown" not in form])
def test_text_comes_back(form: str, pair: Callable[[str], tuple[Tokenizer, Any]]) -> None:
    """A token at a time and as a whole, as in the library. What the library's decoders lose of spaces stays here."""
    ours, peer = pair(form)

    @MANY
    @given(PLAIN)
    def check(text: str) -> None:
        ids = ours.encode(text, bos=False)
        stream = ours.text_stream()
        parts = [stream.push(id) for id in ids]
        back = "".join(parts) + stream.end()
        assert back == ours.decode(ids)
        if any(mark in normal(form, text) for mark in MARKS):
            return
        assert back == peer.decode(ids, skip_special_tokens=False)
        if form in BYTES:
            assert back == normal(form, text)
        elif form in ("llama", "never", "replace", "normal") or not text.startswith((" ", SPACE)):
            assert back == normal(form, text).replace(SPACE, " ")

    check()


@pytest.mark.parametrize("form", FORMS)
def test_text_that_is_no_text(form: str, pair: Callable[[str], tuple[Tokenizer, Any]]) -> None:
    for data in (b"a\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", "a\ud800"):
        with pytest.raises(TextError):
            pair(form)[0].encode(data)
    assert pair(form)[0].encode("", bos=False) == []


UNITS = [
    "a",
    " ",
    "3",
    "\n",
    "\u00e9",
    "\u0301",
    "\u0323\u0301",
    "e\u0301",
    "\uac00",
    "\U0001f999",
    "\x00",
    "<",
    "e\u0301!",
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("form", ["llama-bpe", "qwen2", "first", "normal"])
def test_time_grows_as_text_does(form: str, unit: str, pair: Callable[[str], tuple[Tokenizer, Any]]) -> None:
    ours, peer = pair(form)
    text = unit * (200_000 // len(unit))
    assert ours.encode(text[:5_000], special=True) == peer.encode(text[:5_000]).ids
    part = text[: len(text) // 16]
    whole, some = seconds(lambda: ours.encode(text)), seconds(lambda: ours.encode(part))
    assert whole < 128 * some, f"{whole:.3f} s for 16 times what takes {some:.4f} s"


# Normal form C, in C, by way of a tokenizer that keeps every byte.


def test_normal_forms(tmp_path: Path) -> None:
    values = written("qwen2")
    values["added_tokens"] = []
    ours = Tokenizer(save(tmp_path / "f", values))
    rng = random.Random(5)
    marks = [chr(c) for c in range(0x110000) if unicode.combining(chr(c))]
    whole = [chr(c) for c in range(0x110000) if unicode.decomposition(chr(c)) or 0x1100 <= c < 0x1200]
    texts = ["".join(map(chr, range(c, c + 0x100))) for c in range(0, 0x110000, 0x100) if not 0xD800 <= c < 0xE000]
    texts += [
        c + m for c in ("a", "\u0391", "\uac00", "\u1100", *rng.sample(whole, 100)) for m in rng.sample(marks, 10)
    ]
    texts += ["".join(rng.choices([*marks[:200], *whole, *"aeou"], k=rng.randrange(40))) for _ in range(1000)]
    texts += [chr(c) + "\u1161\u11a8\u0301" for c in range(0x1100, 0x1113)]
    for text in texts:
        assert ours.decode(ours.encode(text)) == unicode.normalize("NFC", text), ascii(text)


# The edges of words, as the library knows them.


def test_every_character_beside_a_word(tmp_path: Path) -> None:
    values = written("gpt-2")
    ours, peer = Tokenizer(save(tmp_path / "f", values)), peer_of(values)
    id = peer.token_to_id("word")
    different = []
    for code in range(0x110000):
        character = chr(code)
        if unicode.ucd_3_2_0.category(character) in ("Cs", "Cn"):
            continue
        if (id in ours.encode(f"{character}word")) != (id in peer.encode(f"{character}word").ids):
            different.append(f"U+{code:04X}")
    assert not different


# What other files say.


@pytest.mark.parametrize("form", ["llama-bpe", "first"])
def test_templates_say_what_is_put_around_a_text(form: str, tmp_path: Path) -> None:
    for i, (before, behind) in enumerate([((), ()), (("<s>",), ()), ((), ("</s>",)), (("<s>",), ("<|eot|>",))]):
        values = templated(written(form), *before, behind=behind)
        values["post_processor"]["pair"] = [{"Sequence": {"id": x, "type_id": 0}} for x in "AB"]
        ours, peer = Tokenizer(save(tmp_path / str(i), values)), peer_of(values)
        assert ours.encode("the cat") == peer.encode("the cat").ids
        many = sequence("processors", byte_level(True), values["post_processor"])
        nested = Tokenizer(save(tmp_path / f"nested {i}", {**values, "post_processor": many}))
        assert nested.encode("the cat") == ours.encode("the cat")
        assert (ours.bos_id >= 0, ours.eos_id >= 0) == (bool(before), bool(behind))


IDS = {token["content"]: token["id"] for token in written("llama-bpe")["added_tokens"]}
BOS, EOS, EOT, LEFT = (IDS[text] for text in ("<s>", "</s>", "<|eot|>", "<left>"))
# Files, and then: the id that begins a text, those that end it, and whether a prompt has each.
SAID: list[tuple[str, dict[str, Values], tuple[int, list[int], bool, bool]]] = [
    ("nothing", {}, (-1, [], False, False)),
    ("names", {"tokenizer_config": {"bos_token": "<s>", "eos_token": "</s>"}}, (BOS, [EOS], False, False)),
    (
        "objects",
        {
            "tokenizer_config": {
                "bos_token": {"content": "<s>"},
                "eos_token": {"content": "</s>"},
                "add_bos_token": True,
            }
        },
        (BOS, [EOS], True, False),
    ),
    (
        "a map",
        {"special_tokens_map": {"bos_token": "<s>", "eos_token": {"content": "</s>"}}},
        (BOS, [EOS], False, False),
    ),
    ("no such token", {"tokenizer_config": {"bos_token": "<none>", "eos_token": None}}, (-1, [], False, False)),
    ("config", {"config": {"bos_token_id": BOS, "eos_token_id": [EOS, EOT]}}, (BOS, [EOS, EOT], False, False)),
    (
        "generation",
        {
            "config": {"bos_token_id": BOS, "eos_token_id": BOS},
            "generation_config": {"eos_token_id": [EOT, EOS, EOT], "temperature": 0.6, "top_p": 0.9},
            "tokenizer_config": {"eos_token": "<left>", "add_eos_token": True},
        },
        (BOS, [EOT, EOS, LEFT], False, True),
    ),
    ("nulls", {"tokenizer_config": {"add_bos_token": None, "bos_token": None}}, (-1, [], False, False)),
]


@pytest.mark.parametrize(("files", "expected"), [pytest.param(*row, id=name) for name, *row in SAID])
def test_what_other_files_say(
    files: dict[str, Values], expected: tuple[int, list[int], bool, bool], tmp_path: Path
) -> None:
    ours = Tokenizer(save(tmp_path / "f", written("llama-bpe"), **{"config": {}, **files}))
    bos, ends, adds_bos, adds_eos = expected
    assert (ours.bos_id, list(ours.eos_ids), ours.eos_id) == (bos, ends, ends[0] if ends else -1)
    inner = ours.encode("the", bos=False, eos=False)
    assert ours.encode("the") == [*[bos] * adds_bos, *inner, *[*ends, 0][:1] * adds_eos]


def test_a_template_is_overruled(tmp_path: Path) -> None:
    values = templated(written("llama-bpe"), "<s>", behind=("</s>",))
    said = {"add_bos_token": False, "add_eos_token": False, "eos_token": "<|eot|>"}
    ours = Tokenizer(save(tmp_path / "f", values, tokenizer_config=said))
    assert ours.encode("the") == ours.encode("the", bos=False, eos=False)
    assert ours.eos_ids == (EOT,)


# GGUF.


def model_of(path: Path, values: Values, **files: Values) -> Path:
    """A folder with weights for the tokenizer."""
    weights = checkpoints.random_weights(replace(SHAPES["plain"], vocab_size=size_of(values)), 1)
    write_folder(path, weights)
    config = json.loads((path / "config.json").read_text()) | files.pop("config", {})
    return save(path, values, config, **files)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "split"])
def test_a_file_has_the_same_tokenizer(form: str, tmp_path: Path) -> None:
    files = {
        "tokenizer_config": {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "chat_template": "{{ é }}"}
    }
    folder = model_of(tmp_path / "f", written(form), **files)
    result = llama2py.convert(folder, tmp_path / "a.gguf")
    assert result.tokenizer == str(folder / "tokenizer.json")
    llama2py.quantize(tmp_path / "a.gguf", tmp_path / "b.gguf", "q8_0")
    here, there = Tokenizer(folder), Tokenizer(tmp_path / "b.gguf")
    assert (here.bos_id, here.eos_ids) == (there.bos_id, there.eos_ids)
    assert llama2py.inspect(tmp_path / "b.gguf").metadata["tokenizer.chat_template"] == "{{ é }}"
    rng = random.Random(1)
    for _ in range(300):
        text = "".join(rng.choices([*PARTS, *MARKS], k=rng.randrange(12)))
        ids = here.encode(text, special=True)
        assert there.encode(text, special=True) == ids and there.decode(ids) == here.decode(ids)
    with Llama(folder) as llama:
        assert llama.tokenizer.encode("the") == here.encode("the")


# By form without added tokens but control tokens: the keys of our own, and what is said of them.
UNTOLD = {
    "gpt-2": set[str](),
    "llama-bpe": set[str](),
    "smollm": set[str](),
    "qwen2": {"normalizer"},
    "llama": {"ranked"},
    "first": {"ranked", "space_prefix"},
    "normal": {"ranked", "normalizer"},
    "each unknown": {"ranked", "each_unknown"},
    "whole": {"ranked", "space_prefix", "whole_words"},
}


@pytest.mark.parametrize("form", UNTOLD)
def test_a_file_says_it_in_the_terms_of_others(form: str, tmp_path: Path) -> None:
    marks = [added("<s>", True), added("</s>", True), added("<eot>", True), added("<|eom_id|>", True)]
    unknown = [added("<unk>", True)] if form not in BYTES else []
    values = put_added(FORMS[form](), [*unknown, *marks])
    ids = {token["content"]: token["id"] for token in values["added_tokens"]}
    ends = [ids[text] for text in ("</s>", "<|eom_id|>", "<eot>")]
    folder = model_of(tmp_path / "f", values, generation_config={"eos_token_id": ends, "bos_token_id": ids["<s>"]})
    notes = llama2py.convert(folder, tmp_path / "a.gguf").notes
    fields = {key: field.contents() for key, field in gguf.GGUFReader(tmp_path / "a.gguf").fields.items()}
    own = {key.removeprefix("tokenizer.llama2py.") for key in fields if key.startswith("tokenizer.llama2py.")}
    assert own == {*UNTOLD[form], "eos_token_ids"}
    assert len(notes) == bool(UNTOLD[form] - {"ranked"}), notes
    said = {key.removeprefix("tokenizer.ggml."): value for key, value in fields.items()}
    assert said["model"] == ("gpt2" if form in BYTES else "llama") and said.get("pre") == (
        form if form in BYTES else None
    )
    merges = [m if isinstance(m, str) else " ".join(m) for m in values["model"]["merges"]]
    assert said["merges"] == merges
    assert [said[f"{end}_token_id"] for end in ("eos", "eom", "eot")] == ends
    texts = {**values["model"]["vocab"], **ids}
    assert [texts[text] for text in said["tokens"]] == list(range(size_of(values)))
    kinds = dict(zip(said["tokens"], said["token_type"], strict=True))
    assert {kinds[text] for text in ("<s>", "</s>", "<eot>")} == {3}
    if form not in BYTES:
        assert kinds["<unk>"] == 2 and kinds.get("<0x41>", 6) == 6 and said["unknown_token_id"] == 0
        _, pieces = sentence_pieces(form != "each unknown")
        scores = dict(zip(said["tokens"], said["scores"], strict=True))
        made = [left + right for left, right in (merge.split(" ") for merge in merges)]
        by_score = [piece for piece, score in sorted(pieces, key=lambda p: -p[1]) if piece in made]
        assert sorted(by_score, key=lambda piece: -scores[piece]) == by_score


def test_scores_and_ranks_agree_with_sentencepiece(tmp_path: Path) -> None:
    """tokenizer.json, tokenizer.model and a file read by its scores alone: the same ids."""
    model, _ = sentence_pieces(True)
    values = put_added(FORMS["llama"](), [added(text, True, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    folder = save(tmp_path / "f", values)
    ranked = Tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(model)
    scored, peer = Tokenizer(folder), sentencepiece.SentencePieceProcessor(model_proto=model)

    @MANY
    @given(PLAIN)
    def check(text: str) -> None:
        assert ranked.encode(text, bos=False) == scored.encode(text, bos=False) == peer.encode(text)

    check()


def test_the_tokenizer_of_llama_2(data: Path, tmp_path: Path) -> None:
    """As a tokenizer.json, and as the file of scores that is made of it: the ids that others have recorded."""
    recorded = data / "tokenizers" / "ggml-vocab-llama-spm.gguf"
    peer = sentencepiece.SentencePieceProcessor(model_file=str(data / "tokenizers" / "tokenizer.model"))
    pieces = {peer.id_to_piece(id): peer.get_score(id) for id in range(peer.get_piece_size())}
    learned = {piece: score for id, (piece, score) in enumerate(pieces.items()) if id >= 259}
    values = characters_of(LEGACY, None)
    values["model"] |= {
        "vocab": {piece: id for id, piece in enumerate(pieces)},
        "merges": [f"{left} {right}" for left, right in merges_of(learned)],
    }
    folder = save(tmp_path / "f", put_added(values, [added(text, True) for text in ("<unk>", "<s>", "</s>")]))
    ours = Tokenizer(folder)
    texts = Path(f"{recorded}.inp").read_bytes().decode().split(SEPARATOR)
    lines = Path(f"{recorded}.out").read_text().split("\n")
    assert len(texts) == len(lines) > 40
    for text, line in zip(texts, lines, strict=True):
        assert ours.encode(text) == [int(id) for id in line.split()] and ours.decode(ours.encode(text)) == text
    weights = checkpoints.random_weights(Shape(4, 4, 1, 2, 1, 32000, 8), 1)
    write_folder(folder, weights)
    llama2py.convert(folder, tmp_path / "a.gguf")
    there = Tokenizer(tmp_path / "a.gguf")
    scored = CTokenizer(build_library(tmp_path), Vocabulary.of(tmp_path / "a.gguf"))  # without keys of our own
    for text in [*texts, *(" " * n + "the" for n in range(70)), *("x" * n for n in range(20))]:
        assert there.encode(text, bos=False) == ours.encode(text) == scored.encode(text)
    scored.close()


def test_merges_that_scores_cannot_say(tmp_path: Path) -> None:
    values = put_added(characters_of(LEGACY, None, byte_fallback=False), [added("<unk>", True)])
    vocab = {text: id for id, text in enumerate(["<unk>", SPACE, "a", "b", "c", "ab", "bc", "abc"])}
    told = ["b c", "a b", "ab c", "a bc"]
    for name, merges, complaint in (
        ("told", told, ""),
        ("apart", ["ab c", "b c", "a b", "a bc"], "merges that make 'abc' stand apart"),
        ("less", told[:-1], "'a' and 'bc' do not merge"),
        ("none", told[2:], "'[ab]' and '[bc]' do not merge"),
    ):
        changed = inside(values, "model", vocab=vocab, merges=merges)
        folder, peer = model_of(tmp_path / name, changed), peer_of(changed)
        ours = Tokenizer(folder)
        for text in map("".join, itertools.product("abc ", repeat=5)):
            assert ours.encode(text, bos=False) == peer.encode(text).ids
        if not complaint:
            llama2py.convert(folder, tmp_path / "told.gguf")
            continue
        with pytest.raises(TokenizerError, match=complaint):
            llama2py.convert(folder, tmp_path / "x.gguf")
    with pytest.raises(TokenizerError, match="each space begins a word"):
        llama2py.convert(model_of(tmp_path / "split", written("split")), tmp_path / "x.gguf")
    assert not list(tmp_path.glob("x.gguf*"))


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    folder = model_of(tmp_path / "f", written("gpt-2"))
    text = (folder / "tokenizer.json").read_bytes()
    for broken in (None, b"{", b'{"model": {"type": "Unigram"}}'):
        (folder / "tokenizer.json").unlink() if broken is None else (folder / "tokenizer.json").write_bytes(broken)
        with Llama(folder) as llama:
            assert llama.logits([1, 2, 3]).shape == (3, size_of(written("gpt-2")))
            with pytest.raises(
                TokenizerError, match=r"f: holds neither tokenizer\.json nor" if broken is None else "json: "
            ):
                llama.tokenize("x")
    (folder / "tokenizer.json").write_bytes(text)
    with Llama(folder) as llama:
        assert llama.tokenize("x")
