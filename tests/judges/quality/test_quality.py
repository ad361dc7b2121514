"""The judge of numbers: each fault is found by its judge and by no other, and nothing is said of a good episode."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judges.quality.duplicates import find_duplicates
from judges.quality.judge import JudgeQuality, QualityConfig
from judges.quality.measures import jerkiness, outlier_share, still_share
from pipelines.catalog import CATALOG
from pipelines.run_job import run_job
from pipelines.testing.stage_contract import check_stage
from storage.datasets.dataset import Dataset
from storage.embodiment import Layout
from storage.errors import ConfigError
from storage.testing import tiny_episode, write_unit
from workflows.datasets.quality import quality_job, quality_summary

STEPS = 60


def _smooth(seed: int, size: int = 44) -> np.ndarray:
    random = np.random.default_rng(seed)
    phase, speed = random.uniform(0, 6, size), random.uniform(0.05, 0.2, size)
    return np.sin(phase + speed * np.arange(STEPS)[:, None]).astype(np.float32)


def _episode(seed: int = 0, **changes: Any) -> Any:
    action = _smooth(seed)
    state = np.concatenate([action[:1], action[:-1]])
    arrays = {"state": state, "action/ground_truth": action, **changes.pop("arrays", {})}
    return tiny_episode(seed, length=STEPS, embodiment="gr1", cameras=(), arrays=arrays, **changes)


def _against(episode: Any, **config: Any) -> set[str]:
    return {verdict.judge for verdict in JudgeQuality(QualityConfig(**config)).judge(episode) if not verdict.passed}


def test_a_good_episode_has_nothing_against_it() -> None:
    assert _against(_episode()) == set()


def _jump(rows: np.ndarray) -> np.ndarray:
    out = rows.copy()
    out[[20, 40], 3] += 5  # a joint of the left arm
    return out


def _held(rows: np.ndarray) -> np.ndarray:
    return np.repeat(rows[:20], [1] * 19 + [STEPS - 19], axis=0)


@pytest.mark.parametrize(
    ("judge", "changes"),
    [
        ("instruction", {"instruction": " "}),
        (
            "jerk",
            {"arrays": {"action/ground_truth": np.random.default_rng(0).normal(size=(STEPS, 44)).astype(np.float32)}},
        ),
        ("outlier", {"arrays": {"action/ground_truth": _jump(_smooth(0))}}),
        ("action_vs_state", {"arrays": {"state": _smooth(0) + 3}}),
        ("clock_jitter", {"arrays": {"timestamp": np.arange(STEPS) / 20 + (np.arange(STEPS) > 30) * 0.4}}),
        ("still", {"arrays": {"state": _held(_smooth(0)), "action/ground_truth": _held(_smooth(0))}}),
        ("constant", {"arrays": {"action/ground_truth": _smooth(0) * (np.arange(44) < 2)}}),
    ],
)
def test_every_fault_is_found(judge: str, changes: dict[str, Any]) -> None:
    assert judge in _against(_episode(**changes))


def test_a_saturated_action_is_found_and_a_gripper_is_not() -> None:
    action = np.clip(3 * _smooth(0), -1, 1)
    assert "saturated" in _against(_episode(arrays={"action/ground_truth": action}))
    grip = np.tile(np.array([0, 0, 0, 0, 0, 0, 1], np.float32), (STEPS, 1)) * np.sign(_smooth(0)[:, :1])
    arms = _smooth(0, 7) * (np.arange(7) < 6)
    episode = tiny_episode(
        0, length=STEPS, cameras=(), arrays={"action/ground_truth": (arms + grip).astype(np.float32)}
    )
    assert "saturated" not in _against(episode)


def test_measures_do_not_depend_on_units() -> None:
    rows = _smooth(1).astype(np.float64)
    for measure in (still_share, jerkiness, lambda its: outlier_share(its, Layout())[0]):
        assert measure(rows) == pytest.approx(measure(rows * 1000))


def test_white_noise_is_as_jerky_as_its_theory_says() -> None:
    assert jerkiness(np.random.default_rng(0).normal(size=(20_000, 3))) == pytest.approx(np.sqrt(10), rel=0.03)


def test_thresholds_move() -> None:
    assert _against(_episode(), thresholds={"jerk": 0.0}) == {"jerk"}
    with pytest.raises(ConfigError, match="no judge of quality is called"):
        QualityConfig(thresholds={"jrek": 1.0})


def test_the_stage_keeps_the_law() -> None:
    check_stage(CATALOG["judge_quality"], {}, [_episode(seed) for seed in range(3)])


def test_verdicts_land_in_a_sidecar_with_a_page_sorted_by_doubt(tmp_path: Path) -> None:
    Dataset.create(tmp_path, name="data")
    twin = _episode(0, episode_id="twin")
    write_unit(tmp_path, [_episode(0, episode_id="first"), _episode(1, episode_id="fine"), twin])
    assert find_duplicates(Dataset.open(tmp_path)) == {"twin": "first"}
    assert run_job(tmp_path, quality_job(tmp_path)).complete
    text = quality_summary(tmp_path)
    assert "judged 3 episodes; 1 have a verdict against them" in text
    assert "twin: the same numbers as episode first" in text
    page = (tmp_path / "quality.html").read_text()
    assert page.index("<code>twin") < page.index("<code>fine")
    verdicts = Dataset.open(tmp_path, labels=("quality",)).episode("twin").verdicts
    assert {verdict["judge"]: verdict["pass"] for verdict in verdicts}["duplicate"] is False
