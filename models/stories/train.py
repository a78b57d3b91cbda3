#!/usr/bin/env python3
"""Trains a tokenizer and a small Llama on the corpus, and writes them as a Hugging Face folder and,
from that, as GGUF.

    python train.py --data build/stories --out build/stories/Stories-3.5M

reads train.txt and held_out.txt (made by corpus.py where they are missing). What it has reached is kept in the folder
`--out` and taken up again by the same command; log.csv there is the training curve. Weights are float32, and products
bfloat16.

The shape follows Llama (Touvron et al., 2023: RMSNorm, rotary embeddings, SwiGLU) with grouped queries (Ainslie et al.,
2023) and a shared embedding. Matrices are trained by Muon (Jordan et al., 2024), the rest by AdamW.
"""

import argparse
import bisect
import csv
import hashlib
import io
import itertools
import json
import math
import os
import random
import re
import struct
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import gguf
import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import corpus

import llama2py

GGUF_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "input_layernorm": "attn_norm",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
BOS, EOS, IGNORED = 1, 2, -100
KEPT = 60  # seconds after which what was reached is kept


@dataclass(frozen=True)
class Shape:
    """What the model is made of. Rows are whole blocks of 256, so that every type of GGUF fits."""

    vocab_size: int = 2048
    dim: int = 256
    hidden_dim: int = 512
    n_layers: int = 5
    n_heads: int = 4
    n_kv_heads: int = 2
    context: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Values of a head."""
        return self.dim // self.n_heads


@dataclass(frozen=True)
class Recipe:
    """How it is trained."""

    epochs: float = 3.0
    batch_tokens: int = 8192
    packed: float = 0.1  # share of batches whose rows fill the context with story after story
    warmup: float = 0.02
    decay: float = 0.4  # the last share of the steps, in which the learning rate falls to nothing
    matrix_rate: float = 0.02
    other_rate: float = 3e-3
    weight_decay: float = 0.05
    seed: int = 1
    looks: int = 40  # how often the held-out loss is taken
    held_out: int = 256  # over so many stories
    minutes: float = math.inf  # spent in training, after which it ends before the epochs do


@dataclass(frozen=True)
class Machine:
    """What it is trained on, which changes the speed, and the weights only by roundings."""

    device: str
    products: torch.dtype = torch.bfloat16
    threads: int | None = None
    compiled: bool = True


# How a trained model goes on (--init): from lower rates that begin to fall at once.
GOING_ON = Recipe(epochs=0.4, batch_tokens=4096, decay=0.95, matrix_rate=0.01, other_rate=1.5e-3, looks=8, held_out=64)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embeddings (Su et al., 2021) of (batch, heads, tokens, head_dim): pairs are (i, head_dim / 2 + i)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    """Causal attention in which several query heads share a head of keys and values."""

    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.q_proj = nn.Linear(s.dim, s.n_heads * s.head_dim, bias=False)
        self.k_proj = nn.Linear(s.dim, s.n_kv_heads * s.head_dim, bias=False)
        self.v_proj = nn.Linear(s.dim, s.n_kv_heads * s.head_dim, bias=False)
        self.o_proj = nn.Linear(s.n_heads * s.head_dim, s.dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, tokens, dim) to the same."""
        n, t, _ = x.shape
        heads = lambda y, count: y.view(n, t, count, self.s.head_dim).transpose(1, 2)  # noqa: E731
        q = rotate(heads(self.q_proj(x), self.s.n_heads), cos, sin)
        k = rotate(heads(self.k_proj(x), self.s.n_kv_heads), cos, sin)
        v = heads(self.v_proj(x), self.s.n_kv_heads)
        group = self.s.n_heads // self.s.n_kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(n, t, -1))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, s: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(s.dim, s.hidden_dim, bias=False)
        self.up_proj = nn.Linear(s.dim, s.hidden_dim, bias=False)
        self.down_proj = nn.Linear(s.hidden_dim, s.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, dim) to the same."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One of the transformer's layers; names are those of Hugging Face."""

    def __init__(self, s: Shape):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(s.dim, eps=s.norm_eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = nn.RMSNorm(s.dim, eps=s.norm_eps)
        self.mlp = FeedForward(s)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, tokens, dim) to the same."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The model; the embedding is the classifier too."""

    def __init__(self, s: Shape):
        super().__init__()
        self.s = s
        self.embed_tokens = nn.Embedding(s.vocab_size, s.dim)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.n_layers))
        self.norm = nn.RMSNorm(s.dim, eps=s.norm_eps)
        angles = torch.arange(s.context)[:, None] * s.rope_theta ** -(torch.arange(0, s.head_dim, 2) / s.head_dim)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                out = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * s.n_layers) if out else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens) to logits (batch, tokens, vocab_size)."""
        x = self.embed_tokens(tokens)
        cos, sin = self.cos[: tokens.shape[1]].to(x.dtype), self.sin[: tokens.shape[1]].to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return functional.linear(self.norm(x), self.embed_tokens.weight)


def loss_of(model: Llama, rows: Tensor, products: torch.dtype, reduction: str = "mean") -> Tensor:
    """Cross entropy of each next token, in nats; rows: (batch, tokens), padded by IGNORED."""
    with torch.autocast(rows.device.type, products, enabled=products != torch.float32):
        logits = model(rows[:, :-1].clamp(min=0))
    targets = rows[:, 1:].reshape(-1)
    return functional.cross_entropy(
        logits.float().view(-1, logits.shape[-1]), targets, ignore_index=IGNORED, reduction=reduction
    )


# Text to tokens.


def train_tokenizer(stories: list[str], path: Path, vocab_size: int) -> None:
    """A SentencePiece model that falls back to bytes, from paragraphs as they stand."""
    paragraphs = (paragraph for story in stories for paragraph in story.split("\n"))
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=paragraphs,
        model_writer=out,
        model_type="bpe",
        vocab_size=vocab_size,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        unk_id=0,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        minloglevel=2,
    )
    write_whole(path, out.getvalue())


def batches(stories: list[list[int]], recipe: Recipe, context: int, epoch: int) -> list[list[list[int]]]:
    """An epoch's batches of about batch_tokens each: stories of like length, or rows that are packed full."""
    rng = random.Random(f"{recipe.seed} {epoch}")
    order = rng.sample(stories, len(stories))
    n_packed = int(len(order) * recipe.packed)
    stream = [token for story in order[:n_packed] for token in story]
    packed = [stream[i : i + context + 1] for i in range(0, len(stream) - context, context + 1)]
    rows_each = max(1, recipe.batch_tokens // context)
    found = [packed[i : i + rows_each] for i in range(0, len(packed), rows_each)]
    batch: list[list[int]] = []
    for story in sorted(order[n_packed:], key=len):
        if batch and (len(batch) + 1) * len(story) > recipe.batch_tokens:
            found.append(batch)
            batch = []
        batch.append(story[: context + 1])
    if batch:
        found.append(batch)
    rng.shuffle(found)
    return found


def steps_of(stories: list[list[int]], recipe: Recipe, context: int) -> list[int]:
    """How many batches are read of each epoch: all, but of the last the share that recipe.epochs has left for it.
    Epochs differ by a few, since which stories are packed is drawn anew.
    """
    found = []
    for epoch in range(math.ceil(recipe.epochs)):
        share = min(1.0, recipe.epochs - epoch)
        found.append(max(1, round(share * len(batches(stories, recipe, context, epoch)))))
    return found


def padded(batch: list[list[int]], device: str) -> Tensor:
    """(batch, longest), IGNORED behind the shorter ones."""
    longest = max(map(len, batch))
    return torch.tensor([row + [IGNORED] * (longest - len(row)) for row in batch], device=device)


# Training.


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, made orthogonal by five steps of Newton and Schulz: torch.optim.Muon's, in float32, which
    machines without products of bfloat16 compute many times as fast.
    """

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float, momentum: float):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One step."""
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                kept.lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(kept, group["momentum"])
                wide = x if x.shape[0] <= x.shape[1] else x.T
                wide = wide / wide.norm().clamp(min=1e-7)
                for _ in range(5):
                    square = wide @ wide.T
                    wide = 3.4445 * wide + (-4.775 * square + 2.0315 * square @ square) @ wide
                x = wide if x.shape[0] <= x.shape[1] else wide.T
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(x, alpha=-group["lr"] * math.sqrt(max(1, p.shape[0] / p.shape[1])))


class Optimizer:
    """Muon for the layers' matrices, AdamW for the embedding and the norms."""

    def __init__(self, model: Llama, recipe: Recipe):
        matrices = [p for p in model.layers.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if all(p is not m for m in matrices)]
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, momentum=0.95),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.rates = [part.param_groups[0]["lr"] for part in self.parts]

    def step(self, scale: float) -> None:
        """One step at so much of the learning rates."""
        for part, rate in zip(self.parts, self.rates, strict=True):
            part.param_groups[0]["lr"] = rate * scale
            part.step()
            part.zero_grad()

    def state(self) -> list[dict]:  # type: ignore[type-arg]
        """What load() takes."""
        return [part.state_dict() for part in self.parts]

    def load(self, state: list[dict]) -> None:  # type: ignore[type-arg]
        """Goes on from what state() gave."""
        for part, kept in zip(self.parts, state, strict=True):
            part.load_state_dict(kept)


def rate_at(step: int, steps: int, spent: float, recipe: Recipe) -> float:
    """The share of the learning rate: up, level, and down to nothing, which it is at the end of the steps or of the
    time (spent: in seconds), whichever comes first.
    """
    left = min(1 - step / steps, 1 - spent / (60 * recipe.minutes))
    return max(0.0, min(1.0, (step + 1) / max(1.0, recipe.warmup * steps), left / recipe.decay))


@torch.no_grad()
def held_out_loss(model: Llama, stories: list[list[int]], machine: Machine) -> float:
    """Nats a token over whole stories."""
    model.eval()
    total, count = 0.0, 0
    for i in range(0, len(stories), 16):
        rows = padded(stories[i : i + 16], machine.device)
        total += loss_of(model, rows, machine.products, "sum").item()
        count += int((rows[:, 1:] != IGNORED).sum())
    model.train()
    return total / count


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name first, so that it is whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def train(
    stories: list[list[int]], held_out: list[list[int]], model: Llama, recipe: Recipe, out: Path, machine: Machine
) -> None:
    """Trains, or goes on from the last checkpoint in out; keeps log.csv there."""
    torch.set_num_threads(machine.threads or os.cpu_count() or 1)
    s = model.s
    model.to(machine.device)
    optimizer = Optimizer(model, recipe)
    ends = list(itertools.accumulate(steps_of(stories, recipe, s.context)))
    steps = ends[-1]
    done, seen, spent = 0, 0, 0.0
    checkpoint, log = out / "checkpoint.pt", out / "log.csv"
    begun = hashlib.sha256(repr((stories, [p.sum().item() for p in model.parameters()])).encode()).hexdigest()
    settings = {"shape": asdict(s), "recipe": asdict(recipe), "from": begun}
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=machine.device, weights_only=True)
        if kept["settings"] != settings:
            raise SystemExit(
                f"{checkpoint}: was made by other settings; expected these: {settings}; remove it to start anew"
            )
        model.load_state_dict(kept["model"])
        optimizer.load(kept["optimizer"])
        done, seen, spent = kept["step"], kept["tokens"], kept["seconds"]
    else:
        log.write_text("step,tokens,seconds,rate,train_loss,held_out_loss\n")

    def keep() -> None:
        buffer = io.BytesIO()
        state = {"settings": settings, "model": model.state_dict(), "optimizer": optimizer.state()}
        torch.save({**state, "step": done, "tokens": seen, "seconds": spent}, buffer)
        write_whole(checkpoint, buffer.getvalue())

    compiled = torch.compile(loss_of, dynamic=True) if machine.compiled else loss_of
    shown = max(1, steps // recipe.looks)
    kept_at = time.monotonic()
    recent: list[float] = []
    order: list[list[list[int]]] = []
    with tqdm(total=steps, initial=done, desc="training", unit="step", disable=None) as bar:
        while done < steps and spent < 60 * recipe.minutes:
            start = time.monotonic()
            epoch = bisect.bisect_right(ends, done)
            index = done - ([0, *ends][epoch])
            if index == 0 or not order:
                order = batches(stories, recipe, s.context, epoch)
            rows = padded(order[index], machine.device)
            loss = compiled(model, rows, machine.products)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            rate = rate_at(done, steps, spent, recipe)
            optimizer.step(rate)
            recent = [*recent[-49:], loss.item()]
            done, seen = done + 1, seen + rows.numel()
            spent += time.monotonic() - start
            bar.update()
            bar.set_postfix_str(f"loss {sum(recent) / len(recent):.3f}, {seen / spent:,.0f} tok/s", refresh=False)
            ended = done == steps or spent >= 60 * recipe.minutes
            if done % shown == 0 or ended:
                held = held_out_loss(model, held_out[: recipe.held_out], machine)
                with log.open("a", newline="") as file:
                    row = (done, seen, f"{spent:.0f}", f"{rate:.3f}", f"{sum(recent) / len(recent):.4f}", f"{held:.4f}")
                    csv.writer(file, lineterminator="\n").writerow(row)
                bar.write(f"step {done:,} of {steps:,}: held-out perplexity {math.exp(held):.3f}")
            if done % shown == 0 or ended or time.monotonic() - kept_at > KEPT:
                keep()
                kept_at = time.monotonic()


# What is there already.


def load(path: Path, tokenizer: Path, s: Shape) -> Llama:
    """The model of a GGUF file that has this shape, dequantised; its vocabulary is written as a SentencePiece model.
    SystemExit where the shape is another.
    """
    reader = gguf.GGUFReader(path)
    tensors = {t.name: t for t in reader.tensors}
    model = Llama(s)
    for name, p in model.named_parameters():
        layer = re.match(r"layers\.(\d+)\.(?:self_attn|mlp)?\.?(\w+)", name)
        theirs = f"blk.{layer[1]}.{GGUF_NAMES[layer[2]]}" if layer else GGUF_NAMES[name.split(".")[0]]
        tensor = tensors.get(f"{theirs}.weight")
        found = None if tensor is None else tuple(int(n) for n in reversed(tensor.shape))
        if tensor is None or found != tuple(p.shape):
            raise SystemExit(f"{path}: {theirs}.weight is of shape {found}; expected {tuple(p.shape)}")
        values = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy()).view(p.shape)
        if theirs.endswith(("attn_q", "attn_k")):  # neighbours are pairs there, halves here
            values = values.view(-1, s.head_dim // 2, 2, s.dim).transpose(1, 2).reshape(p.shape)
        with torch.no_grad():
            p.copy_(values)
    field = {name.removeprefix("tokenizer.ggml."): f.contents() for name, f in reader.fields.items()}
    write_tokenizer(tokenizer, field["tokens"], field["scores"], field["token_type"])
    return model


def write_tokenizer(path: Path, tokens: list[str], scores: list[float], kinds: list[int]) -> None:
    """A SentencePiece model as train_tokenizer() makes it, out of its pieces. Written by hand in protobuf's format
    (sentencepiece_model.proto), of which it needs three messages.
    """

    def number(value: int) -> bytes:
        low = value & 0x7F
        return bytes([low]) if value == low else bytes([low | 0x80]) + number(value >> 7)

    def message(key: int, data: bytes) -> bytes:
        return number(key << 3 | 2) + number(len(data)) + data

    def integer(key: int, value: int) -> bytes:
        return number(key << 3) + number(value % 2**64)

    pieces = (
        message(1, message(1, t.encode()) + number(2 << 3 | 5) + struct.pack("<f", score) + integer(3, int(kind)))
        for t, score, kind in zip(tokens, scores, kinds, strict=True)
    )
    of_trainer = {3: 2, 4: len(tokens), 35: 1, 40: 0, 41: BOS, 42: EOS, 43: -1}  # BPE, falls back to bytes, ids
    trainer = b"".join(integer(key, value) for key, value in of_trainer.items())
    normalizer = message(1, b"identity") + integer(3, 1) + integer(4, 0) + integer(5, 1)
    write_whole(path, b"".join(pieces) + message(2, trainer) + message(3, normalizer))


# What comes out.


def write_folder(model: Llama, tokenizer: Path, out: Path) -> None:
    """config.json, generation_config.json, model.safetensors (float32), tokenizer.model, as Hugging Face has them."""
    s = model.s
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocab_size,
        "hidden_size": s.dim,
        "intermediate_size": s.hidden_dim,
        "num_hidden_layers": s.n_layers,
        "num_attention_heads": s.n_heads,
        "num_key_value_heads": s.n_kv_heads,
        "head_dim": s.head_dim,
        "max_position_embeddings": s.context,
        "rope_theta": s.rope_theta,
        "rms_norm_eps": s.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "torch_dtype": "float32",
    }
    sampling = {"bos_token_id": BOS, "eos_token_id": EOS, "do_sample": True, "temperature": 0.8, "top_p": 0.9}
    write_whole(out / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    write_whole(out / "generation_config.json", (json.dumps(sampling, indent=2) + "\n").encode())
    write_whole(out / "tokenizer.model", tokenizer.read_bytes())
    tensors = {f"model.{name}": p.detach().float().cpu().contiguous() for name, p in model.named_parameters()}
    part = out / "model.safetensors.part"
    save_file(tensors, part, metadata={"format": "pt"})
    os.replace(part, out / "model.safetensors")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Trains the story model.",
        epilog="example: python train.py --data build/stories --out build/stories/Stories-3.5M",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("build/stories"), help="folder of train.txt and held_out.txt (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/stories/Stories-3.5M"), help="folder to write to (%(default)s)"
    )
    parser.add_argument(
        "--megabytes",
        type=corpus.more_than_0,
        default=32,
        help="size of the corpus (%(default)s)",
    )
    parser.add_argument(
        "--init",
        type=Path,
        metavar="GGUF",
        help="go on from the weights and the vocabulary of this file, at lower rates (a new model and a new tokenizer)",
    )
    parser.add_argument(
        "--epochs",
        type=corpus.more_than_0,
        help=f"how often each story is read ({Recipe.epochs}; with --init {GOING_ON.epochs})",
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (%(default)s)"
    )
    parser.add_argument("--products", choices=("bfloat16", "float32"), default="bfloat16", help="(%(default)s)")
    parser.add_argument("--threads", type=int, help="(as many as there are cores)")
    parser.add_argument("--no-compile", action="store_true", help="spare the minutes that torch.compile takes")
    parser.add_argument("--seed", type=int, default=1, help="of the corpus and of the training (%(default)s)")
    parser.add_argument(
        "--minutes",
        type=corpus.more_than_0,
        default=math.inf,
        help="end after so many, rates falling to nothing by then",
    )
    options = parser.parse_args()
    corpus.ensure(options.data, options.megabytes, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    texts = {name: corpus.read(options.data / f"{name}.txt") for name in ("train", "held_out")}
    s, tokenizer = Shape(), options.out / "tokenizer.model"
    recipe = replace(GOING_ON if options.init else Recipe(), seed=options.seed, minutes=options.minutes)
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    torch.manual_seed(recipe.seed)
    if options.init:
        model = load(options.init, tokenizer, s)
    else:
        model = Llama(s)
        if not tokenizer.exists():
            train_tokenizer(texts["train"], tokenizer, s.vocab_size)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    ids = {name: [[BOS, *row, EOS] for row in processor.encode(text)] for name, text in texts.items()}
    machine = Machine(options.device, getattr(torch, options.products), options.threads, not options.no_compile)
    train(ids["train"], ids["held_out"], model, recipe, options.out, machine)
    write_folder(model, tokenizer, options.out)
    for kind in ("f32", "q8_0"):
        llama2py.convert(options.out, options.out / f"stories-{kind}.gguf", kind, force=True)
    held = held_out_loss(model, ids["held_out"], machine)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.out}: {parameters:,} parameters, held-out perplexity {math.exp(held):.3f} a token")


if __name__ == "__main__":
    main()
