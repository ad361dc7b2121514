import itertools

import numpy as np
import pytest

from judges.curation.action_clips import ClipConfig, action_clips
from judges.curation.cuts import CutConfig, changes, fades, hard_cuts
from judges.curation.instruction import cleaned
from judges.curation.near_duplicates import NearDuplicateConfig, group_duplicates
from judges.curation.overlays import OverlayConfig, overlay_share
from judges.curation.picture_hash import clip_hashes, distance
from storage.errors import ConfigError, SchemaError
from storage.formats.human_video.source_video import Narration
from storage.formats.human_video.testing import numbered_scene, textured


def thumbnails(images: np.ndarray) -> np.ndarray:
    import cv2

    return np.stack([cv2.resize(image, (24, 18), interpolation=cv2.INTER_AREA) for image in images]).astype(np.float32)


def small(images: np.ndarray) -> np.ndarray:
    import cv2

    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    return np.stack([cv2.resize(each, (80, 60), interpolation=cv2.INTER_AREA) for each in grays])


def test_a_hard_cut_is_found_where_it_is_and_motion_is_none() -> None:
    images = np.concatenate([numbered_scene(20), numbered_scene(20, seed=5)])
    assert hard_cuts(changes(thumbnails(images)), CutConfig()).tolist() == [20]


def test_a_fade_is_found_and_a_moving_thing_is_none() -> None:
    one, two = (textured(seed).astype(np.float32) for seed in (1, 2))
    mixed = np.stack([one + (two - one) * share for share in np.linspace(0, 1, 16)]).astype(np.uint8)
    images = np.concatenate([np.repeat(mixed[:1], 10, 0), mixed, np.repeat(mixed[-1:], 10, 0)])
    ((first, end),) = fades(thumbnails(images), 20.0, CutConfig())
    assert abs(first - 10) <= 4
    assert abs(end - 26) <= 4
    assert fades(thumbnails(numbered_scene(60)), 20.0, CutConfig()) == []


def clips(
    narrations: list[Narration], seconds: float = 20.0, **settings: object
) -> list[tuple[float, float, str, str]]:
    steps = int(seconds * 10)
    found = action_clips(
        0,
        steps,
        times_s=np.arange(steps) / 10,
        speed=np.abs(np.sin(np.arange(steps) / 10 * np.pi / 4)).astype(np.float32),
        narrations=narrations,
        rate_hz=10.0,
        config=ClipConfig(**settings),
    )
    return [(c.first / 10, c.end / 10, c.narration.text if c.narration else "", c.left_out) for c in found]


def said(start_s: float, stop_s: float | None, text: str) -> Narration:
    return Narration(start_s=start_s, stop_s=stop_s, text=text, origin="test")


def test_a_narrated_stretch_is_a_clip_of_that_stretch() -> None:
    assert clips([said(3, 6, "cut"), said(8, 9.5, "stir")], seconds=12) == [
        (0, 3, "", ""),
        (3, 6, "cut", ""),
        (6, 8, "", ""),
        (8, 9.5, "stir", ""),
        (9.5, 12, "", ""),
    ]


def test_a_narrated_moment_reaches_halfway_to_its_neighbours() -> None:
    found = clips([said(2, None, "take"), said(4, None, "put")], seconds=10, between=False)
    assert [(start, end) for start, end, text, _ in found if text] == [(0, 3), (3, 6)]
    assert [why for *_, why in found if why] == ["not narrated"]


def test_what_nobody_narrated_is_parted_where_motion_rests_and_within_bounds() -> None:
    found = clips([], seconds=20, longest_s=6, shortest_s=1)
    assert [start for start, *_ in found] == [0, *[end for _, end, *_ in found[:-1]]]
    assert all(1 <= end - start <= 6 for start, end, *_ in found)
    # The speed is least every four seconds.
    assert all(min(end % 4, 4 - end % 4) <= 0.3 for _, end, *_ in found[:-1])


def test_nothing_of_a_shot_is_lost_whatever_was_narrated() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        starts = random.uniform(0, 25, 5)
        given = [
            said(float(at), float(at + length), "x")
            for at, length in zip(starts, random.uniform(0.1, 9, 5), strict=True)
        ]
        found = clips(given)
        assert found[0][0] == 0
        assert found[-1][1] == 20
        assert all(before[1] == after[0] for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("narration", "instruction"),
    [
        ("#C C picks up the knife", "pick up the knife"),
        ("#C C carries the tray with both hands", "carry the tray with both hands"),
        ("#O man X washes a plate #unsure", "wash a plate"),
        ("The student grabs the GoPro.", "grab the GoPro"),
        ("open drawer", "open drawer"),
        ("#C C presses the button", "press the button"),
        ("#unsure", ""),
    ],
)
def test_narrations_become_instructions(narration: str, instruction: str) -> None:
    assert cleaned(narration) == instruction


def test_a_logo_over_a_moving_picture_is_flagged_and_none_over_a_plain_one() -> None:
    import cv2

    wide = textured(4, height_px=240, width_px=640)
    moving = np.stack([np.ascontiguousarray(wide[:, at * 12 : at * 12 + 320]) for at in range(24)])
    assert overlay_share(small(moving), OverlayConfig()) < OverlayConfig().share
    for image in moving:
        cv2.putText(image, "SAMPLE", (20, 200), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (255, 255, 255), 12)
    assert overlay_share(small(moving), OverlayConfig()) > OverlayConfig().share


def test_a_copy_at_another_size_and_brightness_is_a_near_duplicate_and_another_moment_is_not() -> None:
    import cv2

    one, later = numbered_scene(40), numbered_scene(40, first=53)
    copy = np.stack([cv2.resize(cv2.convertScaleAbs(image, alpha=0.9, beta=12), (96, 72)) for image in one])
    hashes = {"a": clip_hashes(small(one)), "b": clip_hashes(small(copy)), "c": clip_hashes(small(later))}
    found = group_duplicates(hashes, NearDuplicateConfig())
    assert {name: original for name, (original, _) in found.items()} == {"b": "a"}


def test_every_repeat_points_at_a_clip_that_is_kept_and_later_ones_change_nothing() -> None:
    hashes = {name: clip_hashes(small(numbered_scene(20))) for name in ("d", "e", "f")}
    first = group_duplicates({name: hashes[name] for name in ("e", "f")}, NearDuplicateConfig())
    assert first == {"f": ("e", 0.0)}
    assert group_duplicates(hashes, NearDuplicateConfig(), judged={"e", "f"}) == {"d": ("e", 0.0), "f": ("e", 0.0)}


def test_distance_is_zero_to_itself_and_large_to_another() -> None:
    one, other = (clip_hashes(small(numbered_scene(20, seed=seed)))[0] for seed in (0, 3))
    assert distance(one, one) == 0
    assert distance(one, other) > 15


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="ratio > 1"):
        CutConfig(ratio=1.0)
    with pytest.raises(ConfigError, match="half of longest_s"):
        ClipConfig(shortest_s=8.0)
    with pytest.raises(SchemaError, match="ends after that"):
        said(3, 2, "backwards")
