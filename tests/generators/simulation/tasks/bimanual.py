"""What the tests of the bimanual tasks share."""

from functools import cache

import numpy as np

from generators.simulation.demonstrations.recordings import read_recordings, source_path
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import Snapshot
from generators.simulation.task.registry import find_task


@cache
def scene_of(name: str, placement: str = "D0") -> Scene:
    """One scene for all tests; each resets or restores it."""
    return Scene(find_task(name), placement=placement)


def after_first_source(name: str) -> Scene:
    """The scene at the end of its first source demonstration."""
    scene = scene_of(name)
    scene.restore(_end_of_first_source(name))
    return scene


@cache
def _end_of_first_source(name: str) -> Snapshot:
    scene = scene_of(name)
    for _ in replayed(scene, read_recordings(source_path(scene.task))[0]):
        pass
    return scene.snapshot()


def signals(scene: Scene) -> dict[str, bool]:
    return dict(scene.task.signals(scene.environment))


def places(scene: Scene, thing: str, *, resets: int = 40) -> np.ndarray:
    """Positions (N, 3) of an object in the world over many resets."""
    found = []
    for seed in range(resets):
        scene.reset(seed)
        found.append(scene.task.object_poses(scene.environment)[thing][:3, 3])
    return np.array(found)


def assert_wider(name: str, thing: str, *, half_range_m: float, resets: int = 40) -> None:
    """D1 keeps an object within `half_range_m` of its middle in x and y, and uses more room than D0 does."""
    narrow, wide = (places(scene_of(name, which), thing, resets=resets) for which in ("D0", "D1"))
    middle = (narrow.min(axis=0) + narrow.max(axis=0)) / 2
    assert np.abs(wide - middle)[:, :2].max() < half_range_m + 0.02
    assert (np.ptp(wide, axis=0)[:2] > 1.2 * np.ptp(narrow, axis=0)[:2]).all()
