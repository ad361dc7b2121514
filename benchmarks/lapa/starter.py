"""The starter weights: held-out simulated clips of all its robots, and of people, against every bar.

python -m benchmarks lapa_starter [--quick]          measure what ships in lapa/starter
python -m benchmarks.lapa.starter fit [STEPS]        generate the data, train, and write lapa/starter anew
"""

import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.lapa.clips import ClipSplit, health_figures, use_threads
from benchmarks.lapa.people.clips import CAMERA, EMBODIMENT, people_dataset
from benchmarks.lapa.people.figures import people_figures
from benchmarks.lapa.simulated import SEED, CameraFrames, data_of, datasets
from benchmarks.measure import cache_folder, print_table, result
from lapa.evaluation.probe_tables import probe_tables
from lapa.evaluation.retrieval import same_direction_share
from lapa.fitting.batches import BatchConfig
from lapa.fitting.clips import ClipConfig, LapaClip
from lapa.fitting.fit import LapaFitConfig
from lapa.fitting.fit import fit as run_fit
from lapa.fitting.frame_pairs import FramePairConfig
from lapa.fitting.health import measure
from lapa.labelling.encode_clip import encode_clip
from lapa.labelling.label_config import STARTER, model_folder
from lapa.labelling.saved_model import load_lapa
from lapa.network.losses import LapaLossConfig
from lapa.network.model import LatentActionModel
from storage.atomic_files import json_bytes, read_json, write_whole
from storage.datasets.dataset import Dataset
from storage.training_reader.training_data import TrainingData

STEPS, MORE_STEPS = 5000, 1800
WEIGHTS = {"simulation/panda": 2.0, f"simulation/{EMBODIMENT}": 2.0}
"""The Panda is seen through two cameras, the others through one: each view gets as many pairs. People are the
hardest, in a new room each time before a head that turns, and get two shares too."""
PEOPLE, MORE_PEOPLE, MEASURED_PEOPLE, QUICK_PEOPLE = 400, 240, 80, 20
SHOWN_PEOPLE = 1.0
"""The share of people's pairs whose motion is shown in the last stretch. With as few as of robots, latents of new rooms
rebuild the future, and no linear map reads the motion of head or hands off them."""
PEOPLE_WINDOW_S = 1.0
"""As for recorded video of people (`FramePairConfig.slow_s`)."""
LABELLED_SHARE = 0.025
LABEL_BATCH, LABEL_WEIGHT = 32, 16.0
LABEL_PARTS = {
    "panda": ("end_effector_position", "gripper"),
    "two_pandas": (
        "robot0_end_effector_position",
        "robot0_gripper",
        "robot1_end_effector_position",
        "robot1_gripper",
    ),
    "gr1": ("left_arm", "left_hand", "right_arm", "right_hand"),
    EMBODIMENT: ("camera_position", "camera_rotation", "right_wrist_position", "left_wrist_position"),
}
MORE_PEOPLE_SEED = 3
UNLABELLED_TASK = "lift"
"""Its motion is never shown: what latents are worth to a policy is measured on it (benchmarks/lapa/policy.py)."""
CLIPS = ClipConfig(windows=FramePairConfig(by_embodiment={EMBODIMENT: PEOPLE_WINDOW_S}))
MOVING_M = 0.02
BARS: dict[str, dict[str, float]] = {
    "codes used": {"at_least": 0.9},
    "perplexity over codebook": {"at_least": 0.4},
    "reconstruction over copying": {"at_most": 0.6},
    "error to the future over that to the present": {"at_most": 1.0},
    "endpoint swap": {"at_least": 2.0},
    "S-PCFC": {"at_most": 0.6},
    "same octant in the other robot": {"at_least": 0.31},
}
PROBE_BARS = {"latent": {"at_least": 0.7}, "codes": {"at_least": 0.55}, "shuffled": {"at_most": 0.05}}


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    opened = datasets(quick=quick, seed=2 if quick else 1)
    model = load_lapa(model_folder(STARTER))
    clips = ClipSplit.of(data_of(opened, 0.4 if quick else 0.2), model.size_px, ClipConfig())
    figures, bars = measured(model.network, clips, CameraFrames(opened))
    about_people, their_bars = people_figures(model.network, *_takes(model.size_px, quick=quick))
    figures, bars = {**figures, **about_people}, {**bars, **their_bars}
    print(f"starter weights on held-out clips of {', '.join(dataset.name for dataset in opened)}, and of people")
    print_table(figures, bars)
    return result(figures, bars)


def measured(
    model: LatentActionModel, clips: ClipSplit, frames: CameraFrames
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Every figure of a model on clips of several robots, and the bars.

    Probes are fitted view by view, since they speak of the camera's frame; a robot is judged by the mean of its views.
    """
    health = measure(model, clips.held_out, pairs=4096)
    figures = health_figures(health)
    bars = dict(BARS)
    for source, use in health.by_source.items():
        figures[f"{source}: codes used"] = use["used_share"]
        figures[f"{source}: perplexity over codebook"] = use["perplexity_share"]
    by_robot: dict[tuple[str, str], list[float]] = {}
    for camera in sorted({clip.camera for clip in clips.held_out}):
        seen = [[clip for clip in each if clip.camera == camera] for each in (clips.training, clips.held_out)]
        for source, table in probe_tables(model, seen[0], seen[1], motion=frames.motion).items():
            for feature, scores in table.items():
                score = float(np.mean(list(scores.values())))
                figures[f"{source}, {camera}: end-effector R2, {feature}"] = score
                by_robot.setdefault((source, feature), []).append(score)
    for (source, feature), each in by_robot.items():
        if feature in PROBE_BARS:
            name = f"{source}, mean over its views: end-effector R2, {feature}"
            figures[name], bars[name] = float(np.mean(each)), PROBE_BARS[feature]
    share, chance = octants(model, clips.held_out, frames)
    figures |= {"same octant in the other robot": share, "same octant of a random pair": chance}
    return figures, bars


def octants(model: LatentActionModel, held_out: Sequence[LapaClip], frames: CameraFrames) -> tuple[float, float]:
    """Mean over pairs of bodies: how often the nearest latent of the other moves in the same of eight directions."""
    bodies: dict[str, list[tuple[Any, Any]]] = {}
    for clip in held_out:
        moves = frames.direction(clip, clip.pairs)
        moving = np.linalg.norm(moves, axis=1) > MOVING_M
        bodies.setdefault(clip.source, []).append((encode_clip(model, clip).latent[moving], moves[moving]))
    joined = {
        source: (np.concatenate([latent for latent, _ in each]), np.concatenate([moves for _, moves in each]))
        for source, each in sorted(bodies.items())
    }
    names = list(joined)
    shares = [
        same_direction_share(joined[one], joined[other])
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    ]
    return tuple(np.mean(shares, axis=0)) if shares else (float("nan"), float("nan"))


def _people(clips: int, *, seed: int, share: float) -> TrainingData:
    """Takes of simulated people, a `share` of them held out."""
    dataset = people_dataset(cache_folder() / f"people-{clips}-{seed}", clips, seed=seed)
    return TrainingData(dataset=dataset, action="", held_out_share=share, cameras=(CAMERA,))


def _takes(size_px: tuple[int, int], *, quick: bool) -> tuple[list[LapaClip], list[LapaClip]]:
    """Takes that the starter was fitted to, for linear probes, and takes of another seed, to measure on."""
    taught, judged = (QUICK_PEOPLE, QUICK_PEOPLE) if quick else (PEOPLE, MEASURED_PEOPLE)
    known = ClipSplit.of([_people(taught, seed=SEED, share=0.2)], size_px, CLIPS)
    new = ClipSplit.of([_people(judged, seed=2, share=0.5)], size_px, CLIPS)
    return known.training, [*new.training, *new.held_out]


def _episodes_of(opened: Sequence[Dataset], task: str) -> tuple[str, ...]:
    """Ids of the episodes of one task."""
    [dataset] = [each for each in opened if each.root.name.startswith(f"{task}-")]
    return tuple(sorted(episode.episode_id for episode in dataset.episodes()))


def fit(steps: int = STEPS, more_steps: int = MORE_STEPS) -> None:
    """Train the starter weights and put them into lapa/starter, in two stretches: few labels, then those of people. A
    stopped fit goes on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    use_threads(2)
    opened = datasets(quick=False)
    robots, people = data_of(opened, 0.2), _people(PEOPLE, seed=SEED, share=0.2)
    first, folder = _fit_config(opened, steps), cache_folder() / "lapa-starter"
    if not (folder / "card.json").exists():
        run_fit([*robots, people], first, folder)
    shown = replace(first.batches, labelled_shares={EMBODIMENT: SHOWN_PEOPLE}, label_batch=2 * LABEL_BATCH)
    training = replace(first.training, steps=more_steps, learning_rate=5e-4)
    second = replace(first, batches=shown, training=training, start_from=str(folder))
    more = _people(MORE_PEOPLE, seed=MORE_PEOPLE_SEED, share=0.04)
    folder = cache_folder() / "lapa-starter-people"
    fitted = run_fit([*robots, people, more], second, folder)
    print(fitted.health, fitted.failures or "every gate holds", sep="\n")
    model_folder(STARTER).mkdir(exist_ok=True)
    shutil.copy(folder / "model.safetensors", model_folder(STARTER) / "model.safetensors")
    card = read_json(folder / "card.json")
    card["data"]["command"] = "python -m benchmarks.lapa.starter fit"
    write_whole(model_folder(STARTER) / "card.json", json_bytes(card))


def _fit_config(opened: Sequence[Dataset], steps: int) -> LapaFitConfig:
    """The first stretch."""
    batches = BatchConfig(
        weights=WEIGHTS,
        labelled_share=LABELLED_SHARE,
        label_batch=LABEL_BATCH,
        label_parts=LABEL_PARTS,
        unlabelled=_episodes_of(opened, UNLABELLED_TASK),
    )
    config = LapaFitConfig.of_preset("starter", steps=steps)
    return replace(config, batches=batches, clips=CLIPS, loss=LapaLossConfig(label=LABEL_WEIGHT))


if __name__ == "__main__" and sys.argv[1:2] == ["fit"]:
    fit(*(int(argument) for argument in sys.argv[2:]))
