"""A tiny world that an inverse dynamics model can learn in seconds: a bright square that is pushed over a textured
ground.

Bodies: "pushed" moves by deltas (its action), with a switch that changes the square's colour; "placed" is commanded by
absolute position. Both worlds look different, so that one model must tell them apart by its slots only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.datasets.dataset import Dataset
from storage.embodiment import Embodiment, Layout, Part, register
from storage.episode import Episode
from storage.frames import Frames
from storage.testing import write_unit

SIDE_PX = 32
RATE_HZ = 10.0

PUSHED = register(
    Embodiment(
        name="test_pushed",
        description="for tests: a square moved by deltas, with a switch",
        action=Layout(
            parts=(
                Part(name="push", size=2, quantity="latent", unit="1"),
                Part(name="gripper", size=1, quantity="gripper", unit="1"),
            )
        ),
    )
)
PLACED = register(
    Embodiment(
        name="test_placed",
        description="for tests: a square at a commanded place",
        action=Layout(parts=(Part(name="place", size=2, quantity="joint", unit="rad"),)),
    )
)


def world_episode(
    seed: int, embodiment: Embodiment, *, length: int = 40, rate_hz: float = RATE_HZ, distracted: bool = False
) -> Episode:
    """One clip of a smooth random walk. `distracted` adds moving blobs that no training clip has."""
    random = np.random.default_rng([seed, 3])
    speed = random.normal(size=(length, 2))
    for step in range(1, length):
        speed[step] = 0.8 * speed[step - 1] + 0.6 * speed[step]
    place = np.clip(np.cumsum(speed * 0.12 * RATE_HZ / rate_hz, axis=0) / 2, -0.6, 0.6)
    closed = (np.sin(np.arange(length) / 6 + seed) > 0).astype(np.float32) * 2 - 1
    images = _images(place, closed, random, distracted=distracted)
    if embodiment is PLACED:
        actions = place
    else:
        moved = np.concatenate([np.diff(place, axis=0), np.zeros((1, 2))])
        actions = np.concatenate([moved * 10, closed[:, None]], axis=1)
    return Episode(
        episode_id=f"{embodiment.name}-{seed}{'-distracted' if distracted else ''}",
        layer="simulation",
        embodiment=embodiment.name,
        length=length,
        rate_hz=rate_hz,
        cameras={"front": Frames.encode(images, "high")},
        arrays={"action/ground_truth": actions.astype(np.float32)},
    )


def _images(
    place: NDArray[Any], closed: NDArray[Any], random: np.random.Generator, *, distracted: bool
) -> list[NDArray[np.uint8]]:
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    ground = 60 + 25 * np.sin(rows / 3.0 + random.uniform(0, 6)) * np.cos(columns / 4.0)
    images = []
    for step, (x, y) in enumerate(place):
        image = np.repeat(ground[..., None], 3, axis=2)
        at = (SIDE_PX / 2 * (1 + y), SIDE_PX / 2 * (1 + x))
        # Soft edges, so that motion below a pixel can be seen.
        inside = np.clip(4.5 - np.maximum(np.abs(rows - at[0]), np.abs(columns - at[1])), 0, 1)[..., None]
        colour = np.array([235, 90, 60]) if closed[step] > 0 else np.array([70, 200, 235])
        image = image * (1 - inside) + colour * inside
        if distracted:
            around = (SIDE_PX / 2 + 11 * np.sin(step / 2), SIDE_PX / 2 + 11 * np.cos(step / 2.5))
            blob = (np.hypot(rows - around[0], columns - around[1]) < 5)[..., None]
            image = np.where(blob, 255 - image, image)
        images.append(image.astype(np.uint8))
    return images


def world_dataset(
    root: Path, *, embodiments: Sequence[Embodiment] = (PUSHED,), episodes: int = 24, length: int = 40
) -> Dataset:
    """A data set of `episodes` clips of each body, committed unit by unit."""
    dataset = Dataset.create(root, name="tiny world")
    dataset.declare(*embodiments)
    for number, embodiment in enumerate(embodiments):
        clips = [world_episode(1000 * number + seed, embodiment, length=length) for seed in range(episodes)]
        write_unit(root, clips, unit_id=f"unit-{embodiment.name}")
    return Dataset.open(root)
