"""A GR-1 at a table with receptacles and things on it, composed from the catalogue by name.

The scene is given as items: each a thing or receptacle of the catalogue under a key of its own ("object", "source",
...), standing at a place on the table or on another item. Distractors stand at the back; which ones is decided by the
environment's seed, where they stand and how many of them by each reset."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from robosuite.environments.manipulation.manipulation_env import ManipulationEnv
from robosuite.models.arenas import TableArena
from robosuite.models.objects import CompositeObject, MujocoObject
from robosuite.models.tasks import ManipulationTask
from robosuite.utils.mjcf_utils import new_element

from generators.simulation.environments import visual_randomization
from generators.simulation.environments.tabletop_catalog import RECEPTACLES, THINGS, Receptacle, Solid, Thing
from generators.simulation.environments.tabletop_layout import NARROW, Item, Spread
from generators.simulation.robots import gr1
from storage.errors import UnknownNameError

TABLE_TOP_M = 0.94
TABLE_SIZE_M = (0.8, 1.4, 0.05)
TABLE_CENTRE_M = (0.05, 0.0)
ROBOT_BASE_M = (-0.48, 0.0, 0.95)
EGO_CAMERA = "ego_view"
FRONT_CAMERA = "table_view"
_DISTRACTOR_AREA_M = ((0.16, 0.36), (-0.5, 0.5))
_PARKED_M = ((0.05, -0.3), (0.05, 0.0), (0.05, 0.3))
"""Under the table: where distractors wait that a reset does not show."""


class Tabletop(ManipulationEnv):  # type: ignore[misc]
    """The scene of `items`; success is that every (thing, receptacle) pair in `goals` holds, and hands are off the
    thing.

    `goals` maps the key of a thing to the key of the receptacle where it has to end up; an empty receptacle means the
    table. `distractors` is how many other things the model holds at most.
    """

    def __init__(
        self,
        robots: Any,
        *,
        items: Sequence[Item],
        goals: Mapping[str, str],
        spread: Spread | None = None,
        distractors: int = 2,
        use_object_obs: bool = True,
        **settings: Any,
    ) -> None:
        self.items = {item.key: item for item in items}
        self.goals = dict(goals)
        self.spread = spread or NARROW
        self.distractors = min(distractors, len(_PARKED_M))
        for key in {*self.goals, *(item.on for item in items if item.on), *filter(None, self.goals.values())}:
            if key not in self.items:
                raise UnknownNameError.among("item", key, self.items)
        super().__init__(robots=robots, **settings)

    def reward(self, action: Any = None) -> float:
        """1 when the task is solved, else 0."""
        return float(self._check_success())

    def pose(self, key: str) -> NDArray[np.float64]:
        """The 4x4 pose in the world of the item called `key`."""
        body = self._bodies[key]
        pose = np.eye(4)
        pose[:3, :3] = self.sim.data.body_xmat[body].reshape(3, 3)
        pose[:3, 3] = self.sim.data.body_xpos[body]
        return pose

    def thing(self, key: str) -> Thing:
        """What the catalogue says of the thing called `key`."""
        return THINGS[self.items[key].name]

    def receptacle(self, key: str) -> Receptacle:
        """What the catalogue says of the receptacle called `key`."""
        return RECEPTACLES[self.items[key].name]

    def held(self, key: str, side: str) -> bool:
        """Whether the thumb or palm and the fingers of one hand touch the item."""
        return bool(self._check_grasp(gripper=self.robots[0].gripper[side], object_geoms=self.objects[key]))

    def touched(self, key: str, side: str) -> bool:
        """Whether any part of one hand touches the item."""
        return bool(self.check_contact(self.robots[0].gripper[side], self.objects[key]))

    def height_above(self, key: str, support: str) -> float:
        """Height in metres of a thing's underside over the floor of a receptacle (of the table, for "")."""
        floor = self.pose(support)[2, 3] + self.receptacle(support).floor_m if support else TABLE_TOP_M
        return float(self.pose(key)[2, 3] - self._bottom(key) - floor)

    def rests_in(self, key: str, support: str) -> bool:
        """Whether a thing touches a receptacle (the table, for "") and its middle is within its inside, not moving."""
        if self.sim.data.qvel[self._velocity[key]][:3].__abs__().max() > 0.05:
            return False
        if not support:
            return bool(self.check_contact(self.objects[key], "table_collision"))
        inside, place = self.receptacle(support), np.linalg.inv(self.pose(support)) @ self.pose(key)[:, 3]
        if len(inside.inside_m) == 1:
            within = float(np.hypot(place[0], place[1])) <= inside.inside_m[0]
        else:
            within = abs(place[0]) <= inside.inside_m[0] and abs(place[1]) <= inside.inside_m[1]
        return bool(within and place[2] > 0 and self.check_contact(self.objects[key], self.objects[support]))

    def _check_success(self) -> bool:
        return all(
            self.rests_in(key, support) and not self.touched(key, "right") and not self.touched(key, "left")
            for key, support in self.goals.items()
        )

    def _bottom(self, key: str) -> float:
        name = self.items[key].name
        return THINGS[name].bottom_m if name in THINGS else 0.0

    def _load_model(self) -> None:
        super()._load_model()
        robot = self.robots[0].robot_model
        robot.set_base_xpos(np.array(ROBOT_BASE_M))
        _add_ego_camera(robot)
        arena = TableArena(table_full_size=TABLE_SIZE_M, table_offset=(*TABLE_CENTRE_M, TABLE_TOP_M))
        arena.set_origin([0, 0, 0])
        visual_randomization.add_materials(arena)
        arena.set_camera(FRONT_CAMERA, pos=(0.75, 0.0, 1.5), quat=(0.612, 0.354, 0.354, 0.612))
        self.objects: dict[str, MujocoObject] = {
            key: build(key, item.name, twists=item.name in THINGS) for key, item in self.items.items()
        }
        self._distractor_names = self._choose_distractors()
        for index, name in enumerate(self._distractor_names):
            self.objects[f"distractor{index}"] = build(f"distractor{index}", name, twists=False)
        self.model = ManipulationTask(
            mujoco_arena=arena, mujoco_robots=[robot], mujoco_objects=list(self.objects.values())
        )

    def _choose_distractors(self) -> list[str]:
        used = {item.name for item in self.items.values()}
        free = [name for name in THINGS if name not in used and not THINGS[name].scene_only]
        return [str(name) for name in self.rng.choice(free, size=self.distractors, replace=False)]

    def _setup_references(self) -> None:
        super()._setup_references()
        model = self.sim.model
        self._bodies = {key: model.body_name2id(thing.root_body) for key, thing in self.objects.items()}
        self._velocity = {
            key: slice(*model.get_joint_qvel_addr(thing.joints[0])) for key, thing in self.objects.items()
        }

    def _reset_internal(self) -> None:
        super()._reset_internal()
        if not self.deterministic_reset:
            self._place_robot()
            self._place_items()
            self._place_distractors()

    def _place_robot(self) -> None:
        for name, angle in zip(gr1.state_joints(), gr1.rest(), strict=True):
            noise = 0.0 if name.startswith("gripper") else self.rng.uniform(-0.02, 0.02)
            self.sim.data.set_joint_qpos(name, angle + noise)

    def _place_items(self) -> None:
        places = self._draw_places()
        for item in self.items.values():
            if item.on:
                support = self.receptacle(item.on)
                x, y, yaw = places[item.on]
                dx, dy = self.rng.uniform(-self.spread.on_item_m, self.spread.on_item_m, 2)
                turn = self.rng.uniform(-self.spread.on_item_yaw_rad, self.spread.on_item_yaw_rad)
                self._put(item.key, (x + dx, y + dy), yaw + turn, TABLE_TOP_M + support.floor_m)
            else:
                x, y, yaw = places[item.key]
                self._put(item.key, (x, y), yaw, TABLE_TOP_M)

    def _draw_places(self) -> dict[str, tuple[float, float, float]]:
        """(x, y, yaw) of every item that stands on the table, drawn anew until none overlap."""
        standing = [item for item in self.items.values() if not item.on]
        for _ in range(200):
            places = {item.key: self._draw_place(item) for item in standing}
            if not _overlap([(places[item.key], _footprint(item.name)) for item in standing]):
                return places
        return {item.key: (*item.at_m, 0.0) for item in standing}

    def _draw_place(self, item: Item) -> tuple[float, float, float]:
        spread = self.spread
        dx, dy, yaw = self.rng.uniform(-1, 1, 3) * (spread.x_m, spread.y_m, spread.yaw_rad)
        return float(item.at_m[0] + dx), float(item.at_m[1] + dy), float(yaw)

    def _place_distractors(self) -> None:
        shown = int(self.rng.integers(0, self.distractors + 1))
        (x_low, x_high), (y_low, y_high) = _DISTRACTOR_AREA_M
        columns = np.linspace(y_low, y_high, max(shown, 1) + 1)
        for index, name in enumerate(self._distractor_names):
            key, bottom = f"distractor{index}", THINGS[name].bottom_m
            if index < shown:
                y = self.rng.uniform(columns[index] + 0.08, columns[index + 1] - 0.08)
                self._put_free(key, (self.rng.uniform(x_low, x_high), y, TABLE_TOP_M + bottom), self.rng.uniform(-3, 3))
            else:
                self._put_free(key, (*_PARKED_M[index], bottom), 0.0)

    def _put(self, key: str, at_m: tuple[float, float], yaw_rad: float, floor_m: float) -> None:
        self._put_free(key, (*at_m, floor_m + self._bottom(key)), yaw_rad)

    def _put_free(self, key: str, position_m: Sequence[float], yaw_rad: float) -> None:
        turn = (np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2))
        x, y, z = position_m
        self.sim.data.set_joint_qpos(self.objects[key].joints[0], np.array([x, y, z + 0.001, *turn]))


def build(key: str, name: str, *, twists: bool = True) -> MujocoObject:
    """The robosuite object of a thing or receptacle of the catalogue, called `key`; raises UnknownNameError.

    A thing that `twists` has torsional friction, which a grasp needs and something that only stands there does not.
    """
    entry: Thing | Receptacle | None = THINGS.get(name) or RECEPTACLES.get(name)
    if entry is None:
        raise UnknownNameError.among("thing or receptacle", name, [*THINGS, *RECEPTACLES])
    volume = sum(_volume(solid) for solid in entry.solids if solid.role != "visual")
    solids, damping = entry.solids, entry.spin_damping if isinstance(entry, Thing) else 0.0
    return CompositeObject(
        name=key,
        total_size=np.max([np.abs(solid.position_m) + max(solid.size_m) for solid in solids], axis=0),
        geom_types=[solid.shape for solid in solids],
        geom_sizes=[np.array(solid.size_m) for solid in solids],
        geom_locations=[np.array(solid.position_m) for solid in solids],
        geom_quats=[np.array(solid.quaternion_wxyz) for solid in solids],
        geom_rgbas=[np.array([*solid.colour, 1.0]) for solid in solids],
        geom_frictions=[entry.friction] * len(solids),
        geom_condims=[4 if twists else 3] * len(solids),
        density=[entry.mass_kg / volume] * len(solids),
        obj_types=[solid.role for solid in solids],
        locations_relative_to_center=True,
        joints=[{"name": "joint0", "type": "free", "damping": str(damping)}],
    )


def _volume(solid: Solid) -> float:
    size = solid.size_m
    if solid.shape == "box":
        return 8.0 * float(np.prod(size))
    if solid.shape == "cylinder":
        return 2.0 * np.pi * size[0] ** 2 * size[1]
    if solid.shape == "capsule":
        return float(np.pi * size[0] ** 2 * (2.0 * size[1] + 4.0 / 3.0 * size[0]))
    return float(4.0 / 3.0 * np.pi * np.prod(size if len(size) == 3 else [size[0]] * 3))


def _footprint(name: str) -> tuple[float, float]:
    if name in RECEPTACLES:
        return RECEPTACLES[name].footprint_m
    radius = THINGS[name].grasp.radius_m
    return radius, radius


def _overlap(placed: list[tuple[tuple[float, float, float], tuple[float, float]]]) -> bool:
    """Whether two footprints, taken as boxes around their turned rectangles, come closer than 1 cm."""
    boxes = []
    for (x, y, yaw), (half_x, half_y) in placed:
        cosine, sine = abs(np.cos(yaw)), abs(np.sin(yaw))
        boxes.append((x, y, half_x * cosine + half_y * sine, half_x * sine + half_y * cosine))
    for index, (x, y, width, depth) in enumerate(boxes):
        for other_x, other_y, other_width, other_depth in boxes[index + 1 :]:
            apart_x, apart_y = abs(x - other_x) - width - other_width, abs(y - other_y) - depth - other_depth
            if max(apart_x, apart_y) < 0.01:
                return True
    return False


def _add_ego_camera(robot: Any) -> None:
    """A camera in the head that looks down at hands and table, as in GR00T's GR-1 data."""
    head = robot.worldbody.find(".//body[@name='robot0_head_pitch']")
    if head.find(f"camera[@name='{EGO_CAMERA}']") is None:
        camera = {"name": EGO_CAMERA, "mode": "fixed", "pos": "0.12 0 0.05", "fovy": "88"}
        head.append(new_element("camera", **camera, xyaxes="0 -1 0 0.8 0 0.6"))
