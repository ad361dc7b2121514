"""Pictures of recorded states, after the fact: each camera once, and only of what is kept.

Quality "fast" is for CPUs: no reflections, no multisampling, and decimated meshes. "full" is what robosuite draws.
Pictures are upright (row 0 at the top).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation import GRAPHICS
from generators.simulation.stepping.graphics_context import open_renderer
from generators.simulation.task.execution import Quality
from storage.errors import ConfigError, GraphicsError, UnknownNameError

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is drawn of every step."""

    cameras: tuple[str, ...]
    width_px: int = 128
    height_px: int = 128
    quality: Quality = "fast"

    def __post_init__(self) -> None:
        if not (16 <= self.width_px <= 4096 and 16 <= self.height_px <= 4096):
            raise ConfigError(f"pictures are 16 to 4096 px wide and high; got {self.width_px}x{self.height_px}")


class Renderer:
    """Draws the states of one model. Holds an OpenGL context: use it in the thread that made it, and close it."""

    def __init__(self, model: mujoco.MjModel, pictures: Pictures) -> None:
        self.model, self.pictures = model, pictures
        self._data = mujoco.MjData(model)
        self._cameras = {name: _camera(model, name) for name in pictures.cameras}
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, pictures.width_px)
        model.vis.global_.offheight = max(model.vis.global_.offheight, pictures.height_px)
        samples = model.vis.quality.offsamples
        if pictures.quality == "fast":
            model.vis.quality.offsamples = 0
        try:
            self._renderer = open_renderer(model, height_px=pictures.height_px, width_px=pictures.width_px)
        except (RuntimeError, ImportError, AttributeError, mujoco.FatalError) as error:
            raise GraphicsError(
                f"no headless graphics with MUJOCO_GL={GRAPHICS}: {error}; install libegl1 or"
                " libosmesa6 and set MUJOCO_GL to egl or osmesa (`pyramid doctor` tells what works), or draw nothing"
                " (size_px 0)"
            ) from error
        finally:
            model.vis.quality.offsamples = samples
        self._options = mujoco.MjvOption()
        self._options.geomgroup[:] = (0, 1, 0, 0, 0, 0)
        self._options.sitegroup[:] = 0
        flags = self._renderer.scene.flags
        if pictures.quality == "fast":
            flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    def frames(self, states: NDArray[np.float64]) -> Iterator[dict[str, Picture]]:
        """Camera -> picture (H, W, 3) for every state row (time, positions, velocities)."""
        model, data = self.model, self._data
        for state in states:
            data.qpos[:] = state[1 : 1 + model.nq]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_camlight(model, data)
            yield {name: self._draw(camera) for name, camera in self._cameras.items()}

    def _draw(self, camera: int) -> Picture:
        self._renderer.update_scene(self._data, camera=camera, scene_option=self._options)
        picture: Picture = self._renderer.render()
        return picture

    def close(self) -> None:
        self._renderer.close()


def _camera(model: mujoco.MjModel, name: str) -> int:
    known = [model.camera(index).name for index in range(model.ncam)]
    if name not in known:
        raise UnknownNameError.among("camera in the scene", name, known)
    return known.index(name)
