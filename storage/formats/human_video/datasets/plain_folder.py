"""A folder of videos, or one video file: any layout, any container, with or without texts beside them.

Texts come from captions.jsonl in the folder, one JSON object a line: "file" and "instruction", "caption" or "text";
with "start_s" and "stop_s" (seconds) a line speaks of a part of the file, and a file may have several lines.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_json_lines, video_files
from storage.formats.human_video.source_video import END_OF_FILE_S, Adapter, Narration, Problem, SourceVideo

CAPTIONS = "captions.jsonl"
_TEXTS = ("instruction", "caption", "text", "prompt")


def _videos(root: Path) -> Iterator[SourceVideo]:
    folder = root if root.is_dir() else root.parent
    rows: dict[str, list[Mapping[str, Any]]] = {}
    if (folder / CAPTIONS).is_file():
        for row in read_json_lines(folder / CAPTIONS, needs=("file",)):
            rows.setdefault(str(Path(str(row["file"]))), []).append(row)
    for path in [root] if root.is_file() else video_files(root):
        name = str(path.relative_to(folder))
        told = [_narration(row) for row in rows.pop(name, [])]
        problems = tuple(each for each in told if isinstance(each, Problem))
        narrations = sorted((each for each in told if isinstance(each, Narration)), key=lambda each: each.start_s)
        yield SourceVideo(file=name, name=name, narrations=tuple(narrations), problems=problems)
    if root.is_dir():
        for name in rows:
            text = f"{CAPTIONS} speaks of {name}, which is not there"
            yield SourceVideo(file=name, name=name, problems=(Problem(where=CAPTIONS, text=text),))


def _narration(row: Mapping[str, Any]) -> Narration | Problem:
    text = next((str(row[key]) for key in _TEXTS if row.get(key)), "")
    stop_s = row.get("stop_s")
    try:
        return Narration(
            start_s=float(row.get("start_s") or 0.0),
            stop_s=END_OF_FILE_S if stop_s is None else float(stop_s),
            text=text,
            origin="caption",
        )
    except (TypeError, ValueError) as error:
        return Problem(where=CAPTIONS, text=f"a line of {row['file']}: {error}")


ADAPTER = Adapter(
    name="folder",
    title="A folder of videos",
    recognises=lambda root: root.exists(),
    videos=_videos,
    may_copy=True,
    licence="Your own videos: you know what may be copied.",
)
