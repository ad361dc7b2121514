"""What a vision-language model's own processor makes of pictures and an instruction.

Several of transformers' processors take videos as well, and that part needs torchvision, which is not installed here.
Still pictures do not need it: such a processor is put together from the checkpoint's image processor and tokenizer.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from storage.errors import ConfigError, MissingFileError


def load_processor(source: str) -> Any:
    """The processor of the checkpoint in `source`, a folder or a name on a hub, for still pictures and text.

    Raises MissingFileError where it has none, ConfigError where a library is missing.
    """
    try:
        try:
            return AutoProcessor.from_pretrained(source)
        except (ImportError, AttributeError, ValueError):  # the part for videos, without torchvision
            return _for_still_pictures(source)
    except ImportError as error:
        raise ConfigError(f"the processor of {source!r} needs a library that is not installed: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingFileError(f"{source!r} holds no processor to prepare pictures and text with: {error}") from error


def _for_still_pictures(source: str) -> Any:
    chosen = getattr(transformers, PROCESSOR_MAPPING_NAMES[AutoConfig.from_pretrained(source).model_type])

    class StillPictures(chosen):  # type: ignore[misc, valid-type]
        """The processor without its part for videos."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    tokenizer = AutoTokenizer.from_pretrained(source)
    stored = chosen.get_processor_dict(source)[0]
    parts = {"image_processor", "tokenizer", "video_processor", "chat_template"}
    settings = {name: stored[name] for name in inspect.signature(chosen).parameters.keys() & stored.keys() - parts}
    return StillPictures(
        image_processor=AutoImageProcessor.from_pretrained(source),
        tokenizer=tokenizer,
        video_processor=None,
        chat_template=stored.get("chat_template") or tokenizer.chat_template,
        **settings,
    )


def prepared(processor: Any, images: Tensor, instructions: Sequence[str]) -> dict[str, Tensor]:
    """A model's inputs from images (B, V, H, W, 3) uint8 and one instruction a sample, padded to the longest."""
    chats = [
        [{"role": "user", "content": [*({"type": "image"} for _ in views), {"type": "text", "text": text}]}]
        for views, text in zip(images, instructions, strict=True)
    ]
    texts = [processor.apply_chat_template(chat, tokenize=False) for chat in chats]
    pictures = [[view.cpu().numpy() for view in views] for views in images]
    inputs = processor(text=texts, images=pictures, return_tensors="pt", padding=True)
    return {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
