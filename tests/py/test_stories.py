"""The story model: the corpus it learned from, the judge that measures it, and what its number types make of it."""

from __future__ import annotations

import importlib
import itertools
import math
import random
import re
from pathlib import Path
from typing import Any

import corpus
import judge
import numpy as np
import plots
import pytest
from lexicon import BOYS, GIRLS
from story import Story

import llama2py
from llama2py import QUANTIZE_TYPES, Llama, quantize

# The corpus.


@pytest.fixture(scope="module")
def told() -> list[corpus.Told]:
    return list(itertools.islice(corpus.stories(11), 2000))


def test_the_same_seed_tells_the_same_stories(told: list[corpus.Told]) -> None:
    assert list(itertools.islice(corpus.stories(11), 50)) == told[:50]
    assert next(corpus.stories(12)) != told[0]
    assert len({t.text for t in told}) == len(told)
    assert {t.plot for t in told} == {plot.__name__ for plot in plots.PLOTS}


def test_nothing_of_the_grammar_is_left_in_a_story(told: list[corpus.Told]) -> None:
    for t in told:
        assert not set("[]{}|") & set(t.text), t.text
        assert "  " not in t.text and " ." not in t.text and " ," not in t.text, t.text
        assert t.text[0].isupper() and t.text[-1] in '.!"', t.text
        assert t.text.count('"') % 2 == 0, t.text


def test_facts_stay_true(told: list[corpus.Told]) -> None:
    for t in told:
        hero, kept = judge.heroes(t.text)
        assert (hero, kept) == (t.hero, True), t.text


def test_nobody_answers_who_was_not_asked(told: list[corpus.Told]) -> None:
    replied = re.compile(r'"([^"]*)" (?:answered|replied|returned|explained) ')
    for t in told:
        for paragraph in t.text.split("\n"):
            for m in replied.finditer(paragraph):
                before = paragraph[: m.start()]
                assert re.search(r'\?"[^"]*$', before), paragraph


def test_made_up_names_are_no_words(told: list[corpus.Told]) -> None:
    names = {name for t in told for name in judge.introduced(t.text)} - {*GIRLS, *BOYS}
    words = set(re.findall(r"\b[a-z]+\b", " ".join(t.text for t in told)))
    assert len(names) > 1000 and not {name.lower() for name in names} & words
    assert sum(len(name) for name in names) / len(names) > 6


def test_pronouns_are_those_of_the_name() -> None:
    for seed in range(200):
        story = Story(random.Random(seed))
        person = story.person("f", ["old"])
        if person.name in GIRLS or person.name in BOYS:
            assert (person.name in GIRLS) == (person.pronoun == "she")
        said = story.expand("{f.he} {f.his} {f.himself}")
        assert said == {"she": "she her herself", "he": "he his himself"}[person.pronoun]


def test_plots_and_names_are_held_out_together(tmp_path: Path) -> None:
    counts = corpus.write(tmp_path, 0.5, 3)
    train, held_out = (corpus.read(tmp_path / f"{name}.txt") for name in ("train", "held_out"))
    assert (len(train), len(held_out)) == (counts["train"], counts["held_out"])
    source = list(itertools.islice(corpus.stories(3), len(train) + len(held_out)))
    kept = {(t.plot, t.hero) for t in source if t.held_out}
    assert kept and not kept & {(t.plot, t.hero) for t in source if not t.held_out}
    assert held_out == [t.text for t in source if t.held_out]


def test_another_corpus_is_refused(tmp_path: Path) -> None:
    corpus.ensure(tmp_path, 0.2, 3)
    corpus.ensure(tmp_path, 0.2, 3)
    with pytest.raises(SystemExit, match=r"train\.txt: story 1 is not that of seed 4"):
        corpus.ensure(tmp_path, 0.2, 4)
    with pytest.raises(SystemExit, match=r"train\.txt: 2\d\d,\d\d\d bytes; expected 0\.3 MB"):
        corpus.ensure(tmp_path, 0.3, 3)


# The judge.


@pytest.fixture(scope="module")
def judging(told: list[corpus.Told]) -> judge.Judge:
    return judge.Judge([t.text for t in told[:1000]])


def test_the_judge_finds_a_hero_who_changes(told: list[corpus.Told]) -> None:
    for t in told[:200]:
        others = [name for name in (*GIRLS, *BOYS) if name not in t.text]
        half = t.text.index(" ", len(t.text) // 2)
        assert not judge.heroes(t.text[:half] + t.text[half:].replace(t.hero, others[0]))[1]
    assert judge.heroes("The sun was shining.") == (None, False)
    assert not judge.heroes("Once there was a fox named Ada. Ada met a hare named Ada. Ada slept.")[1]
    assert judge.heroes("One day Zanzibo, a fox, woke. It rained. Zanzibo slept.") == ("Zanzibo", True)


def test_the_judge_finds_a_made_up_name_that_drifts(told: list[corpus.Told]) -> None:
    plain = judge.plain_words([t.text for t in told])
    assert "the" in plain and not {"ada", "ben"} & plain
    for t in told[:200]:
        assert judge.heroes(t.text, plain) == (t.hero, True), t.text
    kept = "There was a fox named Zanzibo. Zanzibo ran. The rain fell. Zanzibo slept. {} woke. At night Zanzibo slept."
    assert judge.heroes(kept.format("Zanzibo"), plain) == ("Zanzibo", True)
    assert judge.heroes(kept.format("Zanzon"), plain) == ("Zanzibo", False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stories", "0"], "argument --stories: 0: expected 1 story or more"),
        (["--megabytes", "0"], "argument --megabytes: 0: expected a number above 0"),
        (["--model", "missing.gguf"], "judge: missing.gguf: "),
        (["--also", "missing"], "judge: missing/train.txt: not there; "),
        (["--temperature", "-1", "--stories", "1"], "judge: "),
    ],
)
def test_the_judge_says_what_is_wrong(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if options[0] != "--megabytes":
        options = [*options, "--megabytes", "0.3"]
    monkeypatch.setattr("sys.argv", ["judge", "--data", str(tmp_path), *options])
    with pytest.raises(SystemExit) as caught:
        judge.main()
    assert caught.value.code in (1, 2)
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_judge_finds_what_was_copied(judging: judge.Judge, told: list[corpus.Told]) -> None:
    assert judging.shares_a_run(told[5].text)
    words = [f"word{i:03}" for i in range(200)]
    story = "One. Two. " + " ".join(words).replace("0", "o").replace("1", "i") + ". Three. Four."
    assert not judging.shares_a_run(story)
    inside = judge.middle(told[5].text)
    first, second = corpus.words(inside)[: judge.RUN], corpus.words(inside)[: judge.RUN - 1]
    for run, shares in ((first, True), (second, False)):
        assert judging.shares_a_run(f"One. Two. strange {' '.join(run)} strange. Three. Four.") is shares


def test_the_judge_finds_words_that_are_new(judging: judge.Judge, told: list[corpus.Told]) -> None:
    assert judging.unknown(told[5].text) == []
    assert judging.unknown("The fox googled it.") == ["googled"]


def test_a_verdict_says_what_is_short(judging: judge.Judge, told: list[corpus.Told]) -> None:
    texts = [t.text for t in told[:20]]
    verdict = judging.judge(texts, [True] * 19 + [False])
    assert (verdict.ended, verdict.hero, verdict.words, verdict.shared) == (0.95, 1, 1, 1)
    assert verdict.short == ["shared"]
    assert "ended" in judging.judge(texts, [False] * 20).short


# The model.

GOLDEN = """ there was a small boy named Boris who lived in a large garden. Boris was known to everyone at the \
dovecote for being hasty: he spoke first and thought afterwards. Boris lived in a house with a crooked gable.
One day in April, when the wind was blowing, something glittered in front of the dovecote. It was a"""

# How much of float32's perplexity a type may have, about twice as far from it as it is.
WORSE = {"f32": 1, "f16": 1.0002, "bf16": 1.0005, "q8_0": 1.0005, "q6_k": 1.0005, "q5_k_m": 1.0006, "q5_k_s": 1.0006}
WORSE |= {"q5_k": 1.0006, "q5_1": 1.0006, "q5_0": 1.0015, "q4_k_m": 1.0031, "q4_k_s": 1.0036, "q4_k": 1.0041}
WORSE |= {"q4_1": 1.0025, "q4_0": 1.0035, "q3_k": 1.024, "q2_k": 1.08}


@pytest.fixture(scope="module")
def kept_text() -> list[str]:
    """Stories of pairs of plot and name that were never trained on."""
    return [t.text for t in itertools.islice((t for t in corpus.stories(5) if t.held_out), 40)]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in the box in each type."""
    folder = tmp_path_factory.mktemp("types")
    for name in QUANTIZE_TYPES:
        quantize(llama2py.model_in_the_box(), folder / f"{name}.gguf", name)
    return {name: folder / f"{name}.gguf" for name in QUANTIZE_TYPES}


def test_its_stories_hold_together() -> None:
    with Llama() as llama:
        texts, ended = judge.sample(llama, 40, 1000, 0.8, 0.9)
    known = judge.Judge([t.text for t in itertools.islice(corpus.stories(1), 6000)])
    verdict = known.judge(texts, ended)
    # One story of 40 is 2.5%; the names that were made up for the rest of the corpus are no words of this part.
    assert set(verdict.short) <= {"shared", "hero", "words"}, verdict
    assert verdict.shared <= 0.05 and verdict.hero >= 0.8 and verdict.words >= 0.95, verdict
    assert 120 < verdict.words_each < 350


def test_it_keeps_to_the_name_and_the_kind_that_it_is_given() -> None:
    with Llama() as llama:
        for seed, (kind, name) in enumerate((("fox", "Mila"), ("girl", "Zoe"), ("dragon", "Theo"), ("mouse", "Ida"))):
            prompt = f"Once upon a time there was a little {kind} named {name}"
            text = llama.generate(prompt, temperature=0.8, seed=seed, echo=True).text
            assert judge.heroes(text) == (name, True), text
            assert text.count(name) >= 4, text


def test_greedy_text_is_golden() -> None:
    assert llama2py.generate(prompt="Once upon a time", max_tokens=90, temperature=0).text == GOLDEN


def perplexities(typed: dict[str, Path], texts: list[str]) -> dict[str, float]:
    found = {}
    for name, path in typed.items():
        with Llama(path) as llama:
            found[name] = judge.foretold(llama, texts)[0]
    return found


def test_more_bits_foretell_better(typed: dict[str, Path], kept_text: list[str]) -> None:
    found = perplexities(typed, kept_text)
    order = ["f32", "q8_0", "q5_k", "q4_k", "q3_k", "q2_k"]
    for more, less in itertools.pairwise(order):
        assert found[more] <= found[less] * (1 + 1e-4), found
    for name, bound in WORSE.items():
        assert found[name] <= found["f32"] * bound, (name, found[name] / found["f32"])
    assert set(WORSE) == set(QUANTIZE_TYPES)
    assert found["f32"] < 1.56


@pytest.mark.parametrize("name", QUANTIZE_TYPES)
def test_every_type_tells_a_story(name: str, typed: dict[str, Path]) -> None:
    with Llama(typed[name]) as llama:
        texts, ended = judge.sample(llama, 10, 0, 0.5, 0.9)
    assert np.mean(ended) >= 0.9
    assert np.mean([judge.heroes(text)[1] for text in texts]) >= (0.5 if name == "q2_k" else 0.6), texts


# The trainer, where what it needs is installed.


@pytest.fixture(scope="module")
def train() -> Any:
    for needed in ("torch", "safetensors", "sentencepiece", "gguf"):
        pytest.importorskip(needed)
    return importlib.import_module("train")


def test_each_epoch_has_its_own_number_of_steps(train: Any) -> None:
    rng = random.Random(1)
    stories = [[1] * rng.randrange(20, 500) for _ in range(400)]
    for epochs in (0.4, 1.0, 2.5, 7.0):
        recipe = train.Recipe(epochs=epochs)
        found = train.steps_of(stories, recipe, 512)
        each = [len(train.batches(stories, recipe, 512, epoch)) for epoch in range(math.ceil(epochs))]
        assert found[:-1] == each[:-1] and 1 <= found[-1] <= each[-1]
        assert found[-1] == round((epochs - len(each) + 1) * each[-1])
    assert len(set(each)) > 1  # or nothing was tested


def test_rates_end_with_the_steps_or_the_time(train: Any) -> None:
    recipe = train.Recipe(minutes=10)
    rates = [train.rate_at(step, 1000, 0, recipe) for step in range(1000)]
    assert rates[0] < rates[19] == rates[500] == 1 and 0 < rates[999] < 0.01
    assert train.rate_at(500, 1000, 590, recipe) < 0.05 and train.rate_at(500, 1000, 700, recipe) == 0
    assert train.rate_at(500, 1000, 1e9, train.Recipe()) == 1


def test_muon_is_that_of_torch(train: Any) -> None:
    torch = train.torch

    torch.manual_seed(1)
    for shape in ((48, 32), (32, 48), (32, 32)):
        start, ours, theirs = torch.randn(shape), *(torch.nn.Parameter(torch.zeros(shape)) for _ in range(2))
        settings = {"lr": 0.02, "weight_decay": 0.05, "momentum": 0.95}
        steppers = [train.Muon([ours], **settings), torch.optim.Muon([theirs], **settings)]
        for p in (ours, theirs):
            p.data.copy_(start)
        for _ in range(3):
            grad = torch.randn(shape)
            for p, stepper in zip((ours, theirs), steppers, strict=True):
                p.grad = grad.clone()
                stepper.step()
        assert (ours - theirs).norm() < 0.02 * (start - theirs).norm()


def test_what_is_loaded_is_the_model_in_the_box(train: Any, tmp_path: Path, told: list[corpus.Told]) -> None:
    box = Path(llama2py.model_in_the_box())
    model = train.load(box, tmp_path / "tokenizer.model", train.Shape())
    train.write_folder(model, tmp_path / "tokenizer.model", tmp_path / "folder")
    llama2py.convert(tmp_path / "folder", tmp_path / "loaded.gguf", "f32")
    quantize(box, tmp_path / "box.gguf", "f32")
    with Llama(tmp_path / "loaded.gguf") as loaded, Llama(tmp_path / "box.gguf") as expected:
        for text in (told[0].text, "Zoë! 12 snails\nsaid  nothing."):
            ids = expected.tokenize(text, eos=True)
            assert loaded.tokenize(text, eos=True) == ids
            assert np.array_equal(loaded.logits(ids), expected.logits(ids))
    with pytest.raises(SystemExit, match=r"token_embd\.weight is of shape \(2048, 256\); expected \(2048, 128\)"):
        train.load(box, tmp_path / "other.model", train.Shape(dim=128, n_heads=2))
