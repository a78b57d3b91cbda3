"""The one obvious object: a checkpoint that continues texts."""

from __future__ import annotations

import atexit
import operator
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast, overload

import numpy as np
import numpy.typing as npt

from llama2py import _core, hub, lora, sources
from llama2py._core import StrPath
from llama2py._engine import Engine
from llama2py._terminal import progress_bar
from llama2py.box import model_in_the_box
from llama2py.errors import (
    ClosedError,
    ContextOverflowError,
    InvalidArgumentError,
    Llama2Error,
    NumericError,
    TokenizerError,
)
from llama2py.info import EngineState, ModelInfo
from llama2py.lora import Adapters, adapters_of
from llama2py.result import Chunk, Result
from llama2py.session import Session
from llama2py.stream import Request, Stream, Told
from llama2py.tokenizer import Tokenizer

__all__ = ["Llama", "generate"]

# The random generator cannot start from 0, so seed 0 stands for this state (2**64 divided by the golden ratio).
_STATE_OF_SEED_0 = 0x9E3779B97F4A7C15
if TYPE_CHECKING:
    from typing_extensions import Unpack

Prompt: TypeAlias = "str | bytes | bytearray | memoryview | Sequence[int]"
Prompts: TypeAlias = "Sequence[str] | Sequence[bytes] | Sequence[Sequence[int]]"
_MOST = 3e38  # close to what a float32 can hold
_RANKS = 256  # what there is room for at least


class Options(TypedDict, total=False):
    """How a text is to be made, besides; see Llama.generate()."""

    top_p: float
    seed: int | None
    stop: str | Sequence[str] | None
    echo: bool
    logprobs: int | None
    priority: int
    speculate: int
    overflow: str
    lora: Adapters | None


# The child of a fork has the locks of threads that it does not have.
_alive: weakref.WeakSet[Llama] = weakref.WeakSet()


def _forget_threads() -> None:
    for llama in list(_alive):
        llama._start_anew()


os.register_at_fork(after_in_child=_forget_threads)


@atexit.register
def _end_threads() -> None:
    """What daemon threads compute must not call back into an interpreter that is gone."""
    for llama in list(_alive):
        llama._end()


class Llama:
    """A model, ready to run.

    path: a checkpoint: llama2.c's .bin or ckpt.pt, a GGUF file (of several, the first), a Hugging Face folder, or one
        of Meta's, with params.json and consolidated.NN.pth; hf:OWNER/NAME or hf:OWNER/NAME/FILE, which is one of the
        Hugging Face Hub; None takes the model in the box.
    tokenizer: a Tokenizer or the path of one; None looks beside the checkpoint once text is wanted.
    quantize: "q8_0" makes a float checkpoint's matrices int8 while loading, 8.5 bits a weight.
    threads: how many compute; None takes the cores this process may really use. Never changes a result.
    context: how many tokens a sequence may have; None takes what the model was trained for.
    isa: "scalar", "avx2", "avx512", "amx" or "neon"; None takes the fastest. Never changes a result.
    batch: how many tokens of a prompt are computed at once; None takes 256. Never changes a result.
    kv: how keys and values are kept: "f32", "f16" or "q8_0"; None takes float32 for llama2.c's checkpoints, as there,
        and else float16.
    pool: how many tokens all sequences together may hold; None takes the context, but at least 4096; 0 the
        context.
    sequences: how many are computed at once, at most; None takes 64.
    chunk: how many tokens of prompts a step takes in which other sequences are decoded; None takes 128.
    prefix_cache: whether what was read is kept while there is room, so that a prompt that begins likewise is not read
        again. Never changes a result.
    draft: a smaller checkpoint of the same vocabulary, or its path, that guesses what this one checks where
        `speculate` is asked for. Never changes a result.
    lora: the path of a LoRA adapter (a folder of PEFT's, or a GGUF file), or a path and a scale, (path, 0.5), or
        several of either: what texts are computed with unless they ask for others. The model itself stays as it is.
    ranks: what the ranks of one text's adapters may be together, each rounded up to a multiple of 16; None takes those
        of `lora`, but at least 256.
    progress: called now and then while it loads, with the bytes that are done and the bytes in all.

    Any thread may call it, and any number at once: what they ask for is computed together, each as if it were alone.
    Use `with`, or close(), to give the memory back at a known moment.
    """

    def __init__(
        self,
        path: StrPath | None = None,
        tokenizer: StrPath | Tokenizer | None = None,
        quantize: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        *,
        isa: str | None = None,
        batch: int | None = None,
        kv: str | None = None,
        pool: int | None = None,
        sequences: int | None = None,
        chunk: int | None = None,
        prefix_cache: bool = True,
        draft: StrPath | None = None,
        lora: Adapters | None = None,
        ranks: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        self._lora = adapters_of(lora)
        self._path = model_in_the_box() if path is None else os.fspath(sources.located(path))
        self._lock = threading.RLock()
        self._closed = False
        self._ended = False  # the interpreter is about to
        size: dict[str, Any] = {"context": context, "batch": batch, "threads": threads, "kv": kv, "pool": pool}
        self._adapters: dict[str, _core.Adapter] = {}
        opened = sources.opened(self._path)
        load: dict[str, Any] = {"quantize": quantize, "threads": threads, "isa": isa}
        self._model = _core.Model(
            opened, **load, context=context, batch=batch, kv=kv, pool=pool, ranks=ranks, progress=progress
        )
        self._draft = None if draft is None else _core.Model(sources.opened(os.fspath(draft)), **load)
        self._info = ModelInfo(**self._model.describe())
        self._tokenizer: Tokenizer | None = None
        if isinstance(tokenizer, Tokenizer):
            if tokenizer.vocab_size != self._info.vocab_size:
                raise TokenizerError(
                    f"{tokenizer.path}: {tokenizer.vocab_size} tokens, but {self._path} has {self._info.vocab_size}"
                )
            self._tokenizer = tokenizer
        elif tokenizer is not None:
            self._tokenizer = Tokenizer(tokenizer, self._info.vocab_size)
        self._engine_options = size | {
            "sequences": sequences,
            "chunk": chunk,
            "keep": bool(prefix_cache),
            "draft": self._draft,
            "ranks": ranks,
        }
        adapters = self._adapted(None)
        if ranks is None and adapters:
            self._engine_options["ranks"] = max(_RANKS, sum(adapter.ranks for adapter, _ in adapters))
        self._engine: Engine | None = None
        self._finalizers: list[weakref.finalize[Any, Llama]] = []
        core = self._computer().core
        self._context, self._pool = core.context, core.pool
        _alive.add(self)

    # What it is.

    @property
    def info(self) -> ModelInfo:
        """The model's shape, sizes, format and instruction set."""
        return self._info

    @property
    def context(self) -> int:
        """How many tokens a sequence may have."""
        return self._context

    @property
    def pool(self) -> int:
        """How many tokens all sequences together may hold."""
        return self._pool

    @property
    def state(self) -> EngineState:
        """What is being computed, and what was, as of the last step."""
        return EngineState(**self._computer().state())

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in use."""
        if self._tokenizer is None:
            self._tokenizer = Tokenizer.find(self._path, self._info.vocab_size)
        return self._tokenizer

    @property
    def lora(self) -> tuple[tuple[str, float], ...]:
        """The paths and scales of the adapters that texts are computed with unless they ask for others."""
        return self._lora

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def __repr__(self) -> str:
        return f"Llama({self._path!r}{', closed' if self._closed else ''})"

    # Text.

    @overload
    def generate(  # type: ignore[overload-overlap]  # a str is a sequence of str too
        self,
        prompt: Prompt = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Result: ...

    @overload
    def generate(
        self,
        prompt: Prompts,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> list[Result]: ...

    def generate(
        self,
        prompt: Prompt | Prompts = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Result | list[Result]:
        """Continues a text, or each of several.

        prompt: text (bytes: in UTF-8), which is encoded with <s> before it, or token ids, which are taken as they are.
            A list of such: they are computed together, and each gets the result that it would get alone.
        max_tokens: the most to draw; None draws until the model ends the text or the context is full.
        temperature: 0 always takes the likeliest token.
        top_p: draws from the smallest set of tokens whose probabilities exceed it (0.9); 0 and 1 draw from all.
        seed: from 0 to 2**64 - 1; None takes a fresh one, which the result tells. Several prompts all begin with it.
        stop: a string, or several, before which the text is cut.
        echo: whether the text begins with the prompt.
        logprobs: None, or how many of the likeliest tokens are told beside each token drawn, 0 to 64, with the natural
            logarithms of their probabilities; with echo those of the prompt's tokens too.
        priority: the greater is computed first where not all can be, and paused last.
        speculate: how many tokens are guessed ahead, at most, from what followed the same tokens before, or by the
            draft model where there is one; 0 guesses none. Never changes a result.
        overflow: "length" ends the text where the context is full; "error" raises ContextOverflowError at once if the
            prompt and max_tokens are more than the context.
        lora: the adapters that it is computed with, as in Llama(): a path, a path and a scale, or several of either,
            which add in that order; None takes those of Llama(), () none. Each is read when it is first asked for, and
            stays in memory until close().
        progress: for several prompts: whether a bar shows how far they are, on a terminal.

        Raises ContextOverflowError, before it computes anything, if a prompt is longer than the context.
        """
        if not _are_many(prompt):
            with self.stream(cast(Prompt, prompt), max_tokens, temperature, **options) as stream:
                return stream.wait()
        requests = self._requests(cast(Prompts, prompt), max_tokens, temperature, options)
        inbox: SimpleQueue[tuple[Stream, Told]] = SimpleQueue()
        with (
            progress_bar("generate", unit="text", disable=not progress) as advance,
            self._together(requests, inbox) as streams,
        ):
            ended = 0
            while ended < len(streams):
                stream, told = inbox.get()
                was_done = stream.done
                stream.take(told)
                stream.drain()
                ended += stream.done and not was_done
                if advance is not None:
                    advance(ended, len(streams))
            return [stream.wait() for stream in streams]

    def stream(
        self,
        prompt: Prompt = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        **options: Unpack[Options],
    ) -> Stream:
        """generate() for one prompt, as an iterator that gives each piece of the text as soon as it is made."""
        return Stream(self, self._request(prompt, max_tokens, temperature, **options))

    def submit(
        self,
        prompt: Prompt = "",
        max_tokens: int | None = None,
        temperature: float = 1.0,
        *,
        on_chunk: Callable[[Chunk], object] | None = None,
        **options: Unpack[Options],
    ) -> Stream:
        """Has a text made while the caller goes on; wait() gives its result, close() ends it.

        on_chunk: called with each chunk on the thread that computes, so it must be quick. What it raises ends this
            text, no other, and comes out of wait().
        """
        return Stream(self, self._request(prompt, max_tokens, temperature, **options), on_chunk=on_chunk)

    def stream_many(
        self, prompts: Prompts, max_tokens: int | None = None, temperature: float = 1.0, **options: Unpack[Options]
    ) -> Iterator[tuple[int, Chunk]]:
        """Continues several texts together; gives each piece as soon as it is made, with the index of its prompt."""
        return self._stream_many(self._requests(prompts, max_tokens, temperature, options))

    def _stream_many(self, requests: list[Request]) -> Iterator[tuple[int, Chunk]]:
        inbox: SimpleQueue[tuple[Stream, Told]] = SimpleQueue()
        with self._together(requests, inbox) as streams:
            index = {id(stream): i for i, stream in enumerate(streams)}
            for i, stream in enumerate(streams):
                yield from ((i, chunk) for chunk in stream.drain())
            ended = 0
            while ended < len(streams):
                stream, told = inbox.get()
                was_done = stream.done
                stream.take(told)
                yield from ((index[id(stream)], chunk) for chunk in stream.drain())
                ended += stream.done and not was_done
            for stream in streams:
                stream.wait()  # raises what failed

    @contextmanager
    def _together(self, requests: Sequence[Request], inbox: SimpleQueue[tuple[Stream, Told]]) -> Iterator[list[Stream]]:
        """They are ended when the block is left, however it is."""
        streams: list[Stream] = []
        try:
            for request in requests:
                streams.append(Stream(self, request, inbox))
            yield streams
        finally:
            for stream in streams:
                stream.close()

    __call__ = generate

    def session(self, prompt: Prompt = "", lora: Adapters | None = None) -> Session:
        """A text that grows by what is said and what the model answers, and that can be saved, forked and cut.

        lora: as in generate().
        """
        return Session(self, self._ids(prompt) if prompt else [], self._wanted(lora))

    def load_session(self, path: StrPath, lora: Adapters | None = None) -> Session:
        """One that was saved, by this model, with these adapters. Its tokens are not read again, as far as the pool has
        room for them. lora: as in generate().
        """
        engine, wanted = self._computer(), self._wanted(lora)
        adapters = self._adapted(wanted)
        return Session(self, engine.call(lambda: engine.core.load(path, adapters)), wanted)

    def tokenize(
        self,
        text: str | bytes | bytearray | memoryview,
        bos: bool | None = None,
        eos: bool | None = None,
        special: bool = False,
    ) -> list[int]:
        """The ids of a text; see Tokenizer.encode."""
        return self.tokenizer.encode(text, bos, eos, special)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of these ids."""
        return self.tokenizer.decode(ids)

    def logits(self, tokens: Sequence[int], lora: Adapters | None = None) -> npt.NDArray[np.float32]:
        """What the model expects after each of these tokens: float32, (tokens, vocab_size). lora: as in generate()."""
        ids = _core.token_ids(tokens)
        if not ids:
            raise InvalidArgumentError("there are no tokens; expected at least one")
        logits = np.empty((len(ids), self._info.vocab_size), dtype=np.float32)
        self._read(_core.Asked(ids, 0, _core.Sampling(0.0, 1.0, 1), [], logits=logits, adapters=self._adapted(lora)))
        return logits

    def score(self, tokens: Sequence[int], first: int = 1, lora: Adapters | None = None) -> npt.NDArray[np.float64]:
        """How likely the model finds tokens[first:]: the natural logarithm of each one's probability after all before
        it. float64, (len(tokens) - first,). What comes before is context only; the first token of all has none.

        lora: as in generate().
        """
        ids = _core.token_ids(tokens)
        first = operator.index(first)
        if not 1 <= first <= len(ids):
            raise InvalidArgumentError(f"first is {first}; expected 1 to {len(ids)}, the number of tokens")
        if first == len(ids):
            return np.empty(0)
        asked = _core.Asked(ids, 0, _core.Sampling(0.0, 1.0, 1), [], score=first, adapters=self._adapted(lora))
        return np.array([event.logprob for event in self._read(asked) if event.place >= 0 and not event.end])

    def _read(self, asked: _core.Asked) -> list[_core.Event]:
        """What is told of a prompt from which nothing is drawn."""
        self._check_open()
        self._check_context(len(asked.prompt))
        inbox: SimpleQueue[Told] = SimpleQueue()
        engine = self._computer()
        number = engine.submit(asked, inbox.put)
        events: list[_core.Event] = []
        try:
            while not events or not events[-1].end:
                told = inbox.get()
                if isinstance(told, Llama2Error):
                    if self._ended:
                        raise SystemExit  # ends a thread without a word
                    self._check_open()
                    raise told
                events += told
        except BaseException:
            engine.cancel(number)
            raise
        if events[-1].end == _core.END_NUMERIC:
            raise NumericError(events[-1].message)
        return events

    def _requests(
        self, prompts: Prompts, max_tokens: int | None, temperature: float, options: Options
    ) -> list[Request]:
        """All of them, checked before any is computed."""
        return [self._request(prompt, max_tokens, temperature, **options) for prompt in prompts]

    def _ids(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str | bytes | bytearray | memoryview):
            ids = self.tokenize(prompt)
        else:
            ids = _core.token_ids(prompt)
        if not ids:
            raise InvalidArgumentError("the prompt has no token; expected at least one, for example <s>")
        return ids

    def _request(
        self,
        prompt: Prompt,
        max_tokens: int | None,
        temperature: float,
        *,
        top_p: float = 0.9,
        seed: int | None = None,
        stop: str | Sequence[str] | None = None,
        echo: bool = False,
        logprobs: int | None = None,
        priority: int = 0,
        speculate: int = 0,
        overflow: str = "length",
        lora: Adapters | None = None,
    ) -> Request:
        self._check_open()
        ids = self._ids(prompt)
        self._check_context(len(ids))
        # The last token drawn is not computed, so that one more than the context holds can be drawn.
        room = self._context - len(ids) + 1
        most = max(0, min(room, self._pool - len(ids) + 1))
        wanted = most if max_tokens is None else operator.index(max_tokens)
        if wanted < 0:
            raise InvalidArgumentError(f"max_tokens is {wanted}; expected 0 or more, or None")
        if not 0 <= temperature <= _MOST:
            raise InvalidArgumentError(f"temperature is {temperature}; expected 0 to {_MOST:g}")
        if not 0 <= top_p <= 1:
            raise InvalidArgumentError(f"top_p is {top_p}; expected 0 to 1")
        seed = secrets.randbits(64) if seed is None else operator.index(seed)
        if not 0 <= seed < 2**64:
            raise InvalidArgumentError(f"seed is {seed}; expected 0 to 2**64 - 1, or None")
        if logprobs is not None and not 0 <= operator.index(logprobs) <= _core.TOP_MOST:
            raise InvalidArgumentError(f"logprobs is {logprobs}; expected 0 to {_core.TOP_MOST}, or None")
        if not 0 <= operator.index(speculate) <= _core.SPECULATE_MOST:
            raise InvalidArgumentError(f"speculate is {speculate}; expected 0 to {_core.SPECULATE_MOST}")
        if overflow not in ("length", "error"):
            raise InvalidArgumentError(f"overflow is {overflow!r}; expected 'length' or 'error'")
        if overflow == "error" and max_tokens is not None:
            self._check_context(len(ids) + wanted)
        sampling = _core.Sampling(temperature, top_p, seed or _STATE_OF_SEED_0)
        stops = [] if stop is None else [stop] if isinstance(stop, str) else list(stop)
        tokenizer = self._tokenizer_for(prompt)
        asked = _core.Asked(
            prompt=ids,
            max_tokens=min(wanted, room),
            sampling=sampling,
            stops=[] if tokenizer is None else [t for t in (tokenizer.bos_id, *tokenizer.eos_ids) if t >= 0],
            priority=priority,
            logprobs=logprobs is not None,
            top=logprobs or 0,
            score=1 if echo and logprobs is not None else 0,
            speculate=speculate,
            drafts=self._draft is not None,
            adapters=self._adapted(lora),
        )
        return Request(asked, seed, stops, echo, tokenizer)

    def _wanted(self, said: Adapters | None) -> tuple[tuple[str, float], ...]:
        return self._lora if said is None else adapters_of(said)

    def _adapted(self, said: Adapters | None) -> _core.Adapted:
        """The adapters that are meant, in memory."""
        wanted = self._wanted(said)
        if not wanted:
            return ()
        if len(wanted) > _core.ADAPTERS_MOST:
            raise InvalidArgumentError(f"lora has {len(wanted)} adapters; expected at most {_core.ADAPTERS_MOST}")
        return [(self._adapter(path), scale) for path, scale in wanted]

    def _adapter(self, path: str) -> _core.Adapter:
        with self._lock:
            self._check_open()
            where = os.path.realpath(path)
            if where not in self._adapters:
                self._adapters[where] = _core.Adapter(self._model, lora.open_adapter(path, self._info, self._path))
            return self._adapters[where]

    def _tokenizer_for(self, prompt: Prompt) -> Tokenizer | None:
        """None where there is none and the prompt is tokens: then so is what comes out."""
        try:
            return self.tokenizer
        except TokenizerError:
            if isinstance(prompt, str | bytes | bytearray | memoryview):
                raise
            return None

    def _check_context(self, n: int) -> None:
        if n > self._context:
            raise ContextOverflowError(f"{n} tokens, but the context holds {self._context}", n, self._context)

    # Memory.

    def close(self) -> None:
        """Frees the model and its sequences; what is being computed is cancelled.

        Later calls raise ClosedError; a second close does nothing. Within a callback it returns at once, and the
        memory is given back when the callback has returned.
        """
        self._closed = True
        with self._lock:
            engine = self._engine
        if engine is not None:
            engine.close()
        else:
            for adapter in self._adapters.values():
                adapter.close()
            self._model.close()

    def __copy__(self) -> Llama:
        raise TypeError("a Llama cannot be copied or pickled; make a new one")

    def __reduce__(self) -> str:
        raise TypeError("a Llama cannot be copied or pickled; make a new one")

    def __enter__(self) -> Llama:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self._path} was closed; make a new Llama")

    def _computer(self) -> Engine:
        """What computes, made when it is first wanted, and anew in a forked child."""
        with self._lock:
            self._check_open()
            if self._engine is None:
                core = _core.Engine(self._model, **self._engine_options)
                models = [self._model] if self._draft is None else [self._model, self._draft]
                adapters = self._adapters

                def close_all() -> None:
                    for adapter in list(adapters.values()):
                        adapter.close()
                    for model in models:
                        model.close()

                self._engine = Engine(core, close_all)
                # One that is dropped is closed, but not waited for: the collector may come on any thread.
                finalizer = weakref.finalize(self, self._engine.close, 0.0)
                finalizer.atexit = False
                self._finalizers.append(finalizer)
            return self._engine

    def _start_anew(self) -> None:
        """In a forked child: the thread that computes is not there, and what it was at is left alone."""
        self._lock = threading.RLock()
        if self._engine is not None:
            self._engine.abandon()
            self._engine = None

    def _end(self) -> None:
        """Has nothing compute any more: the interpreter is about to end."""
        self._ended = True
        engine = self._engine
        if engine is not None:
            engine.close(wait=2.0)

    @classmethod
    def from_pretrained(
        cls, repo: str, filename: str | None = None, revision: str | None = None, **options: Any
    ) -> Llama:
        """One of the Hugging Face Hub, from its cache once it is there and is named; needs the extra `hub`.

        repo: OWNER/NAME. filename: the file that is meant, or a pattern such as "*Q4_K_M.gguf" that only one is like;
        None takes what a folder needs, or the only model. revision: a branch, tag or commit. options: of Llama().
        """
        return cls(hub.find(repo, filename, revision), **options)


def _are_many(prompt: object) -> bool:
    """Whether it is a list of prompts, and not of token ids."""
    if isinstance(prompt, str | bytes | bytearray | memoryview) or not isinstance(prompt, Sequence) or not prompt:
        return False
    return isinstance(prompt[0], str | bytes | Sequence)


def generate(
    checkpoint: StrPath | None = None,
    prompt: str | bytes | Sequence[int] = "",
    *,
    max_tokens: int | None = None,
    temperature: float = 1.0,
    top_p: float = 0.9,
    seed: int | None = None,
    tokenizer: StrPath | Tokenizer | None = None,
    quantize: str | None = None,
    threads: int | None = None,
    context: int | None = None,
    stop: str | Sequence[str] | None = None,
    lora: Adapters | None = None,
) -> Result:
    """Loads a checkpoint, continues a text, and frees it again. For more than one text, keep a Llama.

    checkpoint: None takes the model in the box, as in generate(prompt="Once upon a time"). lora: as in Llama().
    """
    with Llama(checkpoint, tokenizer, quantize, threads, context, lora=lora) as llama:
        return llama.generate(prompt, max_tokens, temperature, top_p=top_p, seed=seed, stop=stop)
