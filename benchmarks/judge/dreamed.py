"""Clips of the starter video model whose outcome is known: what the starter judge learns from in its last fit.

A rule on pictures says whether the red cube has left its place; `benchmarks.judge.dreams` checks it against the
simulator's state. With the dreams go the true clips of their scenes, as small as dreams are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling, fromarray

from benchmarks.judge.clips import MOMENTS, SIZE_PX, Drawn
from benchmarks.judge.lessons import (
    INSTRUCTIONS,
    Lesson,
    Shown,
    caption_lesson,
    instruction_lesson,
    physics_lesson,
    sampled,
    wrong_text,
)
from benchmarks.neural.clips import CAMERA, SHAPE, clips_of
from benchmarks.neural.dreams import dream
from generators.neural.clip_shape import cut_clip
from generators.neural.models.interface import VideoModel

Clip = NDArray[np.uint8]
SCENES = (("lift", "D0"), ("lift", "D1"), ("stack_green_on_red", "D0"), ("stack", "D0"))
SEED = 16
"""Of scenes that the video model was fitted to."""
RED, TABLE = 60, 150
"""A pixel is red that is so much redder than green and blue, and the table where its darkest channel is at least so
bright."""
TRUE = "true"
"""What a clip that nobody dreamed has for its failure's reason."""


def gone(clip: Clip) -> NDArray[np.bool_]:
    """(T,): whether in each frame of a clip (T, H, W, 3) the red cube is gone from where it lies in the first: the
    table is seen there."""
    pictures = clip.astype(int)
    red = pictures[0, ..., 0] > pictures[0, ..., 1:].max(axis=-1) + RED
    if not red.any():
        return np.zeros(len(clip), bool)
    bright: NDArray[np.bool_] = pictures.min(axis=-1)[:, red].mean(axis=1) > TABLE
    return bright


def left_place(clip: Clip) -> bool:
    """Whether it is gone in the last frame."""
    return bool(gone(clip)[-1])


def collect(work: Path, model: VideoModel, *, scenes: int) -> list[Drawn]:
    """True clips and dreams of so many training scenes of each kind; the data sets are in `work`, or made there."""
    found = []
    for task, placement in SCENES:
        parents = list(clips_of(work, task, placement=placement, seed=SEED).episodes())[:scenes]
        true = [cut_clip(parent, CAMERA, SHAPE) for parent in parents]
        found += [drawn(task, clip, TRUE) for clip in true]
        found += [drawn(task, clip, "") for clip in dream(model, parents)]
    return [each for each in found if each.task in ("lift", "stack") or not each.succeeded]


def drawn(task: str, clip: Clip, failure: str) -> Drawn:
    """A clip as the judge's lessons take it; it succeeded where the red cube left its place."""
    moments = np.linspace(0, len(clip) - 1, MOMENTS).round().astype(int)
    left = gone(clip)[moments]
    pictures = [np.asarray(fromarray(frame).resize((SIZE_PX, SIZE_PX), resample=Resampling.BICUBIC)) for frame in clip]
    return Drawn(
        task=task,
        instruction=INSTRUCTIONS[task][0],
        succeeded=bool(left[-1]),
        failure=failure,
        names=(),
        frames=np.stack(pictures),
        boxes=np.zeros((MOMENTS, 0, 5), np.float32),
        clips={"whole": tuple(moments.tolist())},
        moved=(int(left.argmax()), MOMENTS - 1) if left[-1] else (0, 0),
    )


def show(one: Drawn, rng: np.random.Generator) -> Shown:
    """The whole clip, mostly; of a lift also what does not follow: reversed, frozen, or cut before the cube leaves."""
    whole, leaves = one.clips["whole"], one.moved[0]
    shows = "done" if one.succeeded or one.task != "lift" else "failed"
    frames = sampled(whole, rng)
    kind = rng.random()
    if one.task != "lift" or shows == "failed" or kind < 0.6:
        return Shown(drawn=one, shows=shows, frames=frames)
    if kind < 0.7:
        return Shown(drawn=one, shows="reversed", frames=frames[::-1])
    if kind < 0.8 or leaves < 10:
        return Shown(drawn=one, shows="frozen", frames=(whole[int(rng.integers(MOMENTS))],) * len(frames))
    return Shown(drawn=one, shows="short", frames=sampled(whole, rng, end=int(rng.integers(9, leaves))))


def lessons(clip: Shown, rng: np.random.Generator) -> Iterator[Lesson]:
    """Questions to which the rule knows the answer."""
    task = clip.drawn.task
    wrong = _wrong_texts(task, rng)
    for kind in ("instruction", "again"):
        if task == "lift":
            yield instruction_lesson(clip, str(rng.choice(INSTRUCTIONS["lift"])), right=True, kind=kind)
        yield instruction_lesson(clip, str(rng.choice(wrong)), right=False, kind=kind)
    if task == "lift" and (caption := caption_lesson(clip)) is not None:
        yield caption
    if clip.drawn.failure == TRUE and (physics := physics_lesson(clip)) is not None:
        yield physics


def _wrong_texts(task: str, rng: np.random.Generator) -> Sequence[str]:
    if task == "lift":
        return [wrong_text("lift", rng)]
    if task == "stack_green_on_red":
        return [*INSTRUCTIONS["lift"], INSTRUCTIONS["stack"][0], wrong_text("lemon_from_tray_to_bowl", rng)]
    return [INSTRUCTIONS["stack_green_on_red"][0], INSTRUCTIONS["apple_from_plate_to_bowl"][0]]
