"""What is in a first frame, and what may be asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.errors import ConfigError

_PLACE_WORDS = frozenset({"table", "bowl", "plate", "drawer", "tray", "basket", "shelf", "box", "pan"})


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something in the picture: `name` as a person says it ("red cube"), `movable` or only a place to put things on,
    and its centre as shares of width and height where a detector gave it."""

    name: str
    movable: bool = True
    centre: tuple[float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether things can be put on it or into it."""
        return not self.movable or bool(_PLACE_WORDS & set(self.name.split()))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The things of one picture, and which part of its width the robot reaches: (from, to) as shares."""

    things: tuple[Thing, ...]
    reachable: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        names = [thing.name for thing in self.things]
        if len(set(names)) != len(names):
            raise ConfigError(f"two things of a scene share a name: {sorted(names)}; tell them apart (red cube, ...)")
        if not 0 <= self.reachable[0] < self.reachable[1] <= 1:
            raise ConfigError(f"reachable is (from, to) within 0..1; got {self.reachable}")

    def named(self, name: str) -> Thing | None:
        return next((thing for thing in self.things if thing.name == name), None)

    def reaches(self, thing: Thing) -> bool:
        """Whether the robot reaches it; what has no known place counts as within reach."""
        return thing.centre is None or self.reachable[0] <= thing.centre[0] <= self.reachable[1]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Scene":
        """Of {"objects": ["red cube", {"name": ..., "centre": [x, y]}], "places": [...], "reachable": [0, 1]}."""
        unknown = sorted(record.keys() - {"objects", "places", "reachable"})
        if unknown or not record.get("objects"):
            raise ConfigError(f"a scene has objects and may have places and reachable; got {sorted(record)}")
        things = [*_things(record["objects"], movable=True), *_things(record.get("places", ()), movable=False)]
        low, high = record.get("reachable", (0.0, 1.0))
        return cls(things=tuple(things), reachable=(float(low), float(high)))


def _things(entries: Sequence[Any], *, movable: bool) -> list[Thing]:
    things = []
    for entry in entries:
        values = {"name": entry} if isinstance(entry, str) else dict(entry)
        centre = values.pop("centre", None)
        if values.keys() != {"name"}:
            raise ConfigError(f"a thing is a name, or name and centre; got {entry!r}")
        place = None if centre is None else (float(centre[0]), float(centre[1]))
        things.append(Thing(name=str(values["name"]).strip().lower(), movable=movable, centre=place))
    return things
