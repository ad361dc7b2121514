"""Where the items of a tabletop scene stand: plain declarations, importable without a simulator."""

from dataclasses import dataclass

RIGHT_M, MIDDLE_M, LEFT_M = (-0.19, -0.28), (-0.18, 0.0), (-0.19, 0.28)
"""Places on the table (x forward, y to the robot's left) within reach of the right hand, both, and the left one."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """`name` of the catalogue as `key` of the scene, standing `at_m` on the table or `on` the item of that key."""

    key: str
    name: str
    at_m: tuple[float, float] = (0.0, 0.0)
    on: str = ""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far a reset moves things, uniformly to both sides: items on the table, and items on items."""

    x_m: float = 0.02
    y_m: float = 0.02
    yaw_rad: float = 0.15
    on_item_m: float = 0.01
    on_item_yaw_rad: float = 0.2


NARROW = Spread()
WIDE = Spread(x_m=0.045, y_m=0.035, yaw_rad=0.45, on_item_m=0.02, on_item_yaw_rad=0.5)
