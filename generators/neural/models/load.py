"""Loading an image-to-video model from a folder or a hub id, with what diffusers would let pass said first."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generators.neural import model_reference
from generators.neural.clip_shape import ClipShape
from generators.neural.models.interface import Sampling, VideoModel
from generators.neural.models.options import ModelOptions, apply_options
from generators.neural.models.registry import FAMILIES, adapted, family_of
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError

INDEX_FILE, CARD_FILE = "model_index.json", "card.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WITHOUT_WEIGHTS = ("tokenizer", "tokenizer_2", "scheduler", "image_processor", "feature_extractor", "processor")


def load_model(reference: str, options: ModelOptions | None = None) -> VideoModel:
    """The model of a folder or a hub id ("starter": the one that ships), ready to generate.

    Raises MissingFileError, InputError (pickled weights), UnknownNameError (a pipeline class without an adapter).
    """
    reference, options = model_reference(reference), options or ModelOptions()
    index = read_index(reference)
    pipe = apply_options(_loaded(reference, index, options), options)
    for name in index:
        part: Any = getattr(pipe, name, None)
        if hasattr(part, "eval"):
            part.eval()  # parts that were built in this process are still in training mode
    card = read_card(reference)
    shape = ClipShape(**card["shape"]) if "shape" in card else None
    sampling = Sampling(**card["sampling"]) if "sampling" in card else None
    return adapted(pipe, shape=shape, sampling=sampling)


def read_index(reference: str) -> Mapping[str, Any]:
    """`model_index.json` of a local folder, checked against what is there; of a hub id, an empty mapping."""
    folder = Path(reference)
    if not folder.is_dir():
        if folder.exists() or reference.startswith((".", "/")) or reference.count("/") != 1:
            raise MissingFileError(
                f"no model folder {reference}; expected a folder with {INDEX_FILE}, a hub id such as"
                " Wan-AI/Wan2.1-I2V-14B-480P-Diffusers, or starter"
            )
        return {}
    try:
        index: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text())
    except FileNotFoundError:
        raise MissingFileError(f"{folder} holds no {INDEX_FILE}; expected a pipeline saved by diffusers") from None
    except json.JSONDecodeError as error:
        raise CorruptFileError(f"{folder / INDEX_FILE} is not JSON: {error}") from error
    family_of(str(index.get("_class_name")))
    parts = {n: c for n, c in index.items() if isinstance(c, list) and c[0] is not None and n != "safety_checker"}
    for name in parts:
        _check_part(folder / name, name)
    return parts


def _check_part(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise MissingFileError(
            f"the pipeline names a component {name!r}, and {folder} is missing; copy it again, whole"
        )
    if name in _WITHOUT_WEIGHTS:
        return
    if any(folder.glob("*.safetensors")):
        return
    pickles = [path.name for path in sorted(folder.iterdir()) if path.suffix in _PICKLES]
    if pickles:
        raise InputError(
            f"{folder} holds pickled weights ({pickles[0]}); they are refused, because reading a pickle runs the code"
            " inside. Convert them to safetensors"
        )
    raise MissingFileError(f"{folder} holds no weights (*.safetensors); copy it again, whole")


def read_card(reference: str) -> dict[str, Any]:
    """The card beside a model of ours, {} where there is none."""
    path = Path(reference) / CARD_FILE
    if not path.is_file():
        return {}
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise CorruptFileError(f"{path} is not JSON: {error}") from error
    return card


def _loaded(reference: str, index: Mapping[str, Any], options: ModelOptions) -> Any:
    import diffusers
    import torch

    _quieten()
    extra: dict[str, Any] = {}
    name = _class_name(reference)
    if name.startswith("Cosmos") and not options.cosmos_guardrail:
        extra["safety_checker"] = OpenGuardrail()
    kind = getattr(diffusers, name) if name else diffusers.DiffusionPipeline
    # VAE and image encoder stay in float32: Wan's own advice, and they are small.
    dtype = {"default": torch.float32, **_in_half("transformer", "transformer_2", "text_encoder", options=options)}
    try:
        pipe = kind.from_pretrained(reference, dtype=dtype, use_safetensors=True, **extra)
    except ImportError as error:
        raise ConfigError(
            f"{reference} wants something that is not installed: {error}; for Cosmos install cosmos_guardrail, or set"
            " cosmos_guardrail: false after reading NVIDIA's licence"
        ) from error
    except OSError as error:
        raise MissingFileError(f"{reference} cannot be loaded: {error}") from error
    if type(pipe).__name__ not in FAMILIES:
        family_of(type(pipe).__name__)
    _check_torchvision(pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _quieten() -> None:
    """No progress bars for files of a few bytes, and no advice of transformers on image processors not in use."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()


def _check_torchvision(pipe: Any) -> None:
    """Cosmos resizes its padding mask with torchvision; without it the first step fails with a NameError."""
    from importlib.util import find_spec

    padded = getattr(pipe.transformer.config, "concat_padding_mask", False)
    if padded and find_spec("torchvision") is None:
        raise ConfigError(
            f"{type(pipe).__name__} needs torchvision, which is not installed; install the build of it that belongs to"
            " your torch"
        )


def _class_name(reference: str) -> str:
    path = Path(reference) / INDEX_FILE
    return str(json.loads(path.read_text())["_class_name"]) if path.is_file() else ""


def _in_half(*names: str, options: ModelOptions) -> dict[str, Any]:
    import torch

    return {name: getattr(torch, options.dtype) for name in names}


class OpenGuardrail:
    """Stands where Cosmos wants its guardrail, and lets everything pass; only when the user asked for that."""

    def to(self, *_: Any, **__: Any) -> "OpenGuardrail":
        return self

    def check_text_safety(self, _prompt: str) -> bool:
        return True

    def check_video_safety(self, video: Any) -> Any:
        return video
