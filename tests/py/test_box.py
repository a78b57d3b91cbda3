"""The model in the box: found where no checkpoint is named, told of, and packed into what is distributed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT, Cli

import llama2py
from llama2py import FileMissingError, Llama, box

NAME = "models/stories.gguf"
SAID = "no checkpoint was named"


def test_it_is_small_and_tells_stories() -> None:
    path = Path(llama2py.model_in_the_box())
    assert path == ROOT / NAME
    assert path.stat().st_size <= 4_500_000
    with Llama() as llama:
        assert llama.info.format == "GGUF v3" and llama.info.context >= 512
        assert llama.tokenizer.path == str(path)


# ./run.


@pytest.fixture
def boxed(program: str, tmp_path: Path) -> Path:
    """A copy of ./run with the model beside it."""
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / NAME, tmp_path / NAME)
    return Path(shutil.copy(program, tmp_path / "run"))


def execute(program: Path | str, *options: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(program), *options]
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("options", [("-s", "3"), ("-i", "Once", "-t", "0"), ("-n", "9", "-s", "4", "-i", "One day")])
def test_run_takes_it(boxed: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / NAME
    done, named = execute(boxed, *options), execute(boxed, str(path), "-n", "0", *options)
    assert (done.returncode, done.stdout) == (named.returncode, named.stdout) == (0, done.stdout)
    assert done.stdout.strip()
    note, *figures = done.stderr.splitlines()
    assert note.startswith(f"run: {SAID}") and f" {path}; " in note and len(figures) == 2
    assert SAID not in named.stderr


def test_run_looks_beside_itself(boxed: Path, tmp_path: Path) -> None:
    """Not where it is called from, nor where a link to it lies."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "story").symlink_to(boxed)
    options = ("-n", "9", "-t", "0")
    expected = execute(boxed, *options).stdout
    for program in (folder / "story", "./story", "../run"):
        assert execute(program, *options, cwd=folder).stdout == expected


def test_run_without_it(boxed: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).unlink()
    for options in ((), ("-i", "Once")):
        done = execute(boxed, *options)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert SAID in done.stderr and str(tmp_path / NAME) in done.stderr and "--help" in done.stderr


def test_run_says_what_is_wrong_with_it(boxed: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"GGUF")
    done = execute(boxed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 2)
    assert done.stderr.splitlines()[1].startswith(f"run: {tmp_path / NAME}: ")


# Python and its commands.


def test_python_takes_it() -> None:
    path = llama2py.model_in_the_box()
    expected = llama2py.generate(path, "Once", max_tokens=30, seed=5)
    assert expected.text
    assert llama2py.generate(prompt="Once", max_tokens=30, seed=5).text == expected.text
    with Llama() as llama, Llama(quantize=None, context=64) as small:
        assert llama.generate("Once", max_tokens=30, seed=5).text == expected.text
        assert small.context == 64 and repr(llama) == f"Llama({path!r})"


def test_commands_take_it(call: Cli) -> None:
    path = llama2py.model_in_the_box()
    for command in (
        ("run", "-n", "30", "-s", "3"),
        ("run", "-i", "Once", "-t", "0", "-n", "30", "--json"),
        ("info",),
        ("info", "--json"),
        ("fit",),
    ):
        name, *options = command
        done, named = call(*command), call(name, path, *options)
        assert done.code == named.code == 0
        note, *rest = done.err.splitlines()
        assert note.startswith(f"llama2py: {SAID}") and path in note and note.endswith(f"llama2py {name} FILE")
        assert len(rest) == len(named.err.splitlines()) and SAID not in named.err
        if "--json" not in options:
            assert done.out == named.out
    quick = ("--prompt", "4", "--decode", "0", "--rounds", "1", "--json")
    assert json.loads(call("bench", *quick).out)["model"]["path"] == path


def test_python_without_it(call: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "_NAME", "missing.gguf")
    for use in (llama2py.model_in_the_box, Llama, llama2py.generate):
        with pytest.raises(FileMissingError, match="name a checkpoint") as caught:
            use()
        assert str(caught.value.filename).endswith("missing.gguf")
    assert "missing.gguf" in call.fails("run")


# What is distributed.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The sources as they are checked out."""
    folder = tmp_path / "tree"
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("csrc", "llama2py"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "llama2py_command.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "models").mkdir()
    shutil.copy(ROOT / NAME, folder / NAME)
    return folder


def build(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", *command],
        cwd=tree,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_packed(tree: Path) -> None:
    assert build(tree, "build_py", "--build-lib", "built").returncode == 0
    assert (tree / "built/llama2py/stories.gguf").read_bytes() == (ROOT / NAME).read_bytes()
    assert (tree / "built/llama2py_command.py").exists()
    assert build(tree, "sdist", "--dist-dir", "made").returncode == 0
    (archive,) = (tree / "made").iterdir()
    with tarfile.open(archive) as opened:
        assert {name.partition("/")[2] for name in opened.getnames()} >= {NAME, "llama2py_command.py", "csrc/api.c"}


def test_nothing_is_packed_without_it(tree: Path) -> None:
    (tree / NAME).unlink()
    done = build(tree, "build_py", "--build-lib", "built")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(f"error: {NAME}: not there")
