from dataclasses import replace

import pytest

from generators.simulation.task.constraints import graph_of
from generators.simulation.task.specification import Coordination, Sequential, Subtask
from storage.errors import ConfigError, UnknownNameError

from ..conftest import two_arm_task


def pieces(*names: str, reference: str | None = "pot") -> tuple[Subtask, ...]:
    return tuple(
        Subtask(name=name, reference=reference, termination_signal=None if name == names[-1] else name)
        for name in names
    )


def task(*constraints, right=("reach", "lift"), left=("reach", "lift")):
    return two_arm_task(subtasks={"right": pieces(*right), "left": pieces(*left)}, constraints=constraints)


def test_groups_come_in_an_order_in_which_they_can_run():
    graph = graph_of(
        task(
            Sequential(former="left.lift", latter="right.reach"),
        )
    )
    names = [graph.name(node) for group in graph.groups for node in group]
    assert names == ["left.reach", "left.lift", "right.reach", "right.lift"]


def test_coordinated_subtasks_are_one_group():
    graph = graph_of(task(Coordination(subtasks=("right.lift", "left.lift"))))
    assert graph.groups[-1] == (("right", 1), ("left", 1))


def test_two_arms_that_wait_for_each_other_are_named():
    waiting = task(
        Sequential(former="left.lift", latter="right.reach"), Sequential(former="right.lift", latter="left.reach")
    )
    with pytest.raises(ConfigError, match=r"wait for one another: .*left\.reach.* waits for .*right\.lift"):
        graph_of(waiting)


def test_subtasks_that_are_coordinated_and_sequential_at_once_are_named():
    both = task(Coordination(subtasks=("right.lift", "left.lift")), Sequential(former="right.lift", latter="left.lift"))
    with pytest.raises(ConfigError, match=r"right\.lift\+left\.lift would have to run before itself"):
        graph_of(both)


def test_a_coordination_across_a_wait_is_a_cycle():
    crossed = task(
        Coordination(subtasks=("right.lift", "left.reach")), Sequential(former="left.lift", latter="right.reach")
    )
    with pytest.raises(ConfigError, match="wait for one another"):
        graph_of(crossed)


def test_an_unknown_subtask_is_named_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match=r"'right\.lfit'; did you mean right\.lift"):
        graph_of(task(Sequential(former="right.lfit", latter="left.lift")))


def test_one_subtask_under_two_coordinations_is_refused():
    twice = task(
        Coordination(subtasks=("right.lift", "left.lift"), scheme="transform"),
        Coordination(subtasks=("right.lift", "left.reach"), scheme="replay"),
    )
    with pytest.raises(ConfigError, match=r"right\.lift is under two coordinations.*transform.*replay"):
        graph_of(twice)


def test_an_arm_cannot_be_coordinated_with_itself():
    with pytest.raises(ConfigError, match="two or more different arms"):
        graph_of(task(Coordination(subtasks=("right.reach", "right.lift"))))


def test_a_shared_transform_needs_one_reference_object():
    subtasks = {"right": pieces("lift", reference="pot"), "left": pieces("lift", reference="lid")}
    with pytest.raises(ConfigError, match=r"share one transform.*\['lid', 'pot'\]"):
        graph_of(two_arm_task(subtasks=subtasks, constraints=(Coordination(subtasks=("right.lift", "left.lift")),)))


def test_only_the_last_subtask_may_end_with_the_demonstration():
    subtasks = {"right": (Subtask(name="a", reference=None), Subtask(name="b", reference=None)), "left": pieces("lift")}
    with pytest.raises(ConfigError, match=r"right\.a needs an termination_signal"):
        graph_of(two_arm_task(subtasks=subtasks))


def test_every_arm_needs_subtasks_and_they_need_different_names():
    with pytest.raises(ConfigError, match=r"\['left', 'right'\]; it gives some for \['right'\]"):
        graph_of(two_arm_task(subtasks={"right": pieces("lift")}))
    double = replace(pieces("lift")[0], termination_signal="x")
    with pytest.raises(ConfigError, match="two subtasks of arm 'left' are called 'lift'"):
        graph_of(two_arm_task(subtasks={"right": pieces("lift"), "left": (double, *pieces("lift"))}))
