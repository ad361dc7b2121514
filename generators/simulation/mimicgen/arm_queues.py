"""The arms of one attempt, each with its queue of waypoints, moving in lock step (DexMimicGen, section IV)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.mimicgen.plan_segment import PlannedSegment
from generators.simulation.task.constraints import Graph, Node
from generators.simulation.task.specification import Arm, Pose

NOT_BEGUN = 10**9


@dataclass
class ArmQueue:
    """One arm: the subtask it is at, the segment it executes, what it was last told. `tried` are the sources that have
    failed at this subtask, `settled` the steps it has held before the hand change at hand."""

    arm: Arm
    subtasks: int
    target: Pose
    hand: NDArray[np.float64]
    index: int = 0
    segment: PlannedSegment | None = None
    position: int = 0
    settled: int = 0
    tried: frozenset[int] = frozenset()
    began: int = 0

    @property
    def node(self) -> Node:
        return self.arm.name, self.index

    @property
    def done(self) -> bool:
        return self.index >= self.subtasks

    @property
    def left(self) -> int:
        """Waypoints to go in the present segment."""
        return len(self.segment.waypoints) - self.position if self.segment else NOT_BEGUN

    @property
    def finished_segment(self) -> bool:
        return self.segment is not None and self.left == 0

    def interpolating(self) -> bool:
        return self.segment is not None and self.position <= self.segment.waypoints.interpolation

    def next_hand(self) -> NDArray[np.float64]:
        assert self.segment is not None
        command: NDArray[np.float64] = self.segment.waypoints.hands[self.position]
        return command

    def next_target(self) -> Pose:
        assert self.segment is not None
        target: Pose = self.segment.waypoints.targets[self.position]
        return target

    def begin(self, segment: PlannedSegment, tick: int) -> None:
        self.segment, self.position, self.settled, self.began = segment, 0, 0, tick

    def advance(self) -> None:
        self.target, self.hand = self.next_target(), self.next_hand()
        self.position += 1
        self.settled = 0

    def finish(self) -> None:
        self.segment, self.index, self.position, self.tried = None, self.index + 1, 0, frozenset()

    def copy(self) -> "ArmQueue":
        return replace(self)


@dataclass
class ArmQueues:
    """All arms, and the rules that make one wait for another."""

    graph: Graph
    by_arm: dict[str, ArmQueue]
    origins: list[dict[str, Any]] = field(default_factory=list)

    def __iter__(self) -> Any:
        return iter(self.by_arm.values())

    @property
    def done(self) -> bool:
        return all(queue.done for queue in self)

    @property
    def steps_left(self) -> int:
        """Least number of ticks until all are done; large while more than the last subtasks are open."""
        open_ones = [queue for queue in self if not queue.done]
        if any(queue.index < queue.subtasks - 1 for queue in open_ones):
            return NOT_BEGUN
        return max((queue.left for queue in open_ones), default=0)

    def may_begin(self, queue: ArmQueue) -> bool:
        """Whether the arm's next subtask may begin: those it waits for are over, and coordinated ones are all ready."""
        return not queue.done and queue.segment is None and not self.waiting_for(queue)

    def waiting_for(self, queue: ArmQueue) -> str:
        """What keeps an arm from beginning its next subtask, in words; empty when nothing does."""
        blocker = self._blocked(queue.node)
        coordination = self.graph.coordinations.get(queue.node)
        if blocker or not (coordination and coordination.together_from_start):
            return blocker
        for member in self.graph.group(queue.node):
            partner = self.by_arm[member[0]]
            if partner.index < member[1]:
                return f"{self.graph.name(member)} to be ready"
            if partner.node == member and partner.segment is None and self._blocked(member):
                return self._blocked(member)
        return ""

    def _blocked(self, node: Node) -> str:
        for wait in self.graph.waits.get(node, ()):
            former = self.by_arm[wait.former[0]]
            over = former.index > wait.former[1]
            nearly = former.index == wait.former[1] and former.segment is not None and former.left <= wait.steps_left
            if not over and not (wait.steps_left and nearly):
                return f"{self.graph.name(wait.former)} to finish"
        return ""

    def holds_for_partner(self, queue: ArmQueue) -> bool:
        """Whether a coordinated arm is ahead: it has no more steps left than all share, and a partner has more."""
        group = self.graph.group(queue.node)
        if len(group) == 1:
            return False
        partners = [self.by_arm[arm] for arm, index in group if arm != queue.arm.name]
        lefts = [
            partner.left if partner.index == index else NOT_BEGUN
            for partner, (_, index) in zip(partners, [node for node in group if node[0] != queue.arm.name], strict=True)
        ]
        lengths = [len(one.segment.waypoints) for one in (queue, *partners) if one.segment]
        return queue.left <= min(lengths) and max(lefts) > queue.left

    def copy(self) -> "ArmQueues":
        return ArmQueues(self.graph, {name: queue.copy() for name, queue in self.by_arm.items()}, [*self.origins])

    def restore(self, other: "ArmQueues") -> None:
        self.by_arm = {name: queue.copy() for name, queue in other.by_arm.items()}
        self.origins = [*other.origins]

    def commands(self) -> tuple[dict[str, Pose], Mapping[str, NDArray[np.float64]]]:
        """What every arm is told now."""
        return {queue.arm.name: queue.target for queue in self}, {queue.arm.name: queue.hand for queue in self}
