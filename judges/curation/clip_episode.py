"""From a stretch of a segment to an episode: frames, times, labels, verdicts, and where all of it comes from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.curation.action_clips import ActionClip
from judges.curation.clip_verdicts import clip_verdicts
from judges.curation.instruction import cleaned
from judges.curation.look import Seen
from judges.curation.spans import Flags, Span
from judges.curation.watch_config import WatchConfig
from judges.hands.recorded import pose_actions
from judges.hands.tracks import any_hand
from storage.episode import Episode
from storage.formats.human_video.segment_item import SegmentItem
from storage.frames import Frames
from storage.ids import content_id


def clip_id(item: SegmentItem, seen: Seen, first: int, end: int) -> str:
    """The id of a stretch of a segment: it follows from the file and the times alone."""
    return content_id("clip", item.episode_id, str(seen.seconds[first]), str(seen.seconds[end - 1]), first)


def clip_episode(
    item: SegmentItem,
    seen: Seen,
    flags: Flags,
    span: Span,
    clip: ActionClip,
    config: WatchConfig,
    source: dict[str, Any],
) -> Episode:
    """The episode of `clip`, a part of `span`. `source` is what the provenance says about the file."""
    part = slice(clip.first, clip.end)
    frames = seen.frames
    narration = clip.narration
    text = cleaned(narration.text) if narration else ""
    inside = Span(clip.first, clip.end, span.kind, span.begins_with)
    hands = any_hand(seen.hands["label/flags/hands"]) if seen.hands else None
    shown = Frames(
        payloads=frames.payloads[part], height_px=frames.height_px, width_px=frames.width_px, codec=frames.codec
    )
    return Episode(
        episode_id=clip_id(item, seen, clip.first, clip.end),
        parent_id=item.episode_id,
        layer=config.layer or item.layer,
        embodiment=config.embodiment if seen.poses is None else config.hand_embodiment,
        length=len(clip),
        rate_hz=float(item.rate_fraction),
        instruction=text or config.instruction,
        original_instruction=narration.text if narration and text and narration.text != text else "",
        cameras={item.camera: shown},
        arrays={**_measured(item, seen, clip), **_actions(seen, clip, config)},
        verdicts=clip_verdicts(inside, seen.measures, flags, hands=hands, rules=config.rules, overlays=config.overlays),
        provenance=_provenance(item, seen, span, clip, source),
    )


def _measured(item: SegmentItem, seen: Seen, clip: ActionClip) -> dict[str, NDArray[Any]]:
    """Times, the camera's own motion and hands. The last step of a clip has no next frame in it."""
    part = slice(clip.first, clip.end)
    valid = seen.measures.camera_valid[part].copy()
    valid[-1] = False
    camera = seen.measures.camera[part].copy()
    camera[~valid] = np.eye(3, dtype=np.float32).reshape(9)
    times = np.array([float(each - seen.seconds[clip.first]) for each in seen.seconds[part]])
    confidence = np.where(valid, seen.measures.agreement[part], 0.0)[:, None].astype(np.float32)
    speeds = np.stack([seen.measures.camera_speed[part], seen.measures.residual[part]], axis=1)
    return {
        "timestamp": np.arange(len(clip)) / float(item.rate_fraction),
        "source_time": times + float(seen.seconds[clip.first]),
        "source_frame": seen.source_frame[part],
        "label/camera_motion": camera,
        "label/valid/camera_motion": valid,
        "label/confidence/camera_motion": confidence,
        "label/motion": speeds * valid[:, None],
        **{name: rows[part] for name, rows in seen.hands.items()},
    }


def _provenance(item: SegmentItem, seen: Seen, span: Span, clip: ActionClip, source: dict[str, Any]) -> dict[str, Any]:
    place = {
        "start_s": float(seen.seconds[clip.first]),
        "stop_s": float(seen.seconds[clip.end - 1]) + 1 / float(item.rate_fraction),
        "span": span.kind,
        "begins_with": span.begins_with,
    }
    told = clip.narration
    narration = {"text": told.text, "origin": told.origin, "start_s": told.start_s} if told else None
    return {"source": {**source, **place}, **({"narration": narration} if narration else {})}


def _actions(seen: Seen, clip: ActionClip, config: WatchConfig) -> dict[str, NDArray[Any]]:
    """State and action from recorded poses; the last step of a clip leads nowhere."""
    if seen.poses is None:
        return {}
    return pose_actions(seen.poses.at(np.arange(clip.first, clip.end)), config.rot6d)
