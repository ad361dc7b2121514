"""Playing any actions of a simulated episode from its true initial state: the test that labels of video must pass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.replay import begin, recording_of
from generators.simulation.stepping.scene import Scene, Scenes, robot_geoms
from generators.simulation.task.registry import find_task
from idm.evaluation.replay_result import ReplayResult
from storage.embodiment import Layout
from storage.episode import Episode
from storage.errors import BrokenSimulationError
from storage.training_reader.resampling import resampled


def playable(
    labels: NDArray[Any], valid: NDArray[np.bool_], layout: Layout, *, rate_hz: float, control_hz: float
) -> NDArray[np.float32]:
    """Labels (T, D) of a clip at `rate_hz` as actions at the robot's rate, over the same time: deltas in equal parts,
    the rest held. Where `valid` (T,) says that there is no label, deltas are 0 and the rest stays as it was."""
    actions = np.where(valid[:, None], labels, 0).astype(np.float32)
    last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))
    last = np.where(last >= 0, last, int(valid.argmax()))
    for part, span in layout:
        if not part.quantity.endswith("_delta"):
            actions[:, span] = actions[last, span]
    return resampled(actions, rate_hz=rate_hz, wanted_hz=control_hz, layout=layout)


def was_simulated(episode: Episode) -> bool:
    """Whether an episode holds what `Replayer` needs: task, initial state, states."""
    made = episode.provenance
    return (
        "task" in made.get("generation", {})
        and "initial" in made.get("simulation", {})
        and "simulation/state" in episode.arrays
    )


class Replayer:
    """Plays actions (T, D) in an episode's own scene. Scenes are built once for each task, placement and variant."""

    def __init__(self) -> None:
        self._scenes: dict[str, Scenes] = {}

    def scene(self, episode: Episode) -> Scene:
        """The scene that an episode was recorded in, in whatever state it was left."""
        task, made = str(episode.provenance["generation"]["task"]), episode.provenance["simulation"]
        if task not in self._scenes:
            self._scenes[task] = Scenes(find_task(task))
        return self._scenes[task](made["placement"], made["variant"])

    def __call__(self, episode: Episode, actions: NDArray[Any]) -> ReplayResult:
        """Success and the path of the hands. Actions that break the simulation fail, with the path up to there."""
        scene = self.scene(episode)
        begin(scene, recording_of(scene, episode))
        path, touched = [_hands(scene)], False
        robot = robot_geoms(scene.model)
        try:
            for action in actions:
                scene.step(scene.actuation.recorded(np.asarray(action, np.float32)))
                path.append(_hands(scene))
                touched = touched or _touches(scene, robot)
        except BrokenSimulationError:
            return ReplayResult(succeeded=False, path=np.stack(path), touched=touched)
        return ReplayResult(succeeded=scene.succeeded(), path=np.stack(path), touched=touched)


def _hands(scene: Scene) -> NDArray[np.float64]:
    """Positions of all end effectors, one after another."""
    return np.concatenate([pose[:3, 3] for pose in scene.actuation.poses().values()])


def _touches(scene: Scene, robot: NDArray[np.bool_]) -> bool:
    """Whether a geom of the robot meets one that is none."""
    pairs = scene.data.contact.geom
    return bool((robot[pairs[:, 0]] != robot[pairs[:, 1]]).any())
