"""The tokenizer of a Hugging Face folder, in GGUF's terms: tokenizer.json or else tokenizer.model, and what the files
of settings beside it say of its tokens.

tokenizer.json comes first, since it is what the tokenizer was last saved as and has the tokens that were added. Of
generation_config.json only the ids that end a text are taken: how tokens are drawn is the caller's to say.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from llama2py import _sentencepiece, _tokenizer_json
from llama2py._core import SourceValue
from llama2py._files import read_bytes
from llama2py._json import Settings
from llama2py._tokenizer_json import OWN, Part
from llama2py.errors import TokenizerError

__all__ = ["MISSING", "FolderTokenizer", "read"]

_JSON, _MODEL = "tokenizer.json", "tokenizer.model"
MISSING = f"holds neither {_JSON} nor {_MODEL}; name another tokenizer"
_TEMPLATE_MOST = 2**20
_TOKENS_MOST = 2**21
_NONE = 2**32 - 1


@dataclass(frozen=True)
class FolderTokenizer:
    """path: the file with the tokens. keys: GGUF's, and our own. notes: what is left aside, a line each.

    json: what tokenizer.json says, if it is that.
    """

    path: str
    keys: dict[str, SourceValue]
    notes: list[str]
    json: _tokenizer_json.Vocabulary | None

    def written(self) -> list[str]:
        """What to say of a GGUF file of it, a line each.

        Errors: TokenizerError, where that would be another tokenizer to programs that know GGUF's own keys alone.
        """
        if self.json is None:
            return self.notes
        refusal = self.json.refusal()
        if refusal:
            raise TokenizerError(
                f"{self.path}: a GGUF file cannot say how it merges ({refusal}); load the folder itself, "
                "or name another tokenizer"
            )
        untold = self.json.untold()
        said = f"{self.path}: GGUF has no keys for some of it, which other programs will not do: {'; '.join(untold)}"
        return [*self.notes, *[said] * bool(untold)]


@dataclass
class _Tokens:
    """What one of the files says, under GGUF's names without "tokenizer."; ids of -1 are none.

    first, last: what it puts before and behind a text.
    bos, eos, add_bos: what holds where no other file says.
    """

    texts: list[bytes]
    keys: dict[str, SourceValue]
    first: int = -1
    last: int = -1
    bos: int = -1
    eos: int = -1
    add_bos: bool = False
    json: _tokenizer_json.Vocabulary | None = None


def read(folder: str, config: Settings, vocab_size: int) -> FolderTokenizer | None:
    """None where there is no tokenizer. config: what config.json says. vocab_size: of the model.

    Errors: TokenizerError, which names the file and what of it cannot be read; FileError.
    """
    if vocab_size > _TOKENS_MOST:
        raise TokenizerError(f"{folder}: a vocabulary of {vocab_size} tokens, expected at most {_TOKENS_MOST}")
    notes: list[str] = []
    path = os.path.join(folder, _JSON)
    if os.path.exists(path):
        tokens = _from_json(path, vocab_size)
    else:
        path = os.path.join(folder, _MODEL)
        if not os.path.exists(path):
            return None
        tokens = _from_model(path, vocab_size, notes)
    said, drawn, map = (_optional(folder, f"{name}.json") for name in ("tokenizer_config", "generation_config",
                                                                       "special_tokens_map"))  # fmt: skip
    ids = {text: id for id, text in reversed(list(enumerate(tokens.texts)))}
    first = tokens.first if said.flag("add_bos_token", True) else -1
    last = tokens.last if said.flag("add_eos_token", True) else -1
    model = Part(config.path, config.values)
    begins = [first, _named(said, map, "bos_token", ids), *_listed(drawn, model, "bos_token_id"), tokens.bos]
    ends = [last, *_listed(drawn, model, "eos_token_id"), _named(said, map, "eos_token", ids)]
    eos = list(dict.fromkeys(id for id in ends if id >= 0)) or [id for id in [tokens.eos] if id >= 0]
    bos = next((id for id in begins if id >= 0), -1)
    keys = dict(tokens.keys)
    keys["ggml.add_bos_token"] = said.flag("add_bos_token", tokens.add_bos or first >= 0)
    keys["ggml.add_eos_token"] = said.flag("add_eos_token", last >= 0)
    # Without a word, GGUF's "llama" has 1 and 2.
    keys |= {
        f"ggml.{name}_token_id": _NONE for name in ("bos", "eos", "unknown") if f"ggml.{name}_token_id" not in keys
    }
    if bos >= 0:
        keys["ggml.bos_token_id"] = bos
    keys |= _eos_keys(eos, tokens.texts)
    template = _template(folder, said)
    if template is not None:
        keys["chat_template"] = template
    whole = {f"tokenizer.{name}": value for name, value in keys.items()}
    return FolderTokenizer(path, whole, notes, tokens.json)


def _from_json(path: str, vocab_size: int) -> _Tokens:
    v = _tokenizer_json.read(path, vocab_size)
    texts = [text.encode() for text in v.texts]
    return _Tokens(texts, v.keys(), v.first, v.last, json=v)


def _from_model(path: str, vocab_size: int, notes: list[str]) -> _Tokens:
    said = _sentencepiece.keys(path, vocab_size, notes)
    bos, eos = (said.pop(f"{name}_token_id", -1) for name in ("bos", "eos"))
    texts = said["tokens"]
    assert isinstance(texts, list) and isinstance(bos, int) and isinstance(eos, int)
    return _Tokens(texts, {f"ggml.{name}": value for name, value in said.items()}, bos=bos, eos=eos, add_bos=True)


# What files of settings say.


def _optional(folder: str, name: str) -> Part:
    path = os.path.join(folder, name)
    return Part.read(path) if os.path.exists(path) else Part(path, {})


def _named(said: Part, map: Part, name: str, ids: dict[bytes, int]) -> int:
    """The id of a token that is named by its text, or by an object that holds this; -1: none."""
    for values in (said, map):
        value = values.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            return ids.get(text.encode("utf-8", "replace"), -1)
    return -1


def _listed(drawn: Part, config: Part, name: str) -> list[int]:
    """Ids that generation_config.json names, else those that config.json does."""
    said = config if drawn.get(name) is None else drawn
    value = said.get(name)
    found = [] if value is None else value if isinstance(value, list) else [value]
    if not all(type(id) is int and -1 <= id < 2**31 for id in found):
        raise said.wrong(name, "a token's id, or a list of such")
    return found


def _eos_keys(eos: list[int], texts: list[bytes]) -> dict[str, SourceValue]:
    """GGUF has names for three ends: of a text, of a turn and of a message. A list of ours has all."""
    keys: dict[str, SourceValue] = {}
    others = eos[1:]
    if eos:
        keys["ggml.eos_token_id"] = eos[0]
    message = next((id for id in others if id < len(texts) and texts[id] == b"<|eom_id|>"), None)
    turns = [id for id in others if id != message]
    if turns:
        keys["ggml.eot_token_id"] = turns[0]
        message = message if message is not None else next(iter(turns[1:]), None)
    if message is not None:
        keys["ggml.eom_token_id"] = message
    if others:
        keys[f"{OWN}eos_token_ids"] = np.array(eos, np.int32)
    return keys


def _template(folder: str, said: Part) -> str | None:
    """The chat template, as text."""
    path = os.path.join(folder, "chat_template.jinja")
    if os.path.exists(path):
        return read_bytes(path, _TEMPLATE_MOST, TokenizerError).decode("utf-8", "replace")
    value = said.get("chat_template")
    if isinstance(value, list):  # templates by name, of which one is for chat
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)
                 if isinstance(entry.get("name"), str)}  # fmt: skip
        value = named.get("default")
    return value if isinstance(value, str) else None
