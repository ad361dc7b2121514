"""Everything that wants a GPU, in one command of a few minutes: do labels agree with the CPU's, how much of the card's
matrix peak does the large encoder reach, how much faster does a card label, what does recording the action head's loop
save, and what are batches of clips worth.

    python -m benchmarks gpu [--quick]

`measured` runs on a CPU too, so that a test can follow it; its figures mean something on a GPU alone.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.groot.speed import n1_head
from benchmarks.idm.speed import clip
from benchmarks.measure import interleaved, print_table, result
from groot.network.captured import CapturedLoop
from groot.presets import BackboneConfig
from idm.labelling.label import Labeller, torch_network
from idm.labelling.label_config import model_folder
from idm.labelling.predict_clip import TorchNetwork
from idm.labelling.saved_model import load_idm
from idm.network.model import Idm, IdmConfig
from idm.presets import base
from storage.pictures.read_ahead import Reading

_PRODUCT = {"cuda": (8192, 8192), "cpu": (512, 512)}
"""Sizes of the matrices whose product is the peak."""
BARS = {
    "labels, largest difference from the CPU's": {"at_most": 2e-4},
    "large encoder over the card's matrix peak": {"at_least": 0.45},
    "labelling, frames a second over one CPU process": {"at_least": 3.0},
    "action head recorded over not": {"at_most": 0.5},
}


def run(quick: bool) -> dict[str, Any]:
    if not torch.cuda.is_available():
        raise SystemExit("this benchmark measures a GPU, and torch sees none here; the others run on a CPU")
    figures = measured(torch.device("cuda"), frames=400 if quick else 4000, batch=128 if quick else 512)
    print_table(figures, BARS)
    return result(figures, BARS)


def measured(device: torch.device, *, frames: int, batch: int, clips: int = 32) -> dict[str, float]:
    """All figures: `frames` in the clip that is labelled, `batch` images through the large encoder, `clips` dreamed of
    together."""
    return {
        **labelling(device, frames=frames),
        **large_encoder(device, batch=batch),
        **action_head(device),
        **dreaming(device, clips=clips),
    }


def labelling(device: torch.device, *, frames: int) -> dict[str, float]:
    """The starter labeller on a JPEG clip: on the device and in one CPU process, each with all cores to decode."""
    model, cores = load_idm(model_folder("starter")), len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    reading = Reading(threads=cores)
    there = Labeller(model, network=torch_network(model, device=device), reading=reading)
    here = Labeller(model, reading=reading)
    episode, head = clip(frames, model.config.image_px), next(iter(model.targets))
    ours, theirs = (each.predict(episode, head).predictions for each in (there, here))
    seconds = _wall_s(device, there=lambda: there.label(episode, head), here=lambda: here.label(episode, head))
    return {
        "labels, largest difference from the CPU's": max(
            float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)
        ),
        "labelling, frames a second over one CPU process": seconds["here"] / seconds["there"],
        "labelling, frames a second": frames / seconds["there"],
    }


def large_encoder(device: torch.device, *, batch: int) -> dict[str, float]:
    """Throughput of the `base` preset's encoder in bf16 as a share of what a large matrix product reaches."""
    with tempfile.TemporaryDirectory() as folder:
        network = TorchNetwork(base_size_model(Path(folder)), device=device, bf16=True)
    images = np.zeros((batch, 1, 256, 256, 3), np.uint8)
    a, b = (torch.randn(_PRODUCT[device.type], device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = _wall_s(device, encoder=lambda: network.encode(images), product=lambda: a @ b)
    reached = 2.0 * batch * encoder_multiplications(network.model.encoder) / seconds["encoder"]
    return {
        "large encoder over the card's matrix peak": reached / (2.0 * len(a) ** 3 / seconds["product"]),
        "large encoder, frames a second": batch / seconds["encoder"],
    }


def base_size_model(folder: Path) -> Idm:
    """The `base` preset with a randomly initialised tower of SigLIP-2 base's size: speed does not depend on the
    weights."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    settings = SiglipVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=256,
        patch_size=16,
    )
    SiglipVisionModel(settings).save_pretrained(folder)
    config: IdmConfig = base()
    tower = BackboneConfig(kind="vision", source=str(folder), width=768, image_px=(256, 256))
    return Idm(IdmConfig(**{**vars(config), "tower": tower, "views": ("agentview",)}))


def encoder_multiplications(encoder: torch.nn.Module) -> float:
    """Multiplications of one image through the layers of the tower: weights times tokens, and attention. Patches and
    pooling, one part in a hundred, are left out."""
    tokens, width, layers = 256, 768, 12
    weights = sum(p.numel() for name, p in encoder.named_parameters() if p.ndim >= 2 and ".layers." in name)
    return tokens * float(weights) + layers * 2.0 * tokens * tokens * width


def action_head(device: torch.device) -> dict[str, float]:
    """One observation to a chunk, four Euler steps of N1's head, as Python launches it and recorded as one graph."""
    head, tokens, inputs = n1_head(layers=16 if device.type == "cuda" else 2, device=device)
    inputs["noise_BHD"] = torch.randn(inputs["mask_BHD"].shape, device=device)
    loop = CapturedLoop(head)
    plain, recorded = head.sample(tokens, **inputs), head.sample(tokens, loop=loop, **inputs)
    seconds = _wall_s(
        device,
        plain=lambda: head.sample(tokens, **inputs),
        recorded=lambda: head.sample(tokens, loop=loop, **inputs),
    )
    return {
        "action head, ms": 1e3 * seconds["plain"],
        "action head recorded, ms": 1e3 * seconds["recorded"],
        "action head recorded over not": seconds["recorded"] / seconds["plain"],
        "action head recorded, largest difference": float((plain - recorded).abs().max()),
    }


def dreaming(device: torch.device, *, clips: int) -> dict[str, float]:
    """Clips of the starter video model: one a call, and `clips` a call."""
    from benchmarks.neural.clips import SHAPE
    from generators.neural.models.interface import Request, Sampling
    from generators.neural.models.load import load_model
    from generators.neural.models.options import ModelOptions

    model = load_model("starter", ModelOptions(dtype="float32", device=device.type))
    image = np.random.default_rng(0).integers(0, 255, (SHAPE.height_px, SHAPE.width_px, 3), dtype=np.uint8)
    requests = [Request(image=image, prompt="lift the red cube", seed=seed) for seed in range(clips)]
    sampling = Sampling(steps=5, guidance=1.0)
    seconds = _wall_s(
        device,
        alone=lambda: model.generate(requests[:1], SHAPE, sampling),
        together=lambda: model.generate(requests, SHAPE, sampling),
    )
    return {
        "dreams, clips a second alone": 1 / seconds["alone"],
        f"dreams, {clips} together over alone, clips a second": clips * seconds["alone"] / seconds["together"],
    }


def _wall_s(device: torch.device, **contestants: Callable[[], object]) -> dict[str, float]:
    """Wall seconds of each, taking turns, each until the device has done its work."""

    def waited(work: Callable[[], object]) -> Callable[[], object]:
        def until_done() -> None:
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return until_done

    rounds, warm_up = (10, 3) if device.type == "cuda" else (1, 1)
    seconds = interleaved({name: waited(work) for name, work in contestants.items()}, rounds=rounds, warm_up=warm_up)
    return {name: each.wall_s for name, each in seconds.items()}
