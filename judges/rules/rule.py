"""What a rule is: one measure of a clip, with the threshold beyond which a clip fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from judges.rules.clip import JudgedClip
from storage.verdicts.verdicts import Better, Verdict


@dataclass(frozen=True)
class Measured:
    """The score of a clip, what to tell people should it fail, and evidence such as frame numbers."""

    score: float
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`measure` scores a clip; it passes at `threshold` and on the `better` side of it. Raise `version` when the same
    clip gets another score."""

    name: str
    measure: Callable[[JudgedClip], Measured]
    threshold: float
    better: Better = "lower"
    version: int = 1

    def verdict(self, clip: JudgedClip, threshold: float | None = None) -> Verdict:
        """The verdict about a clip, with another threshold where one is given."""
        bar = self.threshold if threshold is None else threshold
        measured = self.measure(clip)
        passed = measured.score <= bar if self.better == "lower" else measured.score >= bar
        return Verdict(
            judge=self.name,
            version=self.version,
            passed=passed,
            score=round(measured.score, 5),
            threshold=bar,
            better=self.better,
            reason="" if passed else measured.reason,
            evidence={"camera": clip.camera, **measured.evidence},
        )
