"""One attempt at a task: subtask by subtask, until success or the first thing that cannot be mended.

Every tick each arm's queue is filled if its next subtask may begin, each arm takes one waypoint or holds, and the
environment steps once. A subtask whose check fails ends the attempt at once, or is tried again from the snapshot of
its beginning. The attempt says what it did and why it failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.mimicgen.arm_queues import ArmQueue, ArmQueues
from generators.simulation.mimicgen.plan_segment import AttemptChoices, PlannedSegment, Planner, noise_of
from generators.simulation.mimicgen.reachability import ReachCheck
from generators.simulation.mimicgen.transform import noisy
from generators.simulation.robots.rotations import distance
from generators.simulation.stepping import snapshot
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import Snapshot
from generators.simulation.task.constraints import Graph, Node, graph_of
from generators.simulation.task.execution import Execution
from generators.simulation.task.specification import Action, Pose
from storage.errors import BrokenSimulationError, InputError, UnknownNameError

PLAN_STREAM = 2
REPLANS = 4
"""How many sources are tried for a segment that cannot be reached."""


@dataclass(frozen=True, kw_only=True)
class AttemptResult:
    """What an attempt left: T environment actions and the T states before them, and how it ended. `failure` is empty
    on success, otherwise a cause that can be counted; `detail` says more."""

    seed: int
    failure: str
    detail: str
    actions: NDArray[np.float32]
    states: NDArray[np.float64]
    initial: Mapping[str, Any]
    subtasks: Sequence[Mapping[str, Any]]
    retries: int
    steps_simulated: int

    @property
    def succeeded(self) -> bool:
        return not self.failure


class _GivenUpError(Exception):
    """Ends an attempt from within; carries the cause and the detail."""

    def __init__(self, failure: str, detail: str) -> None:
        super().__init__(failure)
        self.failure, self.detail = failure, detail


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """Where an attempt can go back to: the beginning of a subtask."""

    node: Node
    world: Snapshot
    queues: ArmQueues
    choices: AttemptChoices
    recorded: int


class DemonstrationGenerator:
    """Makes attempts at one task in one scene from annotated sources."""

    def __init__(
        self, scene: Scene, sources: Sequence[SourceDemonstration], *, execution: Execution | None = None
    ) -> None:
        if not sources:
            raise InputError(f"task {scene.task.name!r} has no source demonstration to multiply")
        self.scene, self.sources = scene, sources
        self.execution = execution or scene.task.execution
        self.graph = graph_of(scene.task)
        _check_names(scene, self.graph)
        self._reach = ReachCheck(scene) if self.execution.check_reach else None

    def attempt(self, seed: int) -> AttemptResult:
        """One attempt; everything in it follows from `seed`. Failures are results, not errors."""
        return _AttemptRun(self, seed).run()


def _check_names(scene: Scene, graph: Graph) -> None:
    """Raise UnknownNameError where a subtask refers to an object or checks a signal that the scene does not have."""
    objects, signals = scene.task.object_poses(scene.environment), scene.task.signals(scene.environment)
    for node in (node for group in graph.groups for node in group):
        subtask = graph.subtask(node)
        if subtask.reference is not None and subtask.reference not in objects:
            raise UnknownNameError.among(f"object in the scene (of {graph.name(node)})", subtask.reference, objects)
        if subtask.check is not None and subtask.check not in signals:
            raise UnknownNameError.among(f"signal (the check of {graph.name(node)})", subtask.check, signals)


class _AttemptRun:
    def __init__(self, generator: DemonstrationGenerator, seed: int) -> None:
        self.scene, self.execution, self.graph = generator.scene, generator.execution, generator.graph
        self.sources, self.reach, self.seed = generator.sources, generator._reach, seed
        self.randomness = np.random.default_rng([seed, PLAN_STREAM])
        self.planner = Planner(self.scene, self.graph, self.sources, self.randomness)
        self.actions: list[Action] = []
        self.states: list[NDArray[np.float64]] = []
        self.moments: dict[tuple[Node, ...], _Moment] = {}
        self.retries = self.ticks = self.streak = 0
        self.initial: Mapping[str, Any] = {}
        self.queues = ArmQueues(self.graph, {})

    def run(self) -> AttemptResult:
        failure, detail = "", ""
        try:
            self._begin()
            while True:
                try:
                    self._run_subtasks()
                    self._hold_success()
                    break
                except _GivenUpError as given_up:
                    if not self._go_back(given_up):
                        raise
        except _GivenUpError as given_up:
            failure, detail = given_up.failure, given_up.detail
        except BrokenSimulationError as error:
            failure, detail = "simulation broke", str(error)
        width = 1 + self.scene.model.nq + self.scene.model.nv
        return AttemptResult(
            seed=self.seed,
            failure=failure,
            detail=detail,
            actions=np.array(self.actions, np.float32).reshape(len(self.actions), self.scene.environment.action_dim),
            states=np.array(self.states).reshape(-1, width),
            initial=self.initial,
            subtasks=self.queues.origins,
            retries=self.retries,
            steps_simulated=self.ticks,
        )

    def _begin(self) -> None:
        self.scene.reset(self.seed)
        self.initial = snapshot.to_record(self.scene.environment, self.scene.snapshot())
        poses = self.scene.actuation.poses()
        self.queues = ArmQueues(
            self.graph,
            {
                arm.name: ArmQueue(
                    arm=arm,
                    subtasks=len(self.graph.subtasks[arm.name]),
                    target=poses[arm.name],
                    hand=self.sources[0].hands[arm.name][0],
                )
                for arm in self.scene.task.embodiment.arms
            },
        )

    def _run_subtasks(self) -> None:
        while not self.queues.done:
            self._fill_queues()
            moved, holding = self._move()
            if not (moved or holding):
                blocked = [f"{self.graph.name(queue.node)} waits for {self._reason(queue)}" for queue in self._open()]
                raise _GivenUpError("dead-lock", "; ".join(blocked))
            self._step(moved)
            if self.queues.steps_left <= self.execution.success_steps:
                self.streak = self.streak + 1 if self.scene.succeeded() else 0
            self._finish_segments()

    def _open(self) -> list[ArmQueue]:
        return [queue for queue in self.queues if not queue.done]

    def _reason(self, queue: ArmQueue) -> str:
        return self.queues.waiting_for(queue) or "its partner"

    def _fill_queues(self) -> None:
        """Plan the next segment of every arm that may begin one, all against the same moment of the world."""
        for queue in [queue for queue in self.queues if self.queues.may_begin(queue)]:
            group = self.graph.group(queue.node)
            if self.execution.retries and group not in self.moments:
                self.moments[group] = _Moment(
                    node=queue.node,
                    world=self.scene.snapshot(),
                    queues=self.queues.copy(),
                    choices=self.planner.choices.copy(),
                    recorded=len(self.actions),
                )
            segment = self._plan(queue)
            queue.begin(segment, len(self.actions))
            self.queues.origins.append({**segment.origin, "began": len(self.actions), "retries": self.retries})

    def _plan(self, queue: ArmQueue) -> PlannedSegment:
        for _ in range(REPLANS):
            segment = self.planner.plan(queue.node, start=queue.target, execution=self.execution, avoid=queue.tried)
            problem = self.reach.problem(queue.arm, segment.waypoints) if self.reach else ""
            if not problem:
                return segment
            queue.tried |= {segment.source}
            self.planner.forget(queue.node)
        raise _GivenUpError(f"{problem}: {self.graph.name(queue.node)}", f"after {REPLANS} sources")

    def _move(self) -> tuple[list[ArmQueue], list[ArmQueue]]:
        """Advance every arm that may; returns those that moved and those that hold to settle."""
        moved, holding = [], []
        poses = self.scene.actuation.poses() if self.execution.settle_steps else {}
        ready = [queue for queue in self._open() if queue.segment and not self.queues.holds_for_partner(queue)]
        for queue in ready:
            if self._unsettled(queue, poses):
                queue.target = queue.next_target()
                queue.settled += 1
                holding.append(queue)
            else:
                queue.advance()
                moved.append(queue)
        return moved, holding

    def _unsettled(self, queue: ArmQueue, poses: Mapping[str, Pose]) -> bool:
        """Whether the hand is about to open or close while the arm is still on its way to where it should."""
        if queue.settled >= self.execution.settle_steps or len(queue.hand) == 0:
            return False
        if np.abs(queue.next_hand() - queue.hand).max() <= queue.arm.hand_change:
            return False
        metres, radians = distance(poses[queue.arm.name], queue.next_target())
        return metres > self.execution.settle_position_m or radians > self.execution.settle_rotation_rad

    def _step(self, moved: Sequence[ArmQueue]) -> None:
        if (
            self.ticks >= self.scene.task.horizon * (1 + self.execution.retries)
            or len(self.actions) >= self.scene.task.horizon
        ):
            waiting = ", ".join(self.graph.name(queue.node) for queue in self._open()) or "success"
            raise _GivenUpError("out of time", f"{len(self.actions)} steps, still at {waiting}")
        targets, hands = self.queues.commands()
        for queue in moved:
            subtask = self.graph.subtask(queue.node)
            if not queue.interpolating() or subtask.noise_during_interpolation:
                noise = noise_of(subtask, self.execution)
                targets[queue.arm.name] = noisy(queue.target, *noise, self.randomness)
        action = self.scene.actuation.action(targets, hands)
        self.states.append(snapshot.state_row(self.scene.environment))
        self.actions.append(action)
        self.ticks += 1
        self.scene.step(action)

    def _finish_segments(self) -> None:
        finished = [queue for queue in self.queues if queue.finished_segment]
        if self.execution.check_subtasks and finished:
            self._check(finished)
        for queue in finished:
            queue.finish()

    def _check(self, finished: Sequence[ArmQueue]) -> None:
        wanted = {queue.node: self.graph.subtask(queue.node).check for queue in finished}
        if any(wanted.values()):
            signals = self.scene.task.signals(self.scene.environment)
            for node, check in wanted.items():
                if check and not signals[check]:
                    raise _GivenUpError(f"check failed: {self.graph.name(node)}", f"{check!r} does not hold")

    def _hold_success(self) -> None:
        """Success must hold for several steps in a row; the arms stay where they are until it has."""
        patience, ever = self.execution.success_steps + self.execution.patience_steps, self.streak > 0
        while self.streak < self.execution.success_steps:
            if not patience:
                raise _GivenUpError("success not held" if ever else "no success at the end", "")
            patience -= 1
            self._step(())
            self.streak = self.streak + 1 if self.scene.succeeded() else 0
            ever = ever or self.streak > 0

    def _go_back(self, given_up: _GivenUpError) -> bool:
        """Go back to the beginning of the subtask that failed, if there is a try left; False when there is none."""
        if self.retries >= self.execution.retries or not self.moments:
            return False
        moment = self._moment_for(given_up)
        failed = {queue.arm.name: queue for queue in self.queues}
        self.retries += 1
        self.streak = 0
        self.scene.restore(moment.world)
        del self.actions[moment.recorded :], self.states[moment.recorded :]
        self.queues.restore(moment.queues)
        self.planner.choices = moment.choices.copy()
        self.planner.forget(moment.node)
        for arm, _ in self.graph.group(moment.node):
            queue, before = self.queues.by_arm[arm], failed[arm]
            sources = {before.segment.source} if before.segment and before.index == queue.index else set()
            queue.tried = frozenset(before.tried | sources)
        self.moments = {group: kept for group, kept in self.moments.items() if kept.recorded <= moment.recorded}
        return True

    def _moment_for(self, given_up: _GivenUpError) -> _Moment:
        for group, moment in self.moments.items():
            if any(given_up.failure.endswith(self.graph.name(node)) for node in group):
                return moment
        return max(self.moments.values(), key=lambda moment: moment.recorded)
