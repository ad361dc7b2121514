"""Ego-Exo4D: takes filmed by the wearer's glasses and by cameras around (Grauman et al., arXiv 2311.18259).

    takes.json                                     [{"take_uid", "take_name", "root_dir", ...}]
    takes/<take_name>/frame_aligned_videos/[downscaled/448/]<camera>.mp4
    annotations/atomic_descriptions_<split>.json   {"annotations": {take_uid: [{"rejected", "descriptions": [...]}]}}

The RGB camera of the glasses is aria<..>_214-1; it becomes the camera "ego", the others "exo_<name>". Of several
annotators the first whose work was not rejected is used.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.formats.human_video.datasets.tables import read_json_file
from storage.formats.human_video.source_video import Adapter, Narration, SourceVideo


def _videos(root: Path) -> Iterator[SourceVideo]:
    texts: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted((root / "annotations").glob("atomic_descriptions_*.json")):
        for uid, annotations in read_json_file(path).get("annotations", {}).items():
            good = [each for each in annotations if not each.get("rejected")]
            texts[uid] = list(good[0]["descriptions"]) if good else []
    for take in read_json_file(root / "takes.json"):
        folder = root / str(take.get("root_dir") or f"takes/{take['take_name']}") / "frame_aligned_videos"
        for video in _views(folder):
            is_ego = video.stem.endswith("214-1") or video.stem.startswith("aria")
            yield SourceVideo(
                file=str(video.relative_to(root)),
                name=f"{take['take_name']} {video.stem}",
                camera="ego" if is_ego else f"exo_{video.stem}",
                narrations=tuple(_narrations(texts.get(str(take["take_uid"]), []), ego=is_ego)),
                about={"take_uid": take["take_uid"], "take_name": take["take_name"]},
            )


def _views(folder: Path) -> list[Path]:
    """The videos of a take: the downscaled ones where they were fetched; greyscale cameras are left out."""
    small = folder / "downscaled" / "448"
    videos = sorted((small if small.is_dir() else folder).glob("*.mp4"))
    return [video for video in videos if not video.stem.endswith(("1201-1", "1201-2", "211-1"))]


def _narrations(rows: list[Mapping[str, Any]], *, ego: bool) -> Iterator[Narration]:
    for row in sorted(rows, key=lambda each: float(each["timestamp"])):
        if ego and str(row.get("ego_visible", "1")) in ("0", "False"):
            continue
        subject = row.get("narration_subject", row.get("subject"))
        if subject in (None, "C"):
            yield Narration(
                start_s=max(0.0, float(row["timestamp"])),
                stop_s=None,
                text=str(row["text"]),
                origin="ego-exo4d atomic description",
            )


ADAPTER = Adapter(
    name="ego_exo4d",
    title="Ego-Exo4D",
    recognises=lambda root: (root / "takes.json").is_file(),
    videos=_videos,
    may_copy=False,
    licence="The Ego-Exo4D licence agreement forbids passing on videos, also processed ones.",
)
