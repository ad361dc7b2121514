"""RH20T, the demonstrations by people: several cameras around a table (Fang et al., arXiv 2307.00595).

    RH20T_cfg<n>/task_0001_user_0001_scene_0001_cfg_0001_human/cam_<serial>/color.mp4
    task_description.json      {"task_0001": {"task_description_english": "..."}} anywhere above

The robot's folders of the same names without "_human" are left alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_json_file
from storage.formats.human_video.source_video import END_OF_FILE_S, Adapter, Narration, Problem, SourceVideo

_TASK = re.compile(r"^(task_\d+)_user_\d+_scene_\d+_cfg_\d+_human$")


def _videos(root: Path) -> Iterator[SourceVideo]:
    path = next(iter(sorted(root.rglob("task_description.json"))), None)
    texts: Mapping[str, Any] = read_json_file(path) if path is not None else {}
    for video in sorted(root.rglob("task_*_human/cam_*/color.mp4")):
        folder = video.parent.parent
        match = _TASK.match(folder.name)
        task = match[1] if match else folder.name
        text = _text(texts.get(task))
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=f"{folder.name} {video.parent.name}",
            narrations=(Narration(start_s=0.0, stop_s=END_OF_FILE_S, text=text, origin="rh20t task"),) if text else (),
            about={"task": task, "camera": video.parent.name},
            problems=() if text else (Problem(where="task_description.json", text=f"no description of {task}"),),
        )


def _text(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return str(entry.get("task_description_english") or entry.get("task_description") or "")
    return str(entry or "")


ADAPTER = Adapter(
    name="rh20t_human",
    title="RH20T-Human",
    recognises=lambda root: root.is_dir() and next(root.rglob("task_*_human/cam_*/color.mp4"), None) is not None,
    videos=_videos,
    may_copy=False,
    licence="The terms of RH20T were not checked here; frames: copy says that you have.",
)
