"""Cameras of a LeRobot data set: which there are, how large they are, and the frames of one episode."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av

from storage.errors import InputError, SchemaError, UnknownNameError
from storage.formats.depth import GREY_FORMATS, depth_frames, encode_depth, is_depth
from storage.formats.import_item import ImportConfig
from storage.formats.lerobot.image_column import depth_pictures, encode_pictures
from storage.formats.lerobot.meta import LeRobotMeta
from storage.formats.mapping.fates import Fate
from storage.formats.untrusted.limits import check_image
from storage.formats.video.clip import encode_frames
from storage.formats.video.reader import decoded, probe
from storage.frames import Frames


@dataclass(frozen=True, kw_only=True)
class CameraView:
    """A camera: its feature `key` and the (height, width) of its frames in the source."""

    key: str
    size_px: tuple[int, int]
    depth: bool


def find_cameras(
    meta: LeRobotMeta, numbers: list[int], config: ImportConfig
) -> tuple[dict[str, CameraView], list[Fate]]:
    """The cameras that `config` asks for, and what became of every camera that has files."""
    cameras = meta.cameras()
    wanted = config.cameras
    renamed = {
        name: camera.column for name, camera in (config.columns.cameras or {}).items() if camera.column in meta.features
    }
    cameras = {**{name: key for name, key in cameras.items() if key not in renamed.values()}, **renamed}
    for name in wanted:
        if name not in cameras:
            raise UnknownNameError.among("camera", name, cameras, hint=f"(cameras of {meta.root} that have files)")
    views: dict[str, CameraView] = {}
    fates = []
    for name, key in cameras.items():
        if wanted and name not in wanted:
            fates.append(Fate(column=key, became="left out", detail="not among the cameras that were asked for"))
            continue
        depth = is_depth(meta.features[key])
        size, pixel_format = _probed(meta, key, numbers)
        if depth and pixel_format and pixel_format not in GREY_FORMATS:
            why = f"depth as {pixel_format}: its 16-bit values are not in the file"
            fates.append(Fate(column=key, became="left out", detail=why))
            continue
        views[name] = CameraView(key=key, size_px=size, depth=depth)
        fates.append(Fate(column=key, became="depth" if depth else "camera", detail=f"video/{name}"))
    return views, fates


def _probed(meta: LeRobotMeta, key: str, numbers: list[int]) -> tuple[tuple[int, int], str]:
    """(height, width) of a camera and its pixel format: of its first readable file, or as promised for columns."""
    failure: InputError | None = None
    if meta.features[key].get("dtype") == "video":
        for number in numbers:
            try:
                info = probe(meta.root / meta.video_file(number, key))
            except InputError as error:
                failure = failure or error
            else:
                return (info.height_px, info.width_px), info.pixel_format
    if failure:
        raise failure
    shape = [int(size) for size in meta.features[key].get("shape") or ()]
    if len(shape) not in (2, 3):
        raise SchemaError(
            f"{meta.root}/meta/info.json: {key} must have the shape (height, width, channels); got {shape}"
        )
    height, width = shape[1:] if len(shape) == 3 and shape[0] in (1, 3) else shape[:2]
    check_image(f"{meta.root}/meta/info.json: {key}", height, width)
    return (height, width), ""


def read_frames(meta: LeRobotMeta, number: int, camera: Mapping[str, Any], table: Any, config: ImportConfig) -> Frames:
    """The frames of one camera of an episode, one a row; `camera` is a CameraView as JSON."""
    key, depth = str(camera["key"]), bool(camera["depth"])
    if meta.features[key].get("dtype") == "image":
        path = meta.root / meta.data_file(number)
        if depth:
            return encode_depth(depth_pictures(path, table, key), config.coding.resize)
        return encode_pictures(path, table, key, config.coding)
    path = meta.root / meta.video_file(number, key)
    frames = _video_frames(meta, number, key, table.num_rows)
    if depth:
        return encode_depth(depth_frames(str(path), frames, meta.features[key]), config.coding.resize)
    return encode_frames(frames, config.coding)


def _video_frames(meta: LeRobotMeta, number: int, key: str, rows: int) -> Iterator[av.VideoFrame]:
    """The decoded frames of an episode: of its own file, or of its part of a shared one, where it begins at a
    keyframe."""
    path = meta.root / meta.video_file(number, key)
    if meta.index is None:
        yield from (frame for _, frame in decoded(path))
        return
    start, half = meta.index.starts_at_s(number, key), 0.5 / meta.rate_hz
    for count, (seconds, frame) in enumerate(decoded(path, start_s=start - half, seek_s=start + half / 2)):
        expected = start + count / meta.rate_hz
        if abs(float(seconds) - expected) > half:
            raise SchemaError(
                f"{path}: frame {count} of episode {number} is shown at {float(seconds):.4f} s; its rows put it at "
                f"{expected:.4f} s"
            )
        yield frame
        if count + 1 == rows:
            return
