"""The tabletop suite's things and receptacles, declared as data: solids, colours, and how a hand takes or fills them.

A new thing or receptacle is one entry here; the environment builds it, the expert reads its grasp, the success check
reads its inside. Lengths in metres, angles in rad, quaternions wxyz, colours RGB. A thing's origin is where a hand
closes around it; a receptacle's origin is the middle of its underside."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Shape = Literal["box", "cylinder", "ellipsoid", "sphere", "capsule"]
Triple = tuple[float, float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Solid:
    """One geom: `size_m` are MuJoCo's half sizes. It is seen and collides, or ("visual", "collision") one of both."""

    shape: Shape
    size_m: tuple[float, ...]
    position_m: Triple = (0.0, 0.0, 0.0)
    quaternion_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    colour: Colour = (0.7, 0.7, 0.7)
    role: Literal["all", "visual", "collision"] = "all"


POWER_GRASP_RAD = (1.5, 1.5, 1.5, 1.5, 1.2, 1.74)
"""Hand command (pinky, ring, middle, index, thumb bend, thumb yaw) that closes all fingers around a thing."""


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """How one hand takes a thing. The palm faces it from the side (`tilt_rad` 0) or from above (pi/2); `radius_m` is
    half of the thing's width between palm and fingers, `along_m` how far in front of the wrist it sits."""

    tilt_rad: float
    radius_m: float
    along_m: float = 0.095
    height_m: float = 0.0
    close_rad: tuple[float, ...] = POWER_GRASP_RAD


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that is rearranged. `bottom_m` is how far its underside lies below its origin; `spin_damping` stands
    for the resistance to rolling and rocking, without which a fruit in a dish never comes to rest. A thing that is
    `scene_only` is never chosen as a distractor."""

    name: str
    text: str
    solids: tuple[Solid, ...]
    bottom_m: float
    grasp: Grasp
    mass_kg: float = 0.15
    friction: Triple = (1.2, 0.02, 0.002)
    spin_damping: float = 0.001
    scene_only: bool = False

    @property
    def top_m(self) -> float:
        """How far the highest point lies above the origin."""
        return max(solid.position_m[2] + _half_height(solid) for solid in self.solids)


def _half_height(solid: Solid) -> float:
    """Half the extent along z of a solid that is not turned."""
    if solid.shape == "capsule":
        return solid.size_m[0] + solid.size_m[1]
    return solid.size_m[-1]


@dataclass(frozen=True, kw_only=True)
class Receptacle:
    """Something that things are taken from and put on or into. `inside_m` is the half size (x, y) of the area that
    counts, or one radius; `floor_m` the height at which things rest, `wall_m` the height of its rim. A footprint is a
    radius."""

    name: str
    text: str
    solids: tuple[Solid, ...]
    inside_m: tuple[float, ...]
    floor_m: float
    wall_m: float
    footprint_m: tuple[float, float]
    mass_kg: float = 1.0
    friction: Triple = (1.0, 0.01, 0.001)

    @property
    def preposition(self) -> str:
        """How one speaks of a thing there: "in" behind a wall of 3 cm, else "on"."""
        return "in" if self.wall_m - self.floor_m >= 0.03 else "on"


def ring(
    radius_m: float, *, height_m: float, bottom_m: float, colour: Colour, count: int = 16, flare_rad: float = 0.0
) -> tuple[Solid, ...]:
    """A round wall of boxes, leaning outward by `flare_rad`."""
    width = radius_m * math.tan(math.pi / count) * 1.1
    solids = []
    for index in range(count):
        angle = 2 * math.pi * index / count
        half_z, half_y = (math.cos(angle / 2), math.sin(angle / 2)), (math.cos(flare_rad / 2), math.sin(flare_rad / 2))
        # turn by `angle` about z after leaning by `flare_rad` about y
        quaternion = (half_z[0] * half_y[0], -half_z[1] * half_y[1], half_z[0] * half_y[1], half_z[1] * half_y[0])
        position = (radius_m * math.cos(angle), radius_m * math.sin(angle), bottom_m + height_m / 2)
        size = (0.003, width, height_m / 2)
        solids.append(Solid(shape="box", size_m=size, position_m=position, quaternion_wxyz=quaternion, colour=colour))
    return tuple(solids)


def walls(
    half_x_m: float, half_y_m: float, *, height_m: float, thickness_m: float, colour: Colour
) -> tuple[Solid, ...]:
    """Four upright walls around a rectangle. They end just above the ground: what touches it costs contacts."""
    half, thin, middle = height_m / 2 - 0.001, thickness_m / 2, height_m / 2 + 0.001
    long_x, long_y = (half_x_m, thin, half), (thin, half_y_m, half)
    return (
        Solid(shape="box", size_m=long_x, position_m=(0.0, half_y_m - thin, middle), colour=colour),
        Solid(shape="box", size_m=long_x, position_m=(0.0, thin - half_y_m, middle), colour=colour),
        Solid(shape="box", size_m=long_y, position_m=(half_x_m - thin, 0.0, middle), colour=colour),
        Solid(shape="box", size_m=long_y, position_m=(thin - half_x_m, 0.0, middle), colour=colour),
    )


def slab(half_x_m: float, half_y_m: float, *, height_m: float, bottom_m: float = 0.0, colour: Colour) -> Solid:
    """A flat box that lies at `bottom_m`."""
    return Solid(
        shape="box",
        size_m=(half_x_m, half_y_m, height_m / 2),
        position_m=(0.0, 0.0, bottom_m + height_m / 2),
        colour=colour,
    )


def disc(radius_m: float, *, height_m: float, bottom_m: float = 0.0, colour: Colour) -> Solid:
    """A flat cylinder that lies at `bottom_m`."""
    return Solid(
        shape="cylinder",
        size_m=(radius_m, height_m / 2),
        position_m=(0.0, 0.0, bottom_m + height_m / 2),
        colour=colour,
    )


def upright(radius_m: float, half_height_m: float, *, middle_m: float = 0.0, colour: Colour) -> tuple[Solid, ...]:
    """A standing cylinder on a square foot, which alone touches the ground: boxes on boxes cost a fraction of what a
    cylinder on a box does."""
    gap, foot = 0.003, 0.7 * radius_m
    whole, above = (0.0, 0.0, middle_m), (0.0, 0.0, middle_m + gap)
    under = (0.0, 0.0, middle_m - half_height_m + gap)
    return (
        Solid(shape="cylinder", size_m=(radius_m, half_height_m), position_m=whole, colour=colour, role="visual"),
        Solid(shape="cylinder", size_m=(radius_m, half_height_m - gap), position_m=above, role="collision"),
        Solid(shape="box", size_m=(foot, foot, gap), position_m=under, role="collision"),
    )


def dish(radius_m: float, *, height_m: float, colour: Colour) -> tuple[Solid, ...]:
    """A flat round bottom on a square foot."""
    foot = 0.6 * radius_m
    return (
        disc(radius_m, height_m=height_m - 0.001, bottom_m=0.001, colour=colour),
        Solid(shape="box", size_m=(foot, foot, 0.0015), position_m=(0.0, 0.0, 0.0015), role="collision"),
    )


_WOOD, _DARK_WOOD, _WHITE, _BLUE = (0.72, 0.53, 0.34), (0.45, 0.3, 0.2), (0.93, 0.93, 0.9), (0.25, 0.4, 0.65)
_WICKER, _STEEL, _CARD, _CLOTH = (0.66, 0.48, 0.26), (0.32, 0.33, 0.36), (0.76, 0.6, 0.42), (0.35, 0.55, 0.45)

SIDE, ABOVE = 0.0, 1.0
"""Tilts of the palm: from the side; from above, with the thumb away from the table's edge."""

_THINGS = (
    Thing(
        name="apple",
        text="apple",
        solids=(
            Solid(shape="ellipsoid", size_m=(0.036, 0.036, 0.034), colour=(0.75, 0.12, 0.1)),
            Solid(
                shape="cylinder",
                size_m=(0.002, 0.008),
                position_m=(0.0, 0.0, 0.038),
                colour=(0.3, 0.2, 0.1),
                role="visual",
            ),
        ),
        bottom_m=0.034,
        grasp=Grasp(tilt_rad=ABOVE, radius_m=0.036),
    ),
    Thing(
        name="orange",
        text="orange",
        solids=(Solid(shape="ellipsoid", size_m=(0.037, 0.037, 0.035), colour=(0.95, 0.55, 0.1)),),
        bottom_m=0.035,
        grasp=Grasp(tilt_rad=ABOVE, radius_m=0.037),
    ),
    Thing(
        name="lemon",
        text="lemon",
        solids=(
            Solid(shape="ellipsoid", size_m=(0.033, 0.04, 0.033), colour=(0.95, 0.85, 0.2)),
            Solid(shape="sphere", size_m=(0.01,), position_m=(0.0, 0.037, 0.0), colour=(0.9, 0.8, 0.2), role="visual"),
        ),
        bottom_m=0.033,
        grasp=Grasp(tilt_rad=ABOVE, radius_m=0.033),
    ),
    Thing(
        name="pear",
        text="pear",
        solids=(
            Solid(shape="ellipsoid", size_m=(0.035, 0.035, 0.034), colour=(0.7, 0.75, 0.25)),
            Solid(
                shape="ellipsoid", size_m=(0.02, 0.02, 0.032), position_m=(0.0, 0.0, 0.034), colour=(0.72, 0.77, 0.28)
            ),
            Solid(shape="box", size_m=(0.018, 0.018, 0.004), position_m=(0.0, 0.0, -0.03), role="collision"),
        ),
        bottom_m=0.034,
        grasp=Grasp(tilt_rad=0.3, radius_m=0.033, height_m=0.014),
    ),
    Thing(
        name="sweet_potato",
        text="sweet potato",
        solids=(Solid(shape="ellipsoid", size_m=(0.032, 0.055, 0.03), colour=(0.62, 0.32, 0.22)),),
        bottom_m=0.03,
        grasp=Grasp(tilt_rad=ABOVE, radius_m=0.032),
    ),
    Thing(
        name="cube",
        text="wooden cube",
        solids=(Solid(shape="box", size_m=(0.028, 0.028, 0.028), colour=(0.8, 0.62, 0.38)),),
        bottom_m=0.028,
        grasp=Grasp(tilt_rad=ABOVE, radius_m=0.028),
        mass_kg=0.1,
    ),
    Thing(
        name="can",
        text="can",
        solids=(
            *upright(0.033, 0.055, colour=(0.75, 0.1, 0.12)),
            Solid(
                shape="cylinder",
                size_m=(0.03, 0.002),
                position_m=(0.0, 0.0, 0.055),
                colour=(0.8, 0.8, 0.82),
                role="visual",
            ),
        ),
        bottom_m=0.055,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.033),
    ),
    Thing(
        name="bottle",
        text="bottle",
        solids=(
            *upright(0.032, 0.06, colour=(0.1, 0.45, 0.3)),
            Solid(shape="cylinder", size_m=(0.014, 0.025), position_m=(0.0, 0.0, 0.085), colour=(0.1, 0.4, 0.28)),
            Solid(
                shape="cylinder",
                size_m=(0.016, 0.008),
                position_m=(0.0, 0.0, 0.115),
                colour=(0.9, 0.9, 0.9),
                role="visual",
            ),
        ),
        bottom_m=0.06,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.032),
    ),
    Thing(
        name="milk",
        text="milk carton",
        solids=(
            Solid(shape="box", size_m=(0.03, 0.03, 0.06), colour=(0.92, 0.94, 0.97)),
            Solid(
                shape="box",
                size_m=(0.0305, 0.0305, 0.015),
                position_m=(0.0, 0.0, 0.01),
                colour=(0.2, 0.4, 0.8),
                role="visual",
            ),
        ),
        bottom_m=0.06,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.03, along_m=0.09),
    ),
    Thing(
        name="cup",
        text="cup",
        solids=(
            *upright(0.035, 0.05, colour=(0.2, 0.5, 0.75)),
            Solid(
                shape="cylinder",
                size_m=(0.032, 0.002),
                position_m=(0.0, 0.0, 0.044),
                colour=(0.25, 0.15, 0.1),
                role="visual",
            ),
        ),
        bottom_m=0.05,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.035, height_m=0.006),
    ),
    Thing(
        name="thermos",
        text="thermos",
        solids=(
            *upright(0.03, 0.11, colour=(0.2, 0.25, 0.3)),
            Solid(
                shape="cylinder",
                size_m=(0.0305, 0.02),
                position_m=(0.0, 0.0, 0.091),
                colour=(0.75, 0.75, 0.78),
                role="visual",
            ),
        ),
        bottom_m=0.11,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.03, height_m=-0.055),
        scene_only=True,
    ),
    Thing(
        name="crate",
        text="crate",
        solids=(
            Solid(shape="box", size_m=(0.08, 0.09, 0.055), colour=(0.7, 0.5, 0.3)),
            Solid(
                shape="box",
                size_m=(0.081, 0.091, 0.008),
                position_m=(0.0, 0.0, 0.03),
                colour=(0.5, 0.33, 0.2),
                role="visual",
            ),
            Solid(
                shape="box",
                size_m=(0.081, 0.091, 0.008),
                position_m=(0.0, 0.0, -0.03),
                colour=(0.5, 0.33, 0.2),
                role="visual",
            ),
        ),
        bottom_m=0.055,
        grasp=Grasp(tilt_rad=SIDE, radius_m=0.09),
        mass_kg=0.4,
        scene_only=True,
    ),
)

_RECEPTACLES = (
    Receptacle(
        name="plate",
        text="plate",
        solids=(
            *dish(0.085, height_m=0.008, colour=_WHITE),
            *ring(0.09, height_m=0.014, bottom_m=0.003, colour=_BLUE, flare_rad=0.6),
        ),
        inside_m=(0.085,),
        floor_m=0.008,
        wall_m=0.017,
        footprint_m=(0.096, 0.096),
    ),
    Receptacle(
        name="bowl",
        text="bowl",
        solids=(
            *dish(0.065, height_m=0.008, colour=_BLUE),
            *ring(0.076, height_m=0.05, bottom_m=0.004, colour=_BLUE, flare_rad=0.4),
        ),
        inside_m=(0.08,),
        floor_m=0.008,
        wall_m=0.052,
        footprint_m=(0.09, 0.09),
    ),
    Receptacle(
        name="basket",
        text="basket",
        solids=(
            slab(0.1, 0.085, height_m=0.008, colour=_WICKER),
            *walls(0.1, 0.085, height_m=0.06, thickness_m=0.008, colour=_WICKER),
        ),
        inside_m=(0.092, 0.077),
        floor_m=0.008,
        wall_m=0.06,
        footprint_m=(0.1, 0.085),
    ),
    Receptacle(
        name="tray",
        text="tray",
        solids=(
            slab(0.12, 0.095, height_m=0.008, colour=_STEEL),
            *walls(0.12, 0.095, height_m=0.02, thickness_m=0.008, colour=_STEEL),
        ),
        inside_m=(0.112, 0.087),
        floor_m=0.008,
        wall_m=0.02,
        footprint_m=(0.12, 0.095),
    ),
    Receptacle(
        name="cutting_board",
        text="cutting board",
        solids=(slab(0.12, 0.09, height_m=0.018, colour=_WOOD),),
        inside_m=(0.12, 0.09),
        floor_m=0.018,
        wall_m=0.018,
        footprint_m=(0.12, 0.09),
    ),
    Receptacle(
        name="placemat",
        text="placemat",
        solids=(slab(0.12, 0.1, height_m=0.004, colour=_CLOTH),),
        inside_m=(0.12, 0.1),
        floor_m=0.004,
        wall_m=0.004,
        footprint_m=(0.12, 0.1),
    ),
    Receptacle(
        name="pan",
        text="pan",
        solids=(
            *dish(0.085, height_m=0.008, colour=_STEEL),
            *ring(0.09, height_m=0.032, bottom_m=0.004, colour=_STEEL, flare_rad=0.2),
            Solid(shape="box", size_m=(0.06, 0.01, 0.006), position_m=(0.15, 0.0, 0.028), colour=(0.1, 0.1, 0.1)),
        ),
        inside_m=(0.087,),
        floor_m=0.008,
        wall_m=0.036,
        footprint_m=(0.094, 0.094),
    ),
    Receptacle(
        name="cardboard_box",
        text="cardboard box",
        solids=(
            slab(0.095, 0.085, height_m=0.006, colour=_CARD),
            *walls(0.095, 0.085, height_m=0.08, thickness_m=0.006, colour=_CARD),
        ),
        inside_m=(0.089, 0.079),
        floor_m=0.006,
        wall_m=0.08,
        footprint_m=(0.095, 0.085),
    ),
    Receptacle(
        name="shelf",
        text="shelf",
        solids=(
            slab(0.1, 0.09, height_m=0.012, bottom_m=0.07, colour=_DARK_WOOD),
            *(
                Solid(shape="box", size_m=(0.1, 0.006, 0.035), position_m=(0.0, side * 0.084, 0.035), colour=_DARK_WOOD)
                for side in (-1, 1)
            ),
        ),
        inside_m=(0.1, 0.09),
        floor_m=0.082,
        wall_m=0.082,
        footprint_m=(0.1, 0.09),
        mass_kg=2.0,
    ),
)

THINGS: Mapping[str, Thing] = {thing.name: thing for thing in _THINGS}
RECEPTACLES: Mapping[str, Receptacle] = {receptacle.name: receptacle for receptacle in _RECEPTACLES}
