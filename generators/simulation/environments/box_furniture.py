"""Furniture and trays: bodies put together from boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from robosuite.models.objects import CompositeObject
from robosuite.utils.mjcf_utils import CustomMaterial

Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One box, in the frame of the body that it belongs to; `material` names one of robosuite's textures."""

    name: str
    half_size_m: Vector
    centre_m: Vector
    material: str


def boxwork(name: str, boards: Sequence[Board], *, density: float, joints: Any = "default") -> CompositeObject:
    """One rigid body made of boards; `joints` as robosuite takes them (a free joint by default, None for none)."""
    halves = np.array([board.half_size_m for board in boards])
    centres = np.array([board.centre_m for board in boards])
    body = CompositeObject(
        name=name,
        total_size=np.abs(centres).max(axis=0) + halves.max(axis=0),
        geom_types=["box"] * len(boards),
        geom_sizes=list(halves),
        geom_locations=list(centres),
        geom_names=[board.name for board in boards],
        geom_materials=[_material_name(board.material) for board in boards],
        geom_frictions=[(1.0, 0.005, 0.0001)] * len(boards),
        density=density,
        locations_relative_to_center=True,
        joints=joints,
    )
    for texture in sorted({board.material for board in boards}):
        body.append_material(_material(texture))
    return body


def _material_name(texture: str) -> str:
    return f"{texture.lower()}_material"


def _material(texture: str) -> CustomMaterial:
    look: Mapping[str, str] = {"texrepeat": "1 1", "specular": "0.4", "shininess": "0.1"}
    return CustomMaterial(
        texture=texture,
        tex_name=f"{texture.lower()}_texture",
        mat_name=_material_name(texture),
        tex_attrib={"type": "cube"},
        mat_attrib=dict(look),
    )
