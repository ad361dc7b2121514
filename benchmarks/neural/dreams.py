"""The starter that dreams, on held-out scenes: does a clip begin and end as it should and follow its instruction, and
do labels of it move a robot?

    python -m benchmarks neural_dreams [--quick]

Labels are read by the starter labeller from 5 frames a second; a label is spread evenly over the four control steps it
stands for and played in the simulator from the clip's true initial state. Quick: 8 scenes of each kind; whole: 40.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lapa.simulated import cache_folder
from benchmarks.measure import print_table, result
from benchmarks.neural.clips import CAMERA, HELD_OUT_SEED, SHAPE, clips_of
from benchmarks.neural.pairs import Pair, counterfactual_pairs
from generators.neural.clip_shape import cut_clip
from generators.neural.dream import to_uint8
from generators.neural.models.interface import Request, VideoModel
from generators.neural.models.load import load_model
from generators.neural.models.options import ModelOptions
from generators.neural.motion import SpeedCheck, speed_heights_s
from storage.embodiment import PANDA
from storage.episode import Episode
from storage.frames import Frames

Clip = NDArray[np.uint8]
BARS = {
    "PSNR of the first frame, dB": {"at_least": 25.0},
    "error of the last frame over copying the first": {"at_most": 0.6},
    "counterfactual pairs nearer to their own outcome": {"at_least": 0.75},
    "Lift: labels of dreams succeed": {"at_least": 0.3},
}
TASKS = ("lift", "stack", "stack_green_on_red")


def run(quick: bool) -> dict[str, Any]:
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])
    model = load_model("starter", ModelOptions(dtype="float32", device="cpu"))
    figures = measured(model, cache_folder() / "neural-starter" / "data", scenes=8 if quick else 40)
    print_table(figures, BARS)
    return result(figures, BARS)


def measured(model: VideoModel, work: Path, *, scenes: int) -> dict[str, float]:
    """All figures of a model."""
    episodes = {task: held_out(work, task, scenes) for task in TASKS}
    dreams = {task: dream(model, of_task) for task, of_task in episodes.items()}
    truths = {task: [cut_clip(each, CAMERA, SHAPE) for each in of_task] for task, of_task in episodes.items()}
    every = [(truth, clip) for task in TASKS for truth, clip in zip(truths[task], dreams[task], strict=True)]
    figures = {
        "PSNR of the first frame, dB": float(np.mean([psnr(truth[0], clip[0]) for truth, clip in every])),
        "error of the last frame over copying the first": outcome(every),
    }
    for task in TASKS:
        pairs = list(zip(truths[task], dreams[task], strict=True))
        figures[f"the same, {task}"] = outcome(pairs)
        speeds = [
            [speed_heights_s(clip, rate_hz=SHAPE.rate_hz) for clip in clips] for clips in zip(*pairs, strict=True)
        ]
        figures[f"speed of motion over the truth's, {task}"] = SpeedCheck.of(speeds[1], speeds[0]).ratio
    pairs_ = counterfactual_pairs(work, scenes)
    figures["counterfactual pairs nearer to their own outcome"] = followed(model, pairs_)
    return figures | played(episodes["lift"], dreams["lift"], truths["lift"])


def held_out(work: Path, task: str, count: int) -> list[Episode]:
    return list(clips_of(work, task, episodes=40, seed=HELD_OUT_SEED).episodes())[:count]


def dream(model: VideoModel, episodes: Sequence[Episode], prompts: Sequence[str] = ()) -> list[Clip]:
    """A clip for the first frame of each episode and its own instruction, or another."""
    said = list(prompts) or [episode.instruction for episode in episodes]
    firsts = [cut_clip(episode, CAMERA, replace(SHAPE, frames=1))[0] for episode in episodes]
    wanted = [Request(image=first, prompt=p, seed=n) for n, (first, p) in enumerate(zip(firsts, said, strict=True))]
    clips = [
        clip for at in range(0, len(wanted), 8) for clip in model.generate(wanted[at : at + 8], SHAPE, model.sampling)
    ]
    return [to_uint8(clip) for clip in clips]


def psnr(one: Clip, other: Clip) -> float:
    error = ((one.astype(np.float64) - other) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def outcome(pairs: Sequence[tuple[Clip, Clip]]) -> float:
    """Squared error of the last frames over that of the true first frames, summed over clips."""
    errors = [((clip[-1].astype(np.float64) - truth[-1]) ** 2).mean() for truth, clip in pairs]
    copies = [((truth[0].astype(np.float64) - truth[-1]) ** 2).mean() for truth, _ in pairs]
    return float(np.sum(errors) / np.sum(copies))


def followed(model: VideoModel, pairs: Sequence[Pair]) -> float:
    """Share of dreams that end nearer to what their own instruction does than to what the other does."""
    good = []
    for which in (0, 1):
        episodes = [pair.episodes[which] for pair in pairs]
        for clip, pair in zip(dream(model, episodes), pairs, strict=True):
            errors = [((clip[-1].astype(np.float64) - true) ** 2).mean() for true in pair.outcomes]
            good.append(errors[which] < errors[1 - which])
    return float(np.mean(good)) if good else float("nan")


def played(episodes: Sequence[Episode], dreams: Sequence[Clip], truths: Sequence[Clip]) -> dict[str, float]:
    """Success of labels of dreams in the simulator, beside labels of the true video, of another scene's dream, and in
    another order; and how well the two kinds of labels agree."""
    from idm.labelling.label import Labeller
    from idm.labelling.label_config import model_folder
    from idm.labelling.saved_model import load_idm
    from workflows.models.replay_actions import Replayer, playable

    labeller, replay = Labeller(load_idm(model_folder("starter"))), Replayer()
    labels = {
        name: [labeller.label(as_episode(clip), "panda") for clip in clips]
        for name, clips in (("dreams", dreams), ("true", truths))
    }
    rates = {"rate_hz": SHAPE.rate_hz, "control_hz": episodes[0].rate_hz}
    actions = {
        name: [playable(each.action, each.valid, PANDA.action, **rates) for each in labelled]
        for name, labelled in labels.items()
    }
    actions["another"] = actions["dreams"][1:] + actions["dreams"][:1]
    random = np.random.default_rng(0)
    actions["shuffled"] = [random.permutation(each) for each in actions["dreams"]]
    share = {
        name: float(np.mean([replay(e, a).succeeded for e, a in zip(episodes, labelled, strict=True)]))
        for name, labelled in actions.items()
    }
    # Steps that are labelled in both, clip by clip.
    both = [one.valid & other.valid for one, other in zip(labels["true"], labels["dreams"], strict=True)]
    true, dreamt = (
        np.concatenate([each.action[valid][:, :3] for each, valid in zip(labels[name], both, strict=True)])
        for name in ("true", "dreams")
    )
    return {
        "Lift: labels of dreams succeed": share["dreams"],
        "Lift: labels of the true video, 5 Hz and 64 px": share["true"],
        "Lift: labels of another scene's dream": share["another"],
        "Lift: labels of dreams in another order": share["shuffled"],
        "Lift: R2 of position labels, dreams against true video": float(
            1 - ((dreamt - true) ** 2).sum() / ((true - true.mean(0)) ** 2).sum()
        ),
    }


def as_episode(clip: Clip) -> Episode:
    return Episode(
        episode_id="clip",
        layer="neural",
        embodiment="panda",
        length=len(clip),
        rate_hz=SHAPE.rate_hz,
        cameras={CAMERA: Frames.encode(list(clip), "lossless")},
    )
