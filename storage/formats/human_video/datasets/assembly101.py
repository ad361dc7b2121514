"""Assembly-101: people take toys apart and put them together, twelve views (Sener et al., arXiv 2203.14712).

    [videos/ or recordings/]<sequence>/<view>.mp4
    fine-grained-annotations/{train,validation}.csv   video, start_frame, end_frame, action_cls, ...

Frames of the annotations count at 30 Hz, whatever the rate of the file. `video` is "<sequence>/<view>.mp4"; the
actions of one sequence are the same in all views.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from storage.formats.human_video.datasets.tables import read_csv_table, video_files
from storage.formats.human_video.source_video import Adapter, Narration, Problem, SourceVideo

ANNOTATION_HZ = 30.0
_COLUMNS = ("video", "start_frame", "end_frame", "action_cls")


def _tables(root: Path) -> list[Path]:
    names = ("train.csv", "validation.csv")
    return sorted(path for path in root.rglob("fine-grained-annotations/*.csv") if path.name in names)


def _videos(root: Path) -> Iterator[SourceVideo]:
    rows: dict[str, dict[tuple[str, str], Mapping[str, str]]] = defaultdict(dict)
    for table in _tables(root):
        for row in read_csv_table(table, needs=_COLUMNS):
            sequence = row["video"].split("/")[0]
            rows[sequence][row["start_frame"], row["end_frame"]] = row
    for video in video_files(root):
        sequence = video.parent.name
        told = [_narration(row) for row in rows.get(sequence, {}).values()]
        problems = [each for each in told if isinstance(each, Problem)]
        if not told:
            problems.append(Problem(where="fine-grained-annotations", text=f"no actions of sequence {sequence}"))
        narrations = [each for each in told if isinstance(each, Narration)]
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=f"{sequence} {video.stem}",
            camera="ego" if video.stem.startswith("HMC") else "exo",
            narrations=tuple(sorted(narrations, key=lambda each: each.start_s)),
            about={"sequence": sequence, "view": video.stem},
            problems=tuple(problems),
        )


def _narration(row: Mapping[str, str]) -> Narration | Problem:
    try:
        return Narration(
            start_s=int(row["start_frame"]) / ANNOTATION_HZ,
            stop_s=int(row["end_frame"]) / ANNOTATION_HZ,
            text=row["action_cls"],
            origin="assembly-101 fine-grained action",
        )
    except ValueError as error:
        return Problem(where=f"a row of {row['video']}", text=str(error))


ADAPTER = Adapter(
    name="assembly101",
    title="Assembly-101",
    recognises=lambda root: root.is_dir() and bool(_tables(root)),
    videos=_videos,
    may_copy=True,
    licence="CC BY-NC 4.0: copies with attribution, not for commercial use.",
)
