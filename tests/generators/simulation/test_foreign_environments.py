"""Other people's environments: what they really do is what is recorded, or they are refused with the cause."""

import textwrap
from dataclasses import dataclass, replace
from itertools import product

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.simulation.demonstrations.collect import collect
from generators.simulation.demonstrations.rebuild import rebuild
from generators.simulation.demonstrations.recordings import (
    collected_path,
    read_source_file,
    source_path,
    write_recordings,
)
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
    from scipy.spatial.transform import Rotation
    from robosuite.controllers import load_composite_controller_config
    from robosuite.environments.manipulation.lift import Lift

    from generators.simulation.experts import lift
    from generators.simulation.experts.waypoints import Milestones, ScriptedArm, play
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


    class AbsoluteArm(ScriptedArm):
        """Says where to go instead of how far, in the frame of the robot's base."""

        def action(self):
            origin, turned = self._controller.origin_pos, self._controller.origin_ori.T
            turn = Rotation.from_matrix(turned @ self.target_in_world[:3, :3]).as_rotvec()
            return np.concatenate([turned @ (self.target_in_world[:3, 3] - origin), turn, self.gripper])


    def absolute_expert(env, rng):
        arm = AbsoluteArm(env, 0)
        grasp = lift.grasp_on_cube(arm, lift.cube_pose(env, env.cube_body_id))
        yield from play([arm], [lift._lift(arm, grasp, speed_m_s=0.25, height_m=0.12)], Milestones())


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
            expert={expert},
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
        "expert": "lift.expert",
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


def append_a_state(path, name):
    """T + 1 states beside T actions, as several recorders write them."""
    with h5py.File(path, "r+") as file:
        states = file.pop(f"data/{name}/states")[:]
        file[f"data/{name}/states"] = np.concatenate([states, states[-1:]])


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


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """One way in which somebody's environment, controller, recorder and task may be."""

    actions: str
    rate_hz: int
    own_generator_and_no_seed: bool
    one_state_more: bool
    check: str

    def file(self, folder):
        absolute = self.actions != "deltas"
        controllers = ", 'controller_configs': absolute()" if self.actions == "absolute, said to be deltas" else ""
        return task_file(
            folder,
            environment='f"{__name__}:OwnGenerator"' if self.own_generator_and_no_seed else "Lift",
            arguments=f"{{'control_freq': {self.rate_hz}{controllers}}}",
            embodiment="SIMULATED_PANDA_ABSOLUTE" if self.actions == "absolute" else "SIMULATED_PANDA",
            expert="absolute_expert" if absolute else "lift.expert",
            check=self.check,
        )


KINDS = {
    "actions": ("deltas", "absolute", "absolute, said to be deltas"),
    "rate_hz": (10, 20, 25),
    "own_generator_and_no_seed": (False, True),
    "one_state_more": (False, True),
    "check": ("held", "never"),
}
EVERY_STRANGER = [Stranger(**dict(zip(KINDS, values, strict=True))) for values in product(*KINDS.values())]


def assert_replayed_exactly_or_refused_with_the_cause(stranger, folder):
    reference = stranger.file(folder)
    if stranger.actions == "absolute, said to be deltas":
        with pytest.raises(ConfigError, match=r"takes absolute positions in m.*'panda' declares.*PANDA_ABSOLUTE"):
            with_sources(reference, episodes=1)
        return
    path = with_sources(reference, episodes=1).file.parent / "sources.hdf5"
    if stranger.one_state_more:
        append_a_state(path, "demo_0")
    if stranger.check == "never":
        with pytest.raises(InputError, match=r"demo_0: the check 'never' of arm.grasp does not hold at steps \d+ to"):
            first_kept(reference)
        return
    episode = first_kept(reference)
    assert episode.embodiment == ("panda_absolute" if stranger.actions == "absolute" else "panda")
    assert episode.rate_hz == stranger.rate_hz
    known = episode.provenance["env_args"]
    assert known["env_kwargs"]["control_freq"] == stranger.rate_hz
    assert known["env_name"] == "Lift" or known["env_name"].endswith(":OwnGenerator")
    assert_replays_exactly(episode)


@given(stranger=st.builds(Stranger, **{name: st.sampled_from(values) for name, values in KINDS.items()}))
@settings(max_examples=4, deadline=None)
def test_whatever_a_stranger_brings_is_replayed_to_the_bit_or_refused_with_the_cause(stranger, tmp_path_factory):
    assert_replayed_exactly_or_refused_with_the_cause(stranger, tmp_path_factory.mktemp("stranger"))


@pytest.mark.slow
@pytest.mark.parametrize("stranger", EVERY_STRANGER, ids=str)
def test_every_stranger_is_replayed_to_the_bit_or_refused_with_the_cause(stranger, tmp_path):
    assert_replayed_exactly_or_refused_with_the_cause(stranger, tmp_path / "task")


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
        file["data/demo_1/actions"][3, 0] = np.nan
    append_a_state(path, "demo_0")
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


def test_demonstrations_go_where_the_task_will_look_for_them(tmp_path):
    task = find_task(task_file(tmp_path / "task"))
    assert collected_path(task) == tmp_path / "task" / "sources.hdf5"
    assert collected_path(replace(task, sources=None)) == tmp_path / "task" / "foreign.hdf5"
    assert collected_path(find_task("stack")) == source_path(find_task("stack"))


def test_an_expert_that_fails_says_where(tmp_path):
    task = find_task(task_file(tmp_path / "task"))

    def idle(env, rng):
        for _ in range(5):
            yield np.zeros(env.action_dim, np.float32)

    with pytest.raises(WorkFailedError, match=r"arm.grasp never ends: its signal 'held' never holds"):
        collect(replace(task, expert=idle), episodes=1)
