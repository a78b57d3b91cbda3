"""The C core, one to one: handles that free themselves, Python values in and out, exceptions for failures.

Private. Nothing here takes a lock for computing: a session belongs to one caller at a time, and llama.py sees to that.
"""

from __future__ import annotations

import errno
import itertools
import operator
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from llama2py import errors
from llama2py._llama2 import ffi, lib

StrPath: TypeAlias = "str | os.PathLike[str]"

QUANTIZE = {None: lib.LLAMA2_KEEP, "q8_0": lib.LLAMA2_Q8_0}
KV = {None: lib.LLAMA2_KEEP, "f32": lib.LLAMA2_F32, "f16": lib.LLAMA2_F16, "q8_0": lib.LLAMA2_Q8_0}
ISAS = ("scalar", "avx2", "avx512", "amx", "neon")
FINISH_NONE: int = lib.LLAMA2_FINISH_NONE
FINISH_STOP: int = lib.LLAMA2_FINISH_STOP

_PATH_CAPACITY = 4096


def version() -> str:
    return _string(lib.llama2_version())


def cpu_count() -> int:
    return int(lib.llama2_cpu_count())


# Failures.

_ERRORS: dict[int, type[errors.Llama2Error]] = {
    lib.LLAMA2_ERR_ARGUMENT: errors.InvalidArgumentError,
    lib.LLAMA2_ERR_IO: errors.FileError,
    lib.LLAMA2_ERR_FORMAT: errors.CheckpointError,
    lib.LLAMA2_ERR_TOKENIZER: errors.TokenizerError,
    lib.LLAMA2_ERR_TEXT: errors.TextError,
    lib.LLAMA2_ERR_MEMORY: errors.InsufficientMemoryError,
    lib.LLAMA2_ERR_CONTEXT: errors.ContextOverflowError,
    lib.LLAMA2_ERR_CANCELLED: errors.CancelledError,
    lib.LLAMA2_ERR_DEVICE: errors.DeviceError,
    lib.LLAMA2_ERR_NUMERIC: errors.NumericError,
}
_FILE_ERRORS: dict[int, type[errors.FileError]] = {
    errno.ENOENT: errors.FileMissingError,
    errno.EEXIST: errors.TargetExistsError,
}


def _string(text: Any) -> str:
    value = ffi.string(text)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check(status: int, path: StrPath | None = None) -> None:
    """Raises what the calling thread's last error says, unless all went well. path: the file that was asked for."""
    if status == lib.LLAMA2_OK:
        return
    last = lib.llama2_last_error()
    message = _string(last.message)
    kind = _ERRORS[status]
    error = kind(message)
    if isinstance(error, errors.InsufficientMemoryError | errors.ContextOverflowError):
        error.required, error.available = last.required, last.available
    elif isinstance(error, errors.FileError):
        error = _FILE_ERRORS.get(last.system, errors.FileError)(message)
        error.errno = int(last.system) or None
        error.filename = None if path is None else os.fspath(path)
    raise error


def _int32(name: str, value: Any) -> int:
    number = operator.index(value)
    if not -(2**31) <= number < 2**31:
        raise errors.InvalidArgumentError(f"{name} is {number}, which is outside the 32-bit integers")
    return number


def _option(name: str, value: int | None) -> int:
    return 0 if value is None else _int32(name, value)


def _path(path: StrPath) -> bytes:
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        raise errors.InvalidArgumentError(f"a path cannot hold half of a surrogate pair: {os.fspath(path)!r}") from None
    if b"\0" in encoded:
        raise errors.InvalidArgumentError(f"a path cannot hold a NUL byte: {os.fspath(path)!r}")
    return encoded


def token_ids(tokens: Iterable[int]) -> list[int]:
    """The ids as plain integers that C can hold."""
    if isinstance(tokens, set | frozenset | dict):
        raise errors.InvalidArgumentError(f"token ids in a {type(tokens).__name__} have no order; expected a sequence")
    return [_int32("a token id", token) for token in tokens]


# Interrupts.

# Python runs signal handlers only between two bytecodes of the main thread, so C calls back a function that does
# nothing: what a handler raises then leaves that function, and waits here for the C call to return.
_interrupt = threading.local()


def _keep_interrupt(kind: Any, error: BaseException, traceback: Any) -> None:
    _interrupt.error = error


def _poll(context: Any) -> int:
    return 0


def _tell_progress(context: Any, done: int, total: int) -> int:
    progress = ffi.from_handle(context)
    if progress is not None:
        progress(done, total)
    return 0


ffi.def_extern(name="llama2py_poll", error=1, onerror=_keep_interrupt)(_poll)
ffi.def_extern(name="llama2py_progress", error=1, onerror=_keep_interrupt)(_tell_progress)


def _tell_quantized(context: Any, tensor: Any) -> int:
    told = ffi.from_handle(context)
    name = bytes(ffi.string(tensor.name)).decode("utf-8", "replace")
    dtypes = [_string(lib.llama2_dtype_name(dtype)) for dtype in (tensor.had, tensor.wanted, tensor.dtype)]
    told(name, *dtypes, int(tensor.values), int(tensor.bytes))
    return 0


ffi.def_extern(name="llama2py_quantized", error=1, onerror=_keep_interrupt)(_tell_quantized)


def _check_computed(status: int, path: StrPath | None = None) -> None:
    error = _interrupt.__dict__.pop("error", None)
    if error is not None:
        raise error
    _check(status, path)


# The machine.


def limits(isa: str | None, threads: int | None, size: int) -> dict[str, Any]:
    """The fields of llama2_limits."""
    if not 0 <= size < 2**63:
        raise errors.InvalidArgumentError(f"{size} bytes to read; expected 0 to 2**63 - 1")
    found = ffi.new("llama2_limits *")
    _check(lib.llama2_limits_measure(_isa_name(isa), _option("threads", threads), size, found))
    values = {name: getattr(found, name) for name, _ in ffi.typeof("llama2_limits").fields}
    return values | {"isa": _string(found.isa)}


# Files.

_Walk: TypeAlias = tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, tuple[int, ...], int]]]
_KINDS = {lib.LLAMA2_VALUE_FLOAT: "float", lib.LLAMA2_VALUE_BOOL: "bool", lib.LLAMA2_VALUE_TEXT: "text"}
_KINDS |= {lib.LLAMA2_VALUE_INT: "int", lib.LLAMA2_VALUE_UINT: "int", lib.LLAMA2_VALUE_ARRAY: "array"}


def _text(data: Any, n: int) -> str:
    return bytes(ffi.buffer(data, n)).decode("utf-8", "replace")


def _value(key: Any) -> int | float | bool | str | tuple[str, int]:
    if key.kind == lib.LLAMA2_VALUE_UINT:
        return int(key.integer) % 2**64
    if key.kind == lib.LLAMA2_VALUE_BOOL:
        return bool(key.integer)
    if key.kind == lib.LLAMA2_VALUE_FLOAT:
        return float(key.number)
    if key.kind == lib.LLAMA2_VALUE_TEXT:
        return _text(key.text, key.n)
    if key.kind == lib.LLAMA2_VALUE_ARRAY:
        return _KINDS[key.items], int(key.n)
    return int(key.integer)


def inspect(path: StrPath) -> _Walk:
    """The fields of llama2_file_info; keys, arrays as (items, length); tensors as (name, type, shape, bytes)."""
    opened = ffi.new("llama2_file **")
    _check(lib.llama2_file_open(_path(path), opened), path)
    file = ffi.gc(opened[0], lib.llama2_file_free)
    info = lib.llama2_file_describe(file)
    fields: dict[str, Any] = {"format": _string(info.format)}
    fields |= {name: int(getattr(info, name)) for name in ("bytes", "alignment", "n_keys", "n_tensors", "parts")}
    keys = (lib.llama2_file_key(file, index) for index in range(info.n_keys))
    metadata = {_text(key.name, key.name_bytes): _value(key) for key in keys}
    walked = (lib.llama2_file_tensor(file, index) for index in range(info.n_tensors))
    tensors = [
        (_text(t.name, t.name_bytes), _string(t.dtype_name).lower(), tuple(t.dims[0 : t.n_dims])[::-1], int(t.bytes))
        for t in walked
    ]
    ffi.release(file)
    return fields, metadata, tensors


def quantize_types() -> tuple[str, ...]:
    """What quantize() can quantise to."""
    names = (lib.llama2_quantize_type(index) for index in itertools.count())
    return tuple(_string(name) for name in itertools.takewhile(lambda name: name != ffi.NULL, names))


# Sources.

_SOURCE_DTYPES = {"F32": lib.LLAMA2_F32, "F16": lib.LLAMA2_F16, "BF16": lib.LLAMA2_BF16}
SourceValue: TypeAlias = "bool | int | float | str | list[bytes] | npt.NDArray[np.int32] | npt.NDArray[np.float32]"


class Source:
    """A checkpoint put together in GGUF's terms. It keeps what its tensors lie in alive: maps of files, where large."""

    def __init__(self, name: StrPath, **described: Any) -> None:
        """name: for messages. described: fields of llama2_model_info that say more of it than the core knows."""
        made = ffi.new("llama2_source **")
        _check(lib.llama2_source_new(_path(name), made))
        self.name = os.fspath(name)
        self.described = described
        self.handle = made[0]
        lib.llama2_source_set_mapped(self.handle)
        self._kept: list[Any] = []
        weakref.finalize(self, lib.llama2_source_free, self.handle).atexit = False

    def put(self, key: str, value: SourceValue) -> None:
        """Puts a key: whole numbers as uint32, float as float32, arrays as lists of texts or NumPy arrays."""
        name = key.encode()
        if isinstance(value, bool):
            lib.llama2_source_put_bool(self.handle, name, value)
        elif isinstance(value, int):
            lib.llama2_source_put_uint(self.handle, name, value)
        elif isinstance(value, float):
            lib.llama2_source_put_float(self.handle, name, value)
        elif isinstance(value, str):
            text = value.encode("utf-8", "replace")
            lib.llama2_source_put_text(self.handle, name, text, len(text))
        elif isinstance(value, list):
            lengths = ffi.new("uint64_t[]", [len(text) for text in value])
            lib.llama2_source_put_texts(self.handle, name, b"".join(value), lengths, len(value))
        elif value.dtype == np.int32:
            lib.llama2_source_put_ints(self.handle, name, ffi.from_buffer("int32_t[]", value), value.size)
        else:
            lib.llama2_source_put_floats(self.handle, name, ffi.from_buffer("float[]", value), value.size)

    def put_tensor(
        self, name: str, dtype: str, shape: tuple[int, ...], data: npt.NDArray[np.uint8], split: int = 0
    ) -> None:
        """Puts a tensor of type F32, F16 or BF16 where it lies. shape: as NumPy has it. split: as in llama2.h."""
        lying = ffi.from_buffer("unsigned char[]", data)
        dims = ffi.new("int64_t[]", list(shape[::-1]))
        kind = _SOURCE_DTYPES[dtype]
        _check(
            lib.llama2_source_put_tensor(self.handle, name.encode(), kind, len(shape), dims, lying, data.size, split)
        )
        self._kept.append(lying)

    def join_tensor(
        self, name: str, dtype: str, shape: tuple[int, ...], pieces: list[npt.NDArray[np.uint8]], axis: int
    ) -> None:
        """Puts a matrix of such a type that lies in pieces of one size. shape: of the whole. axis: 0, and each has the
        next rows, or 1, and each has the next columns.
        """
        lying = [ffi.from_buffer("unsigned char[]", piece) for piece in pieces]
        dims = ffi.new("int64_t[]", list(shape[::-1]))
        kind, size = _SOURCE_DTYPES[dtype], pieces[0].size
        addresses = ffi.new("void *[]", lying)
        _check(
            lib.llama2_source_join_tensor(
                self.handle, name.encode(), kind, len(shape), dims, addresses, len(lying), size, axis
            )
        )
        self._kept.append(lying)


# Quantising.


def quantize(
    source: StrPath | Source,
    target: StrPath,
    *,
    type: str,
    version: int | None,
    tokenizer: StrPath | None,
    threads: int | None,
    replace: bool,
    progress: Callable[[int, int], object] | None,
    tensor: Callable[[str, str, str, str, int, int], object],
) -> dict[str, Any]:
    """The fields of llama2_quantize_result. version: of llama2.c's checkpoints; None: GGUF.

    tensor: told name, dtype before, wanted and now, values, bytes.
    """
    if not isinstance(type, str) or "\0" in type:
        raise errors.InvalidArgumentError(f"type is {type!r}; expected one of {', '.join(quantize_types())}")
    options = ffi.new("llama2_quantize_options *", lib.llama2_quantize_defaults())
    kept = ffi.new("char[]", type.encode("utf-8", "replace")), ffi.new_handle(progress), ffi.new_handle(tensor)
    options.type, options.progress_context, options.tensor_context = kept
    options.progress, options.tensor = lib.llama2py_progress, lib.llama2py_quantized
    named = ffi.NULL if tokenizer is None else ffi.new("char[]", _path(tokenizer))
    options.tokenizer = named
    options.threads = _option("threads", threads)
    options.replace = bool(replace)
    options.llama2c = -1 if version is None else _int32("version", version)
    result = ffi.new("llama2_quantize_result *")
    if isinstance(source, Source):
        status = lib.llama2_source_quantize(source.handle, _path(target), options, result)
    else:
        status = lib.llama2_quantize_file(_path(source), _path(target), options, result)
    message = _string(lib.llama2_last_error().message)
    named_paths = (source.name if isinstance(source, Source) else source, target, tokenizer)
    paths = (path for path in named_paths if path and message.startswith(f"{os.fspath(path)}: "))
    _check_computed(status, next(paths, None))
    values = {name: int(getattr(result, name)) for name in ("bytes_in", "bytes_out")}
    found = os.fsdecode(ffi.string(result.tokenizer)) or None
    return values | {"tokenizer": found, "norm_eps": float(result.norm_eps)}


# Models and sessions.


def _isa_name(isa: str | None) -> Any:
    if not isinstance(isa, str | None) or (isa and "\0" in isa):
        raise errors.InvalidArgumentError(f"isa is {isa!r}; expected a name, or None for the fastest")
    return ffi.NULL if isa is None else ffi.new("char[]", isa.encode("utf-8", "replace"))


def _model_options(quantize: str | None, threads: int | None, isa: str | None) -> tuple[Any, ...]:
    """A llama2_model_options *, and what must live as long as it does."""
    if not isinstance(quantize, str | None) or quantize not in QUANTIZE:
        raise errors.InvalidArgumentError(f"quantize is {quantize!r}; expected 'q8_0', or None to keep the file's type")
    name = _isa_name(isa)
    options = ffi.new("llama2_model_options *", lib.llama2_model_defaults())
    options.isa = name
    options.quantize = QUANTIZE[quantize]
    options.threads = _option("threads", threads)
    return options, name


def _tokens(name: str, value: int) -> int:
    number = operator.index(value)
    if not 0 <= number < 2**62:
        raise errors.InvalidArgumentError(f"{name} is {number} tokens; expected 0 or more, or None")
    return number


def _session_options(
    context: int | None,
    batch: int | None,
    threads: int | None,
    kv: str | None,
    pool: int | None = None,
    ranks: int | None = None,
) -> Any:
    if not isinstance(kv, str | None) or kv not in KV:
        raise errors.InvalidArgumentError(f"kv is {kv!r}; expected 'f32', 'f16', 'q8_0', or None for the checkpoint's")
    options = ffi.new("llama2_session_options *", lib.llama2_session_defaults())
    options.context = _option("context", context)
    options.batch = _option("batch", batch)
    options.threads = _option("threads", threads)
    options.kv = KV[kv]
    options.pool = lib.LLAMA2_POOL_MANY if pool is None else _tokens("pool", pool)
    options.ranks = _option("ranks", ranks)
    return options


def plan(
    path: StrPath | Source,
    *,
    quantize: str | None,
    threads: int | None,
    isa: str | None,
    context: int | None,
    batch: int | None,
    kv: str | None = None,
    pool: int | None = None,
) -> tuple[dict[str, int], dict[str, Any]]:
    """The fields of llama2_plan, and of llama2_model_info in memory."""
    model_options = _model_options(quantize, threads, isa)
    planned = ffi.new("llama2_plan *")
    info = ffi.new("llama2_model_info *")
    session_options = _session_options(context, batch, threads, kv, pool)
    if isinstance(path, Source):
        _check(lib.llama2_source_plan(path.handle, model_options[0], session_options, info, planned), path.name)
    else:
        _check(lib.llama2_plan_file(_path(path), model_options[0], session_options, info, planned), path)
    return {name: int(getattr(planned, name)) for name, _ in ffi.typeof("llama2_plan").fields}, _info(info, path)


def _info(info: Any, path: StrPath | Source) -> dict[str, Any]:
    """The fields of llama2_model_info, with text for names and for the dtype."""
    values = {name: getattr(info, name) for name, _ in ffi.typeof("llama2_model_info").fields}
    values |= {name: _string(values[name]) for name in ("format", "isa", "architecture", "rope_scaling")}
    values |= {"dtype": _string(lib.llama2_dtype_name(info.dtype)), "shared_classifier": bool(info.shared_classifier)}
    return values | path.described if isinstance(path, Source) else values


class Model:
    """A checkpoint in memory. Its sessions keep it alive."""

    def __init__(
        self,
        path: StrPath | Source,
        *,
        quantize: str | None,
        threads: int | None,
        isa: str | None,
        context: int | None = None,
        batch: int | None = None,
        kv: str | None = None,
        pool: int | None = None,
        ranks: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """context, batch, kv, pool and ranks: of what is to fit besides. progress: told bytes done and in all."""
        options = _model_options(quantize, threads, isa)
        handle = ffi.new_handle(progress)
        options[0].progress, options[0].progress_context = lib.llama2py_progress, handle
        made = ffi.new("llama2_model **")
        session = _session_options(context, batch, threads, kv, pool, ranks)
        if isinstance(path, Source):
            _check_computed(lib.llama2_source_load(path.handle, options[0], session, made), path.name)
        else:
            _check_computed(lib.llama2_model_load(_path(path), options[0], session, made), path)
        self.handle = made[0]
        self._info = _info(lib.llama2_model_describe(self.handle), path)
        self._free = weakref.finalize(self, lib.llama2_model_free, self.handle)
        self._free.atexit = False

    def close(self) -> None:
        """Frees the model; its sessions must be closed."""
        self._free()
        self.handle = ffi.NULL

    def describe(self) -> dict[str, Any]:
        """The fields of llama2_model_info, with text for names and for the dtype."""
        return self._info


# Adapters.

ADAPTERS_MOST: int = lib.LLAMA2_ADAPTERS_MOST


def _free_adapter(handle: Any, model: Model) -> None:
    """As _free_session()."""
    lib.llama2_adapter_free(handle)


class Adapter:
    """What a LoRA adds to a model. Whoever computes with it keeps it."""

    def __init__(self, model: Model, path: StrPath | Source) -> None:
        made = ffi.new("llama2_adapter **")
        if isinstance(path, Source):
            _check(lib.llama2_source_adapter(path.handle, model.handle, made), path.name)
        else:
            _check(lib.llama2_adapter_load(model.handle, _path(path), made), path)
        self.handle = made[0]
        self._free = weakref.finalize(self, _free_adapter, self.handle, model)
        self._free.atexit = False
        info = lib.llama2_adapter_describe(self.handle)
        self.ranks, self.bytes = int(info.ranks), int(info.bytes)

    def close(self) -> None:
        """Frees it; nothing may be computing with it."""
        self._free()
        self.handle = ffi.NULL


Adapted: TypeAlias = "Sequence[tuple[Adapter, float]]"


def _adapted(adapters: Adapted) -> tuple[Any, int]:
    """A llama2_adapted array, and how many it has."""
    made = ffi.new("llama2_adapted[]", len(adapters))
    for at, (adapter, scale) in zip(made, adapters, strict=True):
        at.adapter, at.scale = adapter.handle, scale
    return made, len(adapters)


def _free_session(handle: Any, model: Model) -> None:
    """Holding the model until here is what makes it outlive its sessions, in whatever order the collector runs."""
    lib.llama2_session_free(handle)


class Session:
    """One sequence of tokens."""

    def __init__(
        self, model: Model, *, context: int | None, batch: int | None, threads: int | None, kv: str | None = None
    ) -> None:
        made = ffi.new("llama2_session **")
        _check(lib.llama2_session_new(model.handle, _session_options(context, batch, threads, kv), made))
        self.handle = made[0]
        self._free = weakref.finalize(self, _free_session, self.handle, model)
        self._free.atexit = False
        self._guard = threading.RLock()
        self._adapters: Adapted = ()
        lib.llama2_session_set_poll(self.handle, lib.llama2py_poll, ffi.NULL)
        options = lib.llama2_session_describe(self.handle)
        self.context = int(options.context)
        self.batch = int(options.batch)
        self.threads = int(options.threads)
        self.kv = _string(lib.llama2_dtype_name(options.kv)).lower()

    def close(self) -> None:
        """Frees the session; nothing may be computing on it."""
        with self._guard:
            self._free()
            self.handle = ffi.NULL

    def start_anew(self) -> None:
        """In a forked child: nobody holds it."""
        self._guard = threading.RLock()

    def cancel(self) -> None:
        """Ends the computation on this session, if any; from any thread."""
        with self._guard:
            if self.handle != ffi.NULL:
                lib.llama2_session_cancel(self.handle)

    def truncate(self, length: int) -> None:
        _check(lib.llama2_session_truncate(self.handle, length))

    def set_adapters(self, adapters: Adapted) -> None:
        """What it is computed with from now on; it must be empty."""
        _check(lib.llama2_session_set_adapters(self.handle, *_adapted(adapters)))
        self._adapters = adapters

    def eval(self, tokens: list[int]) -> None:
        """Appends the tokens and computes them."""
        _check_computed(lib.llama2_session_eval(self.handle, ffi.new("int32_t[]", tokens), len(tokens), ffi.NULL))

    def eval_logits(self, tokens: list[int], vocab_size: int) -> npt.NDArray[np.float32]:
        """The same, and returns the logits after each token: (tokens, vocab_size)."""
        logits = np.empty((len(tokens), vocab_size), dtype=np.float32)
        room = ffi.from_buffer("float[]", logits, require_writable=True)
        _check_computed(lib.llama2_session_eval(self.handle, ffi.new("int32_t[]", tokens), len(tokens), room))
        return logits

    def score(self, tokens: list[int], targets: list[int]) -> npt.NDArray[np.float64]:
        """Appends the tokens; the logarithms of the targets' probabilities after each, NaN where a target is -1."""
        logprobs = np.full(len(tokens), np.nan)
        room = ffi.from_buffer("double[]", logprobs, require_writable=True)
        _check_computed(
            lib.llama2_session_score(
                self.handle, ffi.new("int32_t[]", tokens), ffi.new("int32_t[]", targets), len(tokens), room
            )
        )
        return logprobs

    def generate(self, sampling: Sampling, stops: Sequence[int], capacity: int) -> tuple[list[int], int]:
        """Draws up to `capacity` tokens; returns them and a llama2_finish."""
        tokens = ffi.new("int32_t[]", capacity)
        n_tokens = ffi.new("int32_t *")
        finish = ffi.new("llama2_finish *")
        _check_computed(
            lib.llama2_session_generate(
                self.handle, sampling.handle, stops, len(stops), tokens, capacity, n_tokens, finish
            )
        )
        return ffi.unpack(tokens, n_tokens[0]), finish[0]


class Sampling:
    """How tokens are drawn, and the random state, which drawing advances."""

    def __init__(self, temperature: float, top_p: float, rng: int) -> None:
        self.handle = ffi.new("llama2_sampling *")
        self.handle.temperature = temperature
        self.handle.top_p = top_p
        self.handle.rng = rng

    def skip(self) -> None:
        """Advances the random state as drawing one token does."""
        lib.llama2_random(ffi.addressof(self.handle, "rng"))


# Engines.

PAGE: int = lib.LLAMA2_PAGE
END_NONE: int = lib.LLAMA2_END_NONE
END_STOP: int = lib.LLAMA2_END_STOP
END_LENGTH: int = lib.LLAMA2_END_LENGTH
END_CANCELLED: int = lib.LLAMA2_END_CANCELLED
END_NUMERIC: int = lib.LLAMA2_END_NUMERIC
TOP_MOST: int = lib.LLAMA2_TOP_MOST
SPECULATE_MOST: int = lib.LLAMA2_SPECULATE_MOST


class Event(NamedTuple):
    """A llama2_event, with what it says of the likeliest tokens."""

    request: int
    token: int
    place: int  # llama2_event's index
    end: int
    cached: int
    drafted: int
    accepted: int
    paused: int
    logprob: float
    began: float
    seconds: float
    top: tuple[tuple[int, float], ...]
    message: str  # what was wrong, where its end is END_NUMERIC


@dataclass(frozen=True)
class Asked:
    """A llama2_request. logits: float32, (prompt, vocab_size), kept alive by who asks."""

    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    stops: Sequence[int]
    priority: int = 0
    logprobs: bool = False
    top: int = 0
    score: int = 0
    speculate: int = 0
    drafts: bool = False
    logits: npt.NDArray[np.float32] | None = None
    adapters: Adapted = ()


def _free_engine(handle: Any, models: tuple[Model, ...]) -> None:
    """As _free_session()."""
    lib.llama2_engine_free(handle)


class Engine:
    """Many sequences that are computed together.

    step(), save() and load() belong to one thread at a time; the others may be called from any, until it is closed.
    """

    def __init__(
        self,
        model: Model,
        *,
        context: int | None,
        batch: int | None,
        threads: int | None,
        kv: str | None,
        pool: int | None,
        sequences: int | None,
        chunk: int | None,
        keep: bool,
        draft: Model | None,
        ranks: int | None = None,
    ) -> None:
        options = ffi.new("llama2_engine_options *", lib.llama2_engine_defaults())
        options.session = _session_options(context, batch, threads, kv, pool, ranks)[0]
        options.sequences = _option("sequences", sequences)
        options.chunk = _option("chunk", chunk)
        options.keep = keep
        options.draft = ffi.NULL if draft is None else draft.handle
        made = ffi.new("llama2_engine **")
        _check(lib.llama2_engine_new(model.handle, options, made))
        self.handle = made[0]
        self._free = weakref.finalize(self, _free_engine, self.handle, (model,) if draft is None else (model, draft))
        self._free.atexit = False
        described = lib.llama2_engine_describe(self.handle)
        self.context = int(described.session.context)
        self.pool = int(described.session.pool)
        self.sequences = int(described.sequences)
        self._out = ffi.new("llama2_event **"), ffi.new("int32_t *"), ffi.new("int32_t *")

    def close(self) -> None:
        self._free()

    def submit(self, asked: Asked) -> int:
        """The number that events will name it by."""
        request = ffi.new("llama2_request *")
        kept = ffi.new("int32_t[]", asked.prompt), ffi.new("int32_t[]", list(asked.stops))
        request.prompt, request.stops = kept
        request.n_prompt, request.n_stops = len(asked.prompt), len(asked.stops)
        request.max_tokens = asked.max_tokens
        request.sampling = asked.sampling.handle[0]
        request.priority = _int32("priority", asked.priority)
        request.logprobs, request.top, request.score = asked.logprobs, asked.top, asked.score
        request.speculate, request.drafts = _int32("speculate", asked.speculate), asked.drafts
        if asked.logits is not None:
            request.logits = ffi.from_buffer("float[]", asked.logits, require_writable=True)
        adapted, request.n_adapters = _adapted(asked.adapters)
        request.adapters = adapted
        number = ffi.new("int64_t *")
        _check(lib.llama2_engine_submit(self.handle, request, number))
        return int(number[0])

    def cancel(self, request: int) -> None:
        lib.llama2_engine_cancel(self.handle, request)

    def interrupt(self) -> None:
        lib.llama2_engine_interrupt(self.handle)

    def step(self, seconds: float) -> tuple[list[Event], bool]:
        """What came about, and whether there is more to do."""
        events, n, busy = self._out
        status = lib.llama2_engine_step(self.handle, seconds, events, n, busy)
        if status != lib.LLAMA2_ERR_CANCELLED:
            _check(status)
        tops = lib.llama2_engine_tops(self.handle)
        return [_event(events[0][i], tops) for i in range(n[0])], bool(busy[0])

    def state(self) -> dict[str, int]:
        """The fields of llama2_engine_state."""
        state = lib.llama2_engine_state_of(self.handle)
        return {name: int(getattr(state, name)) for name, _ in ffi.typeof("llama2_engine_state").fields}

    def save(self, tokens: list[int], adapters: Adapted, path: StrPath, replace: bool) -> int:
        """How many pages were written."""
        pages = ffi.new("int32_t *")
        ids = ffi.new("int32_t[]", tokens)
        adapted = _adapted(adapters)
        _check(lib.llama2_engine_save(self.handle, ids, len(tokens), *adapted, _path(path), replace, pages), path)
        return int(pages[0])

    def load(self, path: StrPath, adapters: Adapted) -> list[int]:
        """The tokens that were saved."""
        tokens, n = ffi.new("int32_t[]", self.context), ffi.new("int32_t *")
        _check(lib.llama2_engine_load(self.handle, _path(path), *_adapted(adapters), tokens, n), path)
        ids: list[int] = ffi.unpack(tokens, n[0])
        return ids


def _event(e: Any, tops: Any) -> Event:
    top = tuple((int(tops[i].token), float(tops[i].logprob)) for i in range(e.top, e.top + e.n_top))
    figures = e.cached, e.drafted, e.accepted, e.paused
    message = _string(lib.llama2_last_error().message) if e.end == END_NUMERIC else ""  # of the thread that stepped
    return Event(e.request, e.token, e.index, e.end, *figures, e.logprob, e.began, e.seconds, top, message)


# Tokenizers.


def find_tokenizer(checkpoint: StrPath, vocab_size: int) -> str:
    path = ffi.new("char[]", _PATH_CAPACITY)
    size = _int32("vocab_size", vocab_size)
    _check(lib.llama2_tokenizer_find(_path(checkpoint), size, path, _PATH_CAPACITY), checkpoint)
    return os.fsdecode(ffi.string(path))


class Tokenizer:
    """A vocabulary in memory."""

    def __init__(self, path: StrPath | Source, vocab_size: int) -> None:
        made = ffi.new("llama2_tokenizer **")
        size = _int32("vocab_size", vocab_size)
        if isinstance(path, Source):
            _check(lib.llama2_source_tokenizer(path.handle, size, made), path.name)
        else:
            _check(lib.llama2_tokenizer_load(_path(path), size, made), path)
        self.handle = made[0]
        weakref.finalize(self, lib.llama2_tokenizer_free, self.handle).atexit = False
        self.vocab_size = int(lib.llama2_tokenizer_vocab_size(self.handle))
        self.bos_id = int(lib.llama2_tokenizer_bos(self.handle))
        self.eos_id = int(lib.llama2_tokenizer_eos(self.handle))
        n = ffi.new("int32_t *")
        ids = lib.llama2_tokenizer_eos_ids(self.handle, n)
        self.eos_ids: tuple[int, ...] = tuple(ffi.unpack(ids, n[0])) if n[0] else ()

    def write(self, path: StrPath, replace: bool) -> None:
        """Writes llama2.c's tokenizer.bin."""
        _check(lib.llama2_tokenizer_write(self.handle, _path(path), int(replace)), path)

    def encode(self, text: bytes, bos: bool | None, eos: bool | None, special: bool) -> list[int]:
        capacity = 3 * len(text) + 3
        tokens = ffi.new("int32_t[]", capacity)
        n = ffi.new("size_t *")
        ends = [-1 if wanted is None else int(wanted) for wanted in (bos, eos)]
        _check(lib.llama2_tokenizer_encode(self.handle, text, len(text), *ends, int(special), tokens, capacity, n))
        ids: list[int] = ffi.unpack(tokens, n[0])
        return ids


class TextStream:
    """Turns tokens back into text, one at a time, whole characters only."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._capacity = max(3, int(lib.llama2_text_stream_bound(tokenizer.handle)))
        self._text = ffi.new("char[]", self._capacity)
        self._n = ffi.new("size_t *")
        self._state = ffi.new("llama2_text_stream *")

    def push(self, token: int) -> str:
        """The characters that this token completes."""
        _check(
            lib.llama2_text_stream_push(self._state, self._tokenizer.handle, token, self._text, self._capacity, self._n)
        )
        return bytes(ffi.buffer(self._text, self._n[0])).decode("utf-8")

    def end(self) -> str:
        """U+FFFD if a character is unfinished."""
        _check(lib.llama2_text_stream_end(self._state, self._text, self._capacity, self._n))
        return bytes(ffi.buffer(self._text, self._n[0])).decode("utf-8")
