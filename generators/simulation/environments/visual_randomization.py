"""What varies in a tabletop scene from the seed without being built anew: colours, table and wall, light, cameras.

Everything is a field of the compiled model. `add_materials` puts the tables and walls to choose from into the scene
when it is built; `randomise` is a task's `visual_randomization`."""

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from robosuite.utils.mjcf_utils import new_element, xml_path_completion

TABLE_MATERIALS: Mapping[str, str] = {
    "table_light_wood": "light-wood",
    "table_dark_wood": "dark-wood",
    "table_gray_wood": "gray-woodgrain",
    "table_green_wood": "green-wood",
    "table_blue_wood": "blue-wood",
}
"""Material -> robosuite's texture."""
WALL_MATERIALS: Mapping[str, str] = {"wall_white": "white-plaster", "wall_yellow": "yellow-plaster"}


def add_materials(arena: Any) -> None:
    """Declare the materials in an arena's assets."""
    for material, texture in {**TABLE_MATERIALS, **WALL_MATERIALS}.items():
        file = xml_path_completion(f"textures/{texture}.png")
        arena.asset.append(new_element("texture", f"tex-{material}", file=file, type="2d"))
        look = {"texture": f"tex-{material}", "specular": "0.2", "shininess": "0.1", "reflectance": "0"}
        arena.asset.append(new_element("material", material, texuniform="true", texrepeat="2 2", **look))


def randomise(model: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a look for a compiled tabletop model (`mujoco.MjModel`); returns what was drawn."""
    drawn: dict[str, Any] = {
        "table": _choose_material(model, ("table_visual",), ["table_ceramic", *TABLE_MATERIALS], rng),
        "walls": _choose_material(model, _walls(model), ["walls_mat", *WALL_MATERIALS], rng),
    }
    drawn["colour_shift"] = _shift_colours(model, rng)
    drawn["light"] = _change_light(model, rng)
    drawn["camera_shift_m"] = _move_cameras(model, rng)
    return drawn


def _choose_material(model: Any, geoms: tuple[str, ...], materials: list[str], rng: np.random.Generator) -> str:
    name = str(rng.choice(materials))
    for geom in geoms:
        model.geom_matid[model.geom(geom).id] = model.material(name).id
    return name


def _walls(model: Any) -> tuple[str, ...]:
    names = (mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, index) for index in range(model.ngeom))
    return tuple(name for name in names if name and name.startswith("wall_"))


def _shift_colours(model: Any, rng: np.random.Generator) -> list[list[float]]:
    """Every free body gets a colour shift of its own, shared by its geoms."""
    shifts = []
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            shift = rng.uniform(-0.1, 0.1, 3)
            geoms = model.geom_bodyid == model.jnt_bodyid[joint]
            model.geom_rgba[geoms, :3] = np.clip(model.geom_rgba[geoms, :3] + shift, 0.02, 1.0)
            shifts.append(np.round(shift, 4).tolist())
    return shifts


def _change_light(model: Any, rng: np.random.Generator) -> dict[str, Any]:
    diffuse, ambient, warmth = rng.uniform(0.3, 0.9), rng.uniform(0.0, 0.15), rng.uniform(-0.08, 0.08)
    tint, shift = np.array([1 + warmth, 1.0, 1 - warmth]), rng.uniform(-0.4, 0.4, 2)
    model.light_diffuse[:] = diffuse * tint
    model.light_ambient[:] = ambient * tint
    model.light_dir[:, :2] += shift
    return {"diffuse": float(diffuse), "ambient": float(ambient), "warmth": float(warmth), "shift": shift.tolist()}


def _move_cameras(model: Any, rng: np.random.Generator) -> list[float]:
    shift, tilt = rng.uniform(-0.015, 0.015, 3), rng.uniform(-0.03, 0.03, 3)
    turn = np.array([1.0, *(tilt / 2)])
    turn /= np.linalg.norm(turn)
    for camera in range(model.ncam):
        model.cam_pos[camera] += shift
        before = model.cam_quat[camera].copy()
        mujoco.mju_mulQuat(model.cam_quat[camera], before, turn)
    return [float(value) for value in shift]
