"""Camera motion: how exact the homography is on real clips warped by known ones, and whether a second in which only the
camera moves can be told from one in which the body moves.

    python -m benchmarks relabel_camera
"""

from collections.abc import Iterator, Sequence
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from judges.curation.camera_motion import CameraMotionConfig, camera_step, corner_shift
from judges.curation.frame_measures import MeasureFrames, Measures
from storage.testing import find_real_data

STILL_CAMERAS = (
    ("real_clips", "exterior_image_*.mp4"),
    ("neural_clips", "*.mp4"),
    ("g1_real_bottle", "**/episode_00000[17].mp4"),
)
"""Clips of a body that moves before a camera that does not."""


def run(quick: bool) -> dict[str, Any]:
    """Mean error of the corners over the width, and AUROC of the share of motion that is the camera's."""
    clips = list(_clips(60 if quick else 150))
    random = np.random.default_rng(0)
    errors = [error for clip in clips for error in _errors(clip, random)]
    windows = [(clip, first) for clip in clips for first in range(0, len(clip) - 25, 25)]
    body = [_share_of_camera(_measured(clip[first : first + 25])) for clip, first in windows]
    moved = [_share_of_camera(_measured(_panned(clip[first], random))) for clip, first in windows]
    both = [_share_of_camera(_measured(_shaken(clip[first : first + 25], random))) for clip, first in windows]
    figures = {
        "pairs": len(errors),
        "mean error of corners, % of width": 100 * float(np.mean(errors)),
        "95th percentile, % of width": 100 * float(np.quantile(errors, 0.95)),
        "windows of each kind": len(windows),
        "AUROC, camera alone against body alone": _auroc(moved, body),
        "AUROC, camera alone against camera and body": _auroc(moved, both),
    }
    bars: dict[str, dict[str, float]] = {
        "mean error of corners, % of width": {"at_most": 1.0},
        "AUROC, camera alone against body alone": {"at_least": 0.9},
    }
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _clips(frames: int) -> Iterator[NDArray[np.uint8]]:
    """RGB frames (T, H, 160, 3)."""
    for source, pattern in STILL_CAMERAS:
        for path in sorted(find_real_data(source).glob(pattern)):
            with av.open(str(path)) as container:
                images = []
                for frame in container.decode(video=0):
                    image = frame.to_ndarray(format="rgb24")
                    height = round(320 * image.shape[0] / image.shape[1])
                    images.append(cv2.resize(image, (320, height), interpolation=cv2.INTER_AREA))
                    if len(images) == frames:
                        break
            yield np.stack(images)


def _warp(height: int, width: int, random: np.random.Generator, amount: float) -> NDArray[np.float64]:
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = random.uniform(-amount, amount, 2) * width
    bend = random.uniform(-amount / 3, amount / 3, (4, 2)) * width
    homography = cv2.getPerspectiveTransform(corners, (corners + shift + bend).astype(np.float32))
    return np.asarray(homography, np.float64)


def _apply(image: NDArray[np.uint8], warp: NDArray[np.float64]) -> NDArray[np.uint8]:
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpPerspective(image, warp, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _errors(clip: NDArray[np.uint8], random: np.random.Generator) -> Iterator[float]:
    """Between a frame and the next one, warped: the body moves, and so does the camera, by a known homography."""
    height, width = clip.shape[1:3]
    scale = np.diag([1 / width, 1 / width, 1.0])
    for step in range(5, len(clip) - 1, 5):
        warp = _warp(height, width, random, float(random.choice([0.01, 0.03, 0.06])))
        pair = [_gray(clip[step]), _gray(_apply(clip[step + 1], warp))]
        estimated = camera_step(pair[0], pair[1], CameraMotionConfig()).homography
        truth = scale @ warp @ np.linalg.inv(scale)
        aspect = height / width
        yield float(np.linalg.norm(corner_shift(estimated, aspect) - corner_shift(truth, aspect), axis=1).mean())


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = cv2.resize(image, (160, round(160 * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _path(image: NDArray[np.uint8], random: np.random.Generator, steps: int) -> list[NDArray[np.float64]]:
    """A camera that turns smoothly: the warp of each step is a share of one large warp."""
    end = _warp(image.shape[0], image.shape[1], random, 0.15)
    return [np.eye(3) + (end - np.eye(3)) * step / steps for step in range(steps)]


def _panned(image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """One frame as a camera that turns sees it, with the noise of a sensor."""
    warps = _path(image, random, 25)
    noise = random.normal(0, 2, (25, *image.shape))
    frames = np.stack([_apply(image, warp) for warp in warps]).astype(np.float32)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _shaken(clip: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A body that moves, as a camera that turns sees it."""
    warps = _path(clip[0], random, len(clip))
    return np.stack([_apply(image, warp) for image, warp in zip(clip, warps, strict=True)])


def _measured(clip: NDArray[np.uint8]) -> Measures:
    measuring = MeasureFrames(25.0)
    for image in clip:
        measuring.add(image, piece=0, fresh=True)
    return measuring.finish()


def _share_of_camera(measures: Measures) -> float:
    """How much of the motion is the camera's, from `label/motion` alone: its speed against the change beside it."""
    speed, rest = measures.camera_speed[:-1], measures.residual[:-1]
    return float(np.log(speed.mean() + 0.01) - np.log(rest.mean() + 0.1))


def _auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The chance that a positive score is above a negative one."""
    pairs = np.subtract.outer(np.array(positive), np.array(negative))
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
