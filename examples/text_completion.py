"""What example_text_completion.py does in Meta's repository, with no launcher:

python examples/text_completion.py --ckpt_dir llama-2-7b --tokenizer_path tokenizer.model
"""

from __future__ import annotations

import sys

from arguments import Arguments, parse

from llama2py import Llama2Error
from llama2py.meta import Llama

PROMPTS = [
    "Once upon a time",
    "One day, a little fox went to the river and saw",
    "The best thing about a rainy day is that",
    "big => small\nhot => cold\nday =>",
]
ORDER = ("ckpt_dir", "tokenizer_path", "temperature", "top_p", "max_seq_len", "max_gen_len", "max_batch_size")


def main() -> None:
    """Continues a few prompts together."""
    usual = Arguments(None, None, 0.6, 0.9, max_seq_len=128, max_gen_len=64, max_batch_size=4)
    asked = parse("Continues a few prompts together.", usual, ORDER)
    with Llama.build(asked.ckpt_dir, asked.tokenizer_path, asked.max_seq_len, asked.max_batch_size) as generator:
        predictions = generator.text_completion(
            PROMPTS, max_gen_len=asked.max_gen_len, temperature=asked.temperature, top_p=asked.top_p
        )
    for prompt, prediction in zip(PROMPTS, predictions, strict=True):
        print(f"{prompt}\n> {prediction['generation']}\n\n{'=' * 34}\n")


if __name__ == "__main__":
    try:
        main()
    except Llama2Error as error:
        sys.exit(f"text_completion: {error}")
