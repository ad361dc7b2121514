import numpy as np
import pytest
import robosuite.environments.base as base
from robosuite import load_composite_controller_config
from robosuite.environments.manipulation.lift import Lift

from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.step_loop import StepLoop
from generators.simulation.task.registry import find_task, tasks
from storage.errors import BrokenSimulationError

SETTINGS = {
    "has_renderer": False,
    "has_offscreen_renderer": False,
    "use_camera_obs": False,
    "hard_reset": False,
    "ignore_done": True,
    "renderer": "mujoco",
    "control_freq": 20,
    "seed": 0,
}
STEPS = 200


def made(name: str, robots: list[str], seed: int = 5, **arguments):
    environment = base.make(name, robots=robots, **{**SETTINGS, **arguments})
    environment.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    environment.reset()
    return environment


def random_actions(environment, steps: int) -> np.ndarray:
    """Motions that change their direction every half second, hard enough to run into things."""
    rng = np.random.default_rng(1)
    drift = np.repeat(rng.uniform(-0.5, 0.5, (steps // 10 + 1, environment.action_dim)), 10, axis=0)[:steps]
    return (drift + rng.uniform(-0.3, 0.3, drift.shape)).astype(np.float32)


def state(environment) -> np.ndarray:
    data = environment.sim.data
    return np.concatenate(([data.time], data.qpos, data.qvel))


def greatest_difference(name: str, robots: list[str], steps: int = STEPS) -> float:
    oracle, ours = made(name, robots), made(name, robots)
    loop = StepLoop(ours)
    assert loop.compiled, loop.reason
    apart = 0.0
    for action in random_actions(oracle, steps):
        oracle.step(action.astype(np.float64))
        loop.step(action)
        apart = max(apart, float(np.abs(state(oracle) - state(ours)).max()))
    return apart


@pytest.mark.parametrize(
    ("name", "robots"),
    [("Stack", ["Panda"]), ("TwoArmLift", ["Panda", "Panda"]), ("Lift", ["GR1ArmsOnly"])],
)
def test_states_equal_those_of_env_step_to_the_bit(name, robots):
    assert greatest_difference(name, robots) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "robots"),
    [
        ("TwoArmLift", ["PandaDexRH", "PandaDexLH"]),
        ("TwoArmTransport", ["Panda", "Panda"]),
        ("TwoArmPegInHole", ["Panda", "Panda"]),
        ("NutAssemblySquare", ["Sawyer"]),
        ("PickPlaceCan", ["Kinova3"]),
        ("Lift", ["IIWA"]),
        ("Lift", ["UR5e"]),
        ("Lift", ["Baxter"]),
        ("Door", ["Panda"]),
    ],
)
def test_states_equal_those_of_env_step_for_every_robot_with_known_controllers(name, robots):
    assert greatest_difference(name, robots) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(tasks()))
def test_every_task_is_stepped_compiled_and_as_env_step_does(name):
    task = find_task(name)
    ours, oracle = Scene(task), Scene(task)
    assert ours.loop.compiled == (task.stepping == "auto"), ours.loop.reason
    oracle.loop = StepLoop(oracle.environment, allow_compiled=False)
    for scene in (ours, oracle):
        scene.reset(3)
    still = {arm: pose.copy() for arm, pose in ours.actuation.poses().items()}
    hands = ours.actuation.targets(np.zeros(ours.environment.action_dim, np.float32))[1]
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        for pose in still.values():
            pose[:3, 3] += rng.normal(0, 0.01, 3)
        action = ours.actuation.action(still, hands)
        ours.step(action)
        oracle.step(action)
    np.testing.assert_allclose(state(ours.environment), state(oracle.environment), atol=1e-6)


def test_the_clock_of_the_environment_goes_on():
    environment = made("Lift", ["Panda"])
    loop = StepLoop(environment)
    for _ in range(3):
        loop.step(np.zeros(7, np.float32))
    assert environment.timestep == 3
    assert environment.cur_time == pytest.approx(0.15)
    assert environment.sim.data.time == pytest.approx(0.15)


class Windy(Lift):
    """Pushes the cube in a way that only `step` knows."""

    def step(self, action):
        self.sim.data.xfrc_applied[self.cube_body_id, 0] = 5.0
        return super().step(action)


class Raising(Lift):
    def reward(self, action=None):
        raise KeyError("no such reward")


def test_an_environment_with_a_step_of_its_own_is_stepped_by_it():
    environment = Windy(robots=["Panda"], **SETTINGS)
    environment.reset()
    loop = StepLoop(environment)
    assert loop.reason == "Windy overrides step"
    before = environment.sim.data.body_xpos[environment.cube_body_id][0]
    for _ in range(5):
        loop.step(np.zeros(7, np.float32))
    assert environment.sim.data.body_xpos[environment.cube_body_id][0] > before + 0.01


def test_an_unknown_controller_falls_back_and_says_which_part():
    config = load_composite_controller_config(robot="Panda")
    config["body_parts"]["right"]["impedance_mode"] = "variable"
    environment = made("Lift", ["Panda"], controller_configs=config)
    assert "part 'right'" in StepLoop(environment).reason


def test_an_environment_that_raises_ends_the_attempt_and_says_so():
    environment = Raising(robots=["Panda"], **SETTINGS)
    environment.reset()
    loop = StepLoop(environment, allow_compiled=False)
    with pytest.raises(BrokenSimulationError, match=r"env\.step raised KeyError"):
        loop.step(np.zeros(7, np.float32))


def test_physics_that_diverges_is_an_error_and_not_a_silent_reset():
    environment = made("Lift", ["Panda"])
    loop = StepLoop(environment)
    environment.sim.data.qvel[:] = 1e12
    with pytest.raises(BrokenSimulationError, match="diverged"):
        loop.step(np.zeros(7, np.float32))


def test_nan_in_the_positions_is_an_error():
    environment = made("Lift", ["Panda"])
    loop = StepLoop(environment)
    loop.step(np.zeros(7, np.float32))
    environment.sim.data.qpos[0] = np.nan
    with pytest.raises(BrokenSimulationError, match="diverged"):
        loop.step(np.zeros(7, np.float32))
