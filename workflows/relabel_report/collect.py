"""What became of the hours of video: in, kept, and why not the rest, from manifests, verdicts and the selection."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.datasets.manifest import Manifest, read_manifests
from storage.datasets.unit_paths import SHARDS, Sink
from storage.verdicts.selection import Selection, read_selection, selection_names
from storage.verdicts.verdicts import effective, verdicts_of

WATCH_STAGE = "watch_video"


@dataclass(frozen=True, kw_only=True)
class Hours:
    """One row of the table: what happened to how many clips and hours."""

    what: str
    why: str
    clips: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class Relabelled:
    """`rows` add up to all that came in. `problems` are files and annotations that could not be used, with the reason.
    `head_motion` is the share of kept time in which the camera itself moves; `hands_in_view` the share with a hand in
    view, None where nobody looked."""

    files: int
    hours_in: float
    hours_kept: float
    rows: tuple[Hours, ...]
    problems: tuple[tuple[str, str], ...]
    head_motion: float
    hands_in_view: float | None
    kept_clips: int


def collect(root: Path, selection_name: str) -> Relabelled:
    """Read it; `selection_name` "" or one that is not there counts every clip as kept."""
    manifests = [each for each in read_manifests(Sink(root, SHARDS)) if _is_watched(each)]
    selection = read_selection(root, selection_name) if selection_name in selection_names(root) else None
    clips = [episode for manifest in manifests for episode in manifest.episodes]
    drops = [drop for manifest in manifests for drop in manifest.dropped]
    hours, counts = _hours_of_clips(clips, selection)
    for drop in drops:
        key = ("not stored", drop.reason)
        hours[key] += float(drop.detail.get("seconds", 0.0)) / 3600
        counts[key] += 1
    kept_ids = {
        str(clip["episode_id"]) for clip in clips if selection is None or clip["episode_id"] in selection.episodes
    }
    kept = [clip for clip in clips if str(clip["episode_id"]) in kept_ids]
    motion, hands = _shares(root, kept)
    rows = [Hours(what=what, why=why, clips=counts[what, why], hours=value) for (what, why), value in hours.items()]
    return Relabelled(
        files=len(
            {str(clip["provenance"]["source"]["file"]) for clip in clips} | {str(d.detail.get("file")) for d in drops}
        ),
        hours_in=sum(hours.values()),
        hours_kept=hours.get(("kept", ""), 0.0),
        rows=tuple(sorted(rows, key=lambda row: (row.what != "kept", -row.hours))),
        problems=tuple(
            (str(drop.detail.get("file", "")), f"{drop.reason}: {drop.detail['message']}")
            for drop in drops
            if "message" in drop.detail
        ),
        head_motion=motion,
        hands_in_view=hands,
        kept_clips=len(kept),
    )


def _is_watched(manifest: Manifest) -> bool:
    return any(stage.name == WATCH_STAGE for stage in manifest.stages)


def _hours_of_clips(
    clips: list[Mapping[str, Any]], selection: Selection | None
) -> tuple[dict[tuple[str, str], float], Counter[tuple[str, str]]]:
    hours: dict[tuple[str, str], float] = defaultdict(float)
    counts: Counter[tuple[str, str]] = Counter()
    kept = None if selection is None else frozenset(selection.episodes)
    for clip in clips:
        name = str(clip["episode_id"])
        if kept is None or name in kept:
            key = ("kept", "")
        else:
            reasons = selection.rejected.get(name, ()) if selection else ()
            key = ("stored, not selected", reasons[0].split(":")[0] if reasons else "unjudged")
        hours[key] += clip["length"] / clip["rate_hz"] / 3600
        counts[key] += 1
    return hours, counts


def _shares(root: Path, clips: list[Mapping[str, Any]]) -> tuple[float, float | None]:
    """Shares of time with camera motion and with hands in view, from the evidence of verdicts."""
    verdicts = verdicts_of(root)
    moving = hands = total = looked = 0.0
    for clip in clips:
        by_judge = effective(verdicts.get(str(clip["episode_id"]), ()))
        seconds = clip["length"] / clip["rate_hz"]
        total += seconds
        if "camera_motion" in by_judge:
            moving += seconds * float(by_judge["camera_motion"].evidence.get("share of steps with camera motion", 0.0))
        if "hands" in by_judge and by_judge["hands"].score is not None:
            looked += seconds
            hands += seconds * float(by_judge["hands"].score)
    return (moving / total if total else 0.0), (hands / looked if looked else None)
