"""A model's verdicts: nothing it does not say is taken for an answer, and nothing is lost when it is silent."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judges.testing import SayingClient, verdict_text
from judges.vision_language.caption import Caption, CaptionConfig
from judges.vision_language.client import Question, Said
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import JudgeByModel
from judges.vision_language.prompt import KINDS
from judges.vision_language.recaption import Recaption, RecaptionConfig
from storage.episode import Episode
from storage.errors import UnknownNameError, WorldError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome
from storage.testing import tiny_episode
from storage.verdicts.verdicts import Verdict

RANDOM = Randomness(0, "judge_model")


def config(tmp_path: Path, **settings: Any) -> ModelConfig:
    prompts = {kind: kind for kind in KINDS}
    return ModelConfig(questions=("instruction",), prompts=prompts, replies=str(tmp_path / "replies"), **settings)


def outcomes_of(judge: Any, *episodes: Episode) -> list[Outcome]:
    return [outcome for (outcome,) in judge(list(episodes), RANDOM)]


def verdict_in(outcome: Outcome) -> Verdict:
    assert isinstance(outcome, Kept)
    found = Verdict.from_json(outcome.episode.verdicts[-1])
    assert found is not None
    return found


def failing(seed: int, judge: str, **about: Any) -> Episode:
    verdict = Verdict(judge=judge, passed=False, score=0.1, threshold=0.5).to_json()
    return tiny_episode(seed, verdicts=(verdict,), **about)


@pytest.mark.parametrize(
    ("said", "passed", "score"),
    [
        (verdict_text("yes"), True, 1.0),
        (verdict_text("no", "it fell"), False, 0.0),
        (verdict_text("unsure"), None, None),
        (Said(text=verdict_text("yes"), yes=0.3), False, 0.3),
        (Said(text=verdict_text("no"), yes=0.8), True, 0.8),
    ],
)
def test_a_reply_becomes_a_verdict(tmp_path: Path, said: Said | str, passed: bool | None, score: float | None) -> None:
    judge = JudgeByModel(config(tmp_path), SayingClient(lambda question: said))
    verdict = verdict_in(*outcomes_of(judge, tiny_episode(0)))
    assert (verdict.passed, verdict.score) == (passed, score)
    assert verdict.evidence["frames"][0] == 0
    assert verdict.evidence["model"] == "saying"


def test_verdicts_go_to_the_episodes_they_are_about(tmp_path: Path) -> None:
    judge = JudgeByModel(
        config(tmp_path, batch=2), SayingClient(lambda asked: verdict_text("yes" if "cup" in asked.text else "no"))
    )
    texts = ("lift the cup", "lift the box", "put the cup away", "wait", "wash the cup")
    found = outcomes_of(judge, *(tiny_episode(seed, instruction=text) for seed, text in enumerate(texts)))
    assert [verdict_in(outcome).passed for outcome in found] == [True, False, True, False, True]


def test_a_reply_that_cannot_be_read_twice_is_neither_pass_nor_reject(tmp_path: Path) -> None:
    client = SayingClient(lambda asked: "I think it went well" if "box" in asked.text else verdict_text("yes"))
    found = outcomes_of(
        JudgeByModel(config(tmp_path), client), tiny_episode(0, instruction="lift the box"), tiny_episode(1)
    )
    assert isinstance(found[0], Dropped)
    assert found[0].reason == "unjudged"
    assert found[0].detail["said"] == "I think it went well"
    assert verdict_in(found[1]).passed is True
    assert len(client.asked) == 3


def test_a_reply_that_is_readable_the_second_time_counts(tmp_path: Path) -> None:
    client = SayingClient(lambda asked: verdict_text("no") if "JSON object alone" in asked.text else "hm")
    assert verdict_in(*outcomes_of(JudgeByModel(config(tmp_path), client), tiny_episode(0))).passed is False


def test_a_silent_model_fails_the_unit_and_what_was_said_is_not_asked_again(tmp_path: Path) -> None:
    def says(asked: Question) -> Said | str:
        return Said(text="", error="no connection") if "box" in asked.text else verdict_text("yes")

    episodes = [tiny_episode(0, instruction="lift the cup"), tiny_episode(1, instruction="lift the box")]
    with pytest.raises(WorldError, match=r"1 of 2 questions got no reply \(no connection.*unjudged"):
        JudgeByModel(config(tmp_path), SayingClient(says))(episodes, RANDOM)
    later = SayingClient(lambda asked: verdict_text("no"))
    found = outcomes_of(JudgeByModel(config(tmp_path), later), *episodes)
    assert [verdict_in(outcome).passed for outcome in found] == [True, False]
    assert len(later.asked) == 1


def test_another_model_is_asked_anew(tmp_path: Path) -> None:
    outcomes_of(JudgeByModel(config(tmp_path), SayingClient(lambda asked: verdict_text("yes"))), tiny_episode(0))
    other = SayingClient(lambda asked: verdict_text("no"), model="other")
    assert verdict_in(*outcomes_of(JudgeByModel(config(tmp_path), other), tiny_episode(0))).passed is False


def test_what_cheaper_judges_reject_costs_no_call(tmp_path: Path) -> None:
    client = SayingClient(lambda asked: verdict_text("yes"))
    found = outcomes_of(JudgeByModel(config(tmp_path), client), failing(0, "frozen"), tiny_episode(1))
    assert isinstance(found[0], Dropped)
    assert found[0].reason == "rejected before"
    assert found[0].detail == {"judges": ["frozen"]}
    assert len(client.asked) == 1


def test_an_episode_without_an_instruction_is_not_asked_whether_it_follows_one(tmp_path: Path) -> None:
    judge = JudgeByModel(config(tmp_path), SayingClient(lambda asked: verdict_text("yes")))
    (outcome,) = outcomes_of(judge, tiny_episode(0, instruction=""))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "no instruction"


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'physix'"):
        ModelConfig(questions=("physix",))


def says_caption(caption: str, right: str) -> SayingClient:
    def says(asked: Question) -> str:
        kind = "caption" if "caption" in asked.schema["properties"] else "verdict"
        return f'{{"caption": "{caption}"}}' if kind == "caption" else verdict_text(right)

    return SayingClient(says)


def recaption(tmp_path: Path, client: SayingClient) -> Recaption:
    return Recaption(RecaptionConfig(model=config(tmp_path), replies=str(tmp_path / "replies")), client)


def test_a_refused_clip_is_kept_under_what_it_shows(tmp_path: Path) -> None:
    client = says_caption("lift the disc", "yes")
    (outcome,) = outcomes_of(recaption(tmp_path, client), failing(0, "instruction", length=40))
    assert isinstance(outcome, Kept)
    assert (outcome.episode.instruction, outcome.episode.original_instruction) == (
        "lift the disc",
        "put the disc on the table",
    )
    verdict = verdict_in(outcome)
    assert (verdict.judge, verdict.replaces, verdict.passed) == ("recaption", "instruction", True)
    assert len(client.asked[0].pictures) == 16


@pytest.mark.parametrize(
    ("caption", "right", "reason"),
    [
        ("lift the disc", "no", "new caption refused"),
        ("lift the disc", "unsure", "new caption refused"),
        ("nothing is completed", "yes", "nothing is completed"),
        ("Put the disc on the table.", "yes", "same caption"),
    ],
)
def test_a_caption_that_does_not_hold_changes_nothing(tmp_path: Path, caption: str, right: str, reason: str) -> None:
    (outcome,) = outcomes_of(recaption(tmp_path, says_caption(caption, right)), failing(0, "instruction"))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == reason


def test_only_what_fails_its_instruction_is_captioned(tmp_path: Path) -> None:
    client = says_caption("lift the disc", "yes")
    good = Verdict(judge="instruction", passed=True, score=0.9, threshold=0.5).to_json()
    broken = Verdict(judge="frozen", passed=False).to_json()
    both = failing(2, "instruction")
    found = outcomes_of(
        recaption(tmp_path, client),
        tiny_episode(0, verdicts=(good,)),
        tiny_episode(1),
        both.adding(verdicts=(broken,)),
    )
    assert [outcome.reason for outcome in found if isinstance(outcome, Dropped)] == [
        "follows its instruction",
        "not judged",
        "refused by others",
    ]
    assert client.asked == []


def test_clips_without_a_text_are_captioned_and_others_are_left_alone(tmp_path: Path) -> None:
    client = SayingClient(lambda question: json.dumps({"caption": "Pour the water"}))
    stage = Caption(CaptionConfig(model=ModelConfig(force=True), replies=str(tmp_path / "replies")), client)
    told, silent = tiny_episode(0, length=20), replace(tiny_episode(1, length=20), instruction="")
    ((left,), (kept,)) = stage([told, silent], RANDOM)
    assert isinstance(left, Dropped)
    assert left.reason == "has an instruction"
    assert isinstance(kept, Kept)
    assert kept.episode.instruction == "Pour the water"
    assert kept.episode.provenance["caption"]["origin"] == "captioner"
    assert len(client.asked) == 1


@pytest.mark.parametrize(("said", "reason"), [("nothing is completed", "nothing is completed"), ("", "unjudged")])
def test_a_caption_that_says_nothing_is_no_caption(tmp_path: Path, said: str, reason: str) -> None:
    client = SayingClient(lambda question: json.dumps({"caption": said}))
    stage = Caption(CaptionConfig(model=ModelConfig(force=True), replies=str(tmp_path / "replies")), client)
    ((outcome,),) = stage([replace(tiny_episode(1, length=20), instruction="")], RANDOM)
    assert isinstance(outcome, Dropped)
    assert outcome.reason == reason
