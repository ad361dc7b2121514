"""Clips of the starter video model whose outcome is known: what the starter judge learns from in its last fit.

A rule on pictures says whether the red cube has left its place; `benchmarks.judge.dreams` checks it against the
simulator's state. With the dreams go the true clips of their scenes, as small as dreams are.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling, fromarray

from benchmarks.judge import lessons as lessons_of_episodes
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
from generators.neural.clip_shape import ClipShape, cut_clip
from generators.neural.models.interface import VideoModel
from storage.episode import Episode

Clip = NDArray[np.uint8]
SCENES = (("lift", "D0"), ("lift", "D1"), ("stack_green_on_red", "D0"), ("stack", "D0"))
SEED = 16
"""Of scenes that the video model was fitted to."""
RED, TABLE = 60, 150
"""A pixel is red that is so much redder than green and blue, and the table where its darkest channel is at least so
bright."""
UNFINISHED_S = 5.2
"""A stack that takes so long is not finished when a dream ends."""
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
    """Dreams of so many training scenes of each kind and their true clips, as long as dreams are; of stacking, which
    takes longer, whole true clips too. The data sets are in `work`, or made there."""
    found = []
    for task, placement in SCENES:
        parents = list(clips_of(work, task, placement=placement, seed=SEED).episodes())[:scenes]
        if task != "lift":
            found += [drawn(task, cut_clip(each, CAMERA, _whole(each)), true=True, done=True) for each in parents]
            parents = [each for each in parents if _duration_s(each) > UNFINISHED_S]
        for clip, parent in zip(dream(model, parents), parents, strict=True):
            for pictures, true in ((clip, False), (cut_clip(parent, CAMERA, SHAPE), True)):
                found.append(drawn(task, pictures, true=true, done=task == "lift" and left_place(pictures)))
    return found


def _duration_s(parent: Episode) -> float:
    return (parent.length - 1) / parent.rate_hz


def _whole(parent: Episode) -> ClipShape:
    return replace(SHAPE, rate_hz=(SHAPE.frames - 1) / _duration_s(parent))


def drawn(task: str, clip: Clip, *, true: bool, done: bool) -> Drawn:
    """A clip as the judge's lessons take it."""
    moments = np.linspace(0, len(clip) - 1, MOMENTS).round().astype(int)
    pictures = [np.asarray(fromarray(frame).resize((SIZE_PX, SIZE_PX), resample=Resampling.BICUBIC)) for frame in clip]
    leaves = int(gone(clip)[moments].argmax()) if task == "lift" and done else 0
    return Drawn(
        task=task,
        instruction=INSTRUCTIONS[task][0],
        succeeded=done,
        failure=TRUE if true else "",
        names=(),
        frames=np.stack(pictures),
        boxes=np.zeros((MOMENTS, 0, 5), np.float32),
        clips={"whole": tuple(moments.tolist())},
        moved=(leaves, MOMENTS) if done else (0, 0),  # it does not come to rest
    )


def show(one: Drawn, rng: np.random.Generator) -> Shown:
    """The clip as it is, mostly; where something is done also what does not follow: reversed, frozen, or cut before the
    cube leaves."""
    leaves, kind = one.moved[0], rng.random()
    if not one.succeeded or kind < 0.6:
        shows = "done" if one.succeeded else "failed"
    elif kind < 0.7:
        shows = "reversed"
    elif kind < 0.8 or leaves < 10:
        shows = "frozen"
    else:
        return Shown(
            drawn=one, shows="short", frames=sampled(one.clips["whole"], rng, end=int(rng.integers(9, leaves)))
        )
    clip = lessons_of_episodes.show(one, shows, rng)
    assert clip is not None
    return clip


def lessons(clip: Shown, rng: np.random.Generator) -> Iterator[Lesson]:
    """Questions about a clip; whether a dream could have been filmed nobody knows."""
    task = clip.drawn.task
    for kind in ("instruction", "again"):
        yield instruction_lesson(clip, str(rng.choice(INSTRUCTIONS[task])), right=True, kind=kind)
        yield instruction_lesson(clip, _wrong_text(task, rng), right=False, kind=kind)
    if (caption := caption_lesson(clip)) is not None:
        yield caption
    if clip.drawn.failure == TRUE and (physics := physics_lesson(clip)) is not None:
        yield physics


def _wrong_text(task: str, rng: np.random.Generator) -> str:
    """Lifting the red cube is asked about most: it is what the video model does best."""
    if task == "stack_green_on_red" and rng.random() < 0.5:
        return str(rng.choice(INSTRUCTIONS["lift"]))
    return wrong_text(task, rng)
