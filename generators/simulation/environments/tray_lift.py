"""A serving tray with a load on it, to be lifted level by both hands."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from robosuite.models.objects import BoxObject, MujocoObject
from robosuite.utils.mjcf_utils import CustomMaterial

from generators.simulation.environments.box_furniture import Board, boxwork
from generators.simulation.environments.two_hands_at_table import TABLE_TOP_M, Range, TwoHandsAtTable

BAR_OUT_M = 0.20
"""From the middle of the tray to the middle of a handle's bar, along the tray's y."""
BAR_UP_M = 0.115
LOAD_HALF_M = 0.025
LIFTED_M = 0.10
LEVEL_COSINE = np.cos(np.radians(20))
_INSIDE_M = (0.10, 0.15)

_WALLS = (
    Board(name="base", half_size_m=(0.115, 0.165, 0.006), centre_m=(0, 0, 0.006), material="WoodLight"),
    Board(name="front", half_size_m=(0.006, 0.165, 0.022), centre_m=(0.109, 0, 0.034), material="WoodDark"),
    Board(name="back", half_size_m=(0.006, 0.165, 0.022), centre_m=(-0.109, 0, 0.034), material="WoodDark"),
    Board(name="left", half_size_m=(0.115, 0.006, 0.022), centre_m=(0, 0.159, 0.034), material="WoodDark"),
    Board(name="right", half_size_m=(0.115, 0.006, 0.022), centre_m=(0, -0.159, 0.034), material="WoodDark"),
)


def _handle(side: str, sign: float) -> tuple[Board, ...]:
    """Two arms out of the wall, two posts up, and the bar that the hand takes."""
    material = "WoodBlue" if side == "left" else "WoodGreen"
    posts = tuple(
        Board(
            name=f"{side}_post{number}",
            half_size_m=(0.007, 0.007, 0.045),
            centre_m=(x, sign * BAR_OUT_M, 0.070),
            material=material,
        )
        for number, x in enumerate((-0.075, 0.075))
    )
    arms = tuple(
        Board(
            name=f"{side}_arm{number}",
            half_size_m=(0.007, 0.021, 0.007),
            centre_m=(x, sign * 0.186, 0.032),
            material=material,
        )
        for number, x in enumerate((-0.075, 0.075))
    )
    bar = Board(
        name=f"{side}_bar",
        half_size_m=(0.082, 0.009, 0.009),
        centre_m=(0, sign * BAR_OUT_M, BAR_UP_M),
        material=material,
    )
    return (*arms, *posts, bar)


class TrayLift(TwoHandsAtTable):
    """Success: the tray hangs level at least 10 cm above the table and its load is still in it."""

    default_ranges: ClassVar[Mapping[str, Range]] = {
        "tray": Range(x=(-0.12, -0.04), y=(-0.03, 0.03), yaw=(-0.25, 0.25)),
        "load": Range(x=(-0.05, 0.05), y=(-0.08, 0.08), yaw=(-np.pi, np.pi)),
    }

    def _make_objects(self) -> list[MujocoObject]:
        self.tray = boxwork("tray", (*_WALLS, *_handle("left", 1.0), *_handle("right", -1.0)), density=450.0)
        red = CustomMaterial(
            texture="WoodRed", tex_name="load_texture", mat_name="load_material", tex_attrib={"type": "cube"}
        )
        self.load = BoxObject(name="load", size=[LOAD_HALF_M] * 3, density=600.0, material=red)
        return [self.tray, self.load]

    def _place_objects(self, rng: np.random.Generator) -> None:
        x, y, yaw = self.ranges["tray"].draw(rng)
        self.place(self.tray, (x, y, TABLE_TOP_M), yaw)
        across, along, load_yaw = self.ranges["load"].draw(rng)
        load_x = x + np.cos(yaw) * across - np.sin(yaw) * along
        load_y = y + np.sin(yaw) * across + np.cos(yaw) * along
        self.place(self.load, (load_x, load_y, TABLE_TOP_M + 0.013 + LOAD_HALF_M), load_yaw)

    @property
    def load_in_tray(self) -> bool:
        """The middle of the load is between the walls and not far above the base."""
        load = self.sim.data.body_xpos[self.sim.model.body_name2id(self.load.root_body)]
        x, y, z = np.abs(self.position_in(self.tray.root_body, load))
        return bool(x < _INSIDE_M[0] and y < _INSIDE_M[1] and z < 0.08)

    @property
    def tray_height_m(self) -> float:
        """Of the middle of the tray's underside above the table."""
        return float(self.sim.data.body_xpos[self.sim.model.body_name2id(self.tray.root_body)][2] - TABLE_TOP_M)

    def _check_success(self) -> bool:
        tray = self.sim.model.body_name2id(self.tray.root_body)
        level = self.sim.data.body_xmat[tray].reshape(3, 3)[2, 2] > LEVEL_COSINE
        return bool(level and self.tray_height_m > LIFTED_M and self.load_in_tray)
