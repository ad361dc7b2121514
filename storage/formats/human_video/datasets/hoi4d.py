"""HOI4D: short egocentric recordings of one object each, with action segments (Liu et al., arXiv 2203.01577).

    ZY<camera>/H<person>/C<class>/N<object>/S<room>/s<layout>/T<task>/align_rgb/image.mp4
    the same path/action/color.json, also below HOI4D_annotations/

Two forms of color.json are around: {"events": [{"event", "startTime", "endTime"}]} and
{"markResult": {"marks": [{"event", "hdTimeStart", "hdTimeEnd"}]}}.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.errors import InputError
from storage.formats.human_video.datasets.tables import read_json_file
from storage.formats.human_video.source_video import Adapter, Narration, Problem, SourceVideo

CLASSES = (
    *(
        "",
        "toy car",
        "mug",
        "laptop",
        "storage furniture",
        "bottle",
        "safe",
        "bowl",
        "bucket",
        "scissors",
        "",
        "pliers",
    ),
    *("kettle", "knife", "trash can", "", "", "lamp", "stapler", "", "chair"),
)


def _videos(root: Path) -> Iterator[SourceVideo]:
    for video in sorted(root.rglob("align_rgb/image.mp4")):
        take = video.parent.parent
        name = str(take.relative_to(root)).removeprefix("HOI4D_release/")
        number = next((int(part[1:]) for part in take.parts if part[:1] == "C" and part[1:].isdigit()), 0)
        thing = CLASSES[number] if number < len(CLASSES) else ""
        narrations, problems = _actions(root, name, take, thing)
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=name,
            narrations=narrations,
            about={"object": thing} if thing else {},
            problems=problems,
        )


def _actions(root: Path, name: str, take: Path, thing: str) -> tuple[tuple[Narration, ...], tuple[Problem, ...]]:
    places = (take / "action" / "color.json", root / "HOI4D_annotations" / name / "action" / "color.json")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return (), (Problem(where=str(places[0].relative_to(root)), text="is not there: no action segments"),)
    try:
        return tuple(sorted(_segments(read_json_file(path), thing), key=lambda each: each.start_s)), ()
    except (InputError, KeyError, TypeError, ValueError) as error:
        return (), (Problem(where=str(path.relative_to(root)), text=f"does not read as action segments: {error!r}"),)


def _segments(record: Mapping[str, Any], thing: str) -> Iterator[Narration]:
    marks = record["events"] if "events" in record else record["markResult"]["marks"]
    for mark in marks:
        start = mark["startTime"] if "startTime" in mark else mark["hdTimeStart"]
        stop = mark["endTime"] if "endTime" in mark else mark["hdTimeEnd"]
        verb = str(mark["event"]).strip()
        text = f"{verb} the {thing}" if thing and " " not in verb else verb
        yield Narration(start_s=float(start), stop_s=float(stop), text=text, origin="hoi4d action")


ADAPTER = Adapter(
    name="hoi4d",
    title="HOI4D",
    recognises=lambda root: root.is_dir() and next(root.glob("**/ZY*/**/align_rgb/image.mp4"), None) is not None,
    videos=_videos,
    may_copy=False,
    licence="The terms of HOI4D were not checked here; frames: copy says that you have.",
)
