"""Planning a relabel job: every video of a source in segments, from headers alone, grouped into units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from storage.errors import ConfigError, InputError, MissingFileError
from storage.formats.hand_poses.lifted import with_lifted_poses
from storage.formats.human_video.adapters import find_adapter
from storage.formats.human_video.segment_item import SegmentItem
from storage.formats.human_video.source_video import Adapter, Narration, SourceVideo
from storage.formats.import_item import fingerprint
from storage.formats.video.reader import VideoInfo, probe
from storage.formats.video.writer import rate_fraction
from storage.ids import content_id

_LONGEST_S = 7 * 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class ListingConfig:
    """`path` is a video or a folder; `dataset` names its layout, "auto" looks. `segment_s` is how long a piece of a
    long file is that one worker takes at a time; shorter files share a unit of up to that many seconds.
    `rate_hz` reads at another rate than the file's own; `limit` takes only the first so many videos (0: all).
    `poses` is a folder of hands that a lifter wrote, see `storage.formats.hand_poses.lifted`."""

    path: str = ""
    dataset: str = "auto"
    segment_s: float = 60.0
    rate_hz: float = 0.0
    limit: int = 0
    poses: str = ""

    def __post_init__(self) -> None:
        if self.segment_s < 1 or self.rate_hz < 0 or self.limit < 0:
            raise ConfigError(
                "expected segment_s of at least 1, rate_hz and limit of 0 or more; "
                f"got {self.segment_s}, {self.rate_hz}, {self.limit}"
            )


def list_segments(config: ListingConfig) -> list[list[dict[str, Any]]]:
    """The JSON items of all segments, in units whose clips fit into one shard. A file that cannot be read keeps its
    item, so that it is counted. Raises MissingFileError or InputError when there is no video at all."""
    root = Path(config.path).expanduser().absolute()
    adapter = find_adapter(config.dataset, root)
    units: list[list[SegmentItem]] = []
    folder = _folder_of_poses(config.poses)
    for video in islice(adapter.videos(root), config.limit or None):
        video = with_lifted_poses(video, folder) if folder else video
        for item in _segments(root, adapter, video, config):
            if units and _together(units[-1], item, config.segment_s):
                units[-1].append(item)
            else:
                units.append([item])
    if not units:
        raise InputError(f"{root} ({adapter.title}) holds no video")
    return [[item.to_json() for item in unit] for unit in units]


def _folder_of_poses(name: str) -> Path | None:
    folder = Path(name).expanduser().absolute() if name else None
    if folder is not None and not folder.is_dir():
        raise MissingFileError(f"{folder} is not there; `poses` is the folder of hands that a lifter wrote")
    return folder


def _together(unit: Sequence[SegmentItem], item: SegmentItem, seconds: float) -> bool:
    """Whether `item` may join a unit: same rate, size and camera, and not too long together."""
    same = all(getattr(unit[0], name) == getattr(item, name) for name in ("rate", "size_px", "camera", "layer"))
    same = same and bool(unit[0].poses) == bool(item.poses)
    return same and len(unit) < 64 and sum(each.duration_s for each in unit) + item.duration_s <= seconds


def _segments(root: Path, adapter: Adapter, video: SourceVideo, config: ListingConfig) -> Iterator[SegmentItem]:
    folder = root if root.is_dir() else root.parent
    mark = fingerprint(folder / video.file)
    about: dict[str, Any] = {
        "dataset": adapter.name,
        "root": str(folder),
        "file": video.file,
        "name": video.name,
        "camera": video.camera,
        "mark": mark,
        "layer": video.layer,
        "poses": video.poses,
        "may_copy": adapter.may_copy,
        "about": video.about,
    }
    identity = ("human video", adapter.name, video.file, mark)
    try:
        info = probe(folder / video.file)
        spans = _spans(info, video.narrations, config.segment_s)
    except InputError as error:
        yield SegmentItem(
            episode_id=content_id(*identity), **about, problems=video.problems, unreadable=f"{error}"
        )  # it costs itself alone
        return
    rate = rate_fraction(config.rate_hz) if config.rate_hz else info.rate
    for number, (start_s, stop_s) in enumerate(spans):
        yield SegmentItem(
            episode_id=content_id(*identity, start_s, stop_s),
            **about,
            start_s=start_s,
            stop_s=stop_s,
            rate=str(rate),
            size_px=(info.height_px, info.width_px),
            narrations=tuple(
                each
                for each in video.narrations
                if each.start_s < (stop_s or _LONGEST_S) and (each.stop_s or each.start_s) >= start_s
            ),
            problems=video.problems if number == 0 else (),
        )


def _spans(info: VideoInfo, narrations: Sequence[Narration], segment_s: float) -> list[tuple[float, float | None]]:
    """(start, stop) of each segment; the last one is open. A last piece shorter than half a segment joins the one
    before. Borders lie a quarter of a frame before a frame, so that rounding never puts a frame on the other side, and
    at the start of a narrated stretch rather than inside it."""
    if info.duration_s > _LONGEST_S:
        raise InputError(f"{info.path} says that it lasts {info.duration_s / 3600:.0f} h; its time stamps are damaged")
    count = max(1, int(info.duration_s / segment_s + 0.5))
    hair = Fraction(1, 4) / info.rate
    starts = [0.0]
    for place in range(1, count):
        border = _beside(place * segment_s, narrations, segment_s / 2)
        on_frame = round(Fraction(border) * info.rate) / info.rate
        if float(on_frame - hair) > starts[-1] + segment_s / 4:
            starts.append(float(on_frame - hair))
    return [(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]


def _beside(border_s: float, narrations: Sequence[Narration], most_s: float) -> float:
    """`border_s`, or the start of the narrated stretch that it would part, where that is at most `most_s` before."""
    parted = [n.start_s for n in narrations if n.stop_s is not None and n.start_s < border_s < n.stop_s]
    return min((start for start in parted if border_s - start <= most_s), default=border_s)
