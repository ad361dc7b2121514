"""A cabinet with one drawer and a carton beside it: open the drawer, put the carton in, close the drawer."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from robosuite.models.objects import BoxObject, CompositeBodyObject, MujocoObject
from robosuite.utils.mjcf_utils import CustomMaterial

from generators.simulation.environments.box_furniture import Board, boxwork
from generators.simulation.environments.two_hands_at_table import TABLE_TOP_M, Range, TwoHandsAtTable

TRAVEL_M = 0.19
"""How far the drawer slides out, along -x of the cabinet."""
CLOSED_M = 0.02
BAR_IN_DRAWER_M = (-0.212, 0.0, 0.120)
PLACE_IN_DRAWER_M = (-0.035, 0.0, 0.03)
"""The middle of the part of the drawer's floor that is uncovered when it is open."""
CARTON_HALF_M = (0.040, 0.0225, 0.050)

_CABINET = (
    Board(name="bottom", half_size_m=(0.13, 0.15, 0.005), centre_m=(0, 0, 0.005), material="WoodDark"),
    Board(name="left", half_size_m=(0.13, 0.008, 0.085), centre_m=(0, 0.150, 0.095), material="WoodDark"),
    Board(name="right", half_size_m=(0.13, 0.008, 0.085), centre_m=(0, -0.150, 0.095), material="WoodDark"),
    Board(name="back", half_size_m=(0.008, 0.142, 0.085), centre_m=(0.122, 0, 0.095), material="WoodDark"),
    Board(name="top", half_size_m=(0.13, 0.158, 0.008), centre_m=(0, 0, 0.188), material="WoodDark"),
)
_DRAWER = (
    Board(name="floor", half_size_m=(0.115, 0.130, 0.005), centre_m=(-0.008, 0, 0.019), material="WoodLight"),
    Board(name="left", half_size_m=(0.115, 0.005, 0.035), centre_m=(-0.008, 0.130, 0.054), material="WoodLight"),
    Board(name="right", half_size_m=(0.115, 0.005, 0.035), centre_m=(-0.008, -0.130, 0.054), material="WoodLight"),
    Board(name="back", half_size_m=(0.005, 0.125, 0.035), centre_m=(0.102, 0, 0.054), material="WoodLight"),
    Board(name="panel", half_size_m=(0.008, 0.150, 0.063), centre_m=(-0.140, 0, 0.078), material="WoodLight"),
    Board(name="post0", half_size_m=(0.032, 0.007, 0.007), centre_m=(-0.180, 0.075, 0.120), material="SteelBrushed"),
    Board(name="post1", half_size_m=(0.032, 0.007, 0.007), centre_m=(-0.180, -0.075, 0.120), material="SteelBrushed"),
    Board(name="bar", half_size_m=(0.009, 0.082, 0.009), centre_m=BAR_IN_DRAWER_M, material="SteelBrushed"),
)
_SLIDE = {
    "name": "drawer_slide",
    "type": "slide",
    "axis": "-1 0 0",
    "limited": "true",
    "range": f"0 {TRAVEL_M}",
    "damping": "8.0",
    "frictionloss": "1.0",
}


class DrawerCleanup(TwoHandsAtTable):
    """Success: the carton lies in the drawer and the drawer is closed to within 2 cm."""

    default_ranges: ClassVar[Mapping[str, Range]] = {
        "cabinet": Range(x=(0.20, 0.24), y=(-0.11, -0.05), yaw=(-0.10, 0.10)),
        "carton": Range(x=(-0.18, -0.06), y=(0.20, 0.30), yaw=(-0.35, 0.35)),
    }

    def _make_objects(self) -> list[MujocoObject]:
        shell = boxwork("shell", _CABINET, density=6000.0, joints=None)
        drawer = boxwork("drawer", _DRAWER, density=400.0, joints=None)
        self.cabinet = CompositeBodyObject(
            name="cabinet",
            objects=[shell, drawer],
            object_locations=[np.zeros(3), np.zeros(3)],
            body_joints={drawer.root_body: [dict(_SLIDE)]},
        )
        red = CustomMaterial(
            texture="WoodRed", tex_name="carton_texture", mat_name="carton_material", tex_attrib={"type": "cube"}
        )
        self.carton = BoxObject(name="carton", size=list(CARTON_HALF_M), density=200.0, material=red)
        return [self.cabinet, self.carton]

    def _place_objects(self, rng: np.random.Generator) -> None:
        x, y, yaw = self.ranges["cabinet"].draw(rng)
        self.place(self.cabinet, (x, y, TABLE_TOP_M), yaw)
        x, y, yaw = self.ranges["carton"].draw(rng)
        self.place(self.carton, (x, y, TABLE_TOP_M + CARTON_HALF_M[2]), yaw)

    @property
    def drawer_body(self) -> str:
        return "cabinet_drawer_root"

    @property
    def drawer_open_m(self) -> float:
        """How far the drawer is out."""
        return float(self.sim.data.get_joint_qpos("cabinet_drawer_slide"))

    @property
    def carton_in_drawer(self) -> bool:
        """The middle of the carton is between the drawer's walls and no higher than lying on its floor."""
        middle = self.sim.data.body_xpos[self.sim.model.body_name2id(self.carton.root_body)]
        x, y, z = self.position_in(self.drawer_body, middle)
        return bool(-0.13 < x < 0.10 and abs(y) < 0.125 and 0.0 < z < 0.10)

    def _check_success(self) -> bool:
        return self.carton_in_drawer and self.drawer_open_m < CLOSED_M
