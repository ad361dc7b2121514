"""The arms of one attempt, each with its queue of waypoints, moving in lock step (DexMimicGen, section IV)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.mimicgen.plan_segment import Planned
from generators.simulation.task.constraints import Graph, Node
from generators.simulation.task.specification import Arm, Pose

NOT_BEGUN = 10**9


@dataclass
class Lane:
    """One arm: the subtask it is at, the piece it executes, what it was last told. `tried` are the sources that have
    failed at this subtask, `settled` the steps it has held before the hand change at hand."""

    arm: Arm
    subtasks: int
    target: Pose
    hand: NDArray[np.float64]
    index: int = 0
    piece: Planned | None = None
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
        """Waypoints to go in the present piece."""
        return len(self.piece.waypoints) - self.position if self.piece else NOT_BEGUN

    @property
    def finished_piece(self) -> bool:
        return self.piece is not None and self.left == 0

    def on_bridge(self) -> bool:
        return self.piece is not None and self.position <= self.piece.waypoints.bridge

    def next_hand(self) -> NDArray[np.float64]:
        assert self.piece is not None
        command: NDArray[np.float64] = self.piece.waypoints.hands[self.position]
        return command

    def next_target(self) -> Pose:
        assert self.piece is not None
        target: Pose = self.piece.waypoints.targets[self.position]
        return target

    def begin(self, piece: Planned, tick: int) -> None:
        self.piece, self.position, self.settled, self.began = piece, 0, 0, tick

    def advance(self) -> None:
        self.target, self.hand = self.next_target(), self.next_hand()
        self.position += 1
        self.settled = 0

    def finish(self) -> None:
        self.piece, self.index, self.position, self.tried = None, self.index + 1, 0, frozenset()

    def copy(self) -> "Lane":
        return replace(self)


@dataclass
class Lanes:
    """All arms, and the rules that make one wait for another."""

    graph: Graph
    by_arm: dict[str, Lane]
    origins: list[dict[str, Any]] = field(default_factory=list)

    def __iter__(self) -> Any:
        return iter(self.by_arm.values())

    @property
    def done(self) -> bool:
        return all(lane.done for lane in self)

    @property
    def steps_left(self) -> int:
        """Least number of ticks until all are done; large while more than the last subtasks are open."""
        open_ones = [lane for lane in self if not lane.done]
        if any(lane.index < lane.subtasks - 1 for lane in open_ones):
            return NOT_BEGUN
        return max((lane.left for lane in open_ones), default=0)

    def may_begin(self, lane: Lane) -> bool:
        """Whether the arm's next subtask may begin: those it waits for are over, and coordinated ones are all ready."""
        return not lane.done and lane.piece is None and not self.waiting_for(lane)

    def waiting_for(self, lane: Lane) -> str:
        """What keeps an arm from beginning its next subtask, in words; empty when nothing does."""
        blocker = self._blocked(lane.node)
        coordination = self.graph.coordinations.get(lane.node)
        if blocker or not (coordination and coordination.together_from_start):
            return blocker
        for member in self.graph.group(lane.node):
            partner = self.by_arm[member[0]]
            if partner.index < member[1]:
                return f"{self.graph.name(member)} to be ready"
            if partner.node == member and partner.piece is None and self._blocked(member):
                return self._blocked(member)
        return ""

    def _blocked(self, node: Node) -> str:
        for wait in self.graph.waits.get(node, ()):
            former = self.by_arm[wait.former[0]]
            over = former.index > wait.former[1]
            nearly = former.index == wait.former[1] and former.piece is not None and former.left <= wait.steps_left
            if not over and not (wait.steps_left and nearly):
                return f"{self.graph.name(wait.former)} to finish"
        return ""

    def holds_for_partner(self, lane: Lane) -> bool:
        """Whether a coordinated arm is ahead: it has no more steps left than all share, and a partner has more."""
        group = self.graph.group(lane.node)
        if len(group) == 1:
            return False
        partners = [self.by_arm[arm] for arm, index in group if arm != lane.arm.name]
        lefts = [
            partner.left if partner.index == index else NOT_BEGUN
            for partner, (_, index) in zip(partners, [node for node in group if node[0] != lane.arm.name], strict=True)
        ]
        lengths = [len(one.piece.waypoints) for one in (lane, *partners) if one.piece]
        return lane.left <= min(lengths) and max(lefts) > lane.left

    def copy(self) -> "Lanes":
        return Lanes(self.graph, {name: lane.copy() for name, lane in self.by_arm.items()}, [*self.origins])

    def restore(self, other: "Lanes") -> None:
        self.by_arm = {name: lane.copy() for name, lane in other.by_arm.items()}
        self.origins = [*other.origins]

    def commands(self) -> tuple[dict[str, Pose], Mapping[str, NDArray[np.float64]]]:
        """What every arm is told now."""
        return {lane.arm.name: lane.target for lane in self}, {lane.arm.name: lane.hand for lane in self}
