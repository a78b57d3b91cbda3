"""The house rules of csrc/: which floor may include which, where OpenMP and libm may stand, and who may print.

Each rule is a function from a file's path in csrc/ and its text to complaints. It is shown able to complain first.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

CSRC = Path(__file__).resolve().parent.parent / "csrc"
FLOORS = {"base": 0, "format": 1, "text": 1, "model": 2, "cpu": 3, "cuda": 3, "engine": 4, "": 5}
LINES_MAX = 800

Rule: TypeAlias = Callable[[str, str], list[str]]

TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
OPENMP = re.compile(r'<omp\.h>|#[ \t]*pragma[ \t]+omp\b|_Pragma[ \t]*\([ \t]*"omp\b|\bomp_\w+[ \t]*\(')
OUTSPOKEN = re.compile(r"\b(?:v?f?printf|f?puts|f?putc|putchar|perror|_?_?exit|_Exit|quick_exit|abort)[ \t]*\(")
LIBM = re.compile(r"\b(?:exp|exp2|expm1|sin|cos|sincos|tan|tanh|pow|log|log2|log10|log1p)[fl]?[ \t]*\(")


def folder(name: str) -> str:
    return posixpath.dirname(name)


def without_comments(text: str) -> str:
    return TOKENS.sub(lambda match: " " if match[0].startswith("/") else match[0], text)


def without_quotes(text: str) -> str:
    return TOKENS.sub('""', without_comments(text))


def included(name: str, text: str) -> list[str]:
    """Paths in csrc/ of the files that a file includes by quotes."""
    paths = []
    for target in (quoted for quoted, _ in INCLUDE.findall(without_comments(text)) if quoted):
        beside = target.startswith("../") or ("/" not in target and target != "llama2.h")
        paths.append(posixpath.normpath(posixpath.join(folder(name), target)) if beside else target)
    return paths


def rule_floors(name: str, text: str) -> list[str]:
    complaints = []
    for target in included(name, text):
        floor = FLOORS.get(folder(target))
        if target == "llama2.h":
            continue
        if name == "run.c":
            complaints.append(f"{name} includes {target}, but a program includes llama2.h only")
        elif floor is None:
            complaints.append(f"{name} includes {target}, which stands on no known floor")
        elif folder(target) != folder(name) and floor >= FLOORS[folder(name)]:
            complaints.append(f"{name} includes {target}, which is not on a lower floor")
    return complaints


def rule_openmp(name: str, text: str) -> list[str]:
    found = [] if folder(name) == "base" else OPENMP.findall(without_comments(text))
    return [f"{name} uses OpenMP: {use}" for use in found]


def rule_quiet(name: str, text: str) -> list[str]:
    found = [] if name == "run.c" else OUTSPOKEN.findall(without_quotes(text))
    return [f"{name} calls {call.rstrip('( ')}, but a library neither prints nor ends the process" for call in found]


def rule_libm(name: str, text: str) -> list[str]:
    found = LIBM.findall(without_quotes(text)) if folder(name) in ("cpu", "engine") else []
    return [f"{name} calls libm's {call.rstrip('( ')}, which differs between machines" for call in found]


def rule_length(name: str, text: str) -> list[str]:
    lines = text.count("\n")
    return [f"{name} has {lines} lines, more than {LINES_MAX}"] if lines > LINES_MAX else []


RULES = [rule_floors, rule_openmp, rule_quiet, rule_libm, rule_length]


@pytest.mark.parametrize("rule", RULES)
def test_the_sources_obey(rule: Rule) -> None:
    sources = sorted(path for path in CSRC.rglob("*") if path.suffix in (".c", ".h", ".cu", ".cuh"))
    names = [path.relative_to(CSRC).as_posix() for path in sources]
    assert {folder(name) for name in names} >= FLOORS.keys() - {"cuda"}
    complaints = [c for name, path in zip(names, sources, strict=True) for c in rule(name, path.read_text("utf-8"))]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (rule_floors, "base/file.c", '#include "format/dtype.h"\n'),
        (rule_floors, "text/bpe.c", '#include "format/dtype.h"\n'),
        (rule_floors, "cpu/attend.c", '  #  include "engine/forward.h"\n'),
        (rule_floors, "model/plan.c", '#include "../cpu/cpu.h"\n'),
        (rule_floors, "engine/session.c", '#include "../api.h"\n'),
        (rule_floors, "engine/session.c", '#include "attic/old.h"\n'),
        (rule_floors, "run.c", '#include "base/status.h"\n'),
        (rule_openmp, "cpu/matmul.c", "#include <omp.h>\n"),
        (rule_openmp, "cpu/matmul.c", "#pragma omp parallel for\n"),
        (rule_openmp, "cpu/matmul.c", '_Pragma("omp simd")\n'),
        (rule_openmp, "engine/forward.c", "int n = omp_get_max_threads();\n"),
        (rule_quiet, "engine/session.c", 'printf("%d", n);\n'),
        (rule_quiet, "base/status.c", 'fprintf(stderr, "no");\n'),
        (rule_quiet, "format/gguf.c", "if (!p) exit (1);\n"),
        (rule_quiet, "api.c", "abort();\n"),
        (rule_libm, "cpu/silu.c", "y = x / (1.0f + expf(-x));\n"),
        (rule_libm, "cpu/rope.c", "float c = cos(a), s = sin(a);\n"),
        (rule_libm, "engine/sampler.c", "p = pow(b, e);\n"),
        (rule_length, "cpu/matmul.c", "\n" * (LINES_MAX + 1)),
    ],
)
def test_a_rule_complains(rule: Rule, name: str, text: str) -> None:
    assert rule(name, text)


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (rule_floors, "engine/forward.c", '#include "forward.h"\n#include "cpu/cpu.h"\n#include <math.h>\n'),
        (rule_floors, "engine/forward.c", '#include "llama2.h"\n// #include "run.h"\n'),
        (rule_floors, "base/status.h", '#include "../llama2.h"\n'),
        (rule_floors, "api.c", '#include "engine/session.h"\n'),
        (rule_floors, "run.c", '#include "llama2.h"\n'),
        (rule_openmp, "base/threads.c", "#include <omp.h>\n#pragma omp parallel\n"),
        (rule_openmp, "cpu/matmul.c", "// no #pragma omp here\n"),
        (rule_quiet, "base/status.c", 'vsnprintf(b, n, "exit(1)", a); /* never printf(...) */\n'),
        (rule_quiet, "run.c", 'fprintf(stderr, "no"); exit(1);\n'),
        (rule_libm, "cpu/silu.c", "y = math_exp(x) * exp_f32(x) + sqrtf(x); // not exp(x)\n"),
        (rule_libm, "text/score.c", "y = log(x);\n"),
        (rule_length, "cpu/matmul.c", "\n" * LINES_MAX),
    ],
)
def test_a_rule_allows(rule: Rule, name: str, text: str) -> None:
    assert rule(name, text) == []
