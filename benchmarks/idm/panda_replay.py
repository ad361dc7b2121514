"""Clips that a model of the Panda has never seen the like of: another camera, distractors, a patch over the view."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.idm.panda_clips import CAMERA
from generators.simulation.stepping.render import Pictures, Renderer
from storage.episode import Episode
from storage.frames import Frames
from workflows.models.replay_actions import Replayer

Array = NDArray[Any]


def from_a_shifted_camera(episodes: Sequence[Episode], *, metres: float = 0.25) -> list[Episode]:
    """The same episodes drawn again by a camera that stands `metres` to the side."""
    replayer, shifted = Replayer(), []
    for episode in episodes:
        scene = replayer.scene(episode)
        camera = scene.model.camera(CAMERA).id
        before = scene.model.cam_pos[camera].copy()
        scene.model.cam_pos[camera] += (0.0, metres, 0.0)
        frames = episode.cameras[CAMERA]
        pictures = Pictures(cameras=(CAMERA,), width_px=frames.width_px, height_px=frames.height_px)
        renderer = Renderer(scene.model, pictures)
        try:
            images = [drawn[CAMERA] for drawn in renderer.frames(episode.arrays["simulation/state"])]
        finally:
            renderer.close()
            scene.model.cam_pos[camera] = before
        shifted.append(_with_frames(episode, images))
    return shifted


def with_distractors(episodes: Sequence[Episode], *, seed: int = 0) -> list[Episode]:
    """The same episodes with two coloured balls that wander over the picture."""
    distracted = []
    for number, episode in enumerate(episodes):
        random = np.random.default_rng([seed, number])
        images = list(episode.cameras[CAMERA].decode().copy())
        size = np.array([images[0].shape[1], images[0].shape[0]])
        place = random.uniform(0.2, 0.8, size=(2, 2)) * size
        speed = random.normal(size=(2, 2)) * 2.0
        colours = random.integers(40, 255, size=(2, 3)).tolist()
        for image in images:
            speed = 0.9 * speed + random.normal(size=(2, 2))
            place = np.clip(place + speed, 0, size)
            for ball in range(2):
                cv2.circle(image, tuple(int(x) for x in place[ball]), int(size[0] // 10), colours[ball], -1)
        distracted.append(_with_frames(episode, images))
    return distracted


def behind_a_patch(episodes: Sequence[Episode], *, share: float = 0.5, seed: int = 0) -> list[Episode]:
    """The same episodes with a plain patch over `share` of each side of the picture."""
    patched = []
    for number, episode in enumerate(episodes):
        random = np.random.default_rng([seed, number, 1])
        images = list(episode.cameras[CAMERA].decode().copy())
        height, width = (int(side * share) for side in images[0].shape[:2])
        top, left = (
            int(random.integers(0, full - part)) for full, part in zip(images[0].shape, (height, width), strict=False)
        )
        colour = random.integers(0, 255, size=3)
        for image in images:
            image[top : top + height, left : left + width] = colour
        patched.append(_with_frames(episode, images))
    return patched


def _with_frames(episode: Episode, images: Sequence[Array]) -> Episode:
    cameras = {**episode.cameras, CAMERA: Frames.encode(images)}
    return replace(episode, cameras=cameras)
