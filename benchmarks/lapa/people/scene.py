"""A table with things on it, two hands of capsules and a head with a camera, as MuJoCo XML: another one for every seed.

Nothing is simulated: poses are written and drawn. All shapes and textures are made here, so no licence comes with them.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import zoom

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "little")
BONES = 4
"""Joints of a finger, from the palm to the tip; the tip only marks a place."""
TABLE_M = 0.75
TEXTURE_PX = 128
_ROOTS_M = {
    "thumb": (0.025, 0.035, -0.01),
    "index": (0.085, 0.030, 0.0),
    "middle": (0.090, 0.010, 0.0),
    "ring": (0.085, -0.010, 0.0),
    "little": (0.078, -0.030, 0.0),
}
_LENGTHS_M = {
    "thumb": (0.040, 0.032, 0.025),
    "index": (0.042, 0.025, 0.020),
    "middle": (0.046, 0.028, 0.021),
    "ring": (0.042, 0.026, 0.020),
    "little": (0.033, 0.020, 0.018),
}
_SKIN = np.array([[0.96, 0.80, 0.69], [0.87, 0.67, 0.53], [0.75, 0.53, 0.38], [0.55, 0.36, 0.25], [0.35, 0.22, 0.16]])
Drawn = NDArray[np.uint8]


def scene_xml(random: np.random.Generator, objects: int) -> tuple[str, dict[str, bytes]]:
    """The scene (free bodies `head`, `left`, `right` and `object0`.., hinges of fingers) and its textures by file."""
    textures = {f"texture{number}.png": _png(texture(random)) for number in range(4 + objects)}
    assets = "".join(
        f'<texture name="{name[:-4]}" type="2d" file="{name}"/><material name="{name[:-4]}" texture="{name[:-4]}"'
        f' texrepeat="{random.uniform(0.6, 2.0):.2f} {random.uniform(0.6, 2.0):.2f}" specular="0.1"/>'
        for name in textures
    )
    return (
        f'<mujoco><compiler angle="radian"/><visual><headlight ambient="{_grey(random, 0.2, 0.45)}"'
        f' diffuse="{_grey(random, 0.1, 0.4)}" specular="0 0 0"/>'
        '<map znear="0.01" zfar="20"/><quality shadowsize="512"/>'
        f'<global fovy="{random.uniform(50, 75):.1f}"/></visual><asset>{assets}</asset><worldbody>'
        f"{_room(random)}{''.join(_object(random, number) for number in range(objects))}"
        f"{''.join(_hand(random, side) for side in SIDES)}"
        '<body name="head"><freejoint/><inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'
        f'<camera name="head" fovy="{random.uniform(50, 75):.1f}"/></body></worldbody></mujoco>',
        textures,
    )


def texture(random: np.random.Generator, size_px: int = TEXTURE_PX) -> Drawn:
    """A surface (S, S, 3): two or three colours mixed by soft noise, sometimes with stripes or patches."""
    octaves = zip((4, 8, 16, 32), (1.0, 0.5, 0.3, 0.2), strict=True)
    noise = sum(
        weight * zoom(random.normal(size=(cells, cells)), size_px / cells, order=1) for cells, weight in octaves
    )
    mixed = 1 / (1 + np.exp(-noise * random.uniform(0.3, 2.5)))
    if random.random() < 0.3:
        along = np.add.outer(np.arange(size_px) * random.normal(), np.arange(size_px) * random.normal())
        mixed = 0.6 * mixed + 0.4 * (np.sin(along * random.uniform(0.05, 0.3)) > 0)
    low, high = _colour(random), _colour(random)
    picture = low + mixed[..., None] * (high - low) * random.uniform(0.2, 1.0)
    for _ in range(int(random.integers(0, 6)) if random.random() < 0.5 else 0):
        top, left = random.integers(0, size_px - 8, 2)
        high_px, wide_px = random.integers(8, size_px // 2, 2)
        picture[top : top + high_px, left : left + wide_px] = _colour(random)
    drawn: Drawn = (255 * picture.clip(0, 1)).astype(np.uint8)
    return drawn


def _room(random: np.random.Generator) -> str:
    """The table top, walls and floor around it, and a lamp."""
    lamp = random.uniform((-1, -1, 2), (1, 1, 3))
    walls = (
        ("0 0 -0.05", "6 6 0.05"),
        (f"{random.uniform(1.0, 3.0):.2f} 0 1.5", "0.05 6 3"),
        (f"0 {random.uniform(1.5, 3.0):.2f} 1.5", "6 0.05 3"),
        (f"0 {-random.uniform(1.5, 3.0):.2f} 1.5", "6 0.05 3"),
        (f"{-random.uniform(1.5, 3.0):.2f} 0 1.5", "0.05 6 3"),
    )
    shapes = "".join(
        f'<geom type="box" group="1" pos="{place}" size="{size}" material="texture{1 + number % 3}"/>'
        for number, (place, size) in enumerate(walls)
    )
    wide, deep = random.uniform((0.6, 0.4), (1.2, 0.7))
    return (
        f'<light pos="{_numbers(lamp)}" dir="{_numbers(-lamp + (0.3, 0, 0.7))}" diffuse="{_grey(random, 0.3, 0.8)}"'
        f' castshadow="{"true" if random.random() < 0.5 else "false"}"/>'
        f'<geom type="box" group="1" pos="0.35 0 {TABLE_M - 0.02}" size="{deep:.2f} {wide:.2f} 0.02"'
        f' material="texture0"/>{shapes}'
    )


def _object(random: np.random.Generator, number: int) -> str:
    kind = str(random.choice(["box", "cylinder", "ellipsoid", "capsule", "box"]))
    size = random.uniform(0.015, 0.05, 3) if kind in ("box", "ellipsoid") else random.uniform(0.015, 0.04, 2)
    look = f'material="texture{4 + number}"' if random.random() < 0.5 else f'rgba="{_numbers(_colour(random))} 1"'
    return (
        f'<body name="object{number}"><freejoint/><geom type="{kind}" group="1" size="{_numbers(size)}" {look}/></body>'
    )


def _hand(random: np.random.Generator, side: str) -> str:
    """A wrist with x along the fingers and z out of the back of the hand, forearm, palm and five fingers."""
    mirror = 1.0 if side == "right" else -1.0
    skin = _skin(random)
    sleeve = _colour(random) if random.random() < 0.6 else skin
    size = random.uniform(0.85, 1.15)
    fingers = "".join(_finger(random, side, name, mirror, size, skin) for name in FINGERS)
    return (
        f'<body name="{side}"><freejoint/>'
        f'<geom type="capsule" group="1" fromto="0 0 0 -0.08 0 0.005" size="0.027" rgba="{_numbers(skin)} 1"/>'
        f'<geom type="capsule" group="1" fromto="-0.07 0 0.005 -0.55 {-0.06 * mirror:.3f} -0.02"'
        f' size="{random.uniform(0.032, 0.048):.3f}" rgba="{_numbers(sleeve)} 1"/>'
        f'<geom type="ellipsoid" group="1" pos="0.045 0 0" size="{0.055 * size:.3f} {0.042 * size:.3f} 0.016"'
        f' rgba="{_numbers(skin)} 1"/>{fingers}</body>'
    )


def _finger(
    random: np.random.Generator, side: str, name: str, mirror: float, size: float, skin: NDArray[np.float64]
) -> str:
    """A chain of bodies, one a joint; the last is the tip."""
    forward, across, up = _ROOTS_M[name]
    thick = (0.011 if name == "thumb" else 0.009) * size
    turn = f' euler="0 0 {0.7 * mirror:.2f}"' if name == "thumb" else ""
    xml, ends = "", ""
    place = (forward * size, across * mirror * size, up)
    for bone, length in enumerate((*_LENGTHS_M[name], 0.0)):
        xml += f'<body name="{side}_{name}{bone}" pos="{_numbers(place)}"{turn if bone == 0 else ""}>'
        if length:
            xml += (
                f'<joint name="{side}_{name}{bone}" type="hinge" axis="0 1 0"/>'
                f'<geom type="capsule" group="1" fromto="0 0 0 {length * size:.4f} 0 0"'
                f' size="{thick * (1 - 0.1 * bone):.4f}" rgba="{_numbers(skin)} 1"/>'
            )
        place = (length * size, 0.0, 0.0)
        ends += "</body>"
    return xml + ends


def _skin(random: np.random.Generator) -> NDArray[np.float64]:
    """The colour of a person's hand, or now and then of a glove."""
    if random.random() < 0.25:
        return _colour(random)
    between = random.uniform(0, len(_SKIN) - 1)
    low = int(between)
    mixed: NDArray[np.float64] = _SKIN[low] + (between - low) * (_SKIN[min(low + 1, len(_SKIN) - 1)] - _SKIN[low])
    return (mixed + random.normal(scale=0.02, size=3)).clip(0, 1)


def _colour(random: np.random.Generator) -> NDArray[np.float64]:
    grey, tint = random.uniform(0.05, 0.95), random.normal(scale=0.13, size=3)
    colour: NDArray[np.float64] = (grey + tint).clip(0, 1)
    return colour


def _grey(random: np.random.Generator, low: float, high: float) -> str:
    return _numbers(np.full(3, random.uniform(low, high)))


def _numbers(values: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _png(picture: Drawn) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
