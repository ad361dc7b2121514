"""Prompts that a tokenizer would cut or blank out silently."""

from typing import Any

from storage.errors import InputError


def check_prompt(prompt: str, tokenizer: Any, *, most_tokens: int) -> None:
    """Raise InputError when `prompt` is empty, has more than `most_tokens` tokens, or words outside the vocabulary."""
    if not prompt.strip():
        raise InputError('a clip needs a prompt such as "lift the red cube"; got an empty one')
    ids = tokenizer(prompt, truncation=False, add_special_tokens=True)["input_ids"]
    if len(ids) > most_tokens:
        raise InputError(
            f"the prompt has {len(ids)} tokens, the model reads {most_tokens}; shorten it: {prompt[:80]!r}..."
        )
    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown in ids:
        words = [word for word in prompt.split() if unknown in tokenizer(word, add_special_tokens=False)["input_ids"]]
        raise InputError(
            f"the model's tokenizer does not know {', '.join(map(repr, words)) or 'parts of the prompt'} in {prompt!r};"
            " use words it was trained on, or another model"
        )
