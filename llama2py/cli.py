"""The command line: run, info, fit, quantize, convert, pull, bench, eval.

A failure is one line on stderr, `llama2py: …`, and exit code 1; an interrupt is exit code 130. What another signal ends
leaves no file half made.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from llama2py import _cmd_bench, _cmd_convert, _cmd_eval, _cmd_info, _cmd_pull, _cmd_quantize, _core
from llama2py._signals import tidy_end
from llama2py._terminal import (
    StreamError,
    UsageError,
    add_checkpoint,
    add_lora,
    loading,
    plain,
    size,
    table,
    tell,
    write,
)
from llama2py.box import model_in_the_box
from llama2py.chat import Chat
from llama2py.errors import ContextOverflowError, InvalidArgumentError, Llama2Error
from llama2py.info import Plan, plan
from llama2py.llama import Llama
from llama2py.stream import peak_memory

__all__ = ["main"]

# What stands between an option and its value, if the value begins with a dash.
DRAFTED = 4  # tokens that a draft model guesses at a time unless --speculate says
JOINTS = {**dict.fromkeys(("-t", "-p", "-s", "-n", "-i", "-z", "-m", "-y"), ""), "--prompt": "=", "--system": "="}
CONTROLS = "".join(map(chr, (*range(9), *range(14, 32), 127)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    try:
        with tidy_end():
            args = _parser().parse_args(_join_values(sys.argv[1:] if argv is None else argv))
            _take_the_box(args)
            return int(args.command(args))
    except (UsageError, StreamError, Llama2Error, MemoryError) as error:
        tell(plain(f"llama2py: {error or 'out of memory'}"))
        return 1
    except KeyboardInterrupt:
        return 130


def _take_the_box(args: argparse.Namespace) -> None:
    """Where a command's checkpoint may be left out and is. Its stories are told to their end."""
    if getattr(args, "steps", 0) is None:
        args.steps = 256 if args.checkpoint else 0
    if getattr(args, "checkpoint", "") is None:
        args.checkpoint = model_in_the_box()
        box = f"no checkpoint was named, so this is the model in the box, {args.checkpoint}"
        tell(plain(f"llama2py: {box}; for another: {args.usage} FILE"))


# Arguments.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _join_values(argv: Sequence[str]) -> list[str]:
    """Writes `-i -x` as `-i-x`: like llama2.c, it takes what follows as the value, where argparse sees an option."""
    joined: list[str] = []
    for arg in argv:
        if joined and joined[-1] in JOINTS and arg.startswith("-"):
            joined[-1] += JOINTS[joined[-1]] + arg
        else:
            joined.append(arg)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="llama2py", description="Llama inference with a pure-C core.")
    parser.add_argument("--version", action="version", version=f"llama2py {_core.version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, description: str, example: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=f"example: {example}",
        )
        made.set_defaults(command=function, usage=made.prog)
        return made

    run = command("run", _run, "tell a story", "llama2py run stories15M.bin -t 0.8 -n 256 -i 'Once upon a time'")
    add_checkpoint(run)
    run.add_argument("-t", "--temperature", type=float, default=1.0, metavar="T", help="0: greedy (1.0)")
    run.add_argument("-p", "--top-p", type=float, default=0.9, metavar="P", help="0 or 1: off (0.9)")
    run.add_argument("-s", "--seed", type=int, default=0, metavar="SEED", help="random seed (the time)")
    run.add_argument(
        "-n", "--steps", type=int, metavar="N", help="tokens, prompt included; 0: all the context (256; 0 without FILE)"
    )
    run.add_argument("-i", "--prompt", default="", metavar="TEXT", help="what the text begins with")
    run.add_argument("-z", "--tokenizer", metavar="TOKENIZER", help="else the checkpoint's own, or the one beside it")
    run.add_argument("-m", "--mode", choices=("generate", "chat"), default="generate", help="default: generate")
    run.add_argument("-y", "--system", metavar="TEXT", help="system prompt, in chat mode")
    run.add_argument("--threads", type=int, metavar="N", help="threads that compute (the cores there are)")
    run.add_argument("--isa", choices=_core.ISAS, help="instruction set (the fastest there is)")
    _add_sizes(run, batch=False)
    run.add_argument("--speculate", type=int, default=0, metavar="N", help="guess N tokens ahead; the text stays (0)")
    add_lora(run)
    run.add_argument("--draft", metavar="FILE", help="a smaller model that guesses, instead of the text so far")
    run.add_argument("--json", action="store_true", help="print one JSON object when done, instead of the text")

    _cmd_info.register(command)

    fit = command("fit", _fit, "say whether a checkpoint fits in memory", "llama2py fit llama2_7b.bin --quant q8_0")
    add_checkpoint(fit)
    _add_sizes(fit, batch=True)
    fit.add_argument("--json", action="store_true", help="print a JSON object")

    _cmd_quantize.register(command)
    _cmd_convert.register(command)
    _cmd_pull.register(command)
    _cmd_bench.register(command, _add_sizes)
    _cmd_eval.register(command, _add_sizes)
    return parser


def _add_sizes(
    parser: argparse.ArgumentParser, batch: bool, context: str = "tokens that a sequence may have (the model's own)"
) -> None:
    parser.add_argument("--context", type=int, metavar="N", help=context)
    if batch:
        parser.add_argument("--batch", type=int, metavar="N", help="prompt tokens computed at once (256)")
    parser.add_argument("--quant", choices=("q8_0",), help="make float matrices int8 while loading")
    kinds = [kind for kind in _core.KV if kind]
    parser.add_argument("--kv", choices=kinds, help="type of keys and values (f32 for llama2.c's files, else f16)")


# Run.


@dataclass
class Figures:
    """What is told at the end: rates while computing, and seconds from the start to the first token."""

    prompt_tokens: int
    prompt_tps: float
    decoded: int
    decode_tps: float
    first_token: float

    def show(self) -> None:
        tell(
            f"prompt: {self.prompt_tokens} tokens, {self.prompt_tps:.1f} tok/s | "
            f"decode: {self.decoded} tokens, {self.decode_tps:.1f} tok/s | "
            f"first token: {self.first_token:.3f} s | peak memory: {peak_memory() / 2**20:.1f} MiB"
        )
        tell(f"achieved tok/s: {self.decode_tps if self.decoded else self.prompt_tps:f}")


class _Teller:
    """Writes a text's pieces, and knows when the first came."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.perf_counter()
        self.first_token = 0.0

    def tell(self, piece: str) -> None:
        # A control character on its own would play with the terminal.
        if not self._quiet and not (len(piece) == 1 and piece in CONTROLS):
            write(piece)

    def tell_drawn(self, piece: str) -> None:
        self.first_token = self.first_token or time.perf_counter() - self._began
        self.tell(piece)


def _run(args: argparse.Namespace) -> int:
    if args.steps < 0:
        raise InvalidArgumentError(f"-n is {args.steps}; expected 0 or more")
    if abs(args.seed) >= 2**64:
        raise InvalidArgumentError(f"-s is {args.seed}; expected a whole number of 64 bits")
    if args.json and args.mode == "chat":
        raise UsageError("--json tells a text, not a chat; see llama2py run --help")
    teller = _Teller(args.json)
    # As in llama2.c: a negative seed wraps, and 0 asks for the time.
    seed = args.seed % 2**64 or int(time.time())
    with loading(args.checkpoint) as progress:
        loaded = Llama(
            args.checkpoint,
            args.tokenizer,
            args.quant,
            args.threads,
            args.context,
            isa=args.isa,
            kv=args.kv,
            pool=0,
            draft=args.draft,
            lora=args.lora,
            progress=progress,
        )
    with loaded as llama:
        steps = min(args.steps or llama.context, llama.context)
        work = _chat if args.mode == "chat" else _generate
        return work(llama, args, seed, steps, teller)


def _generate(llama: Llama, args: argparse.Namespace, seed: int, steps: int, teller: _Teller) -> int:
    prompt = llama.tokenize(os.fsencode(args.prompt))
    if len(prompt) > llama.context:
        message = f"the prompt has {len(prompt)} tokens, but the context holds {llama.context}; shorten it"
        raise ContextOverflowError(message, len(prompt), llama.context)
    # The steps count what is shown: the prompt after <s>, then what is drawn.
    shown = prompt[: steps + 1]
    stream = llama.stream(
        shown,
        steps + 1 - len(shown),
        args.temperature,
        top_p=args.top_p,
        seed=seed,
        echo=args.json,
        speculate=args.speculate or (DRAFTED if args.draft else 0),
    )
    text = llama.tokenizer.text_stream()
    code = 0
    with stream:
        try:
            for token in shown:
                teller.tell(text.push(token))
            for chunk in stream:
                teller.tell_drawn(chunk.text)
        except KeyboardInterrupt:
            code = 130
    result = stream.result
    write(f"{json.dumps(asdict(result), ensure_ascii=False)}\n" if args.json else "\n")
    decoded = max(0, len(result.tokens) - 1)
    if result.drafted:
        tell(f"guessed: {result.accepted} of {result.drafted} tokens right ({result.accepted / result.drafted:.0%})")
    Figures(result.prompt_tokens, result.prompt_tps, decoded, result.decode_tps, teller.first_token).show()
    return code


def _ask(question: str) -> bytes | None:
    """A line from stdin without its end, or None at the end of the input."""
    write(question)
    try:
        line = sys.stdin.buffer.readline() if sys.stdin else b""
    except OSError as error:
        raise StreamError(f"cannot read from stdin: {error.strerror}") from None
    return line.removesuffix(b"\n") if line else None


def _chat(llama: Llama, args: argparse.Namespace, seed: int, steps: int, teller: _Teller) -> int:
    chat = Chat(llama, args.temperature, args.top_p, seed, steps)
    code = 0
    try:
        system = _ask("Enter system prompt (optional): ") if args.system is None else os.fsencode(args.system)
        user = os.fsencode(args.prompt) or _ask("User: ")
        while user is not None:
            answer = chat.answer(system or b"", user)
            write("Assistant: ")
            for piece in answer:
                teller.tell_drawn(piece)
            write("\n")
            if chat.left <= 0:
                break
            system, user = None, _ask("User: ")
        else:
            write("\n")
    except KeyboardInterrupt:
        code = 130
        write("\n")
    prompt_tps = chat.prompt_tokens / chat.prompt_seconds if chat.prompt_seconds else 0.0
    decode_tps = chat.draws / chat.decode_seconds if chat.decode_seconds else 0.0
    Figures(chat.prompt_tokens, prompt_tps, chat.draws, decode_tps, teller.first_token).show()
    return code


# Fit.


def _fit(args: argparse.Namespace) -> int:
    planned = plan(args.checkpoint, quantize=args.quant, context=args.context, batch=args.batch, kv=args.kv, pool=0)
    advice = None if planned.fits else _advice(args, planned)
    if args.json:
        write(f"{json.dumps({**asdict(planned), 'fits': planned.fits, 'advice': advice})}\n")
    else:
        rows = [
            ("weights", planned.weights),
            ("while loading", planned.load),
            ("KV cache", planned.kv),
            ("scratch", planned.scratch),
            ("total", planned.total),
            ("available", planned.available),
        ]
        width = max(len(size(value)) for _, value in rows)
        write(table([(name, f"{size(value):>{width}}") for name, value in rows]))
        write(f"does not fit: {advice}\n" if advice else "fits\n")
    return 0 if planned.fits else 1


def _advice(args: argparse.Namespace, planned: Plan) -> str:
    """The least change that makes it fit."""
    contexts: list[int | None] = [args.context]
    contexts += [2**n for n in range(20, 6, -1) if args.context is None or 2**n < args.context]
    for context in contexts:
        for quant in dict.fromkeys((args.quant, "q8_0")):
            try:
                smaller = plan(args.checkpoint, quantize=quant, context=context, batch=args.batch, kv=args.kv, pool=0)
            except (InvalidArgumentError, ContextOverflowError):
                continue  # more than the model's own context
            if smaller.fits:
                options = [f"--quant {quant}"] if quant != args.quant else []
                options += [f"--context {context}"] if context != args.context else []
                return f"use {' '.join(options)}, which takes {size(smaller.total)}"
    return f"{size(planned.total - planned.available)} more memory is needed"
