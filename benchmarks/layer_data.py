"""The data of `layer_worth`: ten demonstrations of a task from wide placements, and what the layers make of them.

Everything but the ten is made by the command line, as a person would make it, and is taken as it is where it is there.
"""

import logging
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

log = logging.getLogger(__name__)
PLACEMENT, SIZE_PX = "D1", 128
PLAYED_OVER, PLAYED_TRIES = 6, 7
"""How many times as many scenes are dreamed of, and how often each of them, where only those dreams count that work
when they are played."""
ACTIONLESS = 200
"""Episodes of the action-less layer: simulated ones of which training sees pictures and latents alone."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Folders of one task's layers under `root`. `demonstrations` is how many people would have recorded."""

    root: Path
    task: str
    demonstrations: int = 10
    dreams: int = 100

    @property
    def sources(self) -> Path:
        return self.root / "sources.hdf5"

    def real(self) -> Path:
        """The demonstrations as a data set of the layer `real`, drawn from their states."""
        folder = self.root / "real"
        if not (folder / "dataset.json").exists():
            self._collect()
            _film(self.sources, self.task, folder)
        return folder

    def boxed(self) -> Path:
        """The demonstrations with the starter detector's boxes of the cube, the sidecar `boxes`."""
        folder = self.real()
        if not (folder / "labels" / "boxes").exists():
            detect = {"detect": {"query": "red cube", "cameras": ["agentview"], "threshold": 0.1}}
            step = {"stages": {"name": "boxes", "chain": [detect], "sink": "labels/boxes"}}
            _run(self.root / "boxes.yaml", name="boxes", output=str(folder), steps=[step])
        return folder

    def simulated(self, count: int) -> Path:
        """`count` trajectories multiplied from the same demonstrations."""
        return self._multiplied(f"simulated-{count}", count, seed=1)

    def dreamed(self) -> Path:
        """Neural trajectories from first frames of new scenes, with predicted actions, verdicts and the selection
        `good`. The frames come from scenes whose trajectories training never sees."""
        folder = self.root / "dreams"
        frames = self._multiplied("first-frames", self.dreams, seed=3)
        _dream(frames, folder, self.dreams)
        pyramid("label", "lapa", str(folder))
        pyramid("filter", str(folder))
        return folder

    def judged(self) -> Path:
        """Those clips with the selection `judged` beside it: what the starter judge accepts."""
        folder = self.dreamed()
        pyramid("filter", str(folder), "--judge", "starter", "--name", "judged", "--no-recaption")
        return folder

    def shuffled(self) -> Path:
        """Those clips, each with the labels of the next: pictures and actions as before that no longer belong
        together."""
        folder = self.root / "dreams-shuffled"
        if not (folder / "dataset.json").exists():
            _shuffle(self.dreamed(), folder)
        return folder

    def played(self, *, tries: int) -> list[Path]:
        """More dreams of more scenes, `tries` of each, a data set a try, with the selection `works`: those whose
        predicted actions solve the task when they are played in the simulator from the true state of their first
        frame."""
        count = PLAYED_OVER * self.dreams
        frames = self._multiplied("first-frames-played", count, seed=7)
        folders = [self.root / f"dreams-played{f'-{number}' if number else ''}" for number in range(tries)]
        for seed, folder in enumerate(folders):
            _dream(frames, folder, count, seed=seed)
            steps = [
                {"judge": {"kind": "execution", "settings": {"parents": [str(frames)]}}},
                {"select": {"name": "works", "judges": ["execution"]}},
            ]
            _run(folder.with_suffix(".yaml"), name="play", output=str(folder), steps=steps)
        return folders

    def true_video(self) -> Path:
        """What `dreamed` would be if the video model were perfect: as many simulated clips of the scenes that its first
        frames come from, with actions predicted from the pictures. The recipe takes only those."""
        folder = self._multiplied("first-frames", self.dreams, seed=3)
        pyramid("label", "idm", str(folder))
        return folder

    def true_as_dreams(self) -> Path:
        """Those clips as a perfect dream would show them: one camera, as small, as slow and as short as dreams are, no
        state, actions predicted from these pictures."""
        return self._seen_by_one_camera("true-as-dreams", as_dreams=True)

    def true_one_camera(self) -> Path:
        """The same at full size and rate."""
        return self._seen_by_one_camera("true-one-camera", as_dreams=False)

    def _seen_by_one_camera(self, name: str, *, as_dreams: bool) -> Path:
        folder = self.root / name
        if not (folder / "dataset.json").exists():
            _cut(self._multiplied("first-frames", self.dreams, seed=3), folder, as_dreams=as_dreams)
        pyramid("label", "idm", str(folder))
        return folder

    def actionless(self) -> Path:
        """Episodes with latent actions; the recipe takes only those."""
        folder = self._multiplied("actionless", ACTIONLESS, seed=5)
        pyramid("label", "lapa", str(folder))
        return folder

    def _multiplied(self, name: str, count: int, *, seed: int) -> Path:
        self._collect()
        folder = self.root / name
        step = {
            "name": name.replace("-", "_"),
            "task": self.task,
            "placement": PLACEMENT,
            "keep": count,
            "size_px": SIZE_PX,
            "source_file": str(self.sources),
        }
        steps = [{"generate": step}]
        _run(self.root / f"{name}.yaml", name=step["name"], output=str(folder), seed=seed, steps=steps)
        return folder

    def _collect(self) -> None:
        if not self.sources.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            words = ("--episodes", str(self.demonstrations), "--placement", PLACEMENT, "--output", str(self.sources))
            pyramid("sim", "collect", self.task, *words)


def _run(path: Path, **recipe: Any) -> None:
    """Write a recipe and run it."""
    path.write_text(yaml.safe_dump(recipe))
    pyramid("run", str(path))


def _dream(frames: Path, folder: Path, count: int, *, seed: int = 0) -> None:
    """Clips of first frames, with predicted actions."""
    chosen = ("--camera", "agentview", "--count", str(count), "--seed", str(seed))
    pyramid("dream", str(frames), *chosen, "--output", str(folder))
    pyramid("label", "idm", str(folder))


def _cut(source: Path, folder: Path, *, as_dreams: bool) -> None:
    """Write the simulated clips of a data set as one camera sees them, without state or actions; `as_dreams` in the
    shape of the starter video model."""
    from benchmarks.neural.clips import CAMERA, SHAPE
    from benchmarks.neural.dreams import as_episode
    from generators.neural.clip_shape import cut_clip
    from storage.datasets.dataset import Dataset

    clips = []
    for parent in Dataset.open(source).episodes():
        clip = as_episode(cut_clip(parent, CAMERA, SHAPE))
        if not as_dreams:
            clip = replace(clip, length=parent.length, rate_hz=parent.rate_hz, cameras={CAMERA: parent.cameras[CAMERA]})
        clips.append(replace(clip, episode_id=parent.episode_id, instruction=parent.instruction))
    _write(folder, clips)


def _shuffle(source: Path, folder: Path) -> None:
    """Write clips of one length, each with the predicted actions of the next."""
    from storage.datasets.dataset import Dataset

    clips = list(Dataset.open(source, labels=("idm",)).episodes())
    moved = []
    for clip, other in zip(clips, [*clips[1:], clips[0]], strict=True):
        labels = {name: values for name, values in other.arrays.items() if name.endswith("/predicted")}
        moved.append(replace(clip, arrays={**clip.arrays, **labels}))
    _write(folder, moved)


def _write(folder: Path, clips: list[Any]) -> None:
    """A data set of these clips, called as its folder."""
    from storage.datasets.dataset import Dataset
    from storage.testing import write_unit

    Dataset.create(folder, name=folder.name)
    write_unit(folder, clips, job=folder.name)


def _film(sources: Path, task_name: str, folder: Path) -> None:
    """Write demonstrations as episodes with pictures."""
    from generators.simulation.demonstrations.recordings import read_recordings
    from generators.simulation.demonstrations.replay import replayed
    from generators.simulation.mimicgen.attempt import AttemptResult
    from generators.simulation.mimicgen.episode_builder import EpisodeMaker
    from generators.simulation.stepping.render import Pictures
    from generators.simulation.stepping.scene import Scene
    from generators.simulation.task.registry import find_task
    from storage.datasets.dataset import Dataset
    from storage.ids import content_id
    from storage.testing import write_unit

    task = find_task(task_name)
    cameras = Pictures(cameras=task.cameras, width_px=SIZE_PX, height_px=SIZE_PX)
    episodes: list[Any] = []
    for made in read_recordings(sources):
        scene = Scene(task, placement=made.placement, variant=made.variant)
        states = np.stack(list(replayed(scene, made)))[:-1]
        attempt = AttemptResult(
            seed=made.seed,
            failure="",
            detail="",
            actions=np.asarray(made.actions),
            states=states,
            initial=made.initial,
            subtasks=(),
            retries=0,
            steps_simulated=len(made.actions),
        )
        named = content_id("demonstration", task.name, made.name, made.seed)
        episode = EpisodeMaker(scene, cameras).episode(attempt, episode_id=named, about={"task": task.name})
        episodes.append(replace(episode, layer="real"))
    Dataset.create(folder, name=f"{task_name}-demonstrations")
    write_unit(folder, episodes, job="demonstrations")
    log.info("%d demonstrations in %s", len(episodes), folder)


def pyramid(*words: str) -> None:
    """Run one command; it must succeed."""
    environment = {"MUJOCO_GL": "egl", **os.environ}
    log.info("pyramid %s", " ".join(words))
    subprocess.run([sys.executable, "-m", "workflows", *words], check=True, env=environment)
