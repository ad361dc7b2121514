"""Latent actions under distractors: the camera shakes and things move in the background.

The clips are simulated Panda episodes (Lift and Stack). Every frame is moved by up to three pixels at random, and two
bright blobs wander behind the robot and the objects. Each option is fitted alone on the same clips; what counts is the
linear probe to the end effector's displacement in the camera's frame on held-out episodes.
Quick: 150 steps with and without labels. Whole: 400 steps of every option.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lapa.clips import ClipSplit, fit_once, use_threads
from benchmarks.lapa.simulated import SIZE_PX, SOURCES, CameraFrames, datasets
from benchmarks.measure import result
from lapa.evaluation.probe_tables import probe_tables
from lapa.fitting.clips import ClipConfig
from lapa.fitting.fit import LapaFitConfig
from lapa.network.augment import AugmentConfig
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.frames import Frames
from storage.ids import Randomness
from storage.testing import write_unit
from storage.training_reader.training_data import TrainingData

JITTER_PX = 3
BLOBS = 2
FOREGROUND_LEVELS = 24
CAMERA, MASK_CAMERA = "sideview", "foreground"
Images = NDArray[np.uint8]
Change = Callable[[LapaFitConfig], LapaFitConfig]


def distracted(episode: Episode) -> Episode:
    """The episode as a shaking camera sees it, with blobs behind what moves, and masks of what moves beside it."""
    clean = episode.cameras[CAMERA].decode().astype(np.uint8, copy=False)
    random = Randomness(0, "distractors").of(episode.episode_id)
    background = np.median(clean, axis=0)
    foreground = np.abs(clean.astype(np.int16) - background).max(axis=3) > FOREGROUND_LEVELS
    images = _with_blobs(clean, foreground, random)
    shaken, masks = _shaken(images, foreground, random)
    cameras = {CAMERA: Frames.encode(shaken, "high"), MASK_CAMERA: Frames.encode(masks, "mask")}
    return replace(episode, cameras=cameras)


def _distracted_data(dataset: Dataset) -> Dataset:
    """The data set as a shaking camera sees it, written now unless it is there."""
    root = dataset.root.with_name(f"{dataset.root.name}-distracted")
    if not (root / "dataset.json").exists():
        made = Dataset.create(root, name=f"{dataset.name}, distracted")
        made.declare(*dataset.embodiments.values())
        write_unit(root, [distracted(episode) for episode in dataset.episodes()])
    return Dataset.open(root)


def _with_blobs(clean: Images, foreground: NDArray[np.bool_], random: np.random.Generator) -> Images:
    images, (steps, height, width) = clean.copy(), foreground.shape
    rows, columns = np.mgrid[0:height, 0:width]
    for _ in range(BLOBS):
        colour, radius = random.integers(0, 256, 3), random.uniform(0.06, 0.11) * width
        phase, speed = random.uniform(0, 2 * np.pi, 2), random.uniform(0.04, 0.12, 2)
        for step in range(steps):
            centre = (0.5 + 0.42 * np.sin(phase + speed * step)) * (height, width)
            blob = np.hypot(rows - centre[0], columns - centre[1]) < radius
            images[step][blob & ~foreground[step]] = colour
    return images


def _shaken(
    images: Images, foreground: NDArray[np.bool_], random: np.random.Generator
) -> tuple[Images, NDArray[np.uint8]]:
    margin = ((JITTER_PX, JITTER_PX), (JITTER_PX, JITTER_PX))
    height, width = images.shape[1:3]
    shaken, masks = np.empty_like(images), np.empty(foreground.shape, np.uint8)
    for step, (down, right) in enumerate(random.integers(0, 2 * JITTER_PX + 1, (len(images), 2))):
        window = (slice(down, down + height), slice(right, right + width))
        shaken[step] = np.pad(images[step], (*margin, (0, 0)), mode="edge")[window]
        masks[step] = 255 * np.pad(foreground[step], margin, mode="edge")[window]
    return shaken, masks


def _batches(**settings: Any) -> Change:
    return lambda config: replace(config, batches=replace(config.batches, **settings))


def _loss(**settings: Any) -> Change:
    return lambda config: replace(config, loss=replace(config.loss, **settings))


def _together(*changes: Change) -> Change:
    def all_of(config: LapaFitConfig) -> LapaFitConfig:
        for change in changes:
            config = change(config)
        return config

    return all_of


_LABELS = _batches(labelled_share=0.025, label_parts={"panda": ("end_effector_position",)})
VARIANTS: dict[str, Change] = {
    "no labels": lambda config: config,
    "2.5 % labels": _LABELS,
    "masks": _loss(mask=8.0),
    "2.5 % labels and masks": _together(_LABELS, _loss(mask=8.0)),
    "no augmentation": lambda config: replace(config, augment=AugmentConfig(shift=0, zoom=0, brightness=0, contrast=0)),
    "swap contrast": _loss(swap=1.0),
    "later frame in place of difference": lambda config: replace(
        config, model=replace(config.model, encoder=replace(config.model.encoder, second_input="later"))
    ),
    "2.5 % labels, heavier": _together(_LABELS, _loss(label=4.0)),
}
QUICK = ("no labels", "2.5 % labels")
BARS = {"2.5 % labels: R2, latent": {"at_least": 0.45}, "2.5 % labels: gain over none": {"at_least": 0.1}}


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    steps = 150 if quick else 400
    opened = datasets(quick=quick, sources=[source for source in SOURCES if source.task in ("lift", "stack")])
    frames = CameraFrames(opened)
    config = ClipConfig(cameras=(CAMERA,), mask_camera=MASK_CAMERA)
    data = [TrainingData(dataset=_distracted_data(each), action="", held_out_share=0.2) for each in opened]
    split = ClipSplit.of(data, (SIZE_PX, SIZE_PX), config)
    figures: dict[str, float] = {}
    for name in QUICK if quick else VARIANTS:
        for feature, score in _scores(split, frames, VARIANTS[name], steps).items():
            figures[f"{name}: R2, {feature}"] = score
        print(
            f"{name:<36} R2 before {figures[f'{name}: R2, latent']:.2f}, after {figures[f'{name}: R2, codes']:.2f}",
            flush=True,
        )
    figures["2.5 % labels: gain over none"] = figures["2.5 % labels: R2, latent"] - figures["no labels: R2, latent"]
    print(f"labels bring {figures['2.5 % labels: gain over none']:.2f}")
    return result(figures, {} if quick else BARS)


def _scores(clips: ClipSplit, frames: CameraFrames, change: Change, steps: int) -> dict[str, float]:
    config = LapaFitConfig.of_preset("starter", steps=steps)
    looking = ClipConfig(cameras=(CAMERA,), mask_camera=MASK_CAMERA)
    config = replace(config, clips=looking, training=replace(config.training, validate_every=0))
    fit = fit_once(clips, change(config))
    table = probe_tables(fit.model.network, clips.training, clips.held_out, motion=frames.motion, baselines=False)
    scores = {feature: float(np.mean(list(groups.values()))) for feature, groups in table["simulation/panda"].items()}
    return {**scores, "reconstruction over copying": fit.health.reconstruction, "S-PCFC": fit.health.static_cosine}
