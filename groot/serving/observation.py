"""What a policy is shown and what it wants to see, in plain arrays: common to servers, clients and simulators."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from storage.errors import InputError, SchemaError


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One moment: `images` view -> (H, W, 3) uint8, `state` part -> (n,) in the embodiment's units."""

    images: Mapping[str, NDArray[np.uint8]]
    state: Mapping[str, NDArray[Any]]
    instruction: str = ""


@dataclass(frozen=True, kw_only=True)
class PolicyInfo:
    """What a policy takes and gives: views (with the cameras that it learned them from), sizes of state and action
    parts, steps of a chunk (H) and their rate."""

    embodiment: str
    views: Mapping[str, tuple[str, ...]]
    state: Mapping[str, int]
    action: Mapping[str, int]
    horizon: int
    rate_hz: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "PolicyInfo":
        """The inverse of `to_json`."""
        views = {view: tuple(cameras) for view, cameras in record["views"].items()}
        return cls(**{**record, "views": views})


class Policy(Protocol):
    """Anything that acts."""

    @property
    def info(self) -> PolicyInfo:
        """What it takes and gives."""
        ...

    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """Action part -> (H, n) in physical units, absolute. Equal observations and seeds give equal actions."""
        ...


def checked(observation: Observation, info: PolicyInfo) -> Observation:
    """`observation` with the state in float32; raises InputError or SchemaError for what is missing, has another shape
    or is not finite."""
    if lacking := sorted(info.views.keys() - observation.images.keys()):
        raise InputError(
            f"the observation lacks the views {lacking}; expected {sorted(info.views)}, got"
            f" {sorted(observation.images)}"
        )
    for view in info.views:
        image = observation.images[view]
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape) < 1:
            raise SchemaError(f"view {view!r} must be uint8 (H, W, 3); got {image.dtype} {image.shape}")
    if lacking := sorted(info.state.keys() - observation.state.keys()):
        raise InputError(
            f"the observation lacks the state parts {lacking}; expected {dict(info.state)}, got"
            f" {sorted(observation.state)}"
        )
    state = {}
    for part, size in info.state.items():
        values = np.asarray(observation.state[part])
        if values.shape != (size,) or values.dtype.kind not in "fiu":
            raise SchemaError(f"state part {part!r} must be {size} numbers; got {values.dtype} {values.shape}")
        if not np.isfinite(values).all():
            raise SchemaError(f"state part {part!r} holds NaN or infinity")
        state[part] = values.astype(np.float32)
    return Observation(images=observation.images, state=state, instruction=observation.instruction)
