"""Embodiments: what the numbers of a state and an action vector mean, robot by robot.

A vector is stored whole; an embodiment names its slices. A new embodiment is one declaration, here or in a
user's own module: `register(Embodiment(...))`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from storage.errors import ConfigError, UnknownNameError

Quantity = Literal[
    "position",
    "position_delta",
    "rotation_6d",
    "axis_angle",
    "axis_angle_delta",
    "quaternion_wxyz",
    "euler_xyz",
    "joint",
    "gripper",
    "hand",
    "base",
    "latent",
]
_FIXED_SIZE: Mapping[str, int] = {
    "position": 3,
    "position_delta": 3,
    "rotation_6d": 6,
    "axis_angle": 3,
    "axis_angle_delta": 3,
    "quaternion_wxyz": 4,
    "euler_xyz": 3,
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A named slice of a vector. `unit` is SI (m, rad) or "1" for normalised commands; `limit` is the raw value
    that a command of 1 stands for, where the controller scales its input."""

    name: str
    size: int
    quantity: Quantity
    unit: str
    limit: float = 1.0

    def __post_init__(self) -> None:
        if self.quantity not in get_args(Quantity):
            raise UnknownNameError.among("quantity", self.quantity, get_args(Quantity))
        expected = _FIXED_SIZE.get(self.quantity, self.size)
        if self.size < 1 or self.size != expected:
            raise ConfigError(f"part {self.name!r}: {self.quantity} takes {max(expected, 1)} numbers; got {self.size}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of one vector, in order."""

    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ConfigError(f"part names of one vector must differ; got {names}")

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def slices(self) -> dict[str, slice]:
        """Part name -> its slice of the vector."""
        return {part.name: span for part, span in self}

    def __iter__(self) -> Iterator[tuple[Part, slice]]:
        start = 0
        for part in self.parts:
            yield part, slice(start, start + part.size)
            start += part.size


@dataclass(frozen=True, kw_only=True)
class Embodiment:
    """A body that acts: the layouts of its state and action vectors. Empty layouts mean "unknown"."""

    name: str
    description: str
    state: Layout = Layout()
    action: Layout = Layout()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Embodiment":
        """The inverse of `to_json`."""

        def layout(value: Mapping[str, Any]) -> Layout:
            return Layout(parts=tuple(Part(**part) for part in value["parts"]))

        return cls(
            name=record["name"],
            description=record["description"],
            state=layout(record["state"]),
            action=layout(record["action"]),
        )


EMBODIMENTS: dict[str, Embodiment] = {}


def register(new: Embodiment) -> Embodiment:
    """Make `new` known by its name. Declaring the same thing twice is fine, another thing is an error."""
    if EMBODIMENTS.setdefault(new.name, new) != new:
        raise ConfigError(f"embodiment {new.name!r} is declared already with other parts; choose another name")
    return new


def embodiment_named(name: str) -> Embodiment:
    """The embodiment called `name`; raises UnknownNameError."""
    try:
        return EMBODIMENTS[name]
    except KeyError:
        hint = "(declare your own with storage.embodiment.register)"
        raise UnknownNameError.among("embodiment", name, EMBODIMENTS, hint=hint) from None


def _joints(*parts: tuple[str, int], hands: tuple[tuple[str, int], ...] = ()) -> tuple[Part, ...]:
    arms = tuple(Part(name=name, size=size, quantity="joint", unit="rad") for name, size in parts)
    return arms + tuple(Part(name=name, size=size, quantity="hand", unit="rad") for name, size in hands)


_PANDA_GRIPPER = Part(name="gripper", size=2, quantity="gripper", unit="m")
_GRIPPER_COMMAND = Part(name="gripper", size=1, quantity="gripper", unit="1")
_INSPIRE_JOINTS = Part(name="hand", size=12, quantity="hand", unit="rad")
_INSPIRE_COMMAND = Part(name="hand", size=6, quantity="hand", unit="1")


def _panda_state(prefix: str = "", hand: Part | None = _PANDA_GRIPPER) -> tuple[Part, ...]:
    return (
        Part(name=f"{prefix}end_effector_position", size=3, quantity="position", unit="m"),
        Part(name=f"{prefix}end_effector_rotation", size=6, quantity="rotation_6d", unit="1"),
        *((replace(hand, name=prefix + hand.name),) if hand else ()),
        Part(name=f"{prefix}arm_joints", size=7, quantity="joint", unit="rad"),
    )


def _osc_action(prefix: str = "", hand: Part | None = _GRIPPER_COMMAND) -> tuple[Part, ...]:
    return (
        Part(name=f"{prefix}position_delta", size=3, quantity="position_delta", unit="1", limit=0.05),
        Part(name=f"{prefix}rotation_delta", size=3, quantity="axis_angle_delta", unit="1", limit=0.5),
        *((replace(hand, name=prefix + hand.name),) if hand else ()),
    )


_GR1_PARTS = (
    Part(name="left_arm", size=7, quantity="joint", unit="rad"),
    Part(name="left_hand", size=6, quantity="hand", unit="rad"),
    Part(name="left_leg", size=6, quantity="joint", unit="rad"),
    Part(name="neck", size=3, quantity="joint", unit="rad"),
    Part(name="right_arm", size=7, quantity="joint", unit="rad"),
    Part(name="right_hand", size=6, quantity="hand", unit="rad"),
    Part(name="right_leg", size=6, quantity="joint", unit="rad"),
    Part(name="waist", size=3, quantity="joint", unit="rad"),
)
_G1_PARTS = _joints(("left_arm", 7), ("right_arm", 7), hands=(("left_hand", 6), ("right_hand", 6)))
_SO_PARTS = (
    *_joints(("arm", 5)),
    Part(name="gripper", size=1, quantity="gripper", unit="1"),
)
_WIDOWX_STATE = (
    Part(name="end_effector_position", size=3, quantity="position", unit="m"),
    Part(name="end_effector_rotation", size=3, quantity="euler_xyz", unit="rad"),
    Part(name="gripper", size=1, quantity="gripper", unit="1"),
)
_WIDOWX_ACTION = (
    Part(name="position_delta", size=3, quantity="position_delta", unit="m"),
    Part(name="rotation_delta", size=3, quantity="euler_xyz", unit="rad"),
    Part(name="gripper", size=1, quantity="gripper", unit="1"),
)

PANDA = register(
    Embodiment(
        name="panda",
        description="Franka Panda with a parallel gripper; action: robosuite OSC pose deltas in the robot's base frame",
        state=Layout(parts=_panda_state()),
        action=Layout(parts=_osc_action()),
    )
)
TWO_PANDAS = register(
    Embodiment(
        name="two_pandas",
        description="Two Franka Pandas with parallel grippers; robot 0 first, each as `panda`",
        state=Layout(parts=_panda_state("robot0_") + _panda_state("robot1_")),
        action=Layout(parts=_osc_action("robot0_") + _osc_action("robot1_")),
    )
)
TWO_PANDAS_HANDLESS = register(
    Embodiment(
        name="two_pandas_handless",
        description="Two Franka Pandas whose flanges carry things that they never let go of; robot 0 first",
        state=Layout(parts=_panda_state("robot0_", None) + _panda_state("robot1_", None)),
        action=Layout(parts=_osc_action("robot0_", None) + _osc_action("robot1_", None)),
    )
)
TWO_PANDAS_INSPIRE = register(
    Embodiment(
        name="two_pandas_inspire",
        description="Two Franka Pandas with six-motor Inspire hands, right hand on robot 0 and left on robot 1; "
        "arms as `panda`, hand commands from little finger to thumb turn, -1 straight and 1 bent",
        state=Layout(parts=_panda_state("robot0_", _INSPIRE_JOINTS) + _panda_state("robot1_", _INSPIRE_JOINTS)),
        action=Layout(parts=_osc_action("robot0_", _INSPIRE_COMMAND) + _osc_action("robot1_", _INSPIRE_COMMAND)),
    )
)
GR1 = register(
    Embodiment(
        name="gr1",
        description="Fourier GR-1, 44 joint positions in GR00T's order; the action is the joint target",
        state=Layout(parts=_GR1_PARTS),
        action=Layout(parts=_GR1_PARTS),
    )
)
G1_INSPIRE = register(
    Embodiment(
        name="g1_inspire",
        description="Unitree G1 arms with Inspire hands, 26 joint positions; the action is the joint target",
        state=Layout(parts=_G1_PARTS),
        action=Layout(parts=_G1_PARTS),
    )
)
SO_ARM = register(
    Embodiment(
        name="so_arm",
        description="SO-100 / SO-101 five-joint arm with a gripper; the action is the joint target",
        state=Layout(parts=_SO_PARTS),
        action=Layout(parts=_SO_PARTS),
    )
)
WIDOWX = register(
    Embodiment(
        name="widowx",
        description="WidowX 250 as in Bridge: end-effector pose, delta actions",
        state=Layout(parts=_WIDOWX_STATE),
        action=Layout(parts=_WIDOWX_ACTION),
    )
)


def _hand_motion(*, delta: bool) -> tuple[Part, ...]:
    moved: Quantity = "position_delta" if delta else "position"
    wrists = (
        (
            Part(name=f"{side}_wrist_position", size=3, quantity=moved, unit="m"),
            Part(name=f"{side}_wrist_rotation", size=6, quantity="rotation_6d", unit="1"),
            Part(name=f"{side}_fingertips", size=15, quantity="hand", unit="m"),
        )
        for side in ("right", "left")
    )
    return (
        Part(name="camera_position", size=3, quantity=moved, unit="m"),
        Part(name="camera_rotation", size=6, quantity="rotation_6d", unit="1"),
        *(part for parts in wrists for part in parts),
    )


HUMAN_HANDS = register(
    Embodiment(
        name="human_hands",
        description="A person's head camera and hands, 57 numbers; state: camera from its first pose, wrists in the "
        "camera, fingertips in the wrist; action: changes to the next step, fingertips there; rotations as two columns",
        state=Layout(parts=_hand_motion(delta=False)),
        action=Layout(parts=_hand_motion(delta=True)),
    )
)
HUMAN_HANDS_ROWS = register(
    Embodiment(
        name="human_hands_rows",
        description="As `human_hands`, with rotations as two rows of the matrix, the order of GR00T",
        state=Layout(parts=_hand_motion(delta=False)),
        action=Layout(parts=_hand_motion(delta=True)),
    )
)
HUMAN = register(Embodiment(name="human", description="A person; no proprioception and no recorded action"))

SHIPPED: frozenset[str] = frozenset(EMBODIMENTS)
"""Names that every process knows without being told; others travel with the data set that declares them."""
