"""The source stage `watch_video`: segments of video in, clips with labels and verdicts out, after one decode.

Writes, for every clip: its frames (or references to them), source_frame, source_time, timestamp, label/camera_motion
with validity and confidence, label/motion, and, where hands are looked for, label/hand_landmarks with confidence and
flags. What is no clip is dropped with a reason, the place in the source and its length in seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.curation.action_clips import ActionClip, action_clips
from judges.curation.clip_episode import clip_episode, clip_id
from judges.curation.look import Look, Seen
from judges.curation.spans import Span, find_spans, frame_flags
from judges.curation.watch_config import WatchConfig
from judges.hands.finders import make_finder
from judges.hands.tracks import wrist_speed
from storage.errors import InputError
from storage.formats.human_video.segment_item import SegmentItem
from storage.formats.import_stage import BAD_INPUT
from storage.ids import Randomness, content_id, file_hash
from storage.outcomes import Dropped, Kept, Outcome
from storage.pictures.resizing import RGB

BAD_ANNOTATION = "bad annotation"
OUTSIDE = "narrated outside of the video"


class WatchVideo:
    """Items of `list_segments` become clips."""

    def __init__(self, config: WatchConfig) -> None:
        self._config = config
        finder = make_finder(config.hands) if config.hands.wanted else None
        self._look = Look(config, finder, _face_blur() if config.blur_faces else None)

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness, /) -> list[list[Outcome]]:
        """One list of outcomes for each segment, in order of time."""
        return [list(self._segment(SegmentItem.from_json(item))) for item in items]

    def _segment(self, item: SegmentItem) -> Iterator[Outcome]:
        for number, problem in enumerate(item.problems):
            yield _dropped(item, ("problem", number), BAD_ANNOTATION, where=problem.where, message=problem.text)
        try:
            if item.unreadable:
                raise InputError(item.unreadable)
            item.check_unchanged()
            seen = self._look(item, reference=self._references(item))
        except InputError as error:
            yield _bad_input(item, str(error), item.duration_s, error=type(error).__name__)
            return
        yield from self._clips(item, seen)
        if seen.damage:
            missing = max(0.0, item.duration_s - len(seen.seconds) / float(item.rate_fraction))
            yield _bad_input(item, seen.damage, missing, error="CorruptFileError")

    def _references(self, item: SegmentItem) -> bool:
        frames = self._config.frames
        return frames == "reference" or (frames == "auto" and not item.may_copy and not self._config.blur_faces)

    def _clips(self, item: SegmentItem, seen: Seen) -> Iterator[Outcome]:
        rate_hz = float(item.rate_fraction)
        flags = frame_flags(seen.measures, rate_hz, self._config.spans)
        times_s = np.array([float(seconds) for seconds in seen.seconds])
        speed = _speed_of_interest(seen, rate_hz)
        source = self._source(item, seen)
        narrated: set[int] = set()
        for span in find_spans(seen.measures, flags, rate_hz, self._config.spans):
            for clip in self._parted(span, item, times_s, speed, rate_hz):
                narrated.add(id(clip.narration))
                reason = clip.left_out or ("" if span.kind == "shot" or self._config.rejected == "keep" else span.kind)
                if reason:
                    yield self._left_out(item, seen, clip, reason, flags_score(flags, clip, reason))
                else:
                    yield Kept(clip_episode(item, seen, flags, span, clip, self._config, source))
        yield from _unused(item, times_s, narrated)

    def _parted(
        self, span: Span, item: SegmentItem, times_s: NDArray[np.float64], speed: NDArray[np.float32], rate_hz: float
    ) -> list[ActionClip]:
        narrations = item.narrations if span.kind == "shot" else ()
        return action_clips(
            span.first,
            span.end,
            times_s=times_s,
            speed=speed,
            narrations=narrations,
            rate_hz=rate_hz,
            config=self._config.clips,
        )

    def _left_out(self, item: SegmentItem, seen: Seen, clip: ActionClip, reason: str, score: float | None) -> Dropped:
        start = float(seen.seconds[min(clip.first, len(seen.seconds) - 1)])
        detail: dict[str, Any] = {"file": item.file, "start_s": start, "seconds": len(clip) / float(item.rate_fraction)}
        if clip.narration:
            detail["narration"] = clip.narration.text
        if len(clip):
            name = clip_id(item, seen, clip.first, clip.end)
        else:
            name = content_id("clip", item.episode_id, clip.narration.__dict__ if clip.narration else "", reason)
        return Dropped(episode_id=name, reason=reason, score=score, detail=detail)

    def _source(self, item: SegmentItem, seen: Seen) -> dict[str, Any]:
        """What the provenance says about the file; one whose frames are not copied can be checked for changes."""
        reference = seen.frames.codec == "reference"
        about: dict[str, Any] = {
            "dataset": item.dataset,
            "root": item.root,
            "file": item.file,
            "fingerprint": item.mark,
            "frames": "reference" if reference else "copy",
            "faces": "blurred" if self._config.blur_faces else "as recorded",
        }
        if reference:
            about["sha256"] = _content_hash(item.path, item.path.stat().st_mtime_ns)
        if item.about:
            about["about"] = dict(item.about)
        return about


def flags_score(flags: Any, clip: ActionClip, reason: str) -> float | None:
    """The number behind a drop: seconds are in the detail, shares of black and still steps are here."""
    if not len(clip) or reason not in ("black", "still"):
        return None
    rows = flags.black if reason == "black" else flags.still
    return float(rows[clip.first : clip.end].mean())


def _speed_of_interest(seen: Seen, rate_hz: float) -> NDArray[np.float32]:
    """Speed of the hands where they are known, otherwise what moves beside the camera: its minima part actions."""
    if seen.hands:
        speed = wrist_speed(seen.hands["label/hand_landmarks"], seen.hands["label/flags/hands"], rate_hz)
        if np.count_nonzero(speed) > len(speed) / 2:
            return speed
    return seen.measures.residual


def _unused(item: SegmentItem, times_s: NDArray[np.float64], narrated: set[int]) -> Iterator[Outcome]:
    """Narrations that begin in this segment and gave no clip."""
    stop_s = float("inf") if item.stop_s is None else item.stop_s
    for number, narration in enumerate(item.narrations):
        if id(narration) in narrated or not item.start_s <= narration.start_s < stop_s:
            continue
        beyond = narration.start_s > times_s[-1]
        reason = OUTSIDE if beyond else "narrated, but nothing to see"
        yield _dropped(item, ("narration", number), reason, narration=narration.text, start_s=narration.start_s)


def _bad_input(item: SegmentItem, message: str, seconds: float, *, error: str) -> Dropped:
    return _dropped(item, ("bad input",), BAD_INPUT, message=message, error=error, seconds=seconds)


def _dropped(item: SegmentItem, place: tuple[Any, ...], reason: str, **detail: Any) -> Dropped:
    name = content_id("dropped", item.episode_id, *place)
    return Dropped(episode_id=name, reason=reason, detail={"file": item.file, "name": item.name, **detail})


@lru_cache(maxsize=8)
def _content_hash(path: Path, changed_ns: int) -> str:
    return file_hash(path)


def _face_blur() -> Callable[[RGB], RGB]:
    from judges.curation.faces import FaceBlur

    return FaceBlur()
