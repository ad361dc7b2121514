"""Ego4D: whole videos with timed narrations (Grauman et al., arXiv 2110.07058).

    [v2/]full_scale/<video_uid>.mp4
    [v2/]annotations/narration.json    {"videos": {uid: {"narration_pass_1": {"narrations": [...]}, ...}}}

Also the downloads clips/<clip_uid>.mp4 with clips/manifest.csv, whose narrations are those of the parent video. The
first pass is used; where an annotator wrote none, the second.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_csv_table, read_json_file
from storage.formats.human_video.source_video import Adapter, Narration, Problem, SourceVideo

_CLIP_COLUMNS = ("exported_clip_uid", "parent_video_uid", "parent_start_sec", "parent_end_sec")


def _home(root: Path) -> Path | None:
    for folder in (root, *sorted(root.glob("v[0-9]*"), reverse=True)):
        if (folder / "full_scale").is_dir() or (folder / "clips" / "manifest.csv").is_file():
            return folder
    return None


def _videos(root: Path) -> Iterator[SourceVideo]:
    home = _home(root)
    assert home is not None
    path = home / "annotations" / "narration.json"
    table: Mapping[str, Any] = read_json_file(path).get("videos", {}) if path.is_file() else {}
    for video in sorted((home / "full_scale").glob("*.mp4")):
        yield _video(root, video, table, video.stem, path)
    if (home / "clips" / "manifest.csv").is_file():
        for row in read_csv_table(home / "clips" / "manifest.csv", needs=_CLIP_COLUMNS):
            span = float(row["parent_start_sec"]), float(row["parent_end_sec"])
            video = home / "clips" / f"{row['exported_clip_uid']}.mp4"
            yield _video(root, video, table, row["parent_video_uid"], path, span)


def _video(
    root: Path, video: Path, table: Mapping[str, Any], uid: str, path: Path, span: tuple[float, float] | None = None
) -> SourceVideo:
    entry = table.get(uid)
    missing = () if entry else (Problem(where=path.name, text=f"no narrations of video {uid}"),)
    start_s, stop_s = span or (0.0, float("inf"))
    narrations = [
        Narration(
            start_s=float(row["timestamp_sec"]) - start_s,
            stop_s=None,
            text=str(row["narration_text"]),
            origin="ego4d narration",
        )
        for row in _rows(entry or {})
        if start_s <= float(row["timestamp_sec"]) < stop_s
    ]
    about = {"video_uid": uid, **({"clip_uid": video.stem, "parent_start_s": start_s} if span else {})}
    return SourceVideo(
        file=str(video.relative_to(root)),
        name=video.stem,
        narrations=tuple(sorted(narrations, key=lambda each: each.start_s)),
        about=about,
        problems=missing,
    )


def _rows(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in ("narration_pass_1", "narration_pass_2"):
        rows = (entry.get(name) or {}).get("narrations")
        if rows:
            return list(rows)
    return []


ADAPTER = Adapter(
    name="ego4d",
    title="Ego4D",
    recognises=lambda root: root.is_dir() and _home(root) is not None,
    videos=_videos,
    may_copy=False,
    licence="The Ego4D licence agreement forbids passing on videos, also processed ones.",
)
