from dataclasses import replace

import numpy as np
import pytest
from robosuite.environments.manipulation.lift import Lift

from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import RecordedDemonstration, source_path
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.mimicgen.attempt import DemonstrationGenerator
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.constraints import Graph
from generators.simulation.task.execution import Execution
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Coordination, Sequential, Subtask
from storage.errors import BrokenSimulationError, InputError, UnknownNameError

from ..conftest import straight_source, two_arm_task

PLAIN = Execution(settle_steps=0, check_subtasks=False, success_steps=1, patience_steps=0)


def still(name: str, *, reference=None, end=None, **changes) -> Subtask:
    return Subtask(
        name=name, reference=reference, termination_signal=end, noise_position_m=0.0, noise_rotation_rad=0.0, **changes
    )


def generator(scene: Scene, task, sources, **changes) -> DemonstrationGenerator:
    """A generator of another task in the same scene."""
    scene.task = task
    return DemonstrationGenerator(scene, sources, execution=replace(PLAIN, **changes))


def begun(attempt, name: str) -> dict:
    return next(one for one in attempt.subtasks if one["subtask"] == name)


def recording_of(attempt) -> RecordedDemonstration:
    return RecordedDemonstration(name="x", actions=attempt.actions, states=attempt.states, initial=attempt.initial)


def test_stack_succeeds_from_six_demonstrations(stack_scene, stack_sources):
    attempts = [DemonstrationGenerator(stack_scene, stack_sources).attempt(seed) for seed in range(6)]
    assert sum(attempt.succeeded for attempt in attempts) >= 4
    assert {one["source"] for attempt in attempts for one in attempt.subtasks} <= {
        source.name for source in stack_sources
    }


def test_an_attempt_follows_from_its_seed_alone(stack_scene, stack_sources):
    made = DemonstrationGenerator(stack_scene, stack_sources)
    first, other, again = made.attempt(3), made.attempt(4), made.attempt(3)
    np.testing.assert_array_equal(first.actions, again.actions)
    np.testing.assert_array_equal(first.states, again.states)
    assert first.actions.shape != other.actions.shape or not np.array_equal(first.actions, other.actions)


def test_the_actions_of_an_attempt_replay_to_the_same_states(stack_scene, stack_sources):
    attempt = DemonstrationGenerator(stack_scene, stack_sources).attempt(0)
    states = np.stack(list(replayed(stack_scene, recording_of(attempt))))
    np.testing.assert_allclose(states[:-1], attempt.states, atol=1e-9)
    assert stack_scene.succeeded() == attempt.succeeded


def test_a_failed_check_ends_the_attempt_at_once_and_names_the_subtask(stack_scene, stack_sources):
    task = stack_scene.task
    pieces = (replace(task.subtasks["arm"][0], noise_position_m=0.05), task.subtasks["arm"][1])
    try:
        stack_scene.task = replace(task, subtasks={"arm": pieces})
        attempt = DemonstrationGenerator(stack_scene, stack_sources, execution=Execution(retries=0)).attempt(0)
    finally:
        stack_scene.task = task
    assert attempt.failure == "check failed: arm.grasp"
    (grasp,) = attempt.subtasks
    assert grasp["subtask"] == "arm.grasp"
    assert len(attempt.actions) <= grasp["bridge"] + grasp["end"] - grasp["first"] + Execution().settle_steps


def test_a_retried_subtask_leaves_a_trajectory_that_replays(stack_scene, stack_sources):
    task = stack_scene.task
    pieces = (replace(task.subtasks["arm"][0], noise_position_m=0.012), task.subtasks["arm"][1])
    try:
        stack_scene.task = replace(task, subtasks={"arm": pieces})
        made = DemonstrationGenerator(stack_scene, stack_sources, execution=Execution(retries=6))
        attempts = [made.attempt(seed) for seed in range(12)]
        saved = [attempt for attempt in attempts if attempt.succeeded and attempt.retries]
        assert saved, "no attempt needed and survived a retry"
        states = np.stack(list(replayed(stack_scene, recording_of(saved[0]))))
        assert stack_scene.succeeded()
    finally:
        stack_scene.task = task
    np.testing.assert_allclose(states[:-1], saved[0].states, atol=1e-9)
    assert saved[0].steps_simulated > len(saved[0].actions)
    assert saved[0].subtasks[-1]["retries"] <= saved[0].retries


def test_success_must_hold_for_several_steps(two_arm_scene):
    glimpses = iter([False, True, False, True, True, True, True])
    pieces = {"right": (still("move"),), "left": (still("move"),)}
    task = two_arm_task(subtasks=pieces, success=lambda environment: next(glimpses))
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.05, steps=4, ends={"right": (4,), "left": (4,)})
    attempt = generator(two_arm_scene, task, [source], success_steps=3, patience_steps=5).attempt(0)
    assert attempt.succeeded
    flickering = iter([True, False] * 40)
    task = replace(task, success=lambda environment: next(flickering))
    attempt = generator(two_arm_scene, task, [source], success_steps=3, patience_steps=5).attempt(0)
    assert attempt.failure == "success not held"


def test_the_latter_arm_does_not_move_before_the_former_has_finished(two_arm_scene):
    pieces = {"right": (still("first"),), "left": (still("second"),)}
    task = two_arm_task(subtasks=pieces, constraints=(Sequential(former="right.first", latter="left.second"),))
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.15, steps=20, ends={"right": (20,), "left": (20,)})
    attempt = generator(two_arm_scene, task, [source]).attempt(0)
    assert attempt.succeeded
    began, former = begun(attempt, "left.second")["began"], begun(attempt, "right.first")
    assert began == former["began"] + former["bridge"] + 20
    left = attempt.actions[:, 7:13]
    assert np.abs(left[:began]).max() < 0.02
    assert np.abs(left[began:]).max() > 0.1


def test_the_latter_segment_is_transformed_with_the_pose_after_the_former_has_finished(two_arm_scene):
    """The left arm's object is the right arm's hand, which the former subtask moves: a stale pose would miss it."""

    def hand_pose(environment):
        return {"hand": two_arm_scene.actuation.poses()["right"]}

    pieces = {"right": (still("first"),), "left": (still("second", reference="hand"),)}
    task = two_arm_task(
        subtasks=pieces,
        object_poses=hand_pose,
        constraints=(Sequential(former="right.first", latter="left.second"),),
    )
    scene = two_arm_scene
    scene.task = task
    scene.reset(0)
    source = straight_source(scene, rise_m=0.15, steps=25, ends={"right": (25,), "left": (25,)})
    still_source = replace(source, targets={**source.targets, "left": source.poses["left"]})
    attempt = generator(scene, task, [still_source]).attempt(0)
    rise = np.reshape(begun(attempt, "left.second")["motion"], (4, 4))[2, 3]
    assert rise > 0.05


def test_coordinated_subtasks_share_their_source_and_motion_and_end_together(two_arm_scene):
    pieces = {
        "right": (still("reach", end="x"), still("lift", reference="pot")),
        "left": (still("reach", end="y"), still("lift", reference="pot")),
    }
    task = two_arm_task(
        subtasks=pieces, constraints=(Coordination(subtasks=("right.lift", "left.lift"), scheme="transform"),)
    )
    two_arm_scene.reset(0)
    sources = [
        replace(
            straight_source(two_arm_scene, rise_m=0.1, steps=30, ends={"right": (5,), "left": (15,)}),
            name=name,
            ends={"right": (5, 30), "left": (15, 30)},
        )
        for name in ("a", "b", "c")
    ]
    attempt = generator(two_arm_scene, task, sources, sources_per="arm").attempt(5)
    assert attempt.succeeded
    right, left = begun(attempt, "right.lift"), begun(attempt, "left.lift")
    assert right["source"] == left["source"]
    assert right["motion"] == left["motion"]
    assert right["began"] == left["began"] >= 15
    steps = max(right["bridge"] + 25, left["bridge"] + 15)
    assert len(attempt.actions) == right["began"] + steps + (PLAIN.success_steps - 1)


@pytest.mark.parametrize(
    ("scheme", "moves", "turns"), [("transform", True, True), ("translate", True, False), ("replay", False, False)]
)
def test_schemes_move_and_turn_the_shared_segment(two_arm_scene, scheme, moves, turns):
    pieces = {arm: (still("lift", reference="pot"),) for arm in ("right", "left")}
    task = two_arm_task(
        subtasks=pieces, constraints=(Coordination(subtasks=("right.lift", "left.lift"), scheme=scheme),)
    )
    two_arm_scene.task = task
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.02, steps=3, ends={"right": (3,), "left": (3,)})
    attempt = generator(two_arm_scene, task, [source]).attempt(1)
    motion = np.reshape(begun(attempt, "right.lift")["motion"], (4, 4))
    assert (np.abs(motion[:3, 3]).max() > 1e-3) == moves
    assert (np.abs(motion[:3, :3] - np.eye(3)).max() > 1e-3) == turns


def test_arms_that_wait_for_each_other_at_run_time_end_the_attempt_with_its_cause(two_arm_scene, monkeypatch):
    """The graph is checked beforehand; this is the guard behind it."""
    pieces = {arm: (still("move"),) for arm in ("right", "left")}
    forward = (Sequential(former="right.move", latter="left.move"),)
    task = two_arm_task(subtasks=pieces, constraints=forward)
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.02, steps=3, ends={"right": (3,), "left": (3,)})
    made = generator(two_arm_scene, task, [source])
    wait = made.graph.waits["left", 0][0]
    both = {("left", 0): (wait,), ("right", 0): (replace(wait, former=("left", 0)),)}
    made.graph = Graph(subtasks=made.graph.subtasks, groups=made.graph.groups, coordinations={}, waits=both)
    attempt = made.attempt(0)
    assert attempt.failure == "dead-lock"
    assert "right.move waits for left.move to finish; left.move waits for right.move to finish" in attempt.detail


def test_an_attempt_that_takes_too_long_is_a_failure_with_its_cause(two_arm_scene):
    task = two_arm_task(horizon=10)
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.1, steps=40, ends={"right": (40,), "left": (40,)})
    attempt = generator(two_arm_scene, task, [source]).attempt(0)
    assert attempt.failure == "out of time"
    assert len(attempt.actions) == 10
    assert "right.move" in attempt.detail


def test_a_target_out_of_reach_costs_no_physics(two_arm_scene):
    pieces = {arm: (still("move"),) for arm in ("right", "left")}
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=3.0, steps=40, ends={"right": (40,), "left": (40,)})
    made = generator(two_arm_scene, two_arm_task(subtasks=pieces), [source], check_reach=True)
    attempt = made.attempt(0)
    assert attempt.failure == "unreachable: right.move"
    assert attempt.steps_simulated == 0


def test_an_arm_that_would_end_up_in_the_table_costs_no_physics(two_arm_scene):
    pieces = {arm: (still("move"),) for arm in ("right", "left")}
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=-0.3, steps=40, ends={"right": (40,), "left": (40,)})
    attempt = generator(two_arm_scene, two_arm_task(subtasks=pieces), [source], check_reach=True).attempt(0)
    assert attempt.failure == "collision: right.move"


def test_a_hand_settles_before_it_closes(two_arm_scene):
    pieces = {arm: (still("move"),) for arm in ("right", "left")}
    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.3, steps=10, ends={"right": (10,), "left": (10,)})
    hands = {arm: np.r_[np.full((8, 1), -1.0), np.full((2, 1), 1.0)] for arm in ("right", "left")}
    source = replace(source, hands=hands)
    task = two_arm_task(subtasks=pieces)
    without = generator(two_arm_scene, task, [source]).attempt(0)
    settled = generator(two_arm_scene, task, [source], settle_steps=5).attempt(0)
    close = [int(np.argmax(attempt.actions[:, 6] > 0)) for attempt in (without, settled)]
    assert close[1] == close[0] + 5


def test_physics_that_breaks_is_a_counted_failure_and_the_next_attempt_works(two_arm_scene, monkeypatch):
    def broken(action):
        raise BrokenSimulationError("the physics diverged (NaN or huge velocity) at 0.050 s")

    two_arm_scene.reset(0)
    source = straight_source(two_arm_scene, rise_m=0.02, steps=3, ends={"right": (3,), "left": (3,)})
    made = generator(two_arm_scene, two_arm_task(), [source])
    with monkeypatch.context() as patch:
        patch.setattr(two_arm_scene, "step", broken)
        attempt = made.attempt(0)
    assert attempt.failure == "simulation broke"
    assert "diverged" in attempt.detail
    assert made.attempt(0).succeeded


class Faulty(Lift):
    """Breaks in its tenth step in the way that `fault` says."""

    fault = ""

    def step(self, action):
        if self.timestep == 10 and self.fault == "raise":
            raise RuntimeError("motor fault")
        if self.timestep == 10 and self.fault == "nan":
            self.sim.data.qpos[0] = np.nan
        return super().step(action)


@pytest.mark.parametrize(("fault", "detail"), [("raise", "RuntimeError: motor fault"), ("nan", "diverged")])
def test_an_environment_that_breaks_in_a_step_costs_one_attempt(fault, detail):
    task = replace(find_task("lift"), environment=Faulty)
    scene = Scene(task)
    sources = SourceReader(task, lambda placement, variant: scene).read(source_path(task), at_most=1)
    made = DemonstrationGenerator(scene, sources)
    scene.environment.fault = fault
    broken = made.attempt(0)
    assert (broken.failure, len(broken.actions)) == ("simulation broke", 11)
    assert detail in broken.detail
    scene.environment.fault = ""
    assert made.attempt(0).failure != "simulation broke"
    assert np.isfinite(made.attempt(1).states).all()


def test_a_check_and_an_object_that_do_not_exist_are_named_before_anything_runs(stack_scene, stack_sources):
    task = stack_scene.task
    try:
        stack_scene.task = replace(task, subtasks={"arm": (Subtask(name="a", reference="cubeA", check="graspd"),)})
        with pytest.raises(UnknownNameError, match=r"the check of arm\.a\) 'graspd'; did you mean grasped"):
            DemonstrationGenerator(stack_scene, stack_sources)
        stack_scene.task = replace(task, subtasks={"arm": (Subtask(name="a", reference="cubeZ"),)})
        with pytest.raises(UnknownNameError, match=r"object in the scene \(of arm\.a\) 'cubeZ'"):
            DemonstrationGenerator(stack_scene, stack_sources)
    finally:
        stack_scene.task = task


def test_no_source_is_an_error(stack_scene):
    with pytest.raises(InputError, match="no source demonstration"):
        DemonstrationGenerator(stack_scene, [])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lift", "stack"])
def test_most_attempts_at_the_single_arm_tasks_succeed(name):
    task = find_task(name)
    scene = Scene(task)
    sources = SourceReader(task, lambda placement, variant: scene).read(source_path(task))
    made = DemonstrationGenerator(scene, sources)
    assert sum(made.attempt(seed).succeeded for seed in range(40)) >= 28
