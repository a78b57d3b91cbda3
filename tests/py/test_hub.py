"""Checkpoints of the Hub: what is chosen of a repository, pulled, found again, and refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkpoints
import pytest
from checkpoints import SHAPES
from fake_hub import COMMIT, TOKEN, FakeHub, Repository
from folders import write_folder

import llama2py
from llama2py import HubMissingError, InvalidArgumentError, PackageMissingError, hub

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
ASIDE = ("README.md", ".gitattributes", "original/consolidated.00.pth", "original/params.json", "onnx/model.onnx")
PARTS = ("model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
QUANTS = ("m.Q4_K_M.gguf", "m.Q8_0.gguf", "big.Q8_0-00001-of-00002.gguf", "big.Q8_0-00002-of-00002.gguf")
SHARDS = ("params.json", "consolidated.00.pth", "consolidated.01.pth", "tokenizer.model")
TINY = ("stories15M.bin", "stories42M.bin", "stories15M.pt", "stories260K/stories260K.bin")

# What is in a repository, what is asked for, the files that are taken, and what is opened of them.
CHOICES: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], tuple[str, ...], str | None]] = {
    "safetensors": (
        (*ASIDE, *TOKENIZER, "config.json", "model.safetensors", "pytorch_model.bin", "consolidated.safetensors"),
        *("o/m", (), (*TOKENIZER, "model.safetensors", "config.json"), ""),
    ),
    "parts": ((*ASIDE, *PARTS, "config.json"), "o/m", (), (*PARTS, "config.json"), ""),
    "torch": ((*ASIDE, "config.json", "pytorch_model.bin"), "o/m", (), ("pytorch_model.bin", "config.json"), ""),
    "meta": ((*SHARDS, "README.md"), "o/m", (), SHARDS, ""),
    "below": ((*ASIDE, "config.json", "model.safetensors"), "o/m/original", (), ASIDE[2:4], "original"),
    "the only": (("README.md", QUANTS[0]), "o/m", (), (QUANTS[0],), QUANTS[0]),
    "the only in parts": (("README.md", *QUANTS[2:]), "o/m", (), QUANTS[2:], QUANTS[2]),
    "a part": (QUANTS, f"o/m/{QUANTS[3]}", (), QUANTS[2:], QUANTS[2]),
    "a file": (QUANTS, f"o/m/{QUANTS[1]}", (), (QUANTS[1],), QUANTS[1]),
    "like one": (QUANTS, "o/m", ("*q4_k_m*",), (QUANTS[0],), QUANTS[0]),
    "like one, in the name": (QUANTS, "o/m/*Q4_K_M*", (), (QUANTS[0],), QUANTS[0]),
    "like a part": (QUANTS, "o/m", ("*00001-of*",), QUANTS[2:], QUANTS[2]),
    "like several": (QUANTS, "o/m", ("*Q8_0*", "*.Q4*"), QUANTS, None),
    "llama2.c": (TINY, "o/m/stories42M.bin", (), ("stories42M.bin",), "stories42M.bin"),
    "with its tokenizer": (("a.bin", "tokenizer.bin"), "o/m/a.bin", (), ("tokenizer.bin", "a.bin"), "a.bin"),
    "the only with its tokenizer": (("a.bin", "tokenizer.bin"), "o/m", (), ("tokenizer.bin", "a.bin"), "a.bin"),
    "like one with its tokenizer": (("a.bin", "tokenizer.bin"), "o/m", ("a*",), ("tokenizer.bin", "a.bin"), "a.bin"),
    "with a tokenizer of its own": (("a.gguf", "tokenizer.bin"), "o/m", (), ("a.gguf",), "a.gguf"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_chosen(name: str) -> None:
    there, asked, include, files, path = CHOICES[name]
    choice = hub._choose(sorted(there), hub._parse(asked, include, None))
    assert (sorted(choice.files), choice.path, choice.missing) == (sorted(files), path, [])
    last = {"config.json", "params.json"} & {os.path.basename(file) for file in files}
    assert not last or os.path.basename(choice.files[-1]) in last


REFUSED: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], type[Exception], str]] = {
    "several": (QUANTS, "o/m", (), InvalidArgumentError, "o/m: several models: big.Q8_0-00001-of-00002.gguf, m.Q4"),
    "several of llama2.c": (TINY, "o/m", (), InvalidArgumentError, "several models: stories15M.bin, stories42M.bin;"),
    "none": (("README.md",), "o/m", (), HubMissingError, "o/m: no checkpoint that can be read, but README.md; ex"),
    "empty": ((), "o/m", (), HubMissingError, "but nothing; expected"),
    "no match": (QUANTS, "o/m", ("*Q6*", "x"), HubMissingError, "o/m: no file is like *Q6* or x; there are big.Q8_0"),
    "no file": (QUANTS, "o/m/x\n", (), HubMissingError, "o/m: no file or folder x?; there are big"),
    "weights without a configuration": (("model.safetensors",), "o/m", (), HubMissingError, "no checkpoint"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_guessed(name: str) -> None:
    there, asked, include, kind, said = REFUSED[name]
    with pytest.raises(kind) as caught:
        hub._choose(sorted(there), hub._parse(asked, include, None))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_parts_that_are_missing_are_told() -> None:
    choice = hub._choose(sorted((*PARTS[:2], "config.json")), hub._parse("o/m", (), None))
    assert choice.missing == [PARTS[2]]


@pytest.mark.parametrize("name", ["nope", "/m", "o/", "o/m@v1@", "", "hf:"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="expected OWNER/NAME"):
        hub._parse(name, (), "v2")


def test_names() -> None:
    asked = hub._parse("hf:o/m@v1.0/sub/a.gguf", (), None)
    assert (asked.repo, asked.file, asked.revision, asked.name) == ("o/m", "sub/a.gguf", "v1.0", "o/m/sub/a.gguf")
    assert hub._parse("hf://o/m/", (), "x").revision == "x"
    assert hub._parse("stories42M", (), None).name == "karpathy/tinyllamas/stories42M.bin"
    with pytest.raises(InvalidArgumentError, match="one of the two"):
        hub._parse("o/m/a.gguf", ("*",), None)


# Over the wire, each in a process of its own: the library reads its environment once.


class Caller:
    """Runs the command beside a Hub, with a cache of its own."""

    def __init__(self, served: FakeHub, home: Path) -> None:
        self.served = served
        self.home = home

    def __call__(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.served.asked.clear()
        return self.run("-m", "llama2py", *argv, **env)

    def run(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        environment = self.served.env(self.home, **env)
        command = [sys.executable, *argv]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def pulls(self, *argv: str, **env: str) -> dict[str, Any]:
        done = self("pull", *argv, "--json", **env)
        assert done.returncode == 0, done.stderr
        value = json.loads(done.stdout)
        assert isinstance(value, dict)
        return value

    def fails(self, *argv: str, **env: str) -> str:
        done = self(*argv, **env)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("llama2py: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a folder that can be run."""
    path = tmp_path_factory.mktemp("folder") / "m"
    write_folder(path, checkpoints.random_weights(SHAPES["plain"], 1), parts=2)
    return {file.name: file.read_bytes() for file in path.iterdir()}


LONG = bytes(range(256)) * (22 * 2**12)  # what comes in pieces of 10 MiB
BOX = Path(llama2py.model_in_the_box())


@pytest.fixture
def caller(folder: dict[str, bytes], tmp_path: Path) -> Any:
    box = BOX.read_bytes()
    files = {**folder, "README.md": b"# A model"}
    with FakeHub(
        o__m=files,
        o__quants={"box-Q4_K_M.gguf": box, "box-Q8_0.gguf": box[:2000]},
        o__long={"a.bin": LONG},
        o__gated=Repository(files, gated=True),
        o__huge=Repository(files, sizes={"config.json": 10**15}),
        karpathy__tinyllamas={"stories15M.bin": b"\0" * 2000},
    ) as served:
        yield Caller(served, tmp_path / "home")


def test_a_folder_is_pulled_once_and_then_found(caller: Caller, folder: dict[str, bytes]) -> None:
    first = caller.pulls("o/m")
    assert (first["repo"], first["revision"], first["notes"]) == ("o/m", COMMIT, [])
    assert sorted(first["files"]) == sorted(folder) and first["bytes"] == sum(map(len, folder.values()))
    assert {file.name: file.read_bytes() for file in Path(first["path"]).iterdir()} == folder
    assert str(caller.home) in first["path"]
    assert sorted(set(caller.served.downloads())) == sorted(folder)
    assert caller.served.downloads()[-1] == "config.json"
    assert caller.pulls("o/m", "--revision", "main") == first and caller.served.downloads() == []
    again = caller("pull", "o/m")
    assert (again.stdout, again.stderr) == (f"{first['path']}\n", "")
    offline = caller.pulls("o/m", HF_HUB_OFFLINE="1")
    assert offline["path"] == first["path"] and len(offline["notes"]) == 1 and caller.served.asked == []
    told: list[dict[str, Any]] = [
        json.loads(caller("info", name, "--json").stdout) for name in ("hf:o/m", first["path"])
    ]
    for said in told:
        said.pop("memory")  # which says what is free
    assert told[0] == told[1] and told[0]["format"] == "Hugging Face folder" and caller.served.asked == []


def test_a_download_that_breaks_off_goes_on(caller: Caller) -> None:
    caller.served.breaks = 1
    pulled = caller.pulls("o/long/a.bin")
    assert Path(pulled["path"]).read_bytes() == LONG
    ranges = [said for method, _, said in caller.served.asked if method == "GET" and said]
    assert ranges == [f"bytes={10 * 2**20}-"] and len(caller.served.downloads()) == 2


def test_what_is_left_half_pulled_is_not_taken(caller: Caller) -> None:
    pulled = Path(caller.pulls("o/m")["path"])
    (pulled / PARTS[2]).unlink()
    assert "not in the cache" in caller.fails("info", "hf:o/m", HF_HUB_OFFLINE="1")
    assert caller("info", "hf:o/m").returncode == 0
    assert (pulled / PARTS[2]).exists()


def test_one_of_several(caller: Caller) -> None:
    assert "several models: box-Q4_K_M.gguf, box-Q8_0.gguf" in caller.fails("pull", "o/quants")
    assert "several models" in caller.fails("info", "hf:o/quants")
    pulled = caller.pulls("o/quants", "--include", "*q4_k_m*")
    assert pulled["files"] == ["box-Q4_K_M.gguf"] and pulled["path"].endswith("/box-Q4_K_M.gguf") and pulled["single"]
    assert Path(pulled["path"]).read_bytes() == BOX.read_bytes()
    both = caller.pulls("o/quants", "--include", "*.gguf")
    assert not both["single"] and both["path"] == str(Path(pulled["path"]).parent)
    assert "no file is like *Q6_K*; there are" in caller.fails("pull", "o/quants", "--include", "*Q6_K*")
    for path in Path(both["path"]).glob("*Q8*"):
        path.unlink()
    for name in ("hf:o/quants", "hf:o/quants/*.gguf"):  # one of them in the cache is not the only one
        assert "several" in caller.fails("info", name) and not caller.served.downloads()
        said = caller.fails("info", name, HF_HUB_OFFLINE="1")
        assert "o/quants: the cache has box-Q4_K_M.gguf, but the Hub" in said and said.endswith("name the file\n")
    alone = caller.pulls("o/quants", "--include", "*.gguf", HF_HUB_OFFLINE="1")
    assert alone["path"] == pulled["path"] and "this is what the cache has" in alone["notes"][0]
    caller.pulls("o/quants", "--include", "*.gguf")
    assert "several models: box-Q4_K_M.gguf, box-Q8_0" in caller.fails("pull", "o/quants", HF_HUB_OFFLINE="1")
    told = caller("run", "hf:o/quants/box-Q4_K_M.gguf", "-t", "0", "-n", "8", "-i", "Once")
    with llama2py.Llama() as llama:
        expected = llama.generate("Once", 7, 0).text
    assert told.stdout == f"Once{expected}\n"


PROGRAM = """
import sys, llama2py
with llama2py.Llama.from_pretrained("o/quants", *sys.argv[1:], context=64) as llama:
    print(llama.context, llama.generate("Once", 8, 0).text)
"""


def test_from_pretrained(caller: Caller) -> None:
    with llama2py.Llama(context=64) as llama:
        expected = f"64 {llama.generate('Once', 8, 0).text}\n"
    assert "o/quants: several files: box-Q4_K_M.gguf, box-Q8" in caller.run("-c", PROGRAM, "*.gguf").stderr
    assert caller.served.downloads() == []
    for name in ("*Q4_K_M.gguf", "box-Q4_K_M.gguf"):
        done = caller.run("-c", PROGRAM, name)
        assert (done.stdout, done.stderr) == (expected, "")
    assert "no file or folder x.gguf" in caller.run("-c", PROGRAM, "x.gguf").stderr


def test_a_short_name(caller: Caller) -> None:
    done = caller("pull", "stories15M")
    assert done.returncode == 0 and done.stdout.endswith("/stories15M.bin\n")
    assert "karpathy/tinyllamas has no tokenizer.bin beside it" in done.stderr and done.stderr.count("\n") == 1
    (note,) = caller.pulls("stories15M", HF_HUB_OFFLINE="1")["notes"]
    assert "no tokenizer.bin" not in note, "the Hub was not asked"


def test_a_gated_one_needs_a_token(caller: Caller) -> None:
    for token in ({}, {"HF_TOKEN": "hf_another"}):
        said = caller.fails("pull", "o/gated", **token)
        assert "o/gated: is gated" in said and f"{caller.served.endpoint}/o/gated" in said and "HF_TOKEN" in said
    assert caller.pulls("o/gated", HF_TOKEN=TOKEN)["repo"] == "o/gated"


LINES = """
import sys
from llama2py import cli
assert {cli.main(command.split()) for command in sys.argv[1:]} == {1}
"""


def test_what_cannot_be_had(caller: Caller) -> None:
    site = caller.served.endpoint
    refused = {
        "pull o/none": f"o/none: no such repository at {site}, or a private one",
        "run hf:o/none": f"o/none: no such repository at {site}, or a private one",
        "pull o/m --revision v9": "o/m: no revision v9;",
        "info hf:o/m@v9": "o/m: no revision v9;",
        "pull o/m/x.gguf": "o/m: no file or folder x.gguf; there are README.md, config.json",
        "pull o/m--x": "o/m--x: Cannot have -- or ..",
        "pull o/huge": "o/huge: 931322.5",
        "pull m": "m: not the name of a checkpoint on the Hub",
    }
    done = caller.run("-c", LINES, *refused)
    assert (done.returncode, done.stdout, caller.served.downloads()) == (0, "", [])
    lines = done.stderr.splitlines()
    for line, said in zip(lines, refused.values(), strict=True):
        assert line.startswith(f"llama2py: {said}")
    assert "GiB to pull, but" in lines[6] and f"free at {caller.home}" in lines[6]
    assert "and HF_HUB_OFFLINE is set" in caller.fails("info", "hf:o/m", HF_HUB_OFFLINE="1")
    assert "cannot reach http://127.0.0.1:9" in caller.fails("pull", "o/m", HF_ENDPOINT="http://127.0.0.1:9")
    caller.served.fails = 503
    assert "answers with status 503" in caller.fails("pull", "o/m")


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(BOX, "hf:model.gguf")
    assert llama2py.describe("hf:model.gguf") == llama2py.describe(BOX)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PackageMissingError, match=r"pip install 'llama2py\[hub\]'"):
        llama2py.describe("hf:o/m")
