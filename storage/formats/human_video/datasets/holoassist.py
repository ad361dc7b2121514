"""HoloAssist: people do a task with glasses on while another instructs them (Wang et al., arXiv 2309.17024).

    [videos/]<session>/Export_py/Video_pitchshift.mp4     or Video_compress.mp4
    data-annotation-trainval*.json     [{"video_name", "events": [{"label", "start", "end", "attributes": {...}}]}]

Fine-grained actions become narrations: their sentence where there is one, otherwise verb, adjective and noun.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_json_file
from storage.formats.human_video.source_video import Adapter, Narration, Problem, SourceVideo

_VIDEOS = ("Video_pitchshift.mp4", "Video_compress.mp4")
_ABSENT = ("", "none", "n/a")


def _videos(root: Path) -> Iterator[SourceVideo]:
    events: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(root.rglob("data-annotation-trainval*.json")):
        for row in read_json_file(path):
            events[str(row["video_name"])] = list(row["events"])
    for folder in sorted(root.rglob("Export_py")):
        video = next((folder / name for name in _VIDEOS if (folder / name).is_file()), None)
        if video is None:
            continue
        session = folder.parent.name
        told = [_narration(each) for each in events.get(session, []) if each.get("label") == "Fine grained action"]
        problems = [each for each in told if isinstance(each, Problem)]
        if session not in events:
            problems.append(Problem(where="data-annotation-trainval", text=f"no events of session {session}"))
        narrations = [each for each in told if isinstance(each, Narration)]
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=session,
            narrations=tuple(sorted(narrations, key=lambda each: each.start_s)),
            problems=tuple(problems),
        )


def _narration(event: Mapping[str, Any]) -> Narration | Problem:
    attributes = event.get("attributes", {})
    sentence = str(attributes.get("Action sentence", ""))
    if sentence.lower() in _ABSENT:
        words = [str(attributes.get(name, "")) for name in ("Verb", "Adjective", "Noun")]
        sentence = " ".join(word for word in words if word.lower() not in _ABSENT)
    try:
        return Narration(
            start_s=float(event["start"]),
            stop_s=float(event["end"]),
            text=sentence.replace("_", " "),
            origin="holoassist fine-grained action",
        )
    except (KeyError, TypeError, ValueError) as error:
        return Problem(where=f"event {event.get('id', '?')}", text=f"{error}")


ADAPTER = Adapter(
    name="holoassist",
    title="HoloAssist",
    recognises=lambda root: root.is_dir() and next(root.rglob("data-annotation-trainval*.json"), None) is not None,
    videos=_videos,
    may_copy=True,
    licence="CDLA-Permissive 2.0: copies are allowed.",
)
