"""A LoRA on the starter: a few clips of a task that the base never saw, and what becomes of the tasks it knew.

    python -m benchmarks neural_lora [--quick]

New: Two Pandas lift a pot (30 clips to learn from, 10 held out). Old: held-out Lift and Stack. Errors are those of the
predicted velocity at four fixed levels of noise, with fixed noise. A LoRA is fitted to the new clips alone, which
forgets, and to them beside clips of the old tasks, reminders, as `pyramid fit video NEW OLD` does. How many reminders
and steps, and which rate, was chosen on clips of the training data that no fit saw.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.lapa.simulated import cache_folder
from benchmarks.measure import print_table, result
from benchmarks.neural.clips import CAMERA, HELD_OUT_SEED, SHAPE, clips_of
from generators.neural.fitting.cache import CachedClips, cached_clips
from generators.neural.fitting.config import VideoFitConfig
from generators.neural.fitting.fit import Validate, fit_lora, split
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from groot.checkpoint import parameter_count
from storage.episode import Episode

INSTRUCTION = "lift the pot with both arms"
"""In words that the starter's tokenizer knows."""
REMINDERS, QUICK_REMINDERS = 150, 15
"""Clips of each old task."""
BARS = {
    "with reminders: new task, error over the base's": {"at_most": 0.85},
    "with reminders: old tasks, error over the base's": {"at_most": 1.05},
    "trained parameters over the transformer's": {"at_most": 0.05},
}


def run(quick: bool) -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    config = VideoFitConfig(
        steps=50 if quick else 150,
        learning_rate=1e-3,
        batch_size=8,
        held_out_share=0.25,
        validate_every=0,
        sample_clips=0,
        save_every=0,
    )
    with TemporaryDirectory() as folder:
        work, reminders = cache_folder() / "neural-starter" / "data", QUICK_REMINDERS if quick else REMINDERS
        figures = measured(work, config, Path(folder), reminders=reminders)
    print_table(figures, BARS)
    return result(figures, BARS)


def measured(work: Path, config: VideoFitConfig, folder: Path, *, reminders: int) -> dict[str, float]:
    """Errors before and after, on the new task and on old ones."""
    model: Any = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    recorded = clips_of(work, "two_arm_lift", episodes=40).episodes()
    new = [replace(episode, instruction=INSTRUCTION) for episode in recorded]
    old = [
        episode
        for task in ("lift", "stack")
        for episode in list(clips_of(work, task, episodes=40, seed=HELD_OUT_SEED).episodes())[:10]
    ]
    cached = {
        name: cached_clips(model, episodes, CAMERA, SHAPE, per_episode=1, folder=folder / "cache")
        for name, episodes in (("new", split(new, config.held_out_share)[1]), ("old", old))
    }
    training = split(new, config.held_out_share)[0]
    known = [each for task in ("lift", "stack") for each in islice(clips_of(work, task).episodes(), reminders)]
    figures = _after(training, cached, config, folder / "alone")
    mixed = _after([*training, *known], cached, config, folder / "mixed")
    return {
        **figures,
        "with reminders: new task, error over the base's": mixed["new task: error with the LoRA over the base's"],
        "with reminders: old tasks, error over the base's": mixed["old tasks: error with the LoRA over the base's"],
        "reminders": float(len(known)),
    }


def _after(
    training: Sequence[Episode], cached: Mapping[str, CachedClips], config: VideoFitConfig, folder: Path
) -> dict[str, float]:
    """Errors of the base and of a LoRA fitted to `training`."""
    model: Any = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    whole = parameter_count(model.pipe.transformer)
    before = {name: Validate(model, data, config)(None)["error"] for name, data in cached.items()}  # type: ignore[arg-type]
    fit_lora(model, training, CAMERA, replace(config, held_out_share=0.0), folder)
    trained = sum(value.numel() for value in model.pipe.transformer.parameters() if value.requires_grad)
    after = {name: Validate(model, data, config)(None)["error"] for name, data in cached.items()}  # type: ignore[arg-type]
    return {
        "new task: error of the base": before["new"],
        "new task: error with the LoRA": after["new"],
        "new task: error with the LoRA over the base's": after["new"] / before["new"],
        "old tasks: error of the base": before["old"],
        "old tasks: error with the LoRA over the base's": after["old"] / before["old"],
        "trained parameters over the transformer's": trained / whole,
    }
