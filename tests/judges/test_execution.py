"""The execution judge: what the labels of a clip do when they are played, and whether a robot could do it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judges.execution import ExecutionConfig, JudgeExecution, Played, beyond_limits
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import ConfigError, MissingFileError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import tiny_episode, write_unit
from storage.verdicts.verdicts import Verdict

RANDOM = Randomness(0, "judge_execution")


def labelled(confidence: float = 0.9, share: float = 1.0, seed: int = 0) -> Episode:
    episode = tiny_episode(seed, length=20)
    valid = np.arange(20) < round(20 * share)
    return episode.adding(
        arrays={
            "action/predicted": episode.arrays["action/ground_truth"],
            "label/valid/predicted": valid,
            "label/confidence/predicted": np.full((20, 2), confidence, np.float32),
        }
    )


def verdicts_of(judge: JudgeExecution, episode: Episode) -> dict[str, Verdict]:
    ((outcome,),) = judge([episode], RANDOM)
    assert isinstance(outcome, Kept)
    found = [Verdict.from_json(record) for record in outcome.episode.verdicts]
    return {verdict.judge: verdict for verdict in found if verdict is not None}


@pytest.mark.parametrize("succeeded", [True, False])
def test_what_was_played_is_the_verdict(succeeded: bool) -> None:
    judge = JudgeExecution(ExecutionConfig(), lambda episode, actions, valid: Played(succeeded=succeeded, drift_m=0.02))
    verdict = verdicts_of(judge, labelled())["execution"]
    assert verdict.passed is succeeded
    assert verdict.evidence["drift_m"] == 0.02


def test_without_a_state_to_play_from_labels_and_limits_speak_alone() -> None:
    judge = JudgeExecution(ExecutionConfig(), lambda episode, actions, valid: None)
    assert verdicts_of(judge, labelled()).keys() == {"executable"}


@pytest.mark.parametrize(
    ("about", "reason"),
    [({"confidence": 0.1}, "unsure"), ({"share": 0.2}, "20 % of the steps have a label"), ({}, "")],
)
def test_labels_that_are_unsure_or_missing_are_not_executable(about: dict[str, float], reason: str) -> None:
    verdict = verdicts_of(JudgeExecution(ExecutionConfig()), labelled(**about))["executable"]
    assert verdict.passed is (reason == "")
    assert reason in verdict.reason


def test_values_speed_and_jerk_beyond_limits_are_found_where_they_are() -> None:
    config = ExecutionConfig(limits={"panda": ((-1.0,), (1.0,))}, fastest=8.0, jerkiest=0.5)
    calm = np.sin(np.linspace(0, 3, 40))[:, None]
    far, sudden = calm.copy(), calm.copy()
    far[10] = 1.3
    sudden[20:] -= 1.5
    assert not beyond_limits(calm, config, "panda", rate_hz=20.0).any()
    assert beyond_limits(far, config, "panda", rate_hz=20.0)[10]
    assert 20 in np.flatnonzero(beyond_limits(sudden, config, "panda", rate_hz=20.0))
    assert not beyond_limits(far, config, "somebody", rate_hz=20.0).any()


def test_limits_of_another_width_are_refused() -> None:
    config = ExecutionConfig(limits={"panda": ((-1.0,), (1.0,))})
    with pytest.raises(ConfigError, match="limits of 'panda' have 1 numbers; its actions have 7"):
        beyond_limits(np.zeros((4, 7)), config, "panda", rate_hz=20.0)


def test_a_clip_without_labels_is_dropped_with_what_helps() -> None:
    ((outcome,),) = JudgeExecution(ExecutionConfig())([tiny_episode(0)], RANDOM)
    assert isinstance(outcome, Dropped)
    assert "pyramid label idm" in outcome.detail["mend"]


@pytest.fixture(scope="module")
def lifted() -> Episode:
    from generators.simulation.multiply import Multiply
    from generators.simulation.multiply_config import MultiplyConfig

    stage = Multiply(MultiplyConfig(task="lift", size_px=0, sources=2))
    outcomes: list[Any] = [
        each for found in stage([{"first_attempt": 0, "attempts": 6, "keep_at_most": 1}], RANDOM) for each in found
    ]
    return next(outcome.episode for outcome in outcomes if isinstance(outcome, Kept))


def played(dataset: Path, *clips: Episode, parents: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """By clip, what the stage says of it: judge -> its verdict."""
    from workflows.judging.judge_execution import PlayAndJudge

    found = []
    for (outcome,) in PlayAndJudge(ExecutionConfig(dataset=str(dataset), parents=parents))(clips, RANDOM):
        assert isinstance(outcome, Kept)
        found.append({record["judge"]: record for record in outcome.episode.verdicts})
    return found


def test_true_actions_solve_the_task_from_the_true_state_and_others_do_not(tmp_path: Path, lifted: Episode) -> None:
    truth = lifted.arrays["action/ground_truth"]
    good = lifted.adding(arrays={"action/predicted": truth})
    still = lifted.adding(arrays={"action/predicted": np.zeros_like(truth)})
    verdicts = played(tmp_path, good, still)
    assert [found["execution"]["pass"] for found in verdicts] == [True, False]
    assert verdicts[0]["execution"]["evidence"]["drift_m"] < 1e-3 < verdicts[1]["execution"]["evidence"]["drift_m"]
    assert [found["execution"]["evidence"]["touched"] for found in verdicts] == [True, False]


def slower_clip(parent: Episode, *, step: int = 0) -> Episode:
    """What a video model at a quarter of the rate would have made of the parent's first frame, rightly labelled."""
    truth = parent.arrays["action/ground_truth"]
    count = len(truth) // 4
    quarters = truth[: 4 * count].reshape(count, 4, -1)
    actions = np.concatenate([quarters[..., :6].sum(axis=1), quarters[:, 0, 6:]], axis=1)
    rest = np.zeros((2, actions.shape[1]), np.float32)  # no label: the gripper must stay shut
    valid = np.r_[np.ones(count, bool), np.zeros(2, bool)]
    return Episode(
        episode_id="clip",
        parent_id=parent.episode_id,
        layer="neural",
        embodiment=parent.embodiment,
        length=count + 2,
        rate_hz=parent.rate_hz / 4,
        arrays={"action/predicted": np.concatenate([actions, rest]), "label/valid/predicted": valid},
        provenance={"neural": {"first_frame": {"step": step}}},
    )


def test_a_clip_at_another_rate_is_played_from_the_state_of_a_parent_in_another_data_set(
    tmp_path: Path, lifted: Episode
) -> None:
    Dataset.create(tmp_path / "frames", name="frames")
    write_unit(tmp_path / "frames", [lifted])
    clip, later = slower_clip(lifted), slower_clip(lifted, step=5)
    (alone,) = played(tmp_path, clip)
    assert "execution" not in alone  # nobody said where the parent is
    found, begun_later = played(tmp_path, clip, later, parents=(str(tmp_path / "frames"),))
    assert found["execution"]["pass"] is True
    assert "execution" not in begun_later


def test_parents_that_are_no_data_set_are_an_error(tmp_path: Path, lifted: Episode) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere.*`parents`"):
        played(tmp_path, lifted, parents=(str(tmp_path / "nowhere"),))
