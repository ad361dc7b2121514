"""What a model needs of a card's memory, from parameter counts, before anything is loaded.

Weights are counted exactly: of a folder from the headers of its safetensors files, of the well-known hub models from a
table (counted on the meta device). What activations need is an estimate (ours) and marked so. Attention is taken to be
a kernel that never holds the matrix of all pairs.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generators.neural import model_reference
from generators.neural.clip_shape import ClipShape
from generators.neural.models.options import ModelOptions, device_of
from generators.neural.models.registry import FAMILIES
from storage.errors import ConfigError

if TYPE_CHECKING:
    from generators.neural.dream_config import GenerateClipsConfig

GB = 1024**3
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_FULL_PRECISION = ("vae", "image_encoder")
_RESERVE_GB = 1.0
"""What the driver, the allocator and kernels take."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Parameters by component of a hub model, the transformer's width and blocks, and how a clip becomes tokens."""

    family: str
    parameters: Mapping[str, float]
    width: int
    blocks: int
    pixels_per_token: int = 16


HUB: Mapping[str, Known] = {
    "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers": Known(
        family="WanImageToVideoPipeline",
        parameters={"transformer": 16.40e9, "text_encoder": 5.68e9, "image_encoder": 0.63e9, "vae": 0.127e9},
        width=5120,
        blocks=40,
    ),
    "Wan-AI/Wan2.2-I2V-A14B-Diffusers": Known(
        family="WanImageToVideoPipeline",
        parameters={"transformer": 14.29e9, "transformer_2": 14.29e9, "text_encoder": 5.68e9, "vae": 0.127e9},
        width=5120,
        blocks=40,
    ),
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": Known(
        family="WanImageToVideoPipeline",
        parameters={"transformer": 5.00e9, "text_encoder": 5.68e9, "vae": 0.705e9},
        width=3072,
        blocks=30,
        pixels_per_token=32,
    ),
}


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Gigabytes by component, of activations (an estimate), and of the card's memory at its fullest."""

    weights_gb: Mapping[str, float]
    blocks: int
    denoising_gb: float
    decoding_gb: float
    offload: str

    @property
    def peak_gb(self) -> float:
        """Weights that lie on the card while the hungriest part works, with its activations and a reserve."""
        return max(self._resident(name) + self._working(name) for name in self.weights_gb) + _RESERVE_GB

    def with_offload(self, offload: str) -> "MemoryPlan":
        return MemoryPlan(**{**vars(self), "offload": offload})

    def _resident(self, name: str) -> float:
        own = self.weights_gb[name]
        if self.offload == "none":
            return sum(self.weights_gb.values())
        if self.offload == "model":
            return own
        # Two groups at a time: one works, the next is on its way.
        return own * min(2 / max(self.blocks, 1), 1.0) if self.offload == "group" else own / max(8 * self.blocks, 1)

    def _working(self, name: str) -> float:
        if name.startswith("transformer"):
            return self.denoising_gb
        return self.decoding_gb if name == "vae" else 0.0

    def lines(self) -> list[str]:
        """The plan for people."""
        parts = ", ".join(f"{name} {size:.2f} GB" for name, size in self.weights_gb.items())
        others = {way: self.with_offload(way).peak_gb for way in ("none", "model", "group", "sequential")}
        peaks = ", ".join(f"{way} {peak:.1f} GB" for way, peak in others.items())
        return [
            f"weights: {parts}",
            f"activations (estimated): denoising {self.denoising_gb:.2f} GB, decoding {self.decoding_gb:.2f} GB",
            f"peak with offload {self.offload}: {self.peak_gb:.1f} GB; by offload: {peaks}",
        ]


def memory_plan(reference: str, options: ModelOptions, shape: ClipShape, *, batch_size: int) -> MemoryPlan | None:
    """The plan of a model; None for a hub id that is not in the table."""
    known = known_model(reference)
    if known is None:
        return None
    size = _BYTES[options.dtype]
    weights = {}
    for name, count in known.parameters.items():
        width = 4 if name in _FULL_PRECISION else size
        if name.startswith("transformer") and options.float8_weights:
            width = 1
        weights[name] = count * width / GB
    latents = (shape.frames - 1) // 4 + 1
    tokens = latents * (shape.height_px // known.pixels_per_token) * (shape.width_px // known.pixels_per_token)
    # Per token: the stream, its norm, three projections, attention's answer, and four widths inside the feed-forward.
    denoising = batch_size * tokens * known.width * 12 * size / GB
    pixels = shape.height_px * shape.width_px if not options.vae_tiling else min(256 * 256, shape.height_px**2)
    # Four frames at full size, 96 channels, some six buffers; the decoded clip itself in float32.
    decoding = (4 * pixels * 96 * 4 * 6 + shape.frames * shape.height_px * shape.width_px * 3 * 4 * 2) / GB
    return MemoryPlan(
        weights_gb=weights,
        blocks=known.blocks,
        denoising_gb=denoising,
        decoding_gb=decoding,
        offload=options.offload,
    )


def known_model(reference: str) -> Known | None:
    """Parameter counts of a hub model in the table or of a folder; None when neither."""
    if reference in HUB:
        return HUB[reference]
    folder = Path(model_reference(reference))
    index = folder / "model_index.json"
    if not index.is_file():
        return None
    family = str(json.loads(index.read_text()).get("_class_name"))
    counts = {
        path.name: float(parameters_in(path))
        for path in sorted(folder.iterdir())
        if path.is_dir() and any(path.glob("*.safetensors"))
    }
    config = _config_of(folder / "transformer")
    width = int(config.get("num_attention_heads", 1)) * int(config.get("attention_head_dim", 1))
    blocks = int(config.get("num_layers", 1))
    space = int(_config_of(folder / "vae").get("scale_factor_spatial", 8))
    return Known(family=family, parameters=counts, width=width, blocks=blocks, pixels_per_token=2 * space)


def _config_of(folder: Path) -> dict[str, int]:
    path = folder / "config.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def parameters_in(folder: Path) -> int:
    """Numbers in the safetensors files of a folder, read from their headers alone."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        for name, tensor in header.items():
            if name != "__metadata__":
                count = 1
                for side in tensor["shape"]:
                    count *= side
                total += count
    return total


def refuse_what_cannot_fit(config: "GenerateClipsConfig") -> None:
    """Raise ConfigError when the plan of these settings exceeds what the device has, before anything is loaded."""
    from generators.neural.dream import chosen_shape

    options = config.model_options()
    known = known_model(config.model)
    if known is None or known.family not in FAMILIES:
        return
    shape = chosen_shape(config, own_shape(config.model, known))
    plan = memory_plan(config.model, options, shape, batch_size=config.batch_size)
    have = device_memory_gb(options)
    if plan is None or plan.peak_gb <= have:
        return
    ways = [way for way in ("model", "group", "sequential") if plan.with_offload(way).peak_gb <= have]
    on_card = device_of(options) != "cpu"
    advice = f"offload {' or '.join(ways)} would fit" if ways and on_card else "no offload makes it fit here"
    raise ConfigError(
        f"{config.model} needs about {plan.peak_gb:.0f} GB with offload {plan.offload} for {config.batch_size} clips of"
        f" {shape.frames} x {shape.height_px} x {shape.width_px}; {device_of(options)} has {have:.0f} GB: {advice};"
        " a smaller batch_size, fewer frames, float8_weights and vae_tiling lower it too"
    )


def own_shape(reference: str, known: Known) -> ClipShape:
    """The shape that a model was made for."""
    from generators.neural.models.load import read_card

    card = read_card(model_reference(reference))
    return ClipShape(**card["shape"]) if "shape" in card else FAMILIES[known.family].shape


def device_memory_gb(options: ModelOptions) -> float:
    """Memory of the device that the model would run on."""
    import os

    if device_of(options) == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    import torch

    return float(torch.cuda.get_device_properties(device_of(options)).total_memory) / GB
