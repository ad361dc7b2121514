"""What the rules say about a clip: one verdict each, with the number behind it, so that thresholds may move later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judges.curation.frame_measures import Measures
from judges.curation.overlays import OverlayConfig, overlay_share
from judges.curation.picture_hash import clip_hashes
from judges.curation.spans import Flags, Span
from storage.errors import ConfigError
from storage.verdicts.verdicts import Better, Verdict


@dataclass(frozen=True, kw_only=True)
class ClipRules:
    """A clip fails where more than `black` or `still` of it is black or still (shares), where its camera turns or moves
    faster than `camera` image widths a second on average, or where overlays cover more than they may. With `hands`
    above 0 a clip fails where hands are in view in less than that share of it. `camera` 0 lets every motion pass."""

    black: float = 0.5
    still: float = 0.8
    camera: float = 0.0
    hands: float = 0.0

    def __post_init__(self) -> None:
        if any(not 0 <= share <= 1 for share in (self.black, self.still, self.hands)) or self.camera < 0:
            raise ConfigError(f"black, still and hands are shares within 0..1 and camera is a speed; got {self}")


def clip_verdicts(
    span: Span,
    measures: Measures,
    flags: Flags,
    *,
    hands: NDArray[np.bool_] | None,
    rules: ClipRules,
    overlays: OverlayConfig,
) -> tuple[Mapping[str, Any], ...]:
    """Verdicts about the steps of `span`; `hands` (T,) says where any hand is in view, None where nobody looked."""
    part = slice(span.first, span.end)
    speed = measures.camera_speed[part][:-1]
    verdicts = [
        _below("black", float(flags.black[part].mean()), rules.black, "black frames"),
        _below("still", float(flags.still[part].mean()), rules.still, "nothing moves"),
        _below("overlay", overlay_share(measures.small[part], overlays), overlays.share, "text or logo over the video"),
        _camera(measures, part, float(speed.mean()) if len(speed) else 0.0, rules.camera),
        _hashes(measures.small[part]),
    ]
    if hands is not None:
        share = float(hands[part].mean())
        verdicts.append(_verdict("hands", share, rules.hands, "higher", "hands out of view"))
    return tuple(verdict.to_json() for verdict in verdicts)


def _hashes(small: NDArray[np.uint8]) -> Verdict:
    """No judgement: what near-duplicates are found by."""
    pictures, changes = clip_hashes(small)
    return Verdict(judge="picture_hash", passed=True, evidence={"pictures": pictures, "changes": changes})


def _camera(measures: Measures, part: slice, speed: float, threshold: float) -> Verdict:
    """Share of head motion beside it: camera speed over all motion, as far as both can be told."""
    moving = measures.camera_speed[part] > 0.05
    about = {"share of steps with camera motion": round(float(moving.mean()), 3)}
    passed = True if not threshold else speed <= threshold
    return Verdict(
        judge="camera_motion",
        passed=passed,
        score=round(speed, 4),
        threshold=threshold or None,
        better="lower",
        reason="" if passed else "the camera moves too fast",
        evidence=about,
    )


def _below(judge: str, score: float, threshold: float, reason: str) -> Verdict:
    return _verdict(judge, score, threshold, "lower", reason)


def _verdict(judge: str, score: float, threshold: float, better: Better, reason: str) -> Verdict:
    passed = score >= threshold if better == "higher" else score <= threshold
    text = "" if passed else reason
    return Verdict(judge=judge, passed=passed, score=round(score, 4), threshold=threshold, better=better, reason=text)
