"""Simulated clips of several robots for the benchmarks of latent actions, made by this project's own generator.

    python -m benchmarks.lapa.simulated TASK PLACEMENT CAMERA,CAMERA EPISODES SEED

Generation runs in processes of its own: MuJoCo and torch stay apart. What is there already is used again.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import cache_folder as cache_folder
from lapa.fitting.clips import LapaClip
from lapa.fitting.targets import Motion
from storage.datasets.dataset import Dataset
from storage.training_reader.training_data import TrainingData

FLOATS = NDArray[np.float32]
SIZE_PX = 96
SEED = 1
GEOMETRY = "geometry.npz"
"""Beside the shards: where hands are in the world at every step, and how the camera stands, episode by episode."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Episodes of one task through some fixed cameras; D1 is the wide placement, where hands go all over the table."""

    task: str
    cameras: tuple[str, ...]
    placement: str = "D1"
    episodes: int = 60
    quick_episodes: int = 10


SOURCES = (
    Source(task="lift", cameras=("sideview", "agentview"), episodes=100),
    Source(task="stack", cameras=("sideview", "agentview")),
    Source(task="two_arm_lift", cameras=("frontview",), episodes=50),
    Source(task="two_arm_handover", cameras=("frontview",), episodes=30),
    Source(task="apple_from_plate_to_bowl", cameras=("ego_view",), placement="D0", episodes=30),
    Source(task="lemon_from_cutting_board_to_pan", cameras=("ego_view",), placement="D0", episodes=30),
    Source(task="can_from_cutting_board_to_basket", cameras=("ego_view",), placement="D0", episodes=20),
)


def data_of(opened: Sequence[Dataset], share: float) -> list[TrainingData]:
    """The data sets to fit to, each once for every camera; the split is by episode."""
    return [
        TrainingData(dataset=dataset, action="", held_out_share=share, cameras=(camera,))
        for dataset in opened
        for camera in sorted({name for layout in dataset.index.layouts for name in layout["cameras"]})
    ]


def folder_of(source: Source, episodes: int, seed: int) -> Path:
    """Where `episodes` of one source lie."""
    return cache_folder() / f"{source.task}-{source.placement}-{episodes}-{seed}"


def datasets(*, quick: bool, seed: int = SEED, sources: Sequence[Source] = SOURCES) -> list[Dataset]:
    """The data sets of all sources, generated where they are missing."""
    opened = []
    for source in sources:
        count = source.quick_episodes if quick else source.episodes
        folder = folder_of(source, count, seed)
        if not (folder / GEOMETRY).exists():
            about = (source.task, source.placement, ",".join(source.cameras), str(count), str(seed))
            environment = {"MUJOCO_GL": "egl", **os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, "-m", "benchmarks.lapa.simulated", *about], check=True, env=environment)
        opened.append(Dataset.open(folder))
    return opened


class CameraFrames:
    """Motion of end effectors in the frame of the camera that looks at them: x to the right, y down, z away from it."""

    def __init__(self, opened: Sequence[Dataset]) -> None:
        self._hands: dict[str, FLOATS] = {}
        self._camera: dict[tuple[str, str], FLOATS] = {}
        for dataset in opened:
            with np.load(dataset.root / GEOMETRY) as stored:
                for episode in dataset.episodes():
                    self._hands[episode.episode_id] = stored[f"{episode.episode_id}/hands"]
                    for camera in episode.cameras:
                        self._camera[episode.episode_id, camera] = stored[f"{episode.episode_id}/{camera}"]

    def motion(self, clip: LapaClip, steps: NDArray[np.int64]) -> Motion | None:
        """Displacement of every hand over each pair (P, 3 a hand), in the camera's frame at its start, in metres."""
        hands = self._hands.get(clip.episode.episode_id)
        if hands is None:
            return None
        moved_in_world = hands[clip.later[steps]] - hands[steps]
        camera_in_world = self._camera[clip.episode.episode_id, clip.camera][steps]
        moved_in_camera = np.einsum("pij,phi->phj", camera_in_world, moved_in_world).astype(np.float32)
        groups = {f"hand {hand}": slice(3 * hand, 3 * hand + 3) for hand in range(hands.shape[1])}
        return Motion(moved_in_camera.reshape(len(steps), -1), groups)

    def direction(self, clip: LapaClip, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Displacement in the image plane (P, 2) of the arm that moves most in it."""
        motion = self.motion(clip, steps)
        assert motion is not None
        planes = np.stack([motion.values[:, span][:, :2] for span in motion.groups.values()])
        busiest = np.linalg.norm(planes, axis=2).argmax(axis=0)
        chosen: NDArray[np.float32] = planes[busiest, np.arange(len(steps))]
        return chosen


def generate(source: Source, seed: int) -> None:
    """Make the data set of `source` (of its `episodes`), and note how its camera stands."""
    from workflows.recipes.run_context import RunContext
    from workflows.steps.generate import STEP, GenerateStep

    folder = folder_of(source, source.episodes, seed)
    step = GenerateStep(
        task=source.task, placement=source.placement, keep=source.episodes, size_px=SIZE_PX, cameras=source.cameras
    )
    print(STEP.run(RunContext(root=folder, seed=seed), step), flush=True)
    _write_geometry(folder, source)


def _write_geometry(folder: Path, source: Source) -> None:
    """Go through the recorded states once more and note the places of hands and camera."""
    import mujoco

    from generators.simulation.stepping.scene import Scene
    from generators.simulation.task.registry import find_task

    scene = Scene(find_task(source.task), placement=source.placement)
    geometry: dict[str, FLOATS] = {}
    for episode in Dataset.open(folder).episodes():
        hands: list[Any] = []
        cameras: dict[str, list[Any]] = {camera: [] for camera in source.cameras}
        for state in episode.arrays["simulation/state"]:
            scene.data.qpos[:] = state[1 : 1 + scene.model.nq]
            mujoco.mj_kinematics(scene.model, scene.data)
            mujoco.mj_camlight(scene.model, scene.data)
            hands.append([pose[:3, 3] for pose in scene.actuation.poses().values()])
            # MuJoCo's camera looks along its negative z axis, with y up.
            for camera, rotations in cameras.items():
                rotations.append(scene.data.camera(camera).xmat.reshape(3, 3) * (1.0, -1.0, -1.0))
        geometry[f"{episode.episode_id}/hands"] = np.array(hands, np.float32)
        for camera, rotations in cameras.items():
            geometry[f"{episode.episode_id}/{camera}"] = np.array(rotations, np.float32)
    np.savez(folder / GEOMETRY, **geometry)


if __name__ == "__main__":
    name, where, views, number, run_seed = sys.argv[1:]
    generate(Source(task=name, placement=where, cameras=tuple(views.split(",")), episodes=int(number)), int(run_seed))
