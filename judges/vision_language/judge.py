"""The stage `judge_model`: a vision-language model's verdicts on instruction and physics.

It adds verdicts and drops nothing that has one. An episode whose reply cannot be read twice is dropped from the sidecar
as "unjudged", which no selection takes for a pass or a reject; a model that cannot be asked fails the unit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from judges.vision_language.asking import Asked, Interviewer, Told
from judges.vision_language.client import Client
from judges.vision_language.config import ModelConfig
from storage.episode import Episode
from storage.errors import InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.verdicts.verdicts import Verdict, effective

UNJUDGED = "unjudged"
NEEDS_TEXT = ("instruction", "again")


class JudgeByModel:
    """The stage; `client` replaces the model of the config."""

    def __init__(self, config: ModelConfig, client: Client | None = None) -> None:
        self.config = config
        self.kinds = config.asked if client is None else config.questions
        self.interviewer = Interviewer(config, client)

    def close(self) -> None:
        """Let go of the model."""
        self.interviewer.client.close()

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        outcomes: dict[str, Outcome] = {}
        questions: list[Asked] = []
        for episode in episodes:
            if dropped := self._not_asked(episode):
                outcomes[episode.episode_id] = dropped
                continue
            try:
                questions += [self._asked(episode, kind) for kind in self.kinds]
            except InputError as error:
                outcomes[episode.episode_id] = _dropped(episode, "cannot be judged", {"message": str(error)})
        told: dict[str, list[tuple[Asked, Told]]] = {}
        for asked, one in zip(questions, self.interviewer.tell(questions), strict=True):
            told.setdefault(asked.episode.episode_id, []).append((asked, one))
        for episode in episodes:
            if episode.episode_id in told:
                outcomes[episode.episode_id] = self._outcome(episode, told[episode.episode_id])
        return [[outcomes[episode.episode_id]] for episode in episodes]

    def _not_asked(self, episode: Episode) -> Dropped | None:
        """Why an episode costs no call of the model, if it costs none."""
        verdicts = effective(
            tuple(each_verdict for each in episode.verdicts if (each_verdict := Verdict.from_json(each)))
        )
        mine = {self.config.judge_of(kind) for kind in self.kinds}
        if self.config.only_missing and mine <= verdicts.keys():
            return _dropped(episode, "judged already", {})
        failed = sorted(name for name, verdict in verdicts.items() if verdict.passed is False and name not in mine)
        if self.config.skip_rejected and failed:
            return _dropped(episode, "rejected before", {"judges": failed})
        if not episode.instruction and any(kind in NEEDS_TEXT for kind in self.kinds):
            return _dropped(episode, "no instruction", {})
        return None

    def _asked(self, episode: Episode, kind: str) -> Asked:
        return self.interviewer.asked(episode, kind, instruction=episode.instruction if kind in NEEDS_TEXT else "")

    def _outcome(self, episode: Episode, replies: Sequence[tuple[Asked, Told]]) -> Outcome:
        unread = [(asked, told) for asked, told in replies if told.reply is None]
        if unread:
            asked, told = unread[0]
            return _dropped(episode, UNJUDGED, {"question": asked.prompt.kind, "said": told.said.text[:400]})
        verdicts = tuple(self.verdict(asked, told).to_json() for asked, told in replies)
        return Kept(episode.adding(verdicts=verdicts))

    def verdict(self, asked: Asked, told: Told) -> Verdict:
        """The verdict of a reply that was read."""
        return verdict_of(
            asked, told, self.config.judge_of(asked.prompt.kind), self.config, self.interviewer.client.model
        )


def verdict_of(asked: Asked, told: Told, judge: str, config: ModelConfig, model: str, *, replaces: str = "") -> Verdict:
    """The verdict of a reply: its score is the probability of "yes", or the answer itself as 1, 0 and 0.5."""
    reply, yes = told.reply, told.said.yes
    assert reply is not None
    score = yes if yes is not None else {True: 1.0, False: 0.0, None: 0.5}[reply.answer]
    sure = reply.answer is not None
    evidence: dict[str, Any] = {
        "model": model,
        "prompt": asked.prompt.hash,
        "camera": asked.camera,
        "frames": list(asked.numbers),
    }
    if reply.objects:
        evidence["objects"] = [dict(each) for each in reply.objects]
    if reply.failed_step:
        evidence["failed_step"] = reply.failed_step
    return Verdict(
        judge=judge,
        version=asked.prompt.version,
        passed=(score >= config.threshold) if sure else None,
        score=round(score, 4) if sure else None,
        threshold=config.threshold,
        reason=reply.reason,
        replaces=replaces,
        evidence=evidence,
    )


def _dropped(episode: Episode, reason: str, detail: Mapping[str, Any]) -> Dropped:
    return Dropped(episode_id=episode.episode_id, reason=reason, detail=detail)
