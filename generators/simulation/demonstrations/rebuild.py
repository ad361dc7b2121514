"""A generated trajectory's environment again, from what its own provenance holds: ready for plain `env.step`.

    made = rebuild(episode)
    for action in made.actions:
        made.environment.step(action)

Everything that the next steps depend on is put back: the model with what a reset moved in it, MuJoCo's integration
state, and what robosuite's controllers and hands keep in Python.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.replay import begin, recording_of
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.registry import find_task
from generators.simulation.task.source_code import code_hash
from generators.simulation.task.specification import Environment, Task
from storage.episode import Episode
from storage.errors import ConfigError, SchemaError


@dataclass(frozen=True, kw_only=True)
class RebuiltTrajectory:
    """An environment that stands where a trajectory of T steps began, its environment actions (T, A), and the states
    (T, 1 + nq + nv: time, positions, velocities) that were recorded before each of them."""

    environment: Environment
    task: Task
    actions: NDArray[np.float32]
    states: NDArray[np.float64]

    def succeeded(self) -> bool:
        """Whether the task's success check holds now."""
        return bool(self.task.success(self.environment))


def rebuild(episode: Episode, *, task: Task | None = None) -> RebuiltTrajectory:
    """The environment of a simulated episode at its first state.

    `task` stands in for the one that the provenance names, where its file lies elsewhere by now. Raises SchemaError
    for an episode that was not simulated here, ConfigError where the code of its task is not what it was.
    """
    task = task or find_task(task_reference(episode.provenance))
    made = episode.provenance["simulation"]
    known = episode.provenance["generation"].get("task_file", {}).get("code")
    if known is not None and known != code_hash(task):
        raise ConfigError(
            f"the code of task {task.name!r} ({task.file}) is not what episode {episode.episode_id} was made with; put"
            " it back, or give `rebuild` the task of that time"
        )
    scene = Scene(task, placement=made["placement"], variant=made["variant"])
    recording = recording_of(scene, episode)
    begin(scene, recording)
    return RebuiltTrajectory(
        environment=scene.environment, task=task, actions=recording.actions, states=recording.states
    )


def task_reference(provenance: Mapping[str, Any]) -> str:
    """What `find_task` takes to find the task of a simulated episode: its name, or "file.py:name"."""
    made = provenance.get("generation", {})
    if "task" not in made or "simulation" not in provenance:
        raise SchemaError("the episode was not simulated here: its provenance names no task")
    file = made.get("task_file")
    return f"{file['path']}:{made['task']}" if file else str(made["task"])
