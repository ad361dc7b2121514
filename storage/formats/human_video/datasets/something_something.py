"""Something-Something v2: two to six seconds of one action each (Goyal et al., arXiv 1706.04261).

20bn-something-something-v2/<id>.webm
[labels/]{train,validation}.json     [{"id", "label", "template", "placeholders"}]
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_json_file
from storage.formats.human_video.source_video import END_OF_FILE_S, Adapter, Narration, Problem, SourceVideo

_TABLES = (
    "train.json",
    "validation.json",
    "something-something-v2-train.json",
    "something-something-v2-validation.json",
)


def _tables(root: Path) -> list[Path]:
    return [path for folder in (root, root / "labels") for name in _TABLES if (path := folder / name).is_file()]


def _videos(root: Path) -> Iterator[SourceVideo]:
    rows: dict[str, Mapping[str, Any]] = {str(row["id"]): row for path in _tables(root) for row in read_json_file(path)}
    for video in sorted(root.rglob("*.webm"), key=lambda path: (len(path.stem), path.stem)):
        row = rows.get(video.stem)
        text = str(row["label"]) if row else ""
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=video.stem,
            narrations=(Narration(start_s=0.0, stop_s=END_OF_FILE_S, text=text, origin="ssv2 label"),) if text else (),
            about={"template": row.get("template", "")} if row else {},
            problems=() if text else (Problem(where="labels", text=f"no label of video {video.stem}"),),
        )


ADAPTER = Adapter(
    name="something_something",
    title="Something-Something v2",
    recognises=lambda root: root.is_dir() and bool(_tables(root)) and next(root.rglob("*.webm"), None) is not None,
    videos=_videos,
    may_copy=False,
    licence="Qualcomm's research licence forbids passing on the videos.",
)
