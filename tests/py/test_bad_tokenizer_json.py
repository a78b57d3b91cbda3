"""tokenizer.json and the files beside it where they are hostile or broken: a row for each thing that is refused, and
files made up by mutations, each of which loads or is refused with a line.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsons import (
    FORMS,
    LEGACY,
    SPACE,
    Values,
    added,
    byte_level,
    inside,
    metaspace,
    peer_of,
    save,
    sequence,
    size_of,
    split,
    templated,
    written,
)

from llama2py import Llama2Error, TextError, Tokenizer, TokenizerError


def vocabulary(values: Values, **changes: Any) -> Values:
    return inside(values, "model", "vocab", **changes)


def token(**changes: Any) -> Callable[[Values], Values]:
    return lambda v: {**v, "added_tokens": [*v["added_tokens"], {"id": size_of(v), **added("<new>", True), **changes}]}


def pre(*parts: Values) -> Callable[[Values], Values]:
    return lambda v: {**v, "pre_tokenizer": sequence("pretokenizers", *parts)}


def merge(one: Any) -> Callable[[Values], Values]:
    return lambda v: inside(v, "model", merges=[*v["model"]["merges"], one])


def post(part: Any) -> Callable[[Values], Values]:
    return lambda v: {**v, "post_processor": part}


WORDS = {**split("x"), "behavior": "MergedWithNext"}
REFUSED: list[tuple[str, str, Callable[[Values], Any], str]] = [
    ("a list", "gpt-2", lambda v: [v], r"JSON of a list, expected an object"),
    ("no model", "gpt-2", lambda v: inside(v, model=None), r"model is None, expected an object"),
    ("unigram", "gpt-2", lambda v: inside(v, "model", type="Unigram"), r"type is 'Unigram', expected BPE; others"),
    ("wordpiece", "llama", lambda v: inside(v, "model", type="WordPiece"), r"type is 'WordPiece', expected BPE"),
    ("a type of no text", "llama", lambda v: inside(v, "model", type=["BPE"]), r"type is \['BPE'\]"),
    (
        "a prefix",
        "gpt-2",
        lambda v: inside(v, "model", continuing_subword_prefix="##"),
        r"prefix is '##', expected none",
    ),
    ("a suffix", "gpt-2", lambda v: inside(v, "model", end_of_word_suffix="</w>"), r"end_of_word_suffix is '</w>'"),
    ("dropout", "gpt-2", lambda v: inside(v, "model", dropout=0.1), r"dropout is 0\.1"),
    ("a vocab of pairs", "gpt-2", lambda v: inside(v, "model", vocab=[["a", 0]]), r"vocab is .*, expected an object"),
    (
        "no tokens",
        "gpt-2",
        lambda v: {**inside(v, "model", vocab={}, merges=[]), "added_tokens": []},
        r"holds no tokens",
    ),
    ("an id of text", "gpt-2", lambda v: vocabulary(v, new="5"), r"'new' has the id '5', expected a whole number"),
    ("an id of true", "gpt-2", lambda v: vocabulary(v, new=True), r"'new' has the id True"),
    ("an id below 0", "gpt-2", lambda v: vocabulary(v, new=-1), r"'new' has the id -1"),
    ("an id again", "gpt-2", lambda v: vocabulary(v, new=7), r"have the same id, 7"),
    (
        "an id too many",
        "gpt-2",
        lambda v: vocabulary(v, new=2**40),
        r"'new' has the id 1099511627776, but the model has",
    ),
    ("half a character", "gpt-2", lambda v: vocabulary(v, **{"\ud800": 7}), r"the token '.ud800' has"),
    ("merges of numbers", "gpt-2", merge(3), r"merge \d+ is 3, expected two tokens"),
    ("merges of one", "gpt-2", merge("ab"), r"merge \d+ is 'ab', expected two tokens"),
    ("merges of three", "gpt-2", merge(["a", "b", "c"]), r"expected two tokens"),
    ("merges of nothing", "gpt-2", merge(["a", "new"]), r"\['a', 'new'\], but the second is not a token"),
    ("merges to nothing", "gpt-2", merge("q q"), r"'q q', but what they make is not a token"),
    ("merges of control tokens", "llama", merge("<unk> a"), r"but what they make is not a token"),
    ("no merges", "gpt-2", lambda v: inside(v, "model", merges=None), r"merges is None, expected a list"),
    ("no unknown", "llama", lambda v: inside(v, "model", unk_token="none"), r"unk_token is 'none'"),
    ("an unknown list", "llama", lambda v: inside(v, "model", unk_token=[]), r"unk_token is \[\]"),
    (
        "bytes of bytes",
        "gpt-2",
        lambda v: vocabulary(inside(v, "model", byte_fallback=True), **{"<0x41>": size_of(v)}),
        r"false wh",
    ),
    (
        "some bytes",
        "unknown",
        lambda v: vocabulary(inside(v, "model", byte_fallback=True), **{"<0x41>": size_of(v)}),
        r"byte_fallback is True, expected false where not all bytes are tokens",
    ),
    (
        "a flag of text",
        "llama",
        lambda v: inside(v, "model", ignore_merges="no"),
        r"ignore_merges is 'no', expected true",
    ),
    ("added: no list", "gpt-2", lambda v: inside(v, added_tokens={"a": 1}), r"added_tokens is .*, expected a list"),
    (
        "added: no object",
        "gpt-2",
        lambda v: inside(v, added_tokens=["a"]),
        r"added_tokens 0 is 'a', expected an object",
    ),
    ("added: no text", "gpt-2", token(content=None), r"content is None, expected a text"),
    ("added: empty", "gpt-2", token(content=""), r"content is '', expected a text that is not empty"),
    (
        "added: an id again",
        "gpt-2",
        token(id=size_of(written("gpt-2")) - 1),
        r"id is \d+, expected a whole number that no other token has",
    ),
    ("added: another's id", "gpt-2", token(id=5), r"have the same id, 5"),
    ("added: another id", "gpt-2", token(content="the"), r"id is \d+, expected \d+, as the vocabulary has 'the'"),
    ("added: twice", "gpt-2", token(content="<s>"), r"'<s>' is the text of two tokens"),
    ("added: long", "gpt-2", token(content="x" * 5000), r"has 5000 bytes, expected at most 4096 of one that is read"),
    ("added: a flag of text", "gpt-2", token(lstrip="yes"), r"lstrip is 'yes', expected true or false"),
    (
        "lowercase",
        "gpt-2",
        lambda v: inside(v, normalizer={"type": "Lowercase"}),
        r"normalizer: type is 'Lowercase', exp",
    ),
    (
        "nfkc",
        "qwen2",
        lambda v: inside(v, normalizer=sequence("normalizers", {"type": "NFKC"})),
        r"normalizer 0: type is",
    ),
    (
        "a prefix of text",
        "llama",
        lambda v: inside(v, normalizer={"type": "Prepend", "prepend": "x"}),
        r"prepend is 'x'",
    ),
    ("a prefix alone", "llama", lambda v: inside(v, normalizer=LEGACY["normalizers"][0]), r"Prepend without Replace"),
    (
        "other replacements",
        "llama",
        lambda v: inside(v, normalizer={"type": "Replace", "pattern": {"Regex": " +"}, "content": SPACE}),
        r"expected to replace ' ' by",
    ),
    (
        "a normalizer of text",
        "llama",
        lambda v: inside(v, normalizer="NFC"),
        r"normalizer is 'NFC', expected an object",
    ),
    ("no words", "gpt-2", lambda v: inside(v, pre_tokenizer=None), r"expected ByteLevel as the last, or a Metaspace"),
    (
        "other words",
        "gpt-2",
        pre(split(r"\w+" * 100), byte_level(False)),
        r"words by '.{1,200}', which is not known; exp",
    ),
    ("nothing but bytes", "gpt-2", pre(byte_level(False)), r"cuts words in 0 steps, which is not known"),
    ("bytes first", "gpt-2", pre(byte_level(True), split("x")), r"ByteLevel is not the last"),
    ("no bytes", "gpt-2", pre(split("x")), r"\['Split'\], expected ByteLevel as the last"),
    ("kept otherwise", "gpt-2", pre(WORDS, byte_level(False)), r"behavior 'MergedWithNext' with invert False"),
    ("a text to split by", "gpt-2", pre({**split("x"), "pattern": {"String": "x"}}, byte_level(False)), r"a Regex"),
    (
        "runs of digits",
        "gpt-2",
        pre({"type": "Digits", "individual_digits": False}, byte_level(True)),
        r"is False, exp",
    ),
    (
        "punctuation",
        "gpt-2",
        pre({"type": "Punctuation"}, byte_level(True)),
        r"type is 'Punctuation', expected ByteLevel or",
    ),
    ("a space first", "gpt-2", pre({**byte_level(True), "add_prefix_space": True}), r"add_prefix_space is True"),
    ("bytes and spaces", "llama", pre(byte_level(True)), r"expected ByteLevel as the last, or a Metaspace"),
    ("another space", "first", pre({**metaspace("first"), "replacement": "_"}), r"replacement is '_'"),
    ("another scheme", "first", pre(metaspace("last")), r"prepend_scheme is 'last', expected always, first or never"),
    ("two prefixes", "llama", pre(metaspace("first")), r"Metaspace behind Prepend"),
    (
        "bert's template",
        "gpt-2",
        post({"type": "BertProcessing"}),
        r"type is 'BertProcessing', expected ByteLevel or Tem",
    ),
    ("no template", "gpt-2", post({"type": "TemplateProcessing"}), r"single is None, expected a list"),
    (
        "a template of two",
        "gpt-2",
        lambda v: templated(v, "<s>", "</s>"),
        r"puts 2 tokens before a text and 0 behind it",
    ),
    ("a template of none", "gpt-2", post({"type": "TemplateProcessing", "single": []}), r"puts -1 tokens before"),
    (
        "a template of strangers",
        "gpt-2",
        lambda v: inside(templated(v, "<s>"), "post_processor", special_tokens={}),
        r"'<s>' is not one of its special_tokens",
    ),
    (
        "another decoder",
        "gpt-2",
        lambda v: inside(v, decoder={"type": "WordPiece"}),
        r"decoder: type is 'WordPiece', exp",
    ),
    (
        "no space",
        "unknown",
        lambda v: inside(v, "model", vocab={t: i for t, i in v["model"]["vocab"].items() if t != SPACE}, merges=[]),
        r"no token for",
    ),
]


@pytest.mark.parametrize(("form", "change", "complaint"), [pytest.param(*row, id=name) for name, *row in REFUSED])
def test_refused(form: str, change: Callable[[Values], Any], complaint: str, tmp_path: Path) -> None:
    values = written(form)
    folder = save(tmp_path / "f", values, {"vocab_size": size_of(values) + 1})
    (folder / "tokenizer.json").write_text(json.dumps(change(values)))
    with pytest.raises(TokenizerError, match=complaint) as error:
        Tokenizer(folder)
    assert "\n" not in error.value.message and len(error.value.message) < 1000
    assert error.value.message.startswith(str(folder))


BESIDE: list[tuple[str, str, Any, str]] = [
    ("no JSON", "generation_config", None, r"generation_config\.json: not JSON"),
    ("a list", "special_tokens_map", [], r"special_tokens_map\.json: JSON of a list, expected an object"),
    ("a flag of text", "tokenizer_config", {"add_bos_token": "yes"}, r"add_bos_token is 'yes', expected true or false"),
    ("an end of text", "generation_config", {"eos_token_id": "</s>"}, r"eos_token_id is '</s>', expected a token's id"),
    (
        "a large end",
        "config",
        {"eos_token_id": [1, 2**31]},
        r"config\.json: eos_token_id is \[1, 2147483648\], expected",
    ),
]


@pytest.mark.parametrize(("name", "values", "complaint"), [pytest.param(*row, id=name) for name, *row in BESIDE])
def test_files_beside_it_that_are_refused(name: str, values: Any, complaint: str, tmp_path: Path) -> None:
    """As the tokenizer's, so that the model can do without it."""
    folder = save(tmp_path / "f", written("gpt-2"))
    path = folder / f"{name}.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text("{" if values is None else json.dumps(said | values if isinstance(values, dict) else values))
    with pytest.raises(TokenizerError, match=complaint) as error:
        Tokenizer(folder)
    assert error.value.message.startswith(f"{folder}/")


def test_a_template_that_is_too_long(tmp_path: Path) -> None:
    folder = save(tmp_path / "f", written("gpt-2"))
    (folder / "chat_template.jinja").write_text(" " * (2**20 + 1))
    with pytest.raises(TokenizerError, match=r"chat_template\.jinja: 1048577 bytes, expected at most 1048576"):
        Tokenizer(folder)


def test_more_tokens_than_rows_and_fewer(tmp_path: Path) -> None:
    values = written("llama")
    n = size_of(values)
    with pytest.raises(TokenizerError, match=rf"has the id {n - 1}, but the model has {n - 1}"):
        Tokenizer(save(tmp_path / "f", values, {"vocab_size": n - 1}))
    ours = Tokenizer(save(tmp_path / "f", values, {"vocab_size": n + 70}))
    assert ours.vocab_size == n + 70 and ours.encode("the cat", bos=False) == peer_of(values).encode("the cat").ids
    assert ours.encode(f"[PAD{n}]", special=True) == peer_of(values).encode(f"[PAD{n}]").ids
    del values["model"]["vocab"]["<0x00>"], values["model"]["vocab"]["<0x01>"]
    with pytest.raises(TokenizerError, match="not all bytes are tokens"):
        Tokenizer(save(tmp_path / "f", values))
    with pytest.raises(TokenizerError, match="a vocabulary of 2147483647 tokens, expected at most"):
        Tokenizer(save(tmp_path / "f", values, {"vocab_size": 2**31 - 1}))


def test_ids_that_are_left_out(tmp_path: Path) -> None:
    values = written("gpt-2")
    marks = dict(enumerate(values["added_tokens"]))
    for i, moved in marks.items():
        moved["id"] += 10 * i
    ours = Tokenizer(save(tmp_path / "f", values))
    ids = ours.encode("".join(token["content"] for token in marks.values()), special=True)
    assert {t["id"] for t in values["added_tokens"] if t["content"] in ("<s>", "</s>", "<left>")} <= set(ids)
    assert ours.decode([size_of(values) - 2]) == f"[PAD{size_of(values) - 2}]"


def test_files_cut_short(tmp_path: Path) -> None:
    for form in ("qwen2", "llama"):
        folder = save(tmp_path / form, templated(written(form), "<s>"))
        data = (folder / "tokenizer.json").read_bytes()
        rng = random.Random(3)
        for n in (0, 1, *sorted(rng.sample(range(2, len(data)), 150)), len(data) - 1):
            (folder / "tokenizer.json").write_bytes(data[:n])
            with pytest.raises(TokenizerError, match="not JSON"):
                Tokenizer(folder)
        twice = data.replace(b'"model":', b'"model": 1, "model":', 1)
        (folder / "tokenizer.json").write_bytes(twice)
        with pytest.raises(TokenizerError, match="'model' is there twice"):
            Tokenizer(folder)


def test_a_million_tokens(tmp_path: Path) -> None:
    n = 1_000_000
    values = FORMS["gpt-2"]()
    vocab = values["model"]["vocab"]
    vocab |= {f"t{i}": i for i in range(len(vocab), n)}
    ours = Tokenizer(save(tmp_path / "f", values))
    assert ours.vocab_size == n and ours.encode("the cat") == peer_of(FORMS["gpt-2"]()).encode("the cat").ids


STRANGE = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**64,
    1e308,
    "",
    "a",
    " ",
    SPACE,
    "\ud800",
    [],
    {},
    ["a", "b"],
    {"type": "Sequence"},
]


def mutated(rng: random.Random, value: Any) -> Any:
    """With something else, something less or something twice, somewhere inside."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        if rng.random() < 0.1:
            return {(rng.choice(list(value)) + "x" if key == name else key): inner for key, inner in value.items()}
        return {**value, name: mutated(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.95:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return [*value[:at], *value[at + 1 :]] if rng.random() < 0.5 else [*value, value[at]]
        return [*value[:at], mutated(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and value and rng.random() < 0.5:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(["", " ", "\0", SPACE, "\u00e9", "\U0001f999"]) + value[at + 1 :]
    if isinstance(value, int) and rng.random() < 0.5:
        return int(value) + rng.choice([-1, 1, 100])
    return rng.choice(STRANGE)


@pytest.mark.parametrize("seed", range(4))
def test_mutations(seed: int, tmp_path: Path) -> None:
    """Each file loads and tokenises, or is refused with a line."""
    rng = random.Random(seed)
    texts = ["the cat  sat", "<s>caf\u00e9!<tool>", "\u4f60\u597d e\u0301 \x00 123"]
    loaded = 0
    for _ in range(400):
        values: Any = templated(written(rng.choice(list(FORMS))), "<s>", behind=("</s>",))
        if rng.random() < 0.7:  # the parts beside the many tokens
            values = {**mutated_small(rng, values), "model": values["model"]}
        for _ in range(rng.randrange(1, 4)):
            values = mutated(rng, values)
        folder = tmp_path / "f"
        try:
            save(folder, written("llama"), {"vocab_size": 600}, tokenizer_config=mutated(rng, {"bos_token": "<s>"}))
            (folder / "tokenizer.json").write_text(json.dumps(values))
            ours = Tokenizer(folder)
        except Llama2Error as error:
            assert "\n" not in error.message and len(error.message) < 1100
            continue
        loaded += 1
        for text in texts:
            try:
                ids = ours.encode(text, special=True)
            except TextError as error:
                assert "no token for the byte" in error.message
                continue
            assert all(0 <= id < 600 for id in ids)
            ours.decode(ids)
    assert 20 < loaded < 380


def mutated_small(rng: random.Random, values: Values) -> Values:
    changed = mutated(rng, {name: value for name, value in values.items() if name != "model"})
    return changed if isinstance(changed, dict) else values
