import numpy as np
import pytest

from generators.simulation.mimicgen.arm_queues import NOT_BEGUN, ArmQueue, ArmQueues
from generators.simulation.mimicgen.plan_segment import PlannedSegment
from generators.simulation.mimicgen.transform import Waypoints
from generators.simulation.task.constraints import graph_of
from generators.simulation.task.specification import Arm, Coordination, Sequential

from ..conftest import two_arm_task
from ..task.test_constraints import pieces


def queues(*constraints, names=("reach", "lift")) -> ArmQueues:
    graph = graph_of(two_arm_task(subtasks={"right": pieces(*names), "left": pieces(*names)}, constraints=constraints))
    by_arm = {
        arm: ArmQueue(arm=Arm(name=arm), subtasks=len(names), target=np.eye(4), hand=np.zeros(1))
        for arm in ("right", "left")
    }
    return ArmQueues(graph, by_arm)


def segment(length: int) -> PlannedSegment:
    targets = np.repeat(np.eye(4)[None], length, axis=0)
    return PlannedSegment(
        waypoints=Waypoints(targets=targets, hands=np.zeros((length, 1)), interpolation=0), source=0, origin={}
    )


def run(both: ArmQueues, lengths: dict[str, list[int]], ticks: int = 100) -> list[tuple[int, ...]]:
    """Who moves in each tick, until all are done."""
    history = []
    for tick in range(ticks):
        for queue in [queue for queue in both if both.may_begin(queue)]:
            queue.begin(segment(lengths[queue.arm.name][queue.index]), tick)
        moved = [queue for queue in both if queue.segment and not both.holds_for_partner(queue)]
        for queue in moved:
            queue.advance()
        history.append(tuple(queue.arm.name for queue in moved))
        for queue in both:
            if queue.finished_segment:
                queue.finish()
        if both.done:
            return history
    pytest.fail(f"not done after {ticks} ticks: {history[-3:]}")


def moves(history, arm: str) -> list[int]:
    return [tick for tick, moved in enumerate(history) if arm in moved]


def test_free_arms_move_side_by_side():
    history = run(queues(), {"right": [3, 2], "left": [4, 6]})
    assert moves(history, "right") == list(range(5))
    assert moves(history, "left") == list(range(10))


def test_the_latter_waits_for_the_former():
    history = run(queues(Sequential(former="right.lift", latter="left.reach")), {"right": [3, 2], "left": [4, 6]})
    assert moves(history, "left")[0] == 5


def test_the_latter_may_begin_when_few_steps_are_left():
    early = Sequential(former="right.lift", latter="left.reach", steps_left=2)
    history = run(queues(early), {"right": [3, 5], "left": [4, 6]})
    assert moves(history, "left")[0] == 3 + 5 - 2


@pytest.mark.parametrize("together", [True, False])
def test_coordinated_pieces_end_in_the_same_tick_and_run_their_last_steps_together(together):
    pair = Coordination(subtasks=("right.lift", "left.lift"), together_from_start=together)
    history = run(queues(pair), {"right": [2, 8], "left": [6, 5]})
    right, left = moves(history, "right"), moves(history, "left")
    assert right[-1] == left[-1]
    assert right[-5:] == left[-5:]
    # Told to start together, the early arm stands still; otherwise it goes ahead as far as it may.
    assert (right[2] == 6) == together


def test_an_arm_behind_an_unbegun_partner_has_no_end_in_sight():
    both = queues(Coordination(subtasks=("right.lift", "left.lift"), together_from_start=False))
    both.by_arm["right"].index = 1
    both.by_arm["right"].begin(segment(4), 0)
    assert both.by_arm["left"].left == NOT_BEGUN
    assert both.holds_for_partner(both.by_arm["right"])
