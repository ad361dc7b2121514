"""THE table of everything that is stored about an episode, one row a field.

Legend: F steps (frames) of a shard, D numbers of the vector, G dimension groups, C codes. Row names with `{}`
are families: `action/{kind}`, `video/{camera}`. A stage declares what it reads and writes in these names.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from storage.errors import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Field:
    """One stored thing: `array` rows live per step in a shard, `video` rows are cameras, `record` rows are
    per-episode JSON in the manifest and the index."""

    name: str
    form: Literal["array", "video", "record"]
    dtype: str
    shape: str
    unit: str
    writer: str


FIELDS: tuple[Field, ...] = (
    Field(name="state", form="array", dtype="float32", shape="(F, D)", unit="see embodiment", writer="source"),
    Field(name="action/{}", form="array", dtype="float32", shape="(F, D)", unit="see embodiment", writer="source, labeller"),
    Field(name="valid", form="array", dtype="bool", shape="(F,)", unit="-", writer="source"),
    Field(name="timestamp", form="array", dtype="float64", shape="(F,)", unit="s since the episode began", writer="source"),
    Field(name="source_frame", form="array", dtype="int64", shape="(F,)", unit="frame number in the source video", writer="source"),
    Field(name="simulation/state", form="array", dtype="float64", shape="(F, S)", unit="time, qpos, qvel before each step", writer="simulation"),
    Field(name="label/valid/{}", form="array", dtype="bool", shape="(F,)", unit="-", writer="labeller"),
    Field(name="label/confidence/{}", form="array", dtype="float32", shape="(F, G)", unit="0..1", writer="labeller"),
    Field(name="label/interval/{}", form="array", dtype="float32", shape="(F, D)", unit="half width, as the action", writer="labeller"),
    Field(name="label/codes", form="array", dtype="int32", shape="(F, C)", unit="codebook index", writer="lapa"),
    Field(name="label/flags/{}", form="array", dtype="uint16", shape="(F,)", unit="bits of storage.labelling.labels.LabelFlag", writer="labeller"),
    Field(name="label/box", form="array", dtype="float32", shape="(F, 5)", unit="centre x, y, width, height over the image; score", writer="detector"),
    Field(name="source_time", form="array", dtype="float64", shape="(F,)", unit="s in the source video", writer="source"),
    Field(name="label/camera_motion", form="array", dtype="float32", shape="(F, 9)", unit="homography to the next frame, image widths", writer="curation"),
    Field(name="label/motion", form="array", dtype="float32", shape="(F, 2)", unit="camera, image widths/s; change beside it, grey levels", writer="curation"),
    Field(name="label/hand_landmarks", form="array", dtype="float32", shape="(F, 2, 21, 3)", unit="left, right: x, y over width and height; depth in widths", writer="hands"),
    Field(name="label/hand_joints", form="array", dtype="float32", shape="(F, 2, 21, 3)", unit="left, right: m, camera frame", writer="source, lifter"),
    Field(name="label/hand_rotations", form="array", dtype="float32", shape="(F, 2, 21, 4)", unit="left, right: quaternion xyzw, camera frame", writer="source, lifter"),
    Field(name="label/camera_pose", form="array", dtype="float32", shape="(F, 7)", unit="camera in world: m, quaternion xyzw", writer="source"),
    Field(name="feature/{}", form="array", dtype="float16", shape="(F, S, C)", unit="hidden state of an encoder", writer="context_features"),
    Field(name="feature_mask/{}", form="array", dtype="uint8", shape="(F, S)", unit="0 padding, 1 text, 2 image", writer="context_features"),
    Field(name="foreign/{}", form="array", dtype="float64", shape="(F, D)", unit="as in the source", writer="importer"),
    Field(name="video/{}", form="video", dtype="uint8 or uint16", shape="(F, H, W, 3) or (F, H, W)", unit="sRGB or mm", writer="source, renderer"),
    Field(name="instruction", form="record", dtype="text", shape="-", unit="-", writer="source, captioner"),
    Field(name="verdicts", form="record", dtype="JSON list", shape="-", unit="-", writer="judge"),
    Field(name="provenance", form="record", dtype="JSON object", shape="-", unit="-", writer="every stage"),
)  # fmt: skip


@cache
def field_of(name: str) -> Field:
    """The row that describes `name`, for example "action/predicted" -> the row "action/{}"."""
    for row in FIELDS:
        if re.fullmatch(row.name.replace("{}", r"[A-Za-z0-9_.\-]+"), name):
            return row
    raise UnknownNameError.among("field", name, [row.name for row in FIELDS])


def covers(declared: str, name: str) -> bool:
    """Whether a declaration such as "action/{}" or "video" speaks of `name`."""
    return (
        declared == name
        or (declared in ("video", "action") and name.startswith(f"{declared}/"))
        or (declared.endswith("{}") and name.startswith(declared[:-2]))
    )
