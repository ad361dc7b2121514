"""Observations and actions as Isaac-GR00T's clients and servers write them.

N1.5, flat: "video.<view>" uint8 (T, H, W, 3), "state.<part>" (T, D), "annotation.<x>" list of text, all with a leading
B where they are batched; the reply "action.<part>" (H, D), or (B, H, D). N1.6 and N1.7, nested: "video" {view:
(B, T, H, W, 3)}, "state" {part: (B, T, D)}, "language" {key: B lists of T texts}; the reply "action" {part: (B, H, D)}
with an info map. T is 1 here: a policy sees the present.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.serving.observation import Observation, PolicyInfo
from storage.errors import SchemaError

LANGUAGE_KEY = "annotation.human.task_description"


@dataclass(frozen=True)
class Request:
    """Observations of a message; `flat` and `batched` say how the reply must look."""

    observations: Sequence[Observation]
    flat: bool
    batched: bool


def read_observation(data: Any) -> Request:
    """The observations in the map `data`, of any version; raises SchemaError."""
    if not isinstance(data, Mapping) or not data:
        raise SchemaError(f'an observation is a map with "video", "state" and "language"; got {_shown(data)}')
    if any(str(key).startswith(("video.", "state.")) for key in data):
        return _read_flat(data)
    if isinstance(data.get("video"), Mapping):
        parts = (data["video"], data.get("state") or {}, data.get("language") or {})
        return Request(_split(*parts, batched=True), flat=False, batched=True)
    raise SchemaError(
        'an observation has keys like "video.front" and "state.arm" (N1.5), or maps "video", "state" and "language"'
        f" (N1.6 and later); got {sorted(map(str, data))[:8]}"
    )


def _read_flat(data: Mapping[str, Any]) -> Request:
    video = {key.removeprefix("video."): value for key, value in data.items() if key.startswith("video.")}
    state = {key.removeprefix("state."): value for key, value in data.items() if key.startswith("state.")}
    text = {key: value for key, value in data.items() if key.startswith(("annotation.", "task")) and value is not None}
    ranks = {np.ndim(value) for value in video.values()}
    batched = ranks == {5}
    if len(ranks) > 1:
        raise SchemaError(f"views of one observation are all (T, H, W, 3) or all (B, T, H, W, 3); got ranks {ranks}")
    if not batched:
        video = {view: np.asarray(value)[None] for view, value in video.items()}
        state = {part: np.asarray(value)[None] for part, value in state.items()}
        text = {key: [value] for key, value in text.items()}
    return Request(_split(video, state, text, batched=batched), flat=True, batched=batched)


def _split(
    video: Mapping[str, Any], state: Mapping[str, Any], language: Mapping[str, Any], *, batched: bool
) -> list[Observation]:
    images = {view: _frames(view, value) for view, value in video.items()}
    vectors = {part: _vectors(part, value) for part, value in state.items()}
    sizes = {name: len(value) for name, value in (*images.items(), *vectors.items())}
    if len(set(sizes.values())) != 1:
        raise SchemaError(f"all parts of an observation have one batch size; got {sizes}")
    count = next(iter(sizes.values()))
    texts = [_text(language, row) for row in range(count)]
    return [
        Observation(
            images={view: value[row] for view, value in images.items()},
            state={part: value[row] for part, value in vectors.items()},
            instruction=texts[row],
        )
        for row in range(count)
    ]


def _frames(view: str, value: Any) -> NDArray[Any]:
    frames = np.asarray(value)
    if frames.ndim != 5 or frames.shape[1] != 1 or frames.dtype != np.uint8:
        raise SchemaError(
            f"video {view!r} must be uint8 (B, 1, H, W, 3), or (1, H, W, 3) in N1.5; got {frames.dtype} {frames.shape}"
        )
    pictures: NDArray[Any] = frames[:, 0]
    return pictures


def _vectors(part: str, value: Any) -> NDArray[Any]:
    rows = np.asarray(value)
    if rows.ndim != 3 or rows.shape[1] != 1 or rows.dtype.kind not in "fiu":
        raise SchemaError(f"state {part!r} must be numbers (B, 1, D), or (1, D) in N1.5; got {rows.dtype} {rows.shape}")
    vectors: NDArray[Any] = rows[:, 0]
    return vectors


def _text(language: Mapping[str, Any], row: int) -> str:
    """The first text of a sample, however deep the lists are."""
    for value in language.values():
        text: Any = value if isinstance(value, str) else value[row] if row < len(value) else value[0] if value else ""
        while isinstance(text, list | tuple) and text:
            text = text[0]
        if not isinstance(text, str):
            raise SchemaError(f"an instruction is text; got {_shown(text)}")
        return text
    return ""


def reply(request: Request, actions: Sequence[Mapping[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    """The actions of every observation as the client of `request` expects them."""
    parts = {part: np.stack([action[part] for action in actions]) for part in actions[0]}
    if not request.flat:
        return parts
    return {f"action.{part}": value if request.batched else value[0] for part, value in parts.items()}


def write_observation(observation: Observation, *, flat: bool) -> dict[str, Any]:
    """One observation as a client of N1.5 (`flat`) or later sends it."""
    images = {view: image[None] for view, image in observation.images.items()}
    state = {part: np.asarray(values, np.float32)[None] for part, values in observation.state.items()}
    if flat:
        return {
            **{f"video.{view}": image for view, image in images.items()},
            **{f"state.{part}": values for part, values in state.items()},
            LANGUAGE_KEY: [observation.instruction],
        }
    return {
        "video": {view: image[None] for view, image in images.items()},
        "state": {part: values[None] for part, values in state.items()},
        "language": {LANGUAGE_KEY: [[observation.instruction]]},
    }


def modality_configs(info: PolicyInfo) -> dict[str, dict[str, Any]]:
    """What `get_modality_config` tells: which keys there are, and which steps of each."""
    keys = {
        "video": (list(info.views), [0]),
        "state": (list(info.state), [0]),
        "action": (list(info.action), list(range(info.horizon))),
        "language": ([LANGUAGE_KEY], [0]),
    }
    return {name: {"delta_indices": deltas, "modality_keys": modality} for name, (modality, deltas) in keys.items()}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__}, {text[:50]}..."
