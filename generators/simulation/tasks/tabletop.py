"""The seed of GR00T N1's tabletop suite: "rearrange {thing} from {source} to {target}", one hand of a GR-1 (N1
appendix).

A pair is one line of `PAIRS`: two receptacles and a thing of the catalogue. Its source demonstrations are collected
with `pyramid sim collect NAME`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from generators.simulation.environments.tabletop_catalog import RECEPTACLES, THINGS
from generators.simulation.environments.tabletop_layout import LEFT_M, MIDDLE_M, NARROW, RIGHT_M, WIDE, Item, Spread
from generators.simulation.robots import gr1
from generators.simulation.task.specification import Placement, Pose, Subtask, Task
from storage.errors import UnknownNameError

ENVIRONMENT = "generators.simulation.environments.tabletop:Tabletop"
LIFTED_M, HELD_M = 0.06, 0.03
"""Taking a thing ends when it hangs so far over where it stood; it has gone well when it then hangs at least so far."""


@dataclass(frozen=True)
class Pair:
    """One task of the suite: `hand` takes `thing` from `source` and puts it on or into `target`."""

    source: str
    target: str
    thing: str
    hand: Literal["right", "left"] = "right"

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("receptacle", self.source, RECEPTACLES),
            ("receptacle", self.target, RECEPTACLES),
            ("thing", self.thing, THINGS),
        ):
            if name not in known:
                raise UnknownNameError.among(kind, name, known)

    @property
    def name(self) -> str:
        return f"{self.thing}_from_{self.source}_to_{self.target}"


PAIRS = (
    Pair("plate", "bowl", "apple"),
    Pair("cutting_board", "basket", "can"),
    Pair("tray", "pan", "sweet_potato"),
    Pair("placemat", "cardboard_box", "bottle"),
    Pair("shelf", "plate", "pear"),
    Pair("cutting_board", "pan", "lemon", "left"),
    Pair("plate", "cardboard_box", "cube", "left"),
    Pair("cutting_board", "plate", "cup", "left"),
    Pair("placemat", "shelf", "milk"),
    Pair("placemat", "basket", "orange", "left"),
    Pair("shelf", "tray", "can"),
    Pair("tray", "bowl", "lemon"),
    Pair("plate", "basket", "sweet_potato", "left"),
    Pair("placemat", "plate", "cup"),
    Pair("cutting_board", "shelf", "bottle", "left"),
    Pair("shelf", "cutting_board", "milk", "left"),
    Pair("plate", "tray", "pear", "left"),
    Pair("placemat", "bowl", "apple", "left"),
)


def instructions(thing: str, source: str, target: str) -> tuple[str, ...]:
    """Ways to say it, the suite's own first."""
    what, start, end = THINGS[thing].text, RECEPTACLES[source].text, RECEPTACLES[target].text
    where = RECEPTACLES[target].preposition
    return (
        f"rearrange the {what} from the {start} to the {end}",
        f"pick the {what} from the {start} and place it {where} the {end}",
        f"move the {what} from the {start} to the {end}",
    )


def placements(wide: Spread = WIDE) -> dict[str, Placement]:
    """D0 and D1 of a tabletop scene."""
    return {"D0": Placement(arguments={"spread": NARROW}), "D1": Placement(arguments={"spread": wide})}


def randomise_visuals(model: Any, rng: Any) -> Mapping[str, Any]:
    """Colours, table, walls, light and cameras from the randomness."""
    from generators.simulation.environments import visual_randomization  # loads robosuite

    return visual_randomization.randomise(model, rng)


def object_poses(env: Any) -> Mapping[str, Pose]:
    """The poses of all items, by their keys."""
    return {key: env.pose(key) for key in env.items}


def lift_signals(env: Any, key: str, support: str, hand: str) -> dict[str, bool]:
    """ "<key>_lifted" and "<key>_held": how far a hand has lifted a thing from its support."""
    height, held = env.height_above(key, support), env.held(key, hand)
    return {f"{key}_lifted": held and height > LIFTED_M, f"{key}_held": held and height > HELD_M}


def take(key: str = "object") -> Subtask:
    """The subtask of taking a thing."""
    return Subtask(
        name="take", reference=key, termination_signal=f"{key}_lifted", check=f"{key}_held", selection="nearest_object"
    )


def rest(name: str = "rest") -> Subtask:
    """The subtask of keeping still, or of what follows the last reference."""
    return Subtask(name=name, reference=None, noise_position_m=0.0, noise_rotation_rad=0.0)


def tabletop_task(
    name: str, *items: Item, goals: Mapping[str, str], wide: Spread = WIDE, horizon: int = 400, **declared: Any
) -> Task:
    """A task of the suite: `items` on the table, and things that must end in receptacles. The rest goes to `Task`."""
    return Task(
        name=name,
        environment=ENVIRONMENT,
        embodiment=gr1.SIMULATED_GR1,
        object_poses=object_poses,
        arguments={"items": items, "goals": goals},
        placements=placements(wide),
        horizon=horizon,
        cameras=("ego_view",),
        sources=f"{name}.hdf5",
        visual_randomization=randomise_visuals,
        **declared,
    )


def _signals(hand: str) -> Any:
    def signals(env: Any) -> Mapping[str, bool]:
        return {**lift_signals(env, "object", "source", hand), "placed": env.rests_in("object", "target")}

    return signals


def task_of(pair: Pair) -> Task:
    """The task of one pair."""
    idle = "left" if pair.hand == "right" else "right"
    start = RIGHT_M if pair.hand == "right" else LEFT_M
    return tabletop_task(
        pair.name,
        Item(key="source", name=pair.source, at_m=start),
        Item(key="target", name=pair.target, at_m=MIDDLE_M),
        Item(key="object", name=pair.thing, on="source"),
        goals={"object": "target"},
        instruction=instructions(pair.thing, pair.source, pair.target),
        subtasks={
            pair.hand: (
                take(),
                Subtask(name="put", reference="target", selection="nearest_object", interpolation_steps=10),
            ),
            idle: (rest(),),
        },
        signals=_signals(pair.hand),
        expert="generators.simulation.experts.gr1_tabletop:rearrange",
    )


TASKS = tuple(task_of(pair) for pair in PAIRS)
