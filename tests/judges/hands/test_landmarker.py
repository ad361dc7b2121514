from pathlib import Path

import cv2
import numpy as np
import pytest

from judges.curation.faces import FaceBlur
from judges.hands.finders import make_finder
from judges.hands.hand_config import HandConfig
from judges.hands.landmarks import Hand
from judges.hands.palm_landmarker import PalmLandmarker, crop_of_hand
from judges.hands.tracks import HandTracks, any_hand, wrist_speed
from judges.tflite.detector import FACES, PALMS, anchor_centres, letterboxed, overlap
from storage.atomic_files import read_json
from storage.errors import ConfigError, MissingFileError
from storage.ids import file_hash
from storage.testing import real_data, tiny_images

HANDS = Path(__file__).parents[3] / "docs" / "pictures" / "hands.jpg"
STARTER = Path(__file__).parents[3] / "judges" / "tflite" / "starter"


@pytest.fixture(scope="module")
def finder() -> PalmLandmarker:
    return PalmLandmarker(HandConfig(model="landmarker"))


def hand(x: float, *, right: bool = True, score: float = 0.95) -> Hand:
    points = np.zeros((21, 3), np.float32)
    points[:, 0], points[:, 1] = x, 0.5
    return Hand(right=right, score=score, landmarks=points)


def test_anchors_are_as_many_as_the_rows_of_the_networks() -> None:
    assert anchor_centres(PALMS.grids).shape == (2016, 2)
    assert anchor_centres(FACES.grids).shape == (896, 2)


def test_a_letterbox_keeps_the_aspect_and_knows_the_way_back() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[10, 20] = 255
    square, scale, left, top = letterboxed(image, 160)
    y, x = np.unravel_index(np.argmax(square[..., 0]), square.shape[:2])
    assert abs((x - left) / scale - 20) <= 1
    assert abs((y - top) / scale - 10) <= 1


def test_boxes_overlap_fully_with_themselves_and_not_with_others() -> None:
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert overlap((0, 0, 2, 2), (3, 0, 4, 2)) == 0


def test_no_hand_is_found_where_there_is_none(finder: PalmLandmarker) -> None:
    for seed in range(3):
        assert finder(tiny_images(seed, steps=1, height_px=120, width_px=160)[0]) == []


def test_a_crop_follows_a_hand_that_turns() -> None:
    points = np.random.default_rng(0).uniform(40, 60, (21, 3)).astype(np.float32)
    points[0, :2], points[9, :2], points[5, :2], points[13, :2] = (50, 80), (50, 40), (45, 42), (55, 42)
    _, size, turn = crop_of_hand(points)
    turned = points.copy()
    turned[:, 0], turned[:, 1] = -points[:, 1], points[:, 0]
    _, other_size, other_turn = crop_of_hand(turned)
    assert np.isclose(size, other_size, rtol=1e-3)
    assert np.isclose((other_turn - turn) % (2 * np.pi), np.pi / 2, atol=1e-3)


def test_hands_between_two_looks_are_filled_in_and_marked_as_not_observed() -> None:
    tracks = HandTracks(rate_hz=30.0, gap_s=0.5)
    tracks.add(0, [hand(0.2)])
    tracks.add(4, [hand(0.4)])
    tracks.add(8, [])
    arrays = tracks.finish(12)
    assert np.allclose(arrays["label/hand_landmarks"][:6, 1, 0, 0], [0.2, 0.25, 0.3, 0.35, 0.4, 0.0])
    flags = arrays["label/flags/hands"]
    assert flags.tolist() == [2 | 8 | 32, 34, 34, 34, 2 | 8 | 32, *[0] * 7]
    assert any_hand(flags).sum() == 5


def test_a_hand_that_would_have_to_jump_is_not_filled_in_and_not_reliable() -> None:
    tracks = HandTracks(rate_hz=30.0, gap_s=0.5)
    tracks.add(0, [hand(0.1, right=False)])
    tracks.add(3, [hand(0.9, right=False)])
    flags = tracks.finish(4)["label/flags/hands"]
    assert flags.tolist() == [1 | 4, 0, 0, 1 | 4]


def test_the_speed_of_the_wrist_is_in_widths_a_second() -> None:
    tracks = HandTracks(rate_hz=10.0, gap_s=1.0)
    for step in range(4):
        tracks.add(step, [hand(0.1 * step)])
    arrays = tracks.finish(4)
    assert np.allclose(wrist_speed(arrays["label/hand_landmarks"], arrays["label/flags/hands"], 10.0), [1, 1, 1, 0])


def test_a_finder_of_ones_own_is_made_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def make_finder(config):\n    return lambda image: ['a hand']\n")
    assert make_finder(HandConfig(model=str(path)))(tiny_images(steps=1)[0]) == ["a hand"]
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ConfigError, match="make_finder"):
        make_finder(HandConfig(model=str(tmp_path / "empty.py")))
    with pytest.raises(MissingFileError, match="landmarker"):
        make_finder(HandConfig(model="nothing"))


def test_the_shipped_models_are_those_of_the_card() -> None:
    card = read_json(STARTER / "card.json")
    assert card["sha256"] == {path.name: file_hash(path) for path in sorted(STARTER.glob("*.tflite"))}


def test_robots_and_tables_have_no_human_hands(finder: PalmLandmarker) -> None:
    import av

    found = frames = 0
    for path in sorted(real_data("real_clips").glob("*.mp4")):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % 60 == 0:
                    frames += 1
                    found += bool(finder(frame.to_ndarray(format="rgb24")))
    assert found <= 0.05 * frames


def test_a_picture_without_faces_is_not_touched() -> None:
    image = tiny_images(steps=1, height_px=120, width_px=160)[0]
    assert FaceBlur()(image) is image


def test_the_hands_of_the_contact_sheet_are_found(finder: PalmLandmarker) -> None:
    sheet = cv2.cvtColor(cv2.imread(str(HANDS)), cv2.COLOR_BGR2RGB)
    assert all(finder(np.ascontiguousarray(sheet[:240, at : at + 320])) for at in (0, 320, 640))
