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
import io
import itertools
import json
import math
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import corpus

import llama2py

BOS, EOS, IGNORED = 1, 2, -100


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


def loss_of(model: Llama, rows: Tensor, reduction: str = "mean") -> Tensor:
    """Cross entropy of each next token, in nats; rows: (batch, tokens), padded by IGNORED."""
    with torch.autocast(rows.device.type, torch.bfloat16):
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


class Optimizer:
    """Muon for the layers' matrices, AdamW for the embedding and the norms."""

    def __init__(self, model: Llama, recipe: Recipe):
        matrices = [p for p in model.layers.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if all(p is not m for m in matrices)]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, momentum=0.95),
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


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """The share of the learning rate: up, level, and down to nothing."""
    up, down = max(1.0, recipe.warmup * steps), recipe.decay * steps
    return min(1.0, (step + 1) / up, (steps - step) / down)


@torch.no_grad()
def held_out_loss(model: Llama, stories: list[list[int]], device: str) -> float:
    """Nats a token over whole stories."""
    model.eval()
    total, count = 0.0, 0
    for i in range(0, len(stories), 16):
        rows = padded(stories[i : i + 16], device)
        total += loss_of(model, rows, "sum").item()
        count += int((rows[:, 1:] != IGNORED).sum())
    model.train()
    return total / count


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name first, so that it is whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def train(
    stories: list[list[int]], held_out: list[list[int]], s: Shape, recipe: Recipe, out: Path, device: str
) -> Llama:
    """Trains, or goes on from the last checkpoint in out; keeps log.csv there."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    model = Llama(s).to(device)
    optimizer = Optimizer(model, recipe)
    ends = list(itertools.accumulate(steps_of(stories, recipe, s.context)))
    steps = ends[-1]
    done, seen, spent = 0, 0, 0.0
    checkpoint, log = out / "checkpoint.pt", out / "log.csv"
    settings = {"shape": asdict(s), "recipe": asdict(recipe)}
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=device, weights_only=True)
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

    compiled = torch.compile(loss_of, dynamic=True)
    shown = max(1, steps // 40)
    recent: list[float] = []
    order: list[list[list[int]]] = []
    with tqdm(total=steps, initial=done, desc="training", unit="step", disable=None) as bar:
        while done < steps:
            start = time.monotonic()
            epoch = bisect.bisect_right(ends, done)
            index = done - ([0, *ends][epoch])
            if index == 0 or not order:
                order = batches(stories, recipe, s.context, epoch)
            rows = padded(order[index], device)
            loss = compiled(model, rows)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            rate = rate_at(done, steps, recipe)
            optimizer.step(rate)
            recent = [*recent[-49:], loss.item()]
            done, seen = done + 1, seen + rows.numel()
            spent += time.monotonic() - start
            bar.update()
            bar.set_postfix_str(f"loss {sum(recent) / len(recent):.3f}, {seen / spent:,.0f} tok/s", refresh=False)
            if done % shown == 0 or done == steps:
                held = held_out_loss(model, held_out[:256], device)
                with log.open("a", newline="") as file:
                    row = (done, seen, f"{spent:.0f}", f"{rate:.3f}", f"{sum(recent) / len(recent):.4f}", f"{held:.4f}")
                    csv.writer(file, lineterminator="\n").writerow(row)
                bar.write(f"step {done:,} of {steps:,}: held-out perplexity {math.exp(held):.3f}")
                keep()
    return model


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
        "--epochs", type=corpus.more_than_0, default=Recipe.epochs, help="how often each story is read (%(default)s)"
    )
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the corpus and of the training (%(default)s)")
    options = parser.parse_args()
    corpus.ensure(options.data, options.megabytes, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    texts = {name: corpus.read(options.data / f"{name}.txt") for name in ("train", "held_out")}
    s, recipe = Shape(), Recipe(epochs=options.epochs, seed=options.seed)
    tokenizer = options.out / "tokenizer.model"
    if not tokenizer.exists():
        train_tokenizer(texts["train"], tokenizer, s.vocab_size)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    ids = {name: [[BOS, *row, EOS] for row in processor.encode(text)] for name, text in texts.items()}
    model = train(ids["train"], ids["held_out"], s, recipe, options.out, options.device)
    write_folder(model, tokenizer, options.out)
    for kind in ("f32", "q8_0"):
        llama2py.convert(options.out, options.out / f"stories-{kind}.gguf", kind, force=True)
    held = held_out_loss(model, ids["held_out"], options.device)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.out}: {parameters:,} parameters, held-out perplexity {math.exp(held):.3f} a token")


if __name__ == "__main__":
    main()
