"""A head: the numbers that one kind of action of one embodiment (and its state) have as the network sees them.

Absolute or relative to the present state (N1.6 and later), then normalised, dimension by dimension, for relative
chunks also step by step. A latent head stands for everybody, so it takes no state (ours).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.action_space import to_absolute, to_relative
from groot.normalise import Normaliser
from storage.embodiment import Embodiment, embodiment_named
from storage.errors import ConfigError, SchemaError


@dataclass(frozen=True, kw_only=True)
class Head:
    """`action_size` D and `state_parts` of an embodiment, whose numbers make the state of P in this order. `action` and
    `state` normalise; `relative` chunks are differences to the state at their start. `rate_hz` is of the recordings."""

    name: str
    kind: str
    embodiment_name: str
    slot: int
    action_size: int
    action: Normaliser
    state: Normaliser | None
    state_parts: tuple[str, ...]
    relative: bool
    rate_hz: float

    @property
    def embodiment(self) -> Embodiment:
        return embodiment_named(self.embodiment_name)

    @property
    def state_columns(self) -> NDArray[np.int64]:
        """Columns of the embodiment's state vector that the head looks at, (P,)."""
        return state_columns(self.embodiment, self.state_parts)

    def seen_state(self, state: NDArray[Any]) -> NDArray[np.float32]:
        """States (..., S) as the network takes them, (..., P)."""
        if self.state is None:
            return np.zeros((*state.shape[:-1], 0), np.float32)
        size = self.embodiment.state.size
        if state.shape[-1] < size:
            raise SchemaError(f"{self.embodiment_name} has states of {size} numbers; got {state.shape}")
        seen: NDArray[np.float32] = self.state.apply(state[..., self.state_columns].astype(np.float32))
        return seen

    def targets(self, chunk: NDArray[Any], state: NDArray[Any]) -> NDArray[np.float32]:
        """Chunks (B, H, D) of actions with the states (B, S) at their start, normalised."""
        if self.relative:
            chunk = to_relative(chunk, state[..., : self.embodiment.state.size], self.embodiment)
        targets: NDArray[np.float32] = self.action.apply(chunk.astype(np.float32))
        return targets

    def actions(self, chunk: NDArray[Any], state: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse of `targets`: physical units, absolute."""
        raw = self.action.invert(chunk.astype(np.float32))
        if self.relative:
            raw = to_absolute(raw, state[..., : self.embodiment.state.size], self.embodiment)
        return np.asarray(raw, np.float32)

    def to_json(self) -> dict[str, Any]:
        plain = ("name", "kind", "slot", "action_size", "relative", "rate_hz")
        return {
            **{name: getattr(self, name) for name in plain},
            "body": self.embodiment_name,
            "state_parts": list(self.state_parts),
            "action": self.action.to_json(),
            "state": self.state.to_json() if self.state else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Head":
        """The inverse of `to_json`."""
        values = dict(record)
        state = values.pop("state")
        return cls(
            action=Normaliser.from_json(values.pop("action")),
            state=Normaliser.from_json(state) if state else None,
            state_parts=tuple(values.pop("state_parts")),
            embodiment_name=values.pop("body"),
            **values,
        )


def state_columns(embodiment: Embodiment, parts: Sequence[str]) -> NDArray[np.int64]:
    """The columns of `parts` in the state of `embodiment`, in this order; raises ConfigError for a part it has not."""
    spans = embodiment.state.slices()
    if unknown := [part for part in parts if part not in spans]:
        raise ConfigError(
            f"the state of {embodiment.name!r} has no part {', '.join(unknown)}; it has {', '.join(spans)}"
        )
    columns = [np.arange(spans[part].start, spans[part].stop) for part in parts]
    return np.concatenate(columns) if columns else np.zeros(0, np.int64)
