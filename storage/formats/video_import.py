"""Importing videos without actions: a file, or a folder of files with or without captions.jsonl.

captions.jsonl has one JSON object a line: "file" (a path below the folder, or a folder's name when its files are
cameras of one episode) and a text; whatever else it says is kept in the provenance. Episodes have `timestamp` and
`source_frame`, so that labels can be written beside sources whose frames may not be passed on.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from storage.embodiment import EMBODIMENTS, Embodiment
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, SchemaError
from storage.formats.import_item import ImportConfig, ImportItem, fingerprint
from storage.formats.mapping.fates import Fate
from storage.formats.untrusted.clean_names import clean_name, distinct
from storage.formats.untrusted.json_lines import json_lines
from storage.formats.video.captions import TEXT_KEYS, captions_in, unmatched
from storage.formats.video.clip import Clip, read_clip
from storage.formats.video.reader import VIDEO_SUFFIXES, VideoInfo, probe
from storage.formats.video.writer import rate_fraction
from storage.ids import content_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One episode, or one file to be cut into several: camera -> path below the root."""

    name: str
    cameras: Mapping[str, str]


def list_videos(root: Path, config: ImportConfig) -> list[ImportItem]:
    """One item for each file, folder of cameras, or segment that `config` asks for. Reads headers and first frames.

    A file that cannot be read still gets its item, so that the import counts it; reading the item raises. When no file
    can be read at all, the first error is raised here.
    """
    folder = root if root.is_dir() else root.parent
    embodiment = _embodiment(config)
    sources = _sources(root, folder, config)
    captions = read_captions(folder, config, [source.name for source in sources])
    items: list[ImportItem] = []
    failure: InputError | None = None
    for source in sources:
        try:
            items += _items_of(folder, source, captions.get(source.name, {}), config)
        except InputError as error:
            failure = failure or error
            items.append(_item(folder, source, config))
    items = [replace(item, embodiment_record=embodiment.to_json()) for item in items]
    if failure and all(item.details.get("unreadable") for item in items):
        raise failure
    numbered = [replace(item, number=number) for number, item in enumerate(items) if config.wants(number)]
    if missing := [number for number in config.episodes if number >= len(items)]:
        raise ConfigError(f"{root} has no episodes {missing}; it has {len(items)}, numbered from 0")
    return config.limited(numbered)


def video_fates(root: Path, config: ImportConfig) -> list[Fate]:
    """What becomes of the first videos of `root`: cameras, and nothing else."""
    folder = root if root.is_dir() else root.parent
    sources = _sources(root, folder, config)
    return [Fate(column=file, became="camera", detail=f"video/{camera}") for camera, file in sources[0].cameras.items()]


def _embodiment(config: ImportConfig) -> Embodiment:
    """The embodiment of videos; a name that nobody knows is a new body of which nothing is known but its looks."""
    name = config.embodiment or "human"
    return EMBODIMENTS.get(name) or Embodiment(name=name, description="Seen in videos only; no state and no action")


def read_captions(folder: Path, config: ImportConfig, sources: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """File -> its caption: of the captions file, which need not exist unless it was named, or else of what
    `storage.formats.video.captions` finds for the files `sources`. Captions without a file are named in the log.
    Raises CorruptFileError."""
    path = folder / config.videos.captions_file
    if path.is_file():
        rows = _caption_lines(path)
    elif config.videos.captions_file != "captions.jsonl":
        raise MissingFileError(f"{path} is not there; captions_file names a file in the folder of the videos")
    else:
        rows = captions_in(folder, sources, names=config.videos.captions_in_names)
    key = config.videos.caption_key
    if key and (lacking := [name for name, row in rows.items() if key not in row]):
        raise SchemaError(f"{path}: the caption of {lacking[0]} has no {key!r}; it has {', '.join(rows[lacking[0]])}")
    if sources and (alone := unmatched(rows, sources)):
        log.warning("%d captions speak of no video in %s, the first of %s", len(alone), folder, alone[0])
    return rows


def _caption_lines(path: Path) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for number, row in json_lines(path, "file"):
        if not isinstance(row["file"], str) or "\0" in row["file"]:
            raise CorruptFileError(f'{path}, line {number}: "file" must be the path of a video; got {row["file"]!r}')
        rows[str(Path(row["file"]))] = row
    return rows


def read_video_item(item: ImportItem, config: ImportConfig) -> Episode:
    """The episode that `item` names; raises InputError and its kinds for whatever is wrong with its files."""
    item.check_unchanged()
    details = item.details
    root = Path(item.root)
    span = {"start_s": float(details.get("start_s", 0)), "stop_s": float(details.get("stop_s", "inf"))}
    clips = {
        camera: read_clip(root / file, config.coding, rate=item.rate_fraction, **span)
        for camera, file in details["cameras"].items()
    }
    first = next(iter(clips.values()))
    length = _length(item, clips, config.length_tolerance_frames)
    caption = dict(details.get("caption", {}))
    return Episode(
        episode_id=item.episode_id,
        layer=item.layer,
        embodiment=item.declare().name,
        length=length,
        rate_hz=float(item.rate_fraction),
        instruction=_text(caption, config) or config.instruction,
        cameras={camera: clip.cut(length).frames for camera, clip in clips.items()},
        arrays={"timestamp": first.timestamp[:length], "source_frame": first.source_frame[:length]},
        provenance={
            "imported": {
                "format": "videos",
                "root": item.root,
                "cameras": dict(details["cameras"]),
                "files": dict(item.files),
                "resampled": any(clip.resampled for clip in clips.values()),
                "size_px": None if config.size_px is None else list(config.size_px),
                **({"start_s": span["start_s"], "stop_s": span["stop_s"]} if "start_s" in details else {}),
            },
            **({"caption": caption} if caption else {}),
        },
    )


def _sources(root: Path, folder: Path, config: ImportConfig) -> list[_Source]:
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    if not files:
        raise MissingFileError(f"{root} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))})")
    names = [str(path.relative_to(folder)) for path in files]
    if config.videos.files_are == "episodes":
        return [_Source(name=name, cameras={config.videos.camera: name}) for name in names]
    groups: dict[str, dict[str, str]] = {}
    for path, name in zip(files, names, strict=True):
        group = groups.setdefault(str(path.parent.relative_to(folder)), {})
        camera = distinct(clean_name(path.stem), group, path.name)
        if not config.cameras or camera in config.cameras:
            group[camera] = name
    return [_Source(name=name, cameras=cameras) for name, cameras in groups.items() if cameras]


def _items_of(folder: Path, source: _Source, caption: Mapping[str, Any], config: ImportConfig) -> list[ImportItem]:
    infos = {camera: probe(folder / file) for camera, file in source.cameras.items()}
    rates = {info.rate for info in infos.values()}
    rate = rate_fraction(config.rate_hz) if config.rate_hz else max(rates)
    spans = _spans(min(info.duration_s for info in infos.values()), rate, config.videos.segment_s)
    return [_item(folder, source, config, infos=infos, rate=rate, caption=caption, span=span) for span in spans]


def _spans(duration_s: float, rate: Fraction, segment_s: float) -> list[dict[str, float]]:
    """{"start_s", "stop_s"} of each segment; a last one shorter than half a segment is left out, as is its frame."""
    if not segment_s or duration_s <= segment_s:
        return [{}]
    count = int(duration_s // segment_s) + (duration_s % segment_s >= segment_s / 2)
    # A hair before the frame, so that float seconds never cut it off.
    hair = 0.25 / float(rate)
    starts = [max(0.0, place * segment_s - hair) for place in range(count + 1)]
    return [{"start_s": start, "stop_s": stop} for start, stop in pairwise(starts)]


def _item(
    folder: Path,
    source: _Source,
    config: ImportConfig,
    *,
    infos: Mapping[str, VideoInfo] | None = None,
    rate: Fraction = Fraction(1),
    caption: Mapping[str, Any] | None = None,
    span: Mapping[str, float] | None = None,
) -> ImportItem:
    """The item of a source, or of the `span` of it. Without `infos` its files could not be read."""
    files = {file: fingerprint(folder / file) for file in source.cameras.values()}
    details: dict[str, Any] = {"cameras": dict(source.cameras), "caption": dict(caption or {}), **(span or {})}
    return ImportItem(
        format="videos",
        root=str(folder),
        number=0,
        name=f"{source.name} of {folder.name}" + (f" from {span['start_s']:.1f} s" if span else ""),
        episode_id=content_id("videos", source.name, sorted(files.items()), dict(span or {})),
        layer=config.layer or "human",
        length=_frames_of(infos or {}, rate, span or {}),
        embodiment=config.embodiment or "human",
        rate=str(rate),
        cameras={camera: (info.height_px, info.width_px) for camera, info in (infos or {}).items()},
        arrays=("source_frame", "timestamp"),
        files=files,
        details=details if infos else {**details, "unreadable": True},
    )


def _frames_of(infos: Mapping[str, VideoInfo], rate: Fraction, span: Mapping[str, float]) -> int:
    """About how many frames an episode will have."""
    whole = max((info.duration_s for info in infos.values()), default=0.0)
    return round((span.get("stop_s", whole) - span.get("start_s", 0.0)) * rate)


def _length(item: ImportItem, clips: Mapping[str, Clip], tolerance: int) -> int:
    lengths = {camera: len(clip.frames) for camera, clip in clips.items()}
    if max(lengths.values()) - min(lengths.values()) > tolerance:
        raise SchemaError(
            f"{item.name}: its cameras have {lengths} frames; they must agree (length_tolerance_frames = {tolerance})"
        )
    return min(lengths.values())


def _text(caption: Mapping[str, Any], config: ImportConfig) -> str:
    keys: Sequence[str] = (config.videos.caption_key,) if config.videos.caption_key else TEXT_KEYS
    return next((str(caption[key]) for key in keys if caption.get(key)), "")
