"""How to make a window from one kind of unit of one source: every time as a number of steps, every name resolved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.embodiment import Layout, embodiment_named
from storage.errors import ConfigError
from storage.frames import frame_codec
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.resampling import Chunk, chunk_of


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The camera that fills a view: its name and its frames' size and codec."""

    name: str
    height_px: int
    width_px: int
    codec: str

    @property
    def frame_shape(self) -> tuple[int, ...]:
        return frame_codec(self.codec).shape(self.height_px, self.width_px)


@dataclass(frozen=True, kw_only=True)
class WindowRecipe:
    """Offsets are in steps. `cameras` and `fields` lack the views and arrays that these units do not have; `masks` are
    the arrays that say whether a step is valid, `confidence` the one that says how sure its action is, with the column
    for each number of the action (see `_groups_of`); present steps lie `before` from the begin and `after` from the
    end."""

    source: int
    head: str
    rate_hz: float
    cameras: Mapping[str, Camera]
    observation_offsets: tuple[int, ...]
    state_offsets: tuple[int, ...]
    state_size: int
    action: str
    action_size: int
    chunk: Chunk
    masks: tuple[str, ...]
    confidence: str
    confidence_of_number: tuple[int, ...]
    fields: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
    before: int
    after: int


def recipe_of(number: int, source: Source, config: WindowConfig, unit_id: str) -> WindowRecipe | None:
    """The recipe for `unit_id` and all units like it; None where it lacks the action that the source is about."""
    layout = source.dataset.index.layout(unit_id)
    arrays, rate_hz = source.dataset.arrays(unit_id), float(layout["rate_hz"])
    if source.action and source.action not in arrays:
        return None
    embodiment, kind = embodiment_named(layout["embodiment"]), source.action.removeprefix("action/")
    action_size = _width(arrays, source.action)
    chunk = chunk_of(
        steps=config.horizon_steps,
        horizon_s=config.horizon_s,
        rate_hz=rate_hz,
        layout=None if kind == "latent" else embodiment.action,
        size=action_size,
    )
    observation = tuple(round(offset * rate_hz) for offset in config.observation_offsets_s)
    state = tuple(round(offset * rate_hz) for offset in config.state_offsets_s)
    confidence = f"label/confidence/{kind}"
    groups = _groups_of(
        _width(arrays, confidence) if config.confidence else 0, action_size, embodiment.action, confidence
    )
    before, after = _margins(config, (*observation, *state), int(chunk.needs[-1]) - 1 if action_size else 0)
    return WindowRecipe(
        source=number,
        head=source.head or layout["embodiment"],
        rate_hz=rate_hz,
        cameras=_cameras(config.cameras, layout["cameras"]),
        observation_offsets=observation,
        state_offsets=state,
        state_size=_width(arrays, "state"),
        action=source.action,
        action_size=action_size,
        chunk=chunk,
        masks=tuple(name for name in ("valid", f"label/valid/{kind}") if name in arrays),
        confidence=confidence if groups else "",
        confidence_of_number=groups,
        fields={name: arrays[name] for name in config.fields if name in arrays},
        before=before,
        after=after,
    )


def _width(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]], name: str) -> int:
    return arrays[name][0][0] if name in arrays else 0


def _groups_of(groups: int, size: int, layout: Layout, name: str) -> tuple[int, ...]:
    """Of each number of an action of `size`: the column of a confidence with `groups` columns that speaks of it. One
    column is for all, `size` columns are one each, otherwise a column is a part of the embodiment's action."""
    if groups in (0, 1, size):
        return () if not groups else tuple(range(size)) if groups == size else (0,) * size
    if groups == len(layout.parts) and layout.size == size:
        return tuple(number for number, part in enumerate(layout.parts) for _ in range(part.size))
    raise ConfigError(
        f"{name!r} has {groups} columns for actions of {size} numbers in {len(layout.parts)} parts; expected one for"
        " all, one a part, or one a number"
    )


def _margins(config: WindowConfig, offsets: tuple[int, ...], chunk: int) -> tuple[int, int]:
    observed = (max(0, -min(offsets)), max(0, *offsets)) if not config.pad_observations else (0, 0)
    return observed[0], max(observed[1], 0 if config.pad_actions else chunk)


def _cameras(wanted: Mapping[str, tuple[str, ...]], there: Mapping[str, Any]) -> dict[str, Camera]:
    cameras = {}
    for view, names in wanted.items():
        name = next((name for name in names if name in there), None)
        if name is not None:
            about = there[name]
            sizes = {"height_px": about["height_px"], "width_px": about["width_px"]}
            cameras[view] = Camera(name=name, codec=about["frame_codec"], **sizes)
    return cameras
