"""Planning the next segment of an arm: a source segment, moved to where its object is now, after an interpolation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.mimicgen.source_selection import Choice, select
from generators.simulation.mimicgen.transform import Waypoints, interpolation_length, motion_of, with_interpolation
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.constraints import Graph, Node
from generators.simulation.task.execution import Execution
from generators.simulation.task.specification import Pose, Subtask


@dataclass(frozen=True, kw_only=True)
class SharedTransform:
    """What coordinated subtasks have in common: the source and the motion that takes it to the present."""

    source: int
    motion: Pose


@dataclass(frozen=True, kw_only=True)
class PlannedSegment:
    """A segment ready to be executed, and where it came from (JSON)."""

    waypoints: Waypoints
    source: int
    origin: Mapping[str, Any]


@dataclass
class AttemptChoices:
    """What one attempt has settled so far: which demonstration serves whom, and where its subtasks end this time."""

    source_of: dict[str, int] = field(default_factory=dict)
    ends_of: dict[int, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    shared: dict[tuple[Node, ...], SharedTransform] = field(default_factory=dict)

    def copy(self) -> "AttemptChoices":
        return AttemptChoices(dict(self.source_of), dict(self.ends_of), dict(self.shared))


def noise_of(subtask: Subtask, execution: Execution) -> tuple[float, float]:
    """Standard deviations of the noise on every target of a subtask in this attempt, in m and rad."""
    scale = execution.noise_scale
    return scale * subtask.noise_position_m, scale * subtask.noise_rotation_rad


class Planner:
    """Plans segments for one attempt; all its randomness is the attempt's."""

    def __init__(
        self, scene: Scene, graph: Graph, sources: Sequence[SourceDemonstration], randomness: np.random.Generator
    ) -> None:
        self._scene, self._graph, self._sources, self._randomness = scene, graph, sources, randomness
        self.choices = AttemptChoices()

    def plan(
        self, node: Node, *, start: Pose, execution: Execution, avoid: frozenset[int] = frozenset()
    ) -> PlannedSegment:
        """The segment of `node`, beginning at target `start`, with the objects where they are at this moment."""
        shared = self._share(node, start, execution, avoid)
        arm = node[0]
        subtask, source = self._graph.subtask(node), self._sources[shared.source]
        begin, end = self._span(shared.source, node)
        targets = shared.motion @ source.targets[arm][begin:end]
        interpolation = self._interpolation_steps(node, start, targets[0], execution)
        waypoints = with_interpolation(
            start, targets, source.hands[arm][begin:end], interpolation=interpolation, fixed=subtask.fixed_steps
        )
        origin = {
            "subtask": self._graph.name(node),
            "source": source.name,
            "first": begin,
            "end": end,
            "motion": shared.motion.ravel().tolist(),
            "bridge": interpolation,  # the key that stored episodes have
            "noise": list(noise_of(subtask, execution)),
        }
        return PlannedSegment(waypoints=waypoints, source=shared.source, origin=origin)

    def forget(self, node: Node) -> None:
        """Let the next plan of `node` choose afresh."""
        self.choices.shared.pop(self._graph.group(node), None)
        for arm, index in self._graph.group(node):
            for key in (f"{arm}.{index}", arm, ""):
                self.choices.source_of.pop(key, None)

    def _share(self, node: Node, start: Pose, execution: Execution, avoid: frozenset[int]) -> SharedTransform:
        group = self._graph.group(node)
        if group in self.choices.shared and len(group) > 1:
            return self.choices.shared[group]
        poses = self._scene.task.object_poses(self._scene.environment)
        reference = self._graph.subtask(node).reference
        now = None if reference is None else np.asarray(poses[reference], dtype=np.float64)
        source = self._choose(node, now, start, execution, avoid)
        motion = np.eye(4)
        if reference is not None and now is not None:
            coordination = self._graph.coordinations.get(node)
            begin = min(self._span(source, member)[0] for member in group)
            motion = motion_of(
                coordination.scheme if coordination else "transform",
                self._sources[source].objects[reference][begin],
                now,
            )
        shared = SharedTransform(source=source, motion=motion)
        self.choices.shared[group] = shared
        return shared

    def _choose(
        self, node: Node, object_now: Pose | None, start: Pose, execution: Execution, avoid: frozenset[int]
    ) -> int:
        arm, index = node
        key = {"attempt": "", "arm": arm, "subtask": f"{arm}.{index}"}[execution.sources_per]
        if key not in self.choices.source_of:
            choice = Choice(arm, index, self._graph.subtask(node), self._sources)
            choice.object_now, choice.hand_now = object_now, start
            self.choices.source_of[key] = select(choice, self._randomness, avoid=avoid)
        return self.choices.source_of[key]

    def _span(self, source: int, node: Node) -> tuple[int, int]:
        """First and one-past-last step of a node's segment in a source, with this attempt's offsets."""
        if source not in self.choices.ends_of:
            self.choices.ends_of[source] = self._drawn_ends(self._sources[source])
        arm, index = node
        ends = self.choices.ends_of[source][arm]
        return (ends[index - 1] if index else 0), ends[index]

    def _drawn_ends(self, source: SourceDemonstration) -> dict[str, tuple[int, ...]]:
        """The source's subtask ends, moved by offsets drawn from their ranges; no segment loses all its length."""
        ends = {arm: list(values) for arm, values in source.ends.items()}
        for group in self._graph.groups:
            subtask = self._graph.subtask(group[0])
            low, high = subtask.termination_offset
            drawn = ends[group[0][0]][group[0][1]] + int(self._randomness.integers(low, high + 1))
            for arm, index in group:
                least = (ends[arm][index - 1] if index else 0) + 1
                most = source.length - (len(ends[arm]) - 1 - index)
                drawn = max(min(drawn, most), least)
            for arm, index in group:
                ends[arm][index] = drawn
                for later in range(index + 1, len(ends[arm])):
                    ends[arm][later] = max(ends[arm][later], ends[arm][later - 1] + 1)
        return {arm: tuple(values) for arm, values in ends.items()}

    def _interpolation_steps(self, node: Node, start: Pose, end: Pose, execution: Execution) -> int:
        subtask, embodiment = self._graph.subtask(node), self._scene.task.embodiment
        if not execution.limit_speed:
            return subtask.interpolation_steps
        rate = self._scene.rate_hz
        return interpolation_length(
            start,
            end,
            step_m=embodiment.limb_speed_m_s / rate,
            step_rad=embodiment.limb_speed_rad_s / rate,
            least=subtask.interpolation_steps,
        )
