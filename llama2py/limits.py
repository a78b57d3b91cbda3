"""What this machine allows."""

from __future__ import annotations

from dataclasses import dataclass

from llama2py import _core

__all__ = ["Limits", "measure_limits"]


@dataclass(frozen=True)
class Limits:
    """Rates per second of some threads together. A multiply and an add count as two operations.

    read_bytes: reading one buffer again and again.
    f32_ops, int8_ops: multiply-adds of float32, and of int8 summed in int32, on the vector units.
    amx_int8_ops: those of int8 on the matrix unit (AMX); 0.0 where there is none.
    isa: whose instructions were used.
    """

    read_bytes: float
    f32_ops: float
    int8_ops: float
    amx_int8_ops: float
    threads: int
    isa: str


def measure_limits(buffer_bytes: int = 2**28, threads: int | None = None, isa: str | None = None) -> Limits:
    """Measures them, in about a second, as the best of many short windows.

    buffer_bytes: what is read; give it a model's size to learn at what rate its weights can be read.
    threads: None takes the cores this process may really use. isa: None takes the fastest.
    """
    return Limits(**_core.limits(isa, threads, buffer_bytes))
