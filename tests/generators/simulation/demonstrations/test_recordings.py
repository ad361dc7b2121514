import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from generators.simulation.demonstrations.collect import collect, expert_of
from generators.simulation.demonstrations.recordings import read_recordings, source_path, write_recordings
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.task.registry import find_task
from storage.errors import ConfigError, CorruptFileError, MissingFileError, SchemaError, WorkFailedError


def robomimic_file(path, **datasets):
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        for name, values in datasets.items():
            demo[name] = values


def test_what_is_written_is_read_back(tmp_path, stack_recordings):
    path = tmp_path / "stack.hdf5"
    write_recordings(path, find_task("stack"), stack_recordings[:2])
    for before, after in zip(stack_recordings[:2], read_recordings(path), strict=True):
        np.testing.assert_array_equal(before.actions, after.actions)
        np.testing.assert_array_equal(before.states[0], after.states[0])
        assert before.initial == after.initial
        assert (before.seed, before.variant, before.placement) == (after.seed, after.variant, after.placement)


def test_the_file_is_laid_out_as_robomimic_lays_it_out(tmp_path, stack_recordings):
    path = tmp_path / "stack.hdf5"
    write_recordings(path, find_task("stack"), stack_recordings[:2])
    with h5py.File(path) as file:
        assert json.loads(file["data"].attrs["env_args"])["env_name"] == "Stack"
        assert file["data"].attrs["total"] == sum(len(one.actions) for one in stack_recordings[:2])
        assert file["data/demo_0/actions"].dtype == np.float64
        assert file["data/demo_0"].attrs["num_samples"] == len(stack_recordings[0].actions)


def test_a_file_of_robomimic_without_our_attributes_replays_too(tmp_path, stack_scene, stack_recordings):
    demo = stack_recordings[0]
    robomimic_file(tmp_path / "foreign.hdf5", actions=demo.actions.astype(np.float64), states=demo.states)
    (foreign,) = read_recordings(tmp_path / "foreign.hdf5")
    assert not foreign.initial
    for _ in replayed(stack_scene, foreign):
        pass
    assert stack_scene.succeeded()


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"actions": np.zeros((3, 7))}, "demo_0 has no states"),
        ({"actions": np.zeros((3, 7)), "states": np.zeros((5, 45))}, "3 actions for 5 states"),
        ({"actions": np.zeros((0, 7)), "states": np.zeros((0, 45))}, "0 actions for 0 states"),
        ({"actions": np.full((3, 7), np.nan), "states": np.zeros((3, 45))}, "holds NaN"),
    ],
)
def test_a_demonstration_that_cannot_be_used_says_what_is_wrong(tmp_path, datasets, message):
    robomimic_file(tmp_path / "bad.hdf5", **datasets)
    with pytest.raises(SchemaError, match=message):
        read_recordings(tmp_path / "bad.hdf5")


def test_files_that_are_missing_truncated_or_empty_are_told_apart(tmp_path):
    with pytest.raises(MissingFileError, match="expected a robomimic HDF5"):
        read_recordings(tmp_path / "none.hdf5")
    robomimic_file(tmp_path / "whole.hdf5", actions=np.zeros((300, 7)), states=np.zeros((300, 45)))
    (tmp_path / "cut.hdf5").write_bytes((tmp_path / "whole.hdf5").read_bytes()[:900])
    with pytest.raises(CorruptFileError, match="not a readable HDF5"):
        read_recordings(tmp_path / "cut.hdf5")
    with h5py.File(tmp_path / "empty.hdf5", "w"):
        pass
    with pytest.raises(SchemaError, match="no group data/"):
        read_recordings(tmp_path / "empty.hdf5")


def test_a_task_without_sources_or_expert_says_what_to_give(tmp_path):
    bare = replace(find_task("stack"), sources=None, expert=None)
    with pytest.raises(MissingFileError, match="names no source file"):
        source_path(bare)
    with pytest.raises(ConfigError, match="has no expert"):
        expert_of(bare)


def test_an_expert_that_never_succeeds_is_given_up():
    def idle(environment, rng):
        for _ in range(2):
            yield np.zeros(7, np.float32)

    with pytest.raises(WorkFailedError, match="succeeded 0 times in 10 tries"):
        collect(replace(find_task("stack"), expert=idle), episodes=3)


def test_a_demonstration_that_succeeds_only_from_its_exact_start_is_not_kept():
    reached = []

    def idle(environment, rng):
        yield np.zeros(7, np.float32)
        reached.append(environment.sim.data.qpos.copy())

    def at_that_very_state(environment):
        return any(np.array_equal(one, environment.sim.data.qpos) for one in reached)

    task = replace(find_task("lift"), expert=idle, success=at_that_very_state)
    with pytest.raises(WorkFailedError, match=r"0 times in 10 tries.*10 x succeeds, but not from every"):
        collect(task, episodes=1)


def test_collecting_twice_gives_the_same_demonstrations():
    first, second = (collect(find_task("lift"), episodes=1, first_seed=4)[0] for _ in range(2))
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.states, second.states)
