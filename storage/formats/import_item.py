"""What is imported, and one piece of it: the settings of an import, and the item that names one foreign episode.

Items are planned once, on the driver, from headers and metadata alone; the worker that reads one needs nothing else.
"""

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from storage.embodiment import Embodiment, embodiment_named, register
from storage.episode import Layer
from storage.errors import ConfigError, InputError, MissingFileError, UnknownNameError
from storage.formats.mapping.column_map import ColumnMap, parse_map
from storage.formats.video.clip import FrameCoding
from storage.frames import frame_codec
from storage.ids import canonical_json, content_id
from storage.pictures.resizing import Fit, Resize

FormatName = Literal["lerobot", "robomimic", "videos", "aloha", "replay_zarr", "maniskill", "agibot", "droid", "rlds"]
_BYTES_PER_PIXEL = {"jpeg": 0.15, "high": 0.3, "lossless": 2.5}
_WHOLE_BYTES, _SAMPLE_BYTES = 1 << 20, 1 << 18


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Folders of videos. With `files_are` "cameras" the files of one folder are cameras of one episode. `captions_file`
    holds one JSON object a line with "file" and a text under `caption_key` (by default "instruction", "caption",
    "text" or "prompt"); without it csv tables and txt files are looked for, and with `captions_in_names` the file names
    (GR00T-Dreams: "3_pick_up_the_cup.mp4"). `segment_s` cuts longer files into episodes of that many seconds."""

    files_are: Literal["episodes", "cameras"] = "episodes"
    camera: str = "view"
    captions_file: str = "captions.jsonl"
    caption_key: str = ""
    captions_in_names: bool = False
    segment_s: float = 0.0

    def __post_init__(self) -> None:
        if self.files_are not in ("episodes", "cameras"):
            raise UnknownNameError.among("files_are", self.files_are, ("episodes", "cameras"))
        if self.segment_s < 0:
            raise ConfigError(f"segment_s is a length in seconds, or 0 for whole files; got {self.segment_s}")


def _planning(default: Any) -> Any:
    """A setting that decides which items there are, and not what becomes of one: it stays out of the ids of units."""
    return field(default=default, metadata={"identity": False})


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Settings of an import; empty means "as the source has it".

    `cameras` and `episodes` (numbers of the source) choose a part, `limit` takes the first ones only. A unit holds at
    most `episodes_per_unit` episodes and about `megabytes_per_unit` of encoded frames. `rate_hz` samples videos at
    another rate, and is the rate of robomimic files that do not tell theirs. `mask` is a robomimic filter key;
    `flip_images` turns its images upside down. `instruction_column` is the LeRobot annotation to take the instruction
    from. `length_tolerance_frames` cuts video and rows to the shorter one when they differ by no more. `map` says which
    column becomes what (see `storage.formats.mapping.column_map`), `map_file` names a file that says so. A source of
    numbers without an action or a state is refused unless `allow_no_actions` or `allow_no_state` is set.
    """

    path: str = _planning("")
    format: FormatName | Literal["auto"] = field(default="auto", metadata={"identity": False})
    layer: Layer | Literal[""] = ""
    embodiment: str = ""
    instruction: str = ""
    cameras: tuple[str, ...] = ()
    episodes: tuple[int, ...] = _planning(())
    limit: int = _planning(0)
    episodes_per_unit: int = _planning(64)
    megabytes_per_unit: float = _planning(128.0)
    size_px: tuple[int, int] | None = None
    fit: Fit = "stretch"
    codec: str = "jpeg"
    rate_hz: float = 0.0
    videos: VideoOptions = field(default_factory=VideoOptions)
    mask: str = ""
    flip_images: bool = False
    instruction_column: str = ""
    length_tolerance_frames: int = 0
    map: Mapping[str, str] = field(default_factory=dict)
    map_file: str = _planning("")
    allow_no_actions: bool = _planning(False)
    allow_no_state: bool = _planning(False)

    def __post_init__(self) -> None:
        if self.layer and self.layer not in get_args(Layer):
            raise UnknownNameError.among("layer", self.layer, get_args(Layer))
        if self.episodes_per_unit < 1 or self.megabytes_per_unit <= 0:
            raise ConfigError(
                "a unit of an import holds at least 1 episode and some megabytes; got "
                f"{self.episodes_per_unit} episodes_per_unit and {self.megabytes_per_unit} megabytes_per_unit"
            )
        if min(self.limit, self.rate_hz, self.length_tolerance_frames) < 0:
            raise ConfigError(
                "limit, rate_hz and length_tolerance_frames are 0 or more; "
                f"got {self.limit}, {self.rate_hz} and {self.length_tolerance_frames}"
            )
        parse_map(self.map)
        if frame_codec(self.codec).channels != 3:
            raise ConfigError(f"imported cameras are colour; codec {self.codec!r} holds a single plane")

    @property
    def coding(self) -> FrameCoding:
        """How imported frames are stored."""
        size = None if self.size_px is None else (int(self.size_px[0]), int(self.size_px[1]))
        return FrameCoding(resize=Resize(size_px=size, fit=self.fit), codec=self.codec)

    @property
    def columns(self) -> ColumnMap:
        """The mapping, parsed."""
        return parse_map(self.map)

    def wants(self, number: int) -> bool:
        """Whether episode `number` of the source is asked for."""
        return not self.episodes or number in self.episodes

    def limited(self, items: "list[ImportItem]") -> "list[ImportItem]":
        return items[: self.limit] if self.limit else items


@dataclass(frozen=True, kw_only=True)
class ImportItem:
    """One foreign episode of about `length` steps. `files` maps a path below `root` to the fingerprint that it had
    when it was planned ("" where it was missing); `cameras` maps a camera to the (height, width) of its source frames;
    `rate` is a fraction as text; `arrays` names what the episode will hold; `embodiment_record` declares an embodiment
    that is not shipped."""

    format: FormatName
    root: str
    number: int
    name: str
    episode_id: str
    parent_id: str = ""
    layer: Layer
    length: int
    embodiment: str
    embodiment_record: Mapping[str, Any] | None = None
    rate: str
    cameras: Mapping[str, tuple[int, int]]
    arrays: tuple[str, ...]
    files: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = json.loads(canonical_json(self))
        return plain

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ImportItem":
        """The inverse of `to_json`; also declares the item's embodiment in this process."""
        cameras = {name: (int(size[0]), int(size[1])) for name, size in record["cameras"].items()}
        item = cls(**{**record, "cameras": cameras, "arrays": tuple(record["arrays"])})
        item.declare()
        return item

    @property
    def rate_fraction(self) -> Fraction:
        return Fraction(self.rate)

    def kind(self, config: ImportConfig) -> str:
        """Items of one kind fit into one shard: same embodiment, rate, arrays, cameras and sizes."""
        sizes = {name: config.coding.resize.size_of(*size) for name, size in self.cameras.items()}
        # Of one source: two data sets of one folder have files of equal names.
        return content_id(self.format, self.root, self.embodiment, self.rate, sorted(self.arrays), sizes)

    def megabytes(self, config: ImportConfig) -> float:
        """About how much its frames will take, encoded: real pictures in JPEG take 0.15 bytes a pixel."""
        sizes = [config.coding.resize.size_of(*size) for size in self.cameras.values()]
        return self.length * sum(height * width for height, width in sizes) * _BYTES_PER_PIXEL[config.codec] / 1e6

    def declare(self) -> Embodiment:
        """The embodiment of this item, known to this process from now on."""
        if self.embodiment_record is not None:
            return register(Embodiment.from_json(self.embodiment_record))
        return embodiment_named(self.embodiment)

    def check_unchanged(self) -> None:
        """Raise when a file is missing or is another one than when the import was planned."""
        for name, planned in self.files.items():
            now = fingerprint(Path(self.root) / name)
            if not now:
                raise MissingFileError(f"{Path(self.root) / name} is not there; {self.name} cannot be imported")
            if planned and now != planned:
                raise InputError(f"{Path(self.root) / name} has changed since the import was planned; plan it again")


def fingerprint(path: Path) -> str:
    """A hash of a file's content, hexadecimal, "" where there is no file. Of a larger one (above 1 MiB) the length and
    the first and last 256 KiB are hashed, where mp4, parquet and HDF5 keep their tables of contents."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return ""
        # A small file is read whole each time: it may change twice within one tick of the clock of a disk.
        read = _fingerprint.__wrapped__ if about.st_size <= _WHOLE_BYTES else _fingerprint
        return read(path, about.st_mtime_ns, about.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return ""


# Many episodes of LeRobot v3.0 share a file, and each asks whether it has changed.
@lru_cache(maxsize=64)
def _fingerprint(path: Path, changed_ns: int, size: int) -> str:
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(0)
        digest = hashlib.sha256(str(length).encode())
        if length <= _WHOLE_BYTES:
            digest.update(file.read())
        else:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(-_SAMPLE_BYTES, 2)
            digest.update(file.read())
    return digest.hexdigest()[:32]
