"""What the generator needs to know of a source demonstration, read off its replay.

At every step: where the end effectors were, which absolute targets and hand commands the action stood for, where the
objects were, which signals held. And where each subtask began and ended.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.recordings import RecordedDemonstration, read_recordings
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.demonstrations.source_checks import broken_checks
from generators.simulation.demonstrations.source_demonstration import Poses, SourceDemonstration
from generators.simulation.stepping.scene import Scene, Scenes
from generators.simulation.task.constraints import Graph, Node, graph_of
from generators.simulation.task.specification import Task
from storage.errors import BrokenSimulationError, ConfigError, InputError, UnknownNameError

logger = logging.getLogger(__name__)


class SourceReader:
    """Reads and annotates the demonstrations of one task, in scenes made by `scene_of` (placement, variant)."""

    def __init__(self, task: Task, scene_of: Callable[[str, int], Scene] | None = None) -> None:
        self.task, self._graph = task, graph_of(task)
        self._scene_of = scene_of or Scenes(task)

    def read(self, path: Path, *, at_most: int | None = None) -> list[SourceDemonstration]:
        """The usable demonstrations of a file, annotated, `at_most` so many.

        A demonstration whose replay fails, one of whose signals never fires, one of whose subtasks has no length, or
        that breaks a check wherever the subtask may end, is left out with a warning that names it: contacts amplify
        what processors round differently, and one lost
        demonstration need not cost a run. Raises InputError when none is left, ConfigError or UnknownNameError when
        the task itself names an object or a signal that is not there.
        """
        usable: list[SourceDemonstration] = []
        problems: list[str] = []
        recordings = read_recordings(path)
        for recording in recordings:
            try:
                usable.append(self.usable(recording))
            except (ConfigError, UnknownNameError):
                raise
            except InputError as error:
                logger.warning("%s: left out of the sources of task %r: %s", path.name, self.task.name, error)
                problems.append(str(error))
            if len(usable) == at_most:
                break
        if not usable:
            raise InputError(f"{path}: none of its {len(recordings)} demonstrations can be used; {problems[0]}")
        return usable

    def annotate(self, recording: RecordedDemonstration) -> SourceDemonstration:
        """One demonstration, replayed from its recorded state."""
        try:
            source = self._replayed(recording)
        except InputError as error:
            annotated = source_from_annotation(self.task, recording)
            if annotated is None or isinstance(error, ConfigError | UnknownNameError):
                raise
            logger.warning("%s; taken from its datagen_info instead", error)
            source = annotated
        ends = subtask_ends(self._graph, source.signals, length=source.length, name=recording.name)
        return replace(source, ends=ends)

    def usable(self, recording: RecordedDemonstration) -> SourceDemonstration:
        """One demonstration, annotated; raises InputError where attempts made from it could never pass their checks."""
        source = self.annotate(recording)
        if self.task.execution.check_subtasks:
            for broken in broken_checks(self._graph, source):
                if broken.always:
                    raise InputError(broken.text)
        return source

    def _replayed(self, recording: RecordedDemonstration) -> SourceDemonstration:
        scene = self.scene(recording)
        if recording.rate_hz and recording.rate_hz != scene.rate_hz:
            raise InputError(
                f"{recording.name}: its file states {recording.rate_hz:g} control steps a second, the environment of"
                f" task {self.task.name!r} makes {scene.rate_hz:g}; record it again, or set control_freq"
            )
        try:
            return _replay(self.task, scene, recording)
        except BrokenSimulationError as error:
            raise InputError(f"{recording.name}: its replay broke the simulation: {error}") from error

    def scene(self, recording: RecordedDemonstration) -> Scene:
        """The scene in which a recording is replayed; a placement that the task does not have stands for its first."""
        known = recording.placement in self.task.placements
        return self._scene_of(recording.placement if known else next(iter(self.task.placements)), recording.variant)


def _replay(task: Task, scene: Scene, recording: RecordedDemonstration) -> SourceDemonstration:
    environment, actuation = scene.environment, scene.actuation
    poses, targets, hands, objects, signals = [], [], [], [], []
    drift = 0.0
    for step, state in enumerate(replayed(scene, recording)):
        known = {name: bool(values[min(step, len(values) - 1)]) for name, values in recording.signals.items()}
        signals.append({**known, **{name: bool(value) for name, value in task.signals(environment).items()}})
        if step == len(recording.actions):
            break
        drift = max(drift, float(np.abs(state - recording.states[step]).max()))
        target, hand = actuation.targets(recording.actions[step])
        poses.append(actuation.poses())
        targets.append(target)
        hands.append(hand)
        objects.append({name: np.array(pose, np.float64) for name, pose in task.object_poses(environment).items()})
    _check_objects(task, objects[0])
    if not task.success(environment):
        raise InputError(
            f"{recording.name}: replaying its actions does not end in success (states drift by {drift:.2g}); expected a"
            " demonstration of this task, robot, controller and model: record it again, or drop it"
        )
    return SourceDemonstration(
        name=recording.name,
        length=len(recording.actions),
        poses=_stacked(poses),
        targets=_stacked(targets),
        hands=_stacked(hands),
        objects=_stacked(objects),
        signals=_stacked(signals),
        ends={},
    )


def source_from_annotation(task: Task, recording: RecordedDemonstration) -> SourceDemonstration | None:
    """A source made of MimicGen's own annotation, without a replay; None where the file lacks a part of it."""
    info = recording.recorded
    if info is None:
        return None
    kinds: dict[str, dict[str, NDArray[Any]]] = {"poses": {}, "targets": {}, "hands": {}}
    for arm in task.embodiment.arm_names:
        for kind, arrays in kinds.items():
            array = info.of_arm(kind, arm)
            if array is None:
                return None
            arrays[arm] = array.reshape(len(array), -1) if kind == "hands" else array
    _check_objects(task, {name: poses[0] for name, poses in info.objects.items()})
    return SourceDemonstration(
        name=recording.name,
        length=len(recording.actions),
        objects=info.objects,
        signals={name: np.append(values, values[-1:]) for name, values in recording.signals.items()},
        ends={},
        **kinds,
    )


def _stacked(steps: Sequence[Mapping[str, NDArray[Any] | bool]]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def _check_objects(task: Task, present: Mapping[str, Poses]) -> None:
    for arm, subtasks in task.subtasks.items():
        for subtask in subtasks:
            if subtask.reference is not None and subtask.reference not in present:
                raise ConfigError(
                    f"subtask {arm}.{subtask.name} refers to object {subtask.reference!r}; the scene of task"
                    f" {task.name!r} has {sorted(present)}"
                )


def subtask_ends(
    graph: Graph, signals: Mapping[str, NDArray[np.bool_]], *, length: int, name: str
) -> dict[str, tuple[int, ...]]:
    """Where each arm's subtasks end in a demonstration of `length` steps; coordinated ones end together, with the last.

    Raises InputError naming the subtask whose signal is unknown or never fires, or that has no length.
    """
    ends = {arm: [0] * len(subtasks) for arm, subtasks in graph.subtasks.items()}
    for group in graph.groups:
        begins = {node: ends[node[0]][node[1] - 1] if node[1] else 0 for node in group}
        last = max(_first_edge(graph, node, signals, begins[node], length, name) for node in group)
        for node in group:
            if last <= begins[node]:
                raise InputError(f"{name}: subtask {graph.name(node)} has no length: it begins and ends at step {last}")
            ends[node[0]][node[1]] = last
    return {arm: tuple(values) for arm, values in ends.items()}


def _first_edge(
    graph: Graph, node: Node, signals: Mapping[str, NDArray[np.bool_]], begin: int, length: int, name: str
) -> int:
    """The first step after `begin` at which the end signal of a subtask comes to hold."""
    wanted = graph.subtask(node).termination_signal
    if wanted is None:
        return length
    if wanted not in signals:
        raise UnknownNameError.among(f"signal (the end of subtask {graph.name(node)})", wanted, signals)
    values = signals[wanted]
    rises = np.flatnonzero(values[begin + 1 :] & ~values[begin:-1])
    if not len(rises):
        held = "it holds from the beginning on" if values[begin:].all() else "it never comes to hold"
        raise InputError(
            f"{name}: signal {wanted!r}, which ends subtask {graph.name(node)}, never fires after step {begin}"
            f" ({held}); the demonstration has {length} steps: check the signal or drop the demonstration"
        )
    return begin + 1 + int(rises[0])
