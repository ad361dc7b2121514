"""Simulated clips of several robots for the benchmarks of latent actions, made by this project's own generator.

    python -m benchmarks.lapa_simulated TASK PLACEMENT CAMERA EPISODES SEED

Generation runs in processes of its own: MuJoCo and torch stay apart. What is there already is used again.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapa.clips import Clip
from lapa.targets import Motion
from storage.dataset import Dataset
from storage.embodiment import embodiment

SIZE_PX = 96
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Source:
    """Episodes of one task through one fixed camera; D1 placements, so that hands go everywhere over the table."""

    task: str
    camera: str = "agentview"
    placement: str = "D1"
    episodes: int = 60
    quick_episodes: int = 16


SOURCES = (
    Source(task="lift", episodes=100),
    Source(task="stack"),
    Source(task="two_arm_lift", episodes=40),
    Source(task="two_arm_handover", episodes=40),
)


def cache_folder() -> Path:
    """Where generated clips and fits of benchmarks are kept; `PYRAMID_BENCHMARK_CACHE` says otherwise."""
    return Path(os.environ.get("PYRAMID_BENCHMARK_CACHE", Path(tempfile.gettempdir()) / "pyramid-benchmarks"))


def folder_of(source: Source, episodes: int, seed: int) -> Path:
    """Where `episodes` of one source lie."""
    return cache_folder() / f"{source.task}-{source.placement}-{episodes}-{seed}"


def datasets(*, quick: bool, seed: int = SEED, sources: Sequence[Source] = SOURCES) -> list[Dataset]:
    """The data sets of all sources, generated where they are missing."""
    found = []
    for source in sources:
        count = source.quick_episodes if quick else source.episodes
        folder = folder_of(source, count, seed)
        if not (folder / "camera.json").exists():
            about = (source.task, source.placement, source.camera, str(count), str(seed))
            environment = {"MUJOCO_GL": "egl", **os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, "-m", "benchmarks.lapa_simulated", *about], check=True, env=environment)
        found.append(Dataset.open(folder))
    return found


class CameraFrames:
    """Motion of end effectors in the frame of the camera that looks at them: x to the right, y down, z away from it."""

    def __init__(self, opened: Sequence[Dataset]) -> None:
        self._camera_in_world: dict[str, NDArray[np.float64]] = {}
        for dataset in opened:
            pose = json.loads((dataset.root / "camera.json").read_text())["rotation_camera_in_world"]
            self._camera_in_world |= {episode.episode_id: np.array(pose) for episode in dataset.episodes()}

    def motion(self, clip: Clip, steps: NDArray[np.int64]) -> Motion | None:
        """Displacement of every end effector over each pair (P, 3 an arm), in the camera's frame, in metres."""
        pose = self._camera_in_world.get(clip.episode.episode_id)
        state = clip.episode.arrays.get("state")
        if pose is None or state is None:
            return None
        pieces: list[NDArray[np.float32]] = []
        groups: dict[str, slice] = {}
        for part, span in embodiment(clip.episode.embodiment).state:
            if part.name.endswith("end_effector_position"):
                moved_in_world = state[clip.later[steps], span] - state[steps, span]
                groups[part.name] = slice(3 * len(pieces), 3 * len(pieces) + 3)
                pieces.append((moved_in_world @ pose).astype(np.float32))
        return Motion(np.concatenate(pieces, axis=1), groups) if pieces else None

    def direction(self, clip: Clip, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Displacement in the image plane (P, 2) of the arm that moves most in it."""
        motion = self.motion(clip, steps)
        assert motion is not None
        planes = np.stack([motion.values[:, span][:, :2] for span in motion.groups.values()])
        busiest = np.linalg.norm(planes, axis=2).argmax(axis=0)
        chosen: NDArray[np.float32] = planes[busiest, np.arange(len(steps))]
        return chosen


def generate(source: Source, seed: int) -> None:
    """Make the data set of `source` (of its `episodes`), and note how its camera stands."""
    from generators.simulation.registry import find_task
    from workflows.run_context import RunContext
    from workflows.steps.generate import GenerateStep, run_generate

    folder = folder_of(source, source.episodes, seed)
    step = GenerateStep(
        task=source.task, placement=source.placement, keep=source.episodes, size_px=SIZE_PX, cameras=(source.camera,)
    )
    print(run_generate(RunContext(root=folder, seed=seed), step), flush=True)
    rotation = _camera_in_world(find_task(source.task), source.camera)
    about = {"camera": source.camera, "rotation_camera_in_world": rotation.tolist()}
    (folder / "camera.json").write_text(json.dumps(about))


def _camera_in_world(task: object, camera: str) -> NDArray[np.float64]:
    """Rotation (3, 3) of a fixed camera: its columns are right, down and forward in the world."""
    from generators.simulation.build import build_environment

    environment = build_environment(task)  # type: ignore[arg-type]
    environment.reset()
    data = environment.sim.data._data
    right_up_backward = data.camera(camera).xmat.reshape(3, 3)
    return np.asarray(right_up_backward * np.array([1.0, -1.0, -1.0]))


if __name__ == "__main__":
    name, where, view, number, run_seed = sys.argv[1:]
    generate(Source(task=name, placement=where, camera=view, episodes=int(number)), int(run_seed))
