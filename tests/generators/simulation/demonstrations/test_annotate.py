from dataclasses import replace

import h5py
import numpy as np
import pytest

from generators.simulation.demonstrations.annotate import SourceReader, subtask_ends
from generators.simulation.demonstrations.recordings import read_recordings, source_path, write_recordings
from generators.simulation.task.constraints import graph_of
from generators.simulation.task.specification import Coordination, Subtask
from storage.errors import ConfigError, InputError, UnknownNameError

from ..conftest import two_arm_task

LENGTH = 20


def rising(*steps: int) -> np.ndarray:
    """A signal that holds for two states from each of `steps` on."""
    values = np.zeros(LENGTH + 1, dtype=bool)
    for step in steps:
        values[step : step + 2] = True
    return values


def graph(constraints=()):
    pieces = (Subtask(name="take", reference=None, termination_signal="held"), Subtask(name="lift", reference=None))
    other = (Subtask(name="take", reference=None, termination_signal="other"), Subtask(name="lift", reference=None))
    return graph_of(two_arm_task(subtasks={"right": pieces, "left": other}, constraints=constraints))


def ends(signals, constraints=()):
    return subtask_ends(graph(constraints), signals, length=LENGTH, name="demo_0")


def test_a_subtask_ends_when_its_signal_first_comes_to_hold_and_the_last_with_the_demonstration():
    assert ends({"held": rising(5, 9), "other": rising(7)}) == {"right": (5, 20), "left": (7, 20)}


def test_coordinated_subtasks_end_together_with_the_later_one():
    together = (Coordination(subtasks=("right.take", "left.take")),)
    assert ends({"held": rising(5), "other": rising(7)}, together) == {"right": (7, 20), "left": (7, 20)}


def test_a_signal_that_never_fires_is_named_with_its_subtask():
    with pytest.raises(InputError, match=r"demo_0: signal 'other', which ends subtask left\.take, never fires"):
        ends({"held": rising(5), "other": rising()})


def test_a_signal_that_holds_from_the_start_is_told_apart():
    with pytest.raises(InputError, match="holds from the beginning"):
        ends({"held": rising(5), "other": np.ones(LENGTH + 1, dtype=bool)})


def test_an_unknown_signal_is_named_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match=r"signal \(the end of subtask right\.take\) 'held'; did you mean hold"):
        ends({"hold": rising(5), "other": rising(7)})


def test_a_piece_without_length_is_an_error():
    with pytest.raises(InputError, match=r"subtask right\.lift has no length: it begins and ends at step 20"):
        ends({"held": rising(20), "other": rising(7)})


def test_a_source_whose_replay_does_not_succeed_is_refused(stack_scene, stack_recordings):
    broken = replace(stack_recordings[0], actions=np.zeros_like(stack_recordings[0].actions))
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    with pytest.raises(InputError, match="demo_0: replaying its actions does not end in success"):
        reader.annotate(broken)


def file_with(tmp_path, task, recordings):
    write_recordings(tmp_path / "sources.hdf5", task, recordings)
    return tmp_path / "sources.hdf5"


def idle_copy(recording):
    return replace(recording, name="demo_9", actions=np.zeros_like(recording.actions))


def test_one_demonstration_whose_replay_fails_is_left_out_by_name(stack_scene, stack_recordings, tmp_path, caplog):
    path = file_with(tmp_path, stack_scene.task, [stack_recordings[0], idle_copy(stack_recordings[1])])
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    assert [source.name for source in reader.read(path)] == ["demo_0"]
    assert "sources.hdf5: left out of the sources of task 'stack': demo_9: replaying its actions" in caplog.text


def test_as_many_demonstrations_are_taken_as_are_asked_for_and_usable(stack_scene, stack_recordings, tmp_path):
    bad = replace(idle_copy(stack_recordings[0]), name="demo_0")
    path = file_with(tmp_path, stack_scene.task, [bad, *stack_recordings[1:3]])
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    assert [source.name for source in reader.read(path, at_most=1)] == ["demo_1"]


def test_a_file_of_which_nothing_is_usable_says_why(stack_scene, stack_recordings, tmp_path):
    path = file_with(tmp_path, stack_scene.task, [idle_copy(stack_recordings[0])])
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    with pytest.raises(InputError, match=r"none of its 1 demonstrations can be used; demo_9: replaying its actions"):
        reader.read(path)


def test_a_source_of_another_robot_is_refused_with_both_sizes(stack_scene, stack_recordings):
    foreign = replace(stack_recordings[0], states=stack_recordings[0].states[:, :-3])
    reader = SourceReader(stack_scene.task, lambda placement, variant: stack_scene)
    with pytest.raises(InputError, match=r"42 of them per step; this scene has \d+ and 45"):
        reader.annotate(foreign)


def test_an_object_missing_from_the_scene_is_named(stack_scene, stack_recordings):
    piece = Subtask(name="place", reference="cubeC")
    task = replace(stack_scene.task, subtasks={"arm": (piece,)})
    with pytest.raises(ConfigError, match=r"arm\.place refers to object 'cubeC'; the scene .* \['cubeA', 'cubeB'\]"):
        SourceReader(task, lambda placement, variant: stack_scene).annotate(stack_recordings[0])


def test_what_is_read_off_a_replay_matches_the_demonstration(stack_sources, stack_recordings):
    source = stack_sources[0]
    assert source.length == len(stack_recordings[0].actions)
    assert source.targets["arm"].shape == (source.length, 4, 4)
    assert source.signals["grasped"].shape == (source.length + 1,)
    assert source.signals["grasped"][source.ends["arm"][0]]


def test_a_demonstration_that_cannot_be_replayed_is_taken_from_its_own_annotation(stack_scene, tmp_path):
    task = stack_scene.task
    whole = read_recordings(source_path(task))[0]
    known = SourceReader(task, lambda placement, variant: stack_scene).annotate(whole)
    with h5py.File(tmp_path / "elsewhere.hdf5", "w") as file:
        group = file.create_group("data/demo_0")
        group["actions"], group["states"] = np.zeros_like(whole.actions), whole.states
        info = group.create_group("datagen_info")
        info["eef_pose"], info["target_pose"] = known.poses["arm"], known.targets["arm"]
        info["gripper_action"] = known.hands["arm"]
        for name, poses in known.objects.items():
            info[f"object_poses/{name}"] = poses
        info["subtask_term_signals/grasped"] = known.signals["grasped"][:-1].astype(int)
    (elsewhere,) = read_recordings(tmp_path / "elsewhere.hdf5")
    found = SourceReader(task, lambda placement, variant: stack_scene).usable(elsewhere)
    assert found.ends == known.ends
    np.testing.assert_array_equal(found.targets["arm"], known.targets["arm"])
    np.testing.assert_array_equal(found.objects["cubeA"], known.objects["cubeA"])
