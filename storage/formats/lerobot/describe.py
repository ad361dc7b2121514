"""What an export says about its columns and cameras: features of info.json and modality.json, in the words of the
source where there was one, in ours otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.embodiment import Embodiment, embodiment_named
from storage.episode import Episode
from storage.formats.lerobot.layout import modality_of
from storage.formats.lerobot.words import source_words
from storage.formats.video.writer import VideoCoding
from storage.frames import Frames, frame_codec

_VECTOR_COLUMNS = {"state": "observation.state", "action": "action"}


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is said about a group of equal episodes: `first` is one of them, `cameras` its exported cameras, `columns`
    maps each parquet column to its dtype and width."""

    first: Episode
    cameras: Mapping[str, Frames]
    columns: Mapping[str, tuple[str, int]]

    @property
    def embodiment(self) -> Embodiment:
        return embodiment_named(self.first.embodiment)

    @property
    def robot_type(self) -> str:
        return str(source_words(self.first).get("robot_type") or self.embodiment.name)

    def camera_key(self, name: str) -> str:
        """The feature key of a camera."""
        return camera_key(self.first, name)

    def features(self, coding: VideoCoding) -> dict[str, Any]:
        """The features of info.json: cameras, then columns."""
        features: dict[str, Any] = {}
        for name, frames in self.cameras.items():
            features[self.camera_key(name)] = _camera_feature(frames, self.first.rate_hz, coding)
        names = {column: self._names(vector) for vector, column in _VECTOR_COLUMNS.items()}
        names["dream_actions"] = names["action"]
        for name, (dtype, width) in self.columns.items():
            named = names.get(name)
            fits = named is not None and len(named) == width
            features[name] = {"dtype": dtype, "shape": [width], "names": named if fits else None}
        return features

    def modality(self) -> dict[str, Any]:
        """modality.json: the entries of the source, which still hold because vectors are stored whole, or our parts."""
        words = source_words(self.first).get("modality", {})
        there = {vector: column for vector, column in _VECTOR_COLUMNS.items() if column in self.columns}
        record = modality_of(self.embodiment, [], there)
        for vector, column in there.items():
            its = words.get(vector, {})
            if its and max(entry["end"] for entry in its.values()) <= self.columns[column][1]:
                record[vector] = {name: {**entry, "original_key": column} for name, entry in its.items()}
        record["video"] = self._video(words.get("video", {}))
        record["annotation"] = self._annotations(words.get("annotation", {}))
        order: Mapping[str, list[str]] = source_words(self.first).get("order", {})
        return {section: _ordered(entries, order.get(section, [])) for section, entries in record.items()}

    def _names(self, vector: str) -> list[str]:
        """A name for every number of a vector: the source's, or left_arm_0, left_arm_1, ..."""
        words: Mapping[str, list[str]] = source_words(self.first).get("names", {})
        return list(words.get(vector, ())) or [
            part.name if part.size == 1 else f"{part.name}_{place}"
            for part in getattr(self.embodiment, vector).parts
            for place in range(part.size)
        ]

    def _video(self, words: Mapping[str, Any]) -> dict[str, Any]:
        keys = {name: self.camera_key(name) for name in self.cameras}
        kept = {name: dict(entry) for name, entry in words.items() if name in keys}
        return {name: kept.get(name, {}) | {"original_key": key} for name, key in keys.items()}

    def _annotations(self, words: Mapping[str, Any]) -> dict[str, Any]:
        kept = {
            name: dict(entry)
            for name, entry in words.items()
            if str(entry.get("original_key") or f"annotation.{name}") in self.columns
        }
        told = {str(entry.get("original_key") or f"annotation.{name}") for name, entry in kept.items()}
        spoken = [name for name in self.columns if name.startswith("annotation.") and name not in told]
        return kept | {name.removeprefix("annotation."): {} for name in spoken}


def _ordered(entries: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """`entries` in the order of `names`, others behind."""
    first = [name for name in names if name in entries]
    return {name: entries[name] for name in dict.fromkeys([*first, *entries])}


def camera_key(episode: Episode, name: str) -> str:
    """The feature key of the camera `name` of an episode: the source's, or observation.images.<name>."""
    return str(source_words(episode).get("cameras", {}).get(name) or f"observation.images.{name}")


def _camera_feature(frames: Frames, rate_hz: float, coding: VideoCoding) -> dict[str, Any]:
    if frame_codec(frames.codec).channels == 0:
        about = {"is_depth_map": True, "video.is_depth_map": True, "depth_unit": "mm"}
        shape = [frames.height_px, frames.width_px, 1]
        return {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"], "info": about}
    video = {
        "video.height": frames.height_px,
        "video.width": frames.width_px,
        "video.channels": 3,
        "video.codec": coding.codec,
        "video.pix_fmt": "yuv420p" if frames.height_px % 2 == frames.width_px % 2 == 0 else "yuv444p",
        "video.is_depth_map": False,
        "video.fps": rate_hz,
        "has_audio": False,
    }
    # LeRobot reads "info", the GR00T N1 trainers read "video_info" and want the name "channel".
    return {
        "dtype": "video",
        "shape": [frames.height_px, frames.width_px, 3],
        "names": ["height", "width", "channel"],
        "info": video,
        "video_info": video,
    }
