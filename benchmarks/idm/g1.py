"""The inverse dynamics model on a real humanoid: 22 episodes of the Unitree G1 to learn from, 6 held out.

The numbers are the joints themselves, 30 times a second; what counts is how far the seven right-arm and the six
right-hand joints move in 16 frames. Two scores: from one window alone ("window"), and from the labels that
overlapping windows and anchors are combined to ("labels"). Pictures at 160 x 112. Quick: 500 steps, whole: 2,400, and
as many again with norms that hold still.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.idm.baselines import Pairs, linear_model, pairs_of, plain_network
from benchmarks.lapa.clips import G1_HELD_OUT, use_threads
from benchmarks.measure import print_table, result, timed
from groot.fit import FitConfig
from idm.evaluation.evaluate import EvaluateConfig
from idm.evaluation.metrics import changes_over
from idm.fitting.calibrate import PredictedClip, clips_of
from idm.fitting.fit import IdmFitConfig, fit
from idm.labelling.combined_labels import window_labels
from idm.labelling.label import Labeller
from idm.labelling.saved_model import IdmModel
from idm.network.augment import AugmentConfig
from idm.network.encoder import IdmEncoderConfig
from idm.network.losses import IdmLossConfig
from idm.network.model import IdmConfig
from storage.datasets.dataset import Dataset
from storage.embodiment import G1_INSPIRE
from storage.episode import Episode
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.labelling.scores import r_squared
from storage.testing import find_real_data, write_unit
from storage.training_reader.training_data import TrainingData

Array = NDArray[Any]
STEPS, RATE_HZ = 16, 30.0
FIT_STEPS = 2400
LAG_FRAMES = 1
"""How many frames a picture is older than the joints recorded with it; found by sliding motion of one against the
other."""
PARTS = {"arm": "right_arm", "hand": "right_hand"}
BARS: dict[str, dict[str, float]] = {
    "labels: arm R2": {"at_least": 0.85},
    "labels: hand R2": {"at_least": 0.65},
    "coverage": {"at_least": 0.85, "at_most": 0.95},
    "least sure ratio": {"at_least": 1.5},
}
QUICK_BARS = {
    **BARS,
    "labels: arm R2": {"at_least": 0.77},
    "labels: hand R2": {"at_least": 0.53},
}
"""In five minutes: the floor that a plain network reached in a study."""


@dataclass(frozen=True)
class Split:
    """Ids of the held-out episodes of a data set."""

    dataset: Dataset
    held_out: frozenset[str]

    def episodes(self, *, held_out: bool) -> list[Episode]:
        return [each for each in self.dataset.episodes() if (each.episode_id in self.held_out) == held_out]


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        split = g1_dataset(Path(folder) / "data")
        figures = baselines(split, steps=300 if quick else 1500)
        models: list[IdmModel] = []
        config = g1_config(steps=500 if quick else FIT_STEPS)
        seconds = timed(lambda: models.append(fitted(split, config, Path(folder) / "model")))
    figures |= scores(models[0], split)
    figures |= {"CPU seconds": seconds.cpu_s, "wall seconds": seconds.wall_s}
    bars = QUICK_BARS if quick else BARS
    print(f"Unitree G1, 22 training and 6 held-out episodes, {config.fit.steps} steps of {config.batch_size}")
    print_table(figures, bars)
    return result(figures, bars)


def g1_dataset(root: Path) -> Split:
    """The real episodes at 160 x 120 with the measured joints as the action; the last six recordings are held out."""
    config = ImportConfig(path=str(find_real_data("g1_real_bottle")), size_px=(120, 160), codec="high")
    Dataset.create(root, name="g1_real_bottle").declare(G1_INSPIRE)
    episodes = [_with_joints_as_action(episode) for episode in read_episodes(config)]
    for start in range(0, len(episodes), 7):
        write_unit(root, episodes[start : start + 7], unit_id=f"unit-{start:02d}")
    held_out = frozenset(episodes[place].episode_id for place in G1_HELD_OUT)
    return Split(Dataset.open(root), held_out)


def _with_joints_as_action(episode: Episode) -> Episode:
    arrays = {"state": episode.arrays["state"], "action/ground_truth": np.array(episode.arrays["state"])}
    return replace(episode, arrays=arrays)


def g1_config(*, steps: int, image_px: tuple[int, int] = (112, 160), camera: str = "cam_high") -> IdmFitConfig:
    """Chunks of 17 joint positions, the later frame at the last of them."""
    lag = LAG_FRAMES / RATE_HZ
    model = IdmConfig(
        preset="g1",
        views=("head",),
        frame_offsets_s=(lag, lag + STEPS / RATE_HZ),
        chunk_s=(STEPS + 1) / RATE_HZ,
        chunk_steps=STEPS + 1,
        encoder=IdmEncoderConfig(image_px=image_px),
    )
    return IdmFitConfig(
        model=model,
        cameras={"head": (camera,)},
        loss=IdmLossConfig(augment=AugmentConfig(covered_share=0.05)),
        fit=FitConfig(
            steps=steps,
            learning_rate=1e-3,
            betas=(0.9, 0.98),
            weight_decay=0.02,
            average_decay=0.998 if steps > 1000 else 0.99,
            precision="bf16",
            log_every=50,
            save_every=250,
            validate_every=500,
        ),
        batch_size=32,
        fixed_norms_share=1.0,
    )


def fitted(split: Split, config: IdmFitConfig, output: Path, *, folder: Path | None = None) -> IdmModel:
    """A model fitted to the training episodes, calibrated on the held-out ones crosswise."""
    camera = next(iter(next(iter(split.dataset.episodes())).cameras))
    config = replace(config, cameras={"head": (camera,)})
    data = [TrainingData(dataset=split.dataset, held_out=split.held_out)]
    return fit(data, config, output, folder=folder, evaluation=EvaluateConfig(change_steps=STEPS))


def scores(model: IdmModel, split: Split) -> dict[str, float]:
    """R2 by part of the right arm and hand, from windows and from labels, on the held-out episodes."""
    head = G1_INSPIRE.name
    assert model.card is not None
    metrics = model.card.metrics[head]
    by_dimension = np.asarray(metrics["change_r2_by_dimension"])
    clips = clips_of(Labeller(model), head, split.episodes(held_out=True), action="action/ground_truth")
    alone = window_scores(model, clips)
    slices = G1_INSPIRE.action.slices()
    figures: dict[str, float] = {}
    for name, part in PARTS.items():
        figures[f"labels: {name} R2"] = float(by_dimension[slices[part]].mean())
        figures[f"window: {name} R2"] = float(alone[slices[part]].mean())
        for joint, score in enumerate(by_dimension[slices[part]]):
            figures[f"labels: {name} joint {joint} R2"] = float(score)
    figures["coverage"] = moving_coverage(metrics)
    moving = [metrics[f"least_sure_ratio/confidence/{part}"] for part in PARTS.values()]
    figures["least sure ratio"] = float(np.mean(moving))
    figures["least sure ratio, where joints stand, by interval"] = metrics["least_sure_ratio/mixture"]
    for measure in ("stated", "members", "overlap", "distance"):
        figures[f"least sure ratio, {measure} alone"] = metrics[f"least_sure_ratio/{measure}"]
    return figures


def moving_coverage(metrics: dict[str, Any]) -> float:
    """Mean coverage of the intervals of the thirteen joints that move."""
    slices = G1_INSPIRE.action.slices()
    inside = np.asarray(metrics["coverage_by_dimension"])
    return float(np.concatenate([inside[slices[part]] for part in PARTS.values()]).mean())


def window_scores(model: IdmModel, clips: Sequence[PredictedClip]) -> Array:
    """R2 (26,) of the change over a window, from that window alone."""
    guesses, truths = [], []
    for clip in clips:
        everything = np.ones(len(clip.prediction.windows), bool)
        predicted = window_labels(model, G1_INSPIRE.name, clip.prediction, everything, rate_hz=RATE_HZ)
        change = changes_over(clip.truth, STEPS)
        keep = predicted.start < len(change)
        guesses.append(predicted.motion.mean(axis=0)[keep, -1])
        truths.append(change[predicted.start[keep]])
    return r_squared(np.concatenate(guesses), np.concatenate(truths))


def baselines(split: Split, *, steps: int) -> dict[str, float]:
    """The mean, a linear model and a plain CNN on the same episodes."""
    train, test = (_pairs(split.episodes(held_out=which)) for which in (False, True))
    guesses = {
        "mean": np.broadcast_to(train.change.mean(axis=0), test.change.shape),
        "linear": linear_model(train, test),
        f"five-layer CNN, {steps} steps": plain_network(train, test, steps=steps),
    }
    figures: dict[str, float] = {}
    for name, guess in guesses.items():
        by_dimension = r_squared(guess, test.change)
        figures[f"{name}: arm R2"] = float(by_dimension[:7].mean())
        figures[f"{name}: hand R2"] = float(by_dimension[7:].mean())
    return figures


def _pairs(episodes: Sequence[Episode]) -> Pairs:
    slices = G1_INSPIRE.action.slices()
    columns = np.concatenate([np.arange(26)[slices[part]] for part in PARTS.values()])
    clips = [
        (next(iter(each.cameras.values())).decode(), np.asarray(each.arrays["state"], np.float64)[:, columns])
        for each in episodes
    ]
    return pairs_of(clips, steps=STEPS)


def main() -> None:
    """Fit at full length with a log, resumable: `python -m benchmarks.idm.g1 FOLDER`."""
    import logging
    import sys

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else FIT_STEPS
    held_out = _held_out(folder / "data")
    split = held_out if held_out else g1_dataset(folder / "data")
    model = fitted(split, g1_config(steps=steps), folder / "model", folder=folder / "training")
    print_table(baselines(split, steps=1500) | scores(model, split), BARS)


def _held_out(root: Path) -> Split | None:
    if not (root / "dataset.json").exists():
        return None
    dataset = Dataset.open(root)
    ids = [str(name) for name in dataset.index.table["episode_id"].to_pylist()]
    order = {episode.episode_id: place for place, episode in enumerate(dataset.episodes())}
    assert len(order) == len(ids)
    return Split(dataset, frozenset(name for name, place in order.items() if place in G1_HELD_OUT))


if __name__ == "__main__":
    main()
