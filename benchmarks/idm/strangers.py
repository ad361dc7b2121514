"""What the starter inverse dynamics model does with video that it was never meant for: how many steps are flagged
or get no label, and how many good steps are lost.

    PYRAMID_REAL_DATA=FOLDER python -m benchmarks idm_strangers     # real recordings join in where they are

Strangers are mirrored clips, another robot in the same scene, real recordings of other robots, generated clips, the
steps around a splice, and a pan over a still picture.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import print_table, result
from idm.labelling.label import ClipLabels, Labeller, with_cameras
from idm.labelling.label_config import model_folder
from idm.labelling.saved_model import IdmModel, load_idm
from storage.embodiment import PANDA
from storage.episode import Episode
from storage.errors import MissingFileError
from storage.frames import Frames
from storage.labelling.labels import FLAGS_DTYPE, LabelFlag

SEED, CAMERA = 61, "agentview"
TOLD = LabelFlag.UNFAMILIAR | LabelFlag.CAMERA_MOTION | LabelFlag.CUT | LabelFlag.FROZEN | LabelFlag.UNLABELLED
MOST_OF_A_REAL_SET = 8
KINDS = ("mirrored", "two Pandas", "real G1", "real Franka, other cameras", "generated clips", "around a splice", "pan")
BARS: Mapping[str, Mapping[str, float]] = {
    "good steps lost": {"at_most": 0.05},
    **{f"{kind}: told": {"at_least": 0.9} for kind in KINDS},
    "intervals of good clips cover": {"at_least": 0.85, "at_most": 0.95},
    "intervals of what is labelled of spliced clips cover": {"at_least": 0.85, "at_most": 0.95},
}
REGRESSED = slice(0, 6)
"""Numbers of the Panda's command that have an interval: the seventh opens and closes the hand."""


def run(quick: bool) -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    from benchmarks.idm.panda_clips import Clips, generate

    count = 2 if quick else 8
    good = [
        episode for where in ("D0", "D1") for episode in generate(Clips(episodes=count, seed=SEED, placement=where))
    ]
    figures = {"good steps lost": share(good, lambda flags: (flags & FLAGS_DTYPE(TOLD)) > 0, last=False)}
    strangers: dict[str, Sequence[Episode]] = {
        "mirrored": [with_frames(episode, np.ascontiguousarray(seen(episode)[:, :, ::-1])) for episode in good],
        "two Pandas": generate(Clips(episodes=count, seed=SEED, tasks=("two_arm_lift",))),
        "pan": [with_frames(episode, panned(seen(episode)[0], episode.length)) for episode in good],
        **real_strangers(),
    }
    for kind, episodes in strangers.items():
        figures[f"{kind}: told"] = share(episodes, lambda flags: (flags & FLAGS_DTYPE(TOLD)) > 0)
    splices = [spliced(one, other) for one, other in zip(good[::2], good[1::2], strict=False)]
    figures["around a splice: told"] = told_at_splices(splices)
    figures["intervals of good clips cover"] = covered(good)
    figures["intervals of what is labelled of spliced clips cover"] = covered([episode for episode, _ in splices])
    bars = {name: bar for name, bar in BARS.items() if name in figures}
    print_table(figures, bars)
    return result(figures, bars)


def share(episodes: Sequence[Episode], told: Callable[[Any], NDArray[np.bool_]], *, last: bool = True) -> float:
    """The share of steps that are told. Without `last` the end of a clip, where no window begins, does not count."""
    shares = []
    for episode in episodes:
        flags = flags_of(episode)
        behind = 0 if last else round(0.2 * episode.rate_hz)
        shares.append(told(flags[: len(flags) - behind]))
    return float(np.concatenate(shares).mean())


@cache
def starter() -> IdmModel:
    """The model that ships, read once."""
    return load_idm(model_folder("starter"))


def labels_of(episode: Episode) -> ClipLabels:
    """Labels as the Panda, through whatever camera there is."""
    model = with_cameras(starter(), {CAMERA: tuple(sorted(episode.cameras))})
    return Labeller(model).label(episode, PANDA.name)


def flags_of(episode: Episode) -> NDArray[np.uint16]:
    return labels_of(episode).flags


def covered(episodes: Sequence[Episode]) -> float:
    """How often the true number lies in the interval of a label that is not told; switches have no interval."""
    inside = []
    for episode in episodes:
        labels = labels_of(episode)
        kept = (labels.flags & FLAGS_DTYPE(TOLD)) == 0
        errors = labels.action[kept] - episode.arrays["action/ground_truth"][kept]
        inside.append((np.abs(errors) <= labels.interval[kept])[:, REGRESSED])
    return float(np.concatenate(inside).mean())


def seen(episode: Episode) -> NDArray[np.uint8]:
    return episode.cameras[CAMERA].decode().astype(np.uint8)


def with_frames(episode: Episode, images: NDArray[np.uint8]) -> Episode:
    return replace(episode, cameras={CAMERA: Frames.encode(images)})


def panned(picture: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """A camera that moves sideways over a still picture, two thirds of which it sees."""
    height, width = picture.shape[:2]
    inner = 2 * width // 3
    lefts = np.abs((np.arange(steps) * 2) % (2 * (width - inner)) - (width - inner))
    import cv2

    return np.stack([cv2.resize(picture[:, left : left + inner], (width, height)) for left in lefts])


def spliced(one: Episode, other: Episode) -> tuple[Episode, int]:
    """The first half of a clip and the second half of another, and where they meet."""
    half, rest = one.length // 2, other.length - other.length // 2
    images = np.concatenate([seen(one)[:half], seen(other)[-rest:]])
    arrays = {name: np.concatenate([values[:half], other.arrays[name][-rest:]]) for name, values in one.arrays.items()}
    return replace(one, length=len(images), arrays=arrays, cameras={CAMERA: Frames.encode(images)}), half


def told_at_splices(splices: Sequence[tuple[Episode, int]]) -> float:
    """The share of the steps whose window sees both sides that are told."""
    told = []
    for episode, half in splices:
        window = round(0.2 * episode.rate_hz)
        told.append((flags_of(episode)[half - window : half] & FLAGS_DTYPE(TOLD)) > 0)
    return float(np.concatenate(told).mean())


def real_strangers() -> dict[str, Sequence[Episode]]:
    """Recordings of other robots, as far as they are there."""
    from storage.formats.import_item import ImportConfig
    from storage.formats.import_stage import read_episodes
    from storage.testing import find_real_data

    names = {"real G1": "g1_real_bottle", "real Franka, other cameras": "real_clips", "generated clips": "neural_clips"}
    strangers: dict[str, Sequence[Episode]] = {}
    for kind, name in names.items():
        try:
            path = find_real_data(name)
        except MissingFileError:
            continue
        config = ImportConfig(path=str(path), limit=MOST_OF_A_REAL_SET, size_px=(128, 128))
        strangers[kind] = list(read_episodes(config))
    return strangers
