"""What example_chat_completion.py does in Meta's repository, with no launcher:

python examples/chat_completion.py --ckpt_dir llama-2-7b-chat --tokenizer_path tokenizer.model

The model in the box, which answers where no checkpoint is given, tells stories and was never taught to chat.
"""

from __future__ import annotations

import sys

from arguments import Arguments, parse

from llama2py import Llama2Error
from llama2py.meta import Dialog, Llama

DIALOGS: list[Dialog] = [
    [{"role": "user", "content": "How do I keep bread fresh?"}],
    [
        {"role": "user", "content": "Name a river in France."},
        {"role": "assistant", "content": "The Loire."},
        {"role": "user", "content": "How long is it?"},
    ],
    [
        {"role": "system", "content": "You answer in rhymes."},
        {"role": "user", "content": "Why is the sky blue?"},
    ],
    [{"role": "user", "content": "What does [INST] stand for?"}],
]
ORDER = ("ckpt_dir", "tokenizer_path", "temperature", "top_p", "max_seq_len", "max_batch_size", "max_gen_len")


def main() -> None:
    """Answers a few dialogs together."""
    usual = Arguments(None, None, 0.6, 0.9, max_seq_len=512, max_gen_len=None, max_batch_size=8)
    asked = parse("Answers a few dialogs together.", usual, ORDER)
    with Llama.build(asked.ckpt_dir, asked.tokenizer_path, asked.max_seq_len, asked.max_batch_size) as generator:
        predictions = generator.chat_completion(
            DIALOGS, max_gen_len=asked.max_gen_len, temperature=asked.temperature, top_p=asked.top_p
        )
    for dialog, prediction in zip(DIALOGS, predictions, strict=True):
        said = [*dialog, prediction["generation"]]
        lines = [f"{message['role'].capitalize()}: {message['content']}\n" for message in said]
        print("\n".join([*lines[:-1], f"> {lines[-1]}"]) + f"\n{'=' * 34}\n")


if __name__ == "__main__":
    try:
        main()
    except Llama2Error as error:
        sys.exit(f"chat_completion: {error}")
