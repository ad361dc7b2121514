"""Other people's environments: what they really do is what is recorded, or they are refused with the cause."""

import textwrap
from dataclasses import replace

import h5py
import numpy as np
import pytest

from generators.simulation.demonstrations.collect import collect
from generators.simulation.demonstrations.rebuild import rebuild
from generators.simulation.demonstrations.recordings import read_source_file, write_recordings
from generators.simulation.inspection.check import check_task
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import find_task
from storage.errors import ConfigError, InputError, WorkFailedError
from storage.ids import Randomness
from storage.outcomes import Kept

FILE = '''
    import os
    import random

    import numpy as np
    from robosuite.controllers import load_composite_controller_config
    from robosuite.environments.manipulation.lift import Lift

    from generators.simulation.experts.lift import expert
    from generators.simulation.robots.panda import SIMULATED_PANDA, SIMULATED_PANDA_ABSOLUTE
    from generators.simulation.task.specification import Subtask, Task


    class OwnGenerator(Lift):
        """Draws the cube's size and place from generators of its own, and takes no seed."""

        def __init__(self, robots, controller_configs=None, has_renderer=False, has_offscreen_renderer=False,
                     use_camera_obs=False, hard_reset=False, ignore_done=True, control_freq=20):
            self.dice = np.random.default_rng()
            self.tools = {{"python": random.Random()}}
            super().__init__(robots, controller_configs=controller_configs, has_renderer=has_renderer,
                             has_offscreen_renderer=has_offscreen_renderer, use_camera_obs=use_camera_obs,
                             hard_reset=hard_reset, ignore_done=ignore_done, control_freq=control_freq)

        def _reset_internal(self):
            super()._reset_internal()
            address = self.sim.model.get_joint_qpos_addr(self.cube.joints[0])[0]
            self.sim.data.qpos[address] += 0.01 * self.dice.uniform(-1, 1) + 0.01 * self.tools["python"].uniform(-1, 1)


    class Clock(Lift):
        """Draws from the operating system: nothing can make it repeat itself."""

        def _reset_internal(self):
            super()._reset_internal()
            address = self.sim.model.get_joint_qpos_addr(self.cube.joints[0])[0]
            self.sim.data.qpos[address] += 1e-4 * os.urandom(1)[0]


    def absolute():
        config = load_composite_controller_config(robot="Panda")
        config["body_parts"]["right"] |= {{"input_type": "absolute"}}
        return config


    def object_poses(env):
        pose = np.eye(4)
        pose[:3, 3] = env.sim.data.body_xpos[env.cube_body_id]
        pose[:3, :3] = env.sim.data.body_xmat[env.cube_body_id].reshape(3, 3)
        return {{"cube": pose}}


    def signals(env):
        held = env._check_grasp(gripper=env.robots[0].gripper["right"], object_geoms=env.cube)
        return {{"held": held, "never": False}}


    TASKS = (
        Task(
            name="foreign",
            environment={environment},
            arguments={arguments},
            embodiment={embodiment},
            instruction={instruction!r},
            subtasks={{"arm": (
                Subtask(
                    name="grasp",
                    reference="cube",
                    termination_signal="held",
                    termination_offset=(2, 5),
                    check={check!r},
                ),
                Subtask(name="raise", reference="cube"),
            )}},
            object_poses=object_poses,
            signals=signals,
            horizon={horizon},
            expert=expert,
            sources="sources.hdf5",
        ),
    )
'''


def task_file(folder, **changes):
    chosen = {
        "environment": "Lift",
        "arguments": "{}",
        "embodiment": "SIMULATED_PANDA",
        "instruction": "lift it",
        "check": "held",
        "horizon": 200,
        **changes,
    }
    folder.mkdir(exist_ok=True)
    path = folder / "foreign.py"
    path.write_text(textwrap.dedent(FILE).format(**chosen))
    return str(path)


def with_sources(reference, episodes=2):
    task = find_task(reference)
    write_recordings(task.file.parent / "sources.hdf5", task, collect(task, episodes=episodes))
    return task


def first_kept(reference, attempts=6):
    stage = Multiply(MultiplyConfig(task=reference, size_px=0))
    (outcomes,) = stage([{"first_attempt": 0, "attempts": attempts, "keep_at_most": 1}], Randomness(0, "multiply"))
    return next(one.episode for one in outcomes if isinstance(one, Kept))


def assert_replays_exactly(episode):
    """In plain `env.step`, from what the provenance holds: the recorded states to the bit, then success."""
    made = rebuild(episode)
    for action, state in zip(made.actions, made.states, strict=True):
        np.testing.assert_array_equal(state_row(made.environment), state)
        made.environment.step(np.asarray(action, np.float64))
        made.environment.sim.step1()
    assert made.succeeded()


ENVIRONMENTS = {
    "another rate": {"arguments": "{'control_freq': 10}"},
    "a generator of its own, and no seed": {"environment": 'f"{__name__}:OwnGenerator"'},
    "a class instead of a name": {"environment": "Lift"},
}


@pytest.mark.parametrize("kind", list(ENVIRONMENTS))
def test_what_is_kept_replays_to_the_bit_in_plain_env_step(kind, tmp_path):
    reference = task_file(tmp_path / "task", **ENVIRONMENTS[kind])
    with_sources(reference)
    episode = first_kept(reference)
    assert episode.rate_hz == (10.0 if kind == "another rate" else 20.0)
    assert episode.provenance["env_args"]["env_kwargs"]["control_freq"] == episode.rate_hz
    assert_replays_exactly(episode)


def test_generators_of_an_environments_own_follow_from_the_seed_in_every_build(tmp_path):
    task = find_task(task_file(tmp_path / "task", environment='f"{__name__}:OwnGenerator"'))
    one, other = Scene(task), Scene(task)
    for seed in (3, 4):
        one.reset(seed)
        other.reset(seed)
        np.testing.assert_array_equal(state_row(one.environment), state_row(other.environment))


def test_an_environment_that_never_repeats_itself_is_refused_before_anything_is_made(tmp_path):
    sound = task_file(tmp_path / "sound")
    with_sources(sound)
    task_file(tmp_path / "sound", environment='f"{__name__}:Clock"')
    with pytest.raises(ConfigError, match=r"two resets with one seed differ.*operating system"):
        Multiply(MultiplyConfig(task=sound, size_px=0))


def test_absolute_targets_are_refused_under_an_embodiment_of_deltas(tmp_path):
    task = find_task(task_file(tmp_path / "task", arguments="{'controller_configs': absolute()}"))
    with pytest.raises(ConfigError, match=r"takes absolute positions in m.*'panda' declares.*PANDA_ABSOLUTE"):
        Scene(task)


def test_absolute_targets_have_an_embodiment_of_their_own(tmp_path):
    scene = Scene(find_task(task_file(tmp_path / "task", embodiment="SIMULATED_PANDA_ABSOLUTE")))
    before = scene.actuation.poses()["arm"]
    action = scene.actuation.action({"arm": before}, {"arm": np.array([-1.0])})
    targets, _ = scene.actuation.targets(action)
    np.testing.assert_allclose(targets["arm"], before, atol=1e-6)
    for _ in range(10):
        scene.step(action)
    np.testing.assert_allclose(scene.actuation.poses()["arm"][:3, 3], before[:3, 3], atol=5e-3)


def test_a_demonstration_with_one_state_more_is_read_and_a_malformed_one_is_left_out_by_name(tmp_path):
    reference = task_file(tmp_path / "task")
    task = with_sources(reference, episodes=3)
    path = task.file.parent / "sources.hdf5"
    with h5py.File(path, "r+") as file:
        longer, broken = file["data/demo_0"], file["data/demo_1"]
        states = np.concatenate([longer["states"], longer["states"][-1:]])
        del longer["states"]
        longer["states"] = states
        broken["actions"][3, 0] = np.nan
    read = read_source_file(path)
    assert [one.name for one in read.recordings] == ["demo_0", "demo_2"]
    assert list(read.left_out) == ["demo_1"]
    assert len(read.recordings[0].states) == len(read.recordings[0].actions)
    assert_replays_exactly(first_kept(reference))


def test_a_check_that_every_source_breaks_is_named_with_demonstration_and_step(tmp_path):
    reference = task_file(tmp_path / "task", check="never")
    task = with_sources(reference)
    with pytest.raises(InputError, match=r"demo_0: the check 'never' of arm.grasp does not hold at steps \d+ to \d+"):
        Multiply(MultiplyConfig(task=reference, size_px=0))
    found = check_task(task, tmp_path, video=False)
    assert sum("'never' of arm.grasp" in problem for problem in found.problems) == 2
    assert found.files


def test_a_job_that_never_succeeds_stops_early_and_says_why(tmp_path):
    reference = task_file(tmp_path / "task")
    with_sources(reference)
    stage = Multiply(MultiplyConfig(task=task_file(tmp_path / "task", horizon=3), size_px=0))
    items = [{"first_attempt": 100 * item, "attempts": 100, "keep_at_most": 1} for item in range(4)]
    with pytest.raises(WorkFailedError, match=r"0 of 73 attempts.*Causes: 73 x out of time.*pyramid sim check"):
        stage(items, Randomness(0, "multiply"))


def test_an_edited_task_file_is_other_work(tmp_path):
    reference = task_file(tmp_path / "task")
    with_sources(reference)
    before = MultiplyConfig(task=reference).inputs()
    assert MultiplyConfig(task=reference).inputs() == before
    task_file(tmp_path / "task", instruction="raise it")
    after = MultiplyConfig(task=reference).inputs()
    assert find_task(reference).instruction == "raise it"
    assert {name for name in before if before[name] != after[name]} == {"task_file"}


def test_a_trajectory_is_not_rebuilt_with_other_code(tmp_path):
    reference = task_file(tmp_path / "task")
    with_sources(reference)
    episode = first_kept(reference)
    task_file(tmp_path / "task", instruction="raise it")
    with pytest.raises(ConfigError, match="is not what episode"):
        rebuild(episode)


def test_an_expert_that_fails_says_where(tmp_path):
    task = find_task(task_file(tmp_path / "task"))

    def idle(env, rng):
        for _ in range(5):
            yield np.zeros(env.action_dim, np.float32)

    with pytest.raises(WorkFailedError, match=r"arm.grasp never ends: its signal 'held' never holds"):
        collect(replace(task, expert=idle), episodes=1)
