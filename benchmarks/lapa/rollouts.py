"""Closed-loop roll-outs of a picture policy in the generator's own scene."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.registry import find_task
from storage.embodiment import embodiment_named
from storage.errors import BrokenSimulationError

Act = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]
HELD_STEPS = 5


class Rollouts:
    """One scene, reset for every roll-out; close it at the end. `parts` are the parts of the state that the policy is
    given."""

    def __init__(self, task: str, placement: str, *, size_px: int, parts: Sequence[str], camera: str) -> None:
        self.scene = Scene(find_task(task), placement=placement)
        self.camera = camera
        self.renderer = Renderer(self.scene.model, Pictures(cameras=(camera,), width_px=size_px, height_px=size_px))
        spans = embodiment_named(self.scene.task.embodiment.name).state.slices()
        self.spans = [spans[part] for part in parts]

    def succeeds(self, act: Act, seed: int, horizon: int) -> bool:
        """Whether the task is done, and stays so for a few steps, within `horizon` steps from the start of `seed`."""
        self.scene.reset(seed)
        held = done = 0
        try:
            while done < horizon:
                for action in act(self._picture(), self._body()):
                    self.scene.step(self.scene.actuation.recorded(np.clip(action, -1, 1)))
                    done += 1
                    held = held + 1 if self.scene.task.success(self.scene.environment) else 0
                    if held == HELD_STEPS:
                        return True
        except BrokenSimulationError:
            return False
        return False

    def close(self) -> None:
        self.renderer.close()

    def _picture(self) -> NDArray[np.uint8]:
        data = self.scene.data
        state = np.concatenate([[data.time], data.qpos, data.qvel])
        return next(self.renderer.frames(state[None]))[self.camera].copy()

    def _body(self) -> NDArray[np.float32]:
        state = self.scene.task.embodiment.state(self.scene.environment)
        felt: NDArray[np.float32] = np.concatenate([state[span] for span in self.spans]).astype(np.float32)
        return felt
