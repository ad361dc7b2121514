"""A task's environment at work: seeded soft resets, compiled control steps, snapshots."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.robots.action_check import check_actions
from generators.simulation.stepping import snapshot
from generators.simulation.stepping.build import build_environment, placement_of
from generators.simulation.stepping.randomness import is_foreign, reseed, reseed_hidden, seeded_defaults
from generators.simulation.stepping.snapshot import ModelState, Snapshot
from generators.simulation.stepping.step_loop import StepLoop
from generators.simulation.task.execution import Quality
from generators.simulation.task.specification import Action, Task
from storage.errors import BrokenSimulationError


class Scene:
    """One task's environment with one placement and model variant. Built once, reset for every attempt.

    Derived quantities (poses, contacts) are fresh whenever control returns from a method.
    """

    def __init__(self, task: Task, *, placement: str = "D0", variant: int = 0, quality: Quality = "fast") -> None:
        self.task, self.placement_name, self.variant, self.quality = task, placement, variant, quality
        self._placement = placement_of(task, placement)
        self.environment = build_environment(task, placement=placement, variant=variant, quality=quality)
        self.model_state = ModelState(self.model)
        self._reset(0)
        self.loop = StepLoop(self.environment, allow_compiled=task.stepping == "auto")
        self.actuation = task.embodiment.actuation(self.environment, task.embodiment.arms)
        check_actions(self.environment, task.embodiment, self.actuation)

    @property
    def model(self) -> mujoco.MjModel:
        return self.environment.sim.model._model

    @property
    def data(self) -> mujoco.MjData:
        return self.environment.sim.data._data

    @property
    def rate_hz(self) -> float:
        return float(self.environment.control_freq)

    def reset(self, seed: int) -> None:
        """A new initial scene that follows from `seed` alone, whatever happened before.

        Raises BrokenSimulationError when the environment fails to reset (no room for its objects, for example).
        """
        self._reset(seed)
        self.loop.rebind()

    def _reset(self, seed: int) -> None:
        environment, randomness = self.environment, np.random.default_rng(seed)
        self.model_state.put({})
        try:
            with seeded_defaults(seed):
                reseed(environment, randomness)
                if is_foreign(environment):
                    reseed_hidden(environment, seed)
                environment.reset()
                if self._placement.place:
                    self._placement.place(environment, randomness)
        except Exception as error:  # anybody's environment may raise anything; it costs one attempt
            raise BrokenSimulationError(f"the reset with seed {seed} raised {type(error).__name__}: {error}") from error
        self.data.time = 0.0
        self.data.qacc_warmstart[:] = 0.0
        self.data.ctrl[:] = 0.0
        for robot in environment.robots:
            for controller in robot.part_controllers.values():
                controller.new_update = True

    def step(self, action: Action) -> None:
        """One control step with an environment action; raises BrokenSimulationError."""
        self.loop.step(action)

    def snapshot(self) -> Snapshot:
        """The present moment, to go back to."""
        return snapshot.take(self.environment, self.model_state)

    def restore(self, moment: Snapshot) -> None:
        """Go back to a moment of this scene, or of another process's scene of the same task and variant."""
        snapshot.put(self.environment, self.model_state, moment)
        self.loop.rebind()

    def succeeded(self) -> bool:
        """Whether the task's success check holds now."""
        return bool(self.task.success(self.environment))


class Scenes:
    """The scenes of one task, each made when it is first asked for."""

    def __init__(self, task: Task, *, quality: Quality = "fast") -> None:
        self._task, self._quality = task, quality
        self._made: dict[tuple[str, int], Scene] = {}

    def __call__(self, placement: str, variant: int) -> Scene:
        key = (placement, variant)
        if key not in self._made:
            self._made[key] = Scene(self._task, placement=placement, variant=variant, quality=self._quality)
        return self._made[key]

    def keep_only(self, placement: str) -> None:
        """Let go of the scenes with another placement."""
        self._made = {key: scene for key, scene in self._made.items() if key[0] == placement}


def robot_geoms(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """Which geoms (ngeom,) belong to robots and their grippers."""
    names = [model.body(int(number)).name for number in model.geom_bodyid]
    return np.array([name.startswith(("robot", "gripper", "mobilebase")) for name in names])
