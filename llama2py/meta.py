"""For code that was written for Meta's `llama` package: the same names, arguments and results, on this engine.

    from llama2py.meta import Dialog, Llama  # was: from llama import Dialog, Llama

No torchrun, no NCCL, one process, and any checkpoint that llama2py loads. The shapes and rules are those of
llama/generation.py in meta-llama/llama; where it asserts, this raises a Llama2Error. What differs:

- temperature 0 takes the likeliest tokens, as there; above it, torch's random numbers cannot be had, so the texts are
  others. They follow from `seed` and from what was asked for before, on every machine alike.
- The logarithms of probabilities of a prompt from which nothing is drawn are those of its tokens; there they are of
  other ones, as logits and tokens are not shifted against each other.
- Each of the tokens that end a text does so, where a vocabulary has several, as Llama 3's.
- A prompt may not be longer than the context that the model was trained for, even where max_seq_len is greater.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypedDict

from llama2py import _core, llama, tokenizer
from llama2py._core import StrPath
from llama2py.box import model_in_the_box
from llama2py.errors import ContextOverflowError, InvalidArgumentError
from llama2py.info import describe
from llama2py.result import Result
from llama2py.stream import Request, Stream

__all__ = ["ChatPrediction", "CompletionPrediction", "Dialog", "Llama", "Message", "Role", "Tokenizer"]

Role = Literal["system", "user", "assistant"]


class Message(TypedDict):
    """What one side of a dialog says."""

    role: Role
    content: str


class CompletionPrediction(TypedDict, total=False):
    """What follows a prompt. tokens, logprobs: only if logprobs were asked for; each token as text of its own."""

    generation: str
    tokens: list[str]
    logprobs: list[float]


class ChatPrediction(TypedDict, total=False):
    """The answer to a dialog. tokens, logprobs: as above."""

    generation: Message
    tokens: list[str]
    logprobs: list[float]


Dialog: TypeAlias = "list[Message]"

_ASK, _ANSWER = "[INST]", "[/INST]"
_SYSTEM, _SYSTEM_END = "<<SYS>>", "<</SYS>>"
_TAGS = (_ASK, _ANSWER, _SYSTEM, _SYSTEM_END)
_UNSAFE = "Error: special tags are not allowed as part of the prompt."


class Tokenizer:
    """A vocabulary as Meta's package has it.

    n_words: how many tokens there are. bos_id, eos_id: <s> and </s>. pad_id: -1.
    """

    def __init__(self, model_path: StrPath | tokenizer.Tokenizer) -> None:
        found = model_path if isinstance(model_path, tokenizer.Tokenizer) else tokenizer.Tokenizer(model_path)
        self.found = found
        self.n_words = found.vocab_size
        self.bos_id = found.bos_id
        self.eos_id = found.eos_id
        self.pad_id = -1

    def encode(self, s: str, bos: bool, eos: bool) -> list[int]:
        """The ids of a text, with <s> before it and </s> after it if that is asked for."""
        return self.found.encode(s, bos, eos)

    def decode(self, t: Sequence[int] | int) -> str:
        """The text of these ids, without the space that it begins with, as SentencePiece has it."""
        ids = [t] if isinstance(t, int) else t
        return self.found.decode(token for token in ids if token not in (self.bos_id, self.eos_id))


def _check_sizes(max_seq_len: int, max_batch_size: int) -> None:
    for name, value in (("max_seq_len", max_seq_len), ("max_batch_size", max_batch_size)):
        if value < 1:
            raise InvalidArgumentError(f"{name} is {value}; expected 1 or more")


class Llama:
    """A model that continues batches of prompts. Build it with Llama.build().

    tokenizer: its vocabulary. max_seq_len: how many tokens a text may have, prompt included. max_batch_size: how many
    prompts a call may have. Use `with`, or close(), to give the memory back at a known moment.
    """

    def __init__(self, model: llama.Llama, max_seq_len: int, max_batch_size: int, seed: int = 1) -> None:
        _check_sizes(max_seq_len, max_batch_size)
        self.model = model
        self.tokenizer = Tokenizer(model.tokenizer)
        self.max_seq_len = min(max_seq_len, model.context)
        self.max_batch_size = max_batch_size
        self._random = random.Random(seed)

    @staticmethod
    def build(
        ckpt_dir: StrPath | None,
        tokenizer_path: StrPath | None,
        max_seq_len: int,
        max_batch_size: int,
        model_parallel_size: int | None = None,
        seed: int = 1,
        **options: Any,
    ) -> Llama:
        """Loads a model.

        ckpt_dir: a folder of Meta's, in any number of files, or whatever else llama2py.Llama takes.
        tokenizer_path: None takes the checkpoint's own.
        model_parallel_size: takes no effect: one process does it all.
        options: of llama2py.Llama, such as quantize="q8_0".
        """
        del model_parallel_size
        _check_sizes(max_seq_len, max_batch_size)
        path = model_in_the_box() if ckpt_dir is None else ckpt_dir
        context = min(max_seq_len, describe(path).context)
        trained = llama.Llama(path, tokenizer_path, context=context, **{"sequences": max_batch_size} | options)
        try:
            return Llama(trained, max_seq_len, max_batch_size, seed)
        except BaseException:
            trained.close()
            raise

    def close(self) -> None:
        """Frees the model."""
        self.model.close()

    def __enter__(self) -> Llama:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        max_gen_len: int,
        temperature: float = 0.6,
        top_p: float = 0.9,
        logprobs: bool = False,
        echo: bool = False,
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        """Continues prompts of token ids, of any lengths, each by max_gen_len tokens at most.

        Returns the ids that were drawn, cut before the first that ends a text, with the prompt's before them if echo
        says so (one of these may cut, too); and as many natural logarithms of their probabilities, temperature aside,
        or None. The first token of a prompt has 0.0.
        """
        asked = [_core.token_ids(ids) for ids in prompt_tokens]
        if not 1 <= len(asked) <= self.max_batch_size:
            raise InvalidArgumentError(f"{len(asked)} prompts; expected 1 to {self.max_batch_size}, max_batch_size")
        longest = max(map(len, asked))
        if longest > self.max_seq_len:
            message = f"a prompt has {longest} tokens, but max_seq_len is {self.max_seq_len}; shorten it or raise that"
            raise ContextOverflowError(message, longest, self.max_seq_len)
        if max_gen_len < 0:
            raise InvalidArgumentError(f"max_gen_len is {max_gen_len}; expected 0 or more")
        if temperature <= 0 or top_p == 0:  # 0 leaves the likeliest alone, where llama2.c's 0 leaves all
            temperature = 0.0
        made = self._compute(asked, max_gen_len, temperature, min(top_p, 1.0), logprobs, echo)
        tokens: list[list[int]] = []
        likely: list[list[float]] = []
        ends = set(self.tokenizer.found.eos_ids)
        for prompt, result in zip(asked, made, strict=True):
            whole = [*(prompt if echo else ()), *result.tokens]
            end = next((place for place, token in enumerate(whole) if token in ends), len(whole))
            tokens.append(whole[:end])
            before = [value or 0.0 for value in result.prompt_logprobs or ()]
            likely.append([*before, *(result.logprobs or ())][:end])
        return tokens, likely if logprobs else None

    def _compute(
        self, asked: list[list[int]], max_gen_len: int, temperature: float, top_p: float, logprobs: bool, echo: bool
    ) -> list[Result]:
        """All of them together, each with random numbers of its own."""
        requests: list[Request] = []
        for ids in asked:
            seed = self._random.getrandbits(64)
            most = min(max_gen_len, self.max_seq_len - len(ids))
            wanted = self.model._request(
                ids, most, temperature, top_p=top_p, seed=seed, echo=echo, logprobs=0 if logprobs else None
            )
            # <s> ends a text in llama2.c, but not there.
            requests.append(replace(wanted, asked=replace(wanted.asked, stops=self.tokenizer.found.eos_ids)))
        with ExitStack() as stack:
            streams = [stack.enter_context(Stream(self.model, request)) for request in requests]
            return [stream.wait() for stream in streams]

    def text_completion(
        self,
        prompts: Sequence[str],
        temperature: float = 0.6,
        top_p: float = 0.9,
        max_gen_len: int | None = None,
        logprobs: bool = False,
        echo: bool = False,
    ) -> list[CompletionPrediction]:
        """Continues texts. max_gen_len: None stands for max_seq_len - 1. The rest is as in generate()."""
        encoded = [self.tokenizer.encode(prompt, bos=True, eos=False) for prompt in prompts]
        tokens, likely = self.generate(encoded, self._length(max_gen_len), temperature, top_p, logprobs, echo)
        made: list[CompletionPrediction] = [{"generation": self.tokenizer.decode(ids)} for ids in tokens]
        self._tell(made, tokens, likely)
        return made

    def chat_completion(
        self,
        dialogs: Sequence[Dialog],
        temperature: float = 0.6,
        top_p: float = 0.9,
        max_gen_len: int | None = None,
        logprobs: bool = False,
    ) -> list[ChatPrediction]:
        """Answers dialogs in Llama 2's format.

        A dialog may begin with a message of the system; user and assistant take turns after it, and the user has the
        last word. One that has a special tag in any message gets a fixed line as its answer.
        """
        encoded = [self._encode_dialog(dialog) for dialog in dialogs]
        tokens, likely = self.generate(encoded, self._length(max_gen_len), temperature, top_p, logprobs)
        made: list[ChatPrediction] = []
        for dialog, ids in zip(dialogs, tokens, strict=True):
            unsafe = any(tag in message["content"] for message in dialog for tag in _TAGS)
            content = _UNSAFE if unsafe else self.tokenizer.decode(ids)
            made.append({"generation": {"role": "assistant", "content": content}})
        self._tell(made, tokens, likely)
        return made

    def _tell(
        self,
        made: Sequence[CompletionPrediction] | Sequence[ChatPrediction],
        tokens: list[list[int]],
        likely: list[list[float]] | None,
    ) -> None:
        """Puts tokens and logprobs into predictions, if they were asked for."""
        for prediction, ids, values in zip(made, tokens, likely or (), strict=False):
            prediction["tokens"], prediction["logprobs"] = [self.tokenizer.decode(token) for token in ids], values

    def _length(self, max_gen_len: int | None) -> int:
        return self.max_seq_len - 1 if max_gen_len is None else max_gen_len

    def _encode_dialog(self, dialog: Dialog) -> list[int]:
        """Each turn that was answered between <s> and </s>, then the open one."""
        said = [(message["role"], message["content"]) for message in dialog]
        if len(said) > 1 and said[0][0] == "system":
            (_, system), (role, first), *rest = said
            said = [(role, f"{_SYSTEM}\n{system}\n{_SYSTEM_END}\n\n{first}"), *rest]
        roles = [role for role, _ in said]
        if not said or roles != [("user", "assistant")[place % 2] for place in range(len(said))]:
            raise InvalidArgumentError(
                f"the roles of a dialog are {', '.join(message['role'] for message in dialog) or 'none'}; expected "
                "system, if at all, then user, assistant, user and so on"
            )
        if roles[-1] != "user":
            raise InvalidArgumentError(f"the last message of a dialog is from {roles[-1]}; expected user")
        tokens: list[int] = []
        for (_, asked), (_, answered) in zip(said[::2], said[1::2], strict=False):
            tokens += self.tokenizer.encode(f"{_ASK} {asked.strip()} {_ANSWER} {answered.strip()} ", bos=True, eos=True)
        return tokens + self.tokenizer.encode(f"{_ASK} {said[-1][1].strip()} {_ANSWER}", bos=True, eos=False)
