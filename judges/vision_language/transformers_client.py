"""Any image-text model of transformers, from a folder (or a hub's cache), asked in batches in this process.

The probability of "yes" comes from the model's own distribution at the token after `"answer": "`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pictures

from judges.vision_language.client import Question, Said
from judges.vision_language.config import weights_hash
from judges.vision_language.reply import BEFORE_ANSWER
from storage.errors import CorruptFileError, MissingFileError


class TransformersClient:
    """Holds model and processor. `longest_reply` bounds a reply in tokens: one that does not end there is cut, and then
    does not read as JSON."""

    def __init__(self, folder: str, *, device: str = "auto", bf16: bool = False, longest_reply: int = 400) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        path = Path(folder)
        if not (path / "config.json").is_file():
            raise MissingFileError(f"{folder} has no config.json; a judge is a folder that `save_pretrained` wrote")
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        try:
            self.processor: Any = AutoProcessor.from_pretrained(folder)
            loaded = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=torch.bfloat16 if bf16 else torch.float32
            )
        except (OSError, ValueError, KeyError) as error:
            raise CorruptFileError(f"{folder} is no image-text model that transformers loads: {error}") from error
        self.network: Any = loaded.to(self.device).eval()
        self.longest_reply = longest_reply
        self.model = f"{path.name}@{weights_hash(path)}"
        tokens = self.processor.tokenizer
        tokens.padding_side = "left"
        if tokens.pad_token is None:
            tokens.pad_token = tokens.eos_token
        self._answers = {word: _first_tokens(tokens, word) for word in ("yes", "no")}

    @torch.inference_mode()
    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """All questions as one batch."""
        if not questions:
            return []
        batch = self.processor.apply_chat_template(
            [[_message(question)] for question in questions],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
            add_generation_prompt=True,
        ).to(self.device, dtype=self.network.dtype)
        made = self.network.generate(
            **batch,
            max_new_tokens=self.longest_reply,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        asked = batch["input_ids"].shape[1]
        replies = made.sequences[:, asked:]
        return [
            self._said(row, replies[row], made.logits, int(batch["attention_mask"][row].sum()))
            for row in range(len(questions))
        ]

    def _said(self, row: int, reply: torch.Tensor, logits: Sequence[torch.Tensor], asked: int) -> Said:
        decode = self.processor.tokenizer.decode
        yes = None
        for place in range(len(reply)):
            if BEFORE_ANSWER.search(decode(reply[:place], skip_special_tokens=True)):
                chances = torch.softmax(logits[place][row].float(), dim=-1)
                sums = {word: float(chances[tokens].sum()) for word, tokens in self._answers.items()}
                total = sum(sums.values())
                yes = sums["yes"] / total if total > 1e-6 else None
                break
        return Said(text=str(decode(reply, skip_special_tokens=True)), yes=yes, tokens=asked + len(reply))

    def close(self) -> None:
        """Nothing is held open."""


def _message(question: Question) -> dict[str, Any]:
    pictures = [{"type": "image", "image": Pictures.fromarray(picture)} for picture in question.pictures]
    return {"role": "user", "content": [*pictures, {"type": "text", "text": question.text}]}


def _first_tokens(tokens: Any, word: str) -> list[int]:
    """Tokens that a word may begin with: as it stands in the answer, behind a space, with a capital."""
    first = set()
    for way in (word, f" {word}", word.capitalize()):
        for token in tokens(way, add_special_tokens=False).input_ids[:2]:
            text = str(tokens.decode([token])).strip().lower()
            if text and word.startswith(text) and token != tokens.unk_token_id:
                first.add(int(token))
                break
    return sorted(first)
