"""EPIC-KITCHENS-100: long videos of kitchens with action segments (Damen et al., arXiv 2006.13256).

P01/videos/P01_01.MP4                      also below EPIC-KITCHENS/
[annotations/ ...]EPIC_100_train.csv       video_id, start_timestamp, stop_timestamp, narration, verb, noun, ...
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from storage.formats.human_video.datasets.tables import read_csv_table, seconds_of
from storage.formats.human_video.source_video import Adapter, Narration, Problem, SourceVideo

_COLUMNS = ("video_id", "start_timestamp", "stop_timestamp", "narration")


def _videos(root: Path) -> Iterator[SourceVideo]:
    rows: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for table in sorted(root.rglob("EPIC_100_*.csv")):
        if "test" not in table.stem:
            for row in read_csv_table(table, needs=_COLUMNS):
                rows[row["video_id"]].append(row)
    for video in sorted(path for path in root.rglob("P*/videos/*") if path.suffix.lower() == ".mp4"):
        told = [_narration(row) for row in rows.get(video.stem, [])]
        narrations = [each for each in told if isinstance(each, Narration)]
        problems = [each for each in told if isinstance(each, Problem)]
        if not told:
            problems.append(Problem(where="EPIC_100_*.csv", text=f"no segments of video {video.stem}"))
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=video.stem,
            narrations=tuple(sorted(narrations, key=lambda each: each.start_s)),
            problems=tuple(problems),
        )


def _narration(row: Mapping[str, str]) -> Narration | Problem:
    try:
        return Narration(
            start_s=seconds_of(row["start_timestamp"]),
            stop_s=seconds_of(row["stop_timestamp"]),
            text=row["narration"],
            origin="epic-kitchens segment",
        )
    except ValueError as error:
        return Problem(where=f"segment {row.get('narration_id', '?')} of {row['video_id']}", text=str(error))


ADAPTER = Adapter(
    name="epic_kitchens",
    title="EPIC-KITCHENS-100",
    recognises=lambda root: root.is_dir() and next(root.rglob("EPIC_100_*.csv"), None) is not None,
    videos=_videos,
    may_copy=True,
    licence="CC BY-NC 4.0: copies with attribution, not for commercial use.",
)
