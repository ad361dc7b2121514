"""Rules: each finds its fault, and none speaks up about a sound clip."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from judges.rules.catalog import NAMES, RULES
from judges.rules.clip import longest_run, measure
from judges.rules.fingerprint import fingerprint
from judges.rules.judge import JudgeByRules, RulesConfig
from pipelines.catalog import CATALOG
from pipelines.testing.stage_contract import check_stage
from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.frames import Frames, Image
from storage.ids import Randomness
from storage.outcomes import Dropped
from storage.testing import tiny_episode, tiny_images
from storage.verdicts.duplicates import duplicates
from storage.verdicts.verdicts import Verdict

Images = np.ndarray


def moving(seed: int = 0, *, steps: int = 40) -> Images:
    """A disc that wanders slowly over a textured ground."""
    random = np.random.default_rng(seed)
    ground = cv2.resize(random.integers(40, 200, (12, 16, 3), dtype=np.uint8), (128, 96), interpolation=cv2.INTER_CUBIC)
    frames = []
    for step in range(steps):
        frame = ground.copy()
        cv2.circle(frame, (20 + 2 * step, 30 + step + 3 * seed), 12, (250, 240, 30), -1, lineType=cv2.LINE_AA)
        frames.append(frame)
    return np.stack(frames)


def clip(images: Images | list[Image], rate_hz: float = 10.0, **about: object) -> Episode:
    frames = Frames.encode(images)
    return Episode(
        episode_id=f"clip {len(frames)}",
        layer="human",
        embodiment="human",
        length=len(frames),
        rate_hz=rate_hz,
        cameras={"view": frames},
        **about,
    )


def failed(episode: Episode) -> set[str]:
    return {verdict.judge for verdict in JudgeByRules(RulesConfig()).verdicts(episode) if verdict.passed is False}


def frozen(images: Images) -> Images:
    return np.concatenate([images[:20], np.repeat(images[19:20], 20, axis=0)])


def still(images: Images) -> Images:
    return np.repeat(images[:1], 40, axis=0)


def cut(images: Images) -> Images:
    return np.concatenate([images[:20], 255 - images[20:]])


def flickering(images: Images) -> Images:
    gains = 1 + 0.08 * (-1.0) ** np.arange(len(images))
    return np.clip(images * gains[:, None, None, None], 0, 255).astype(np.uint8)


def black(images: Images) -> Images:
    return np.concatenate([images[:10], 0 * images[10:12], images[12:]])


def other_first(images: Images) -> Images:
    return np.concatenate([255 - images[:1], images[1:]])


def blurring(images: Images) -> Images:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 0.1 + 0.15 * step) for step, frame in enumerate(images)])


def shaking(images: Images) -> Images:
    shift = [np.float32([[1, 0, 4 * (-1) ** step], [0, 1, 0]]) for step in range(len(images))]
    return np.stack(
        [cv2.warpAffine(f, m, (128, 96), borderMode=cv2.BORDER_REFLECT) for f, m in zip(images, shift, strict=True)]
    )


def short(images: Images) -> Images:
    return images[:5]


def test_a_sound_clip_passes_every_rule() -> None:
    verdicts = JudgeByRules(RulesConfig()).verdicts(clip(moving()))
    assert [verdict.judge for verdict in verdicts if verdict.passed is not True] == []
    assert {verdict.judge for verdict in verdicts} == set(NAMES)


@pytest.mark.parametrize(
    ("fault", "judge"),
    [
        (frozen, "frozen"),
        (still, "motion"),
        (cut, "cut"),
        (flickering, "flicker"),
        (black, "exposure"),
        (other_first, "first_frame"),
        (blurring, "blur"),
        (shaking, "jitter"),
        (short, "length"),
    ],
)
def test_each_fault_is_found_by_its_rule(fault: Callable[[Images], Images], judge: str) -> None:
    assert judge in failed(clip(fault(moving())))


def test_a_rate_that_no_camera_has_is_refused() -> None:
    assert "rate" in failed(clip(moving(), rate_hz=1000.0))


def test_a_verdict_says_where_the_fault_is() -> None:
    (verdict,) = JudgeByRules(RulesConfig(rules=("frozen",))).verdicts(clip(frozen(moving())))
    assert verdict.reason == "still from 1.9 s to 3.9 s"
    assert verdict.evidence["frames"] == [19, 40]


def test_a_threshold_of_the_config_takes_the_place_of_the_rules_own() -> None:
    episode = clip(frozen(moving()))
    (verdict,) = JudgeByRules(RulesConfig(rules=("frozen",), thresholds={"frozen": 0.9})).verdicts(episode)
    assert verdict.passed
    assert verdict.threshold == 0.9


def test_the_first_frame_is_held_against_its_picture_where_it_is_known(tmp_path: Path) -> None:
    images = moving()
    cv2.imwrite(str(tmp_path / "own.png"), images[0][..., ::-1])
    cv2.imwrite(str(tmp_path / "other.png"), 255 - images[0])
    assert "first_frame" not in failed(clip(images, provenance={"first_frame": str(tmp_path / "own.png")}))
    assert "first_frame" in failed(clip(images, provenance={"first_frame": str(tmp_path / "other.png")}))


def test_a_clip_that_was_encoded_again_has_nearly_the_same_fingerprint() -> None:
    small = np.stack([cv2.resize(frame, (96, 72), interpolation=cv2.INTER_AREA) for frame in moving()])
    prints = {
        "first": fingerprint(measure(clip(moving()))),
        "copy": fingerprint(measure(clip(small))),
        "other": fingerprint(measure(clip(moving(3)[::-1]))),
    }
    assert duplicates(prints) == {"copy": "first"}


def test_duplicates_are_found_however_their_bits_differ() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, 512)
    near = bits.copy()
    near[random.choice(512, 31, replace=False)] ^= 1
    far = bits.copy()
    far[random.choice(512, 60, replace=False)] ^= 1
    prints = {name: np.packbits(each).tobytes().hex() for name, each in (("a", bits), ("b", near), ("c", far))}
    assert duplicates(prints) == {"b": "a"}


def test_the_longest_run_is_the_first_of_equal_ones() -> None:
    assert longest_run(np.array([True, True, False, True, True, False])) == (0, 2)
    assert longest_run(np.array([False])) == (0, 0)


def test_an_unknown_rule_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'frosen'; did you mean frozen"):
        RulesConfig(rules=("frosen",))


def test_a_clip_that_does_not_decode_is_dropped_with_the_reason() -> None:
    good = clip(moving())
    broken = Frames(payloads=[b"no picture"] * 40, height_px=96, width_px=128)
    episode = Episode(**{**vars(good), "cameras": {"view": broken}})
    ((outcome,),) = JudgeByRules(RulesConfig())([episode], Randomness(0, "rules"))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "cannot be judged"


def test_the_stage_keeps_its_contract() -> None:
    check_stage(CATALOG["judge_rules"], {}, [tiny_episode(seed, length=12) for seed in range(3)])


def test_every_verdict_survives_being_stored() -> None:
    for verdict in JudgeByRules(RulesConfig()).verdicts(clip(tiny_images(steps=12))):
        assert Verdict.from_json(verdict.to_json()) == verdict


def test_every_rule_names_itself() -> None:
    assert all(name == rule.name for name, rule in RULES.items())
