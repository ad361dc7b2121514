import cv2
import numpy as np
import pytest

from judges.curation.camera_motion import CameraMotionConfig, camera_step, corner_shift, residual, shift_length
from judges.curation.frame_measures import MeasureFrames
from storage.errors import ConfigError
from storage.formats.human_video.testing import textured


def gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def warped(image: np.ndarray, shift: tuple[float, float], turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """`image` moved by a homography, and the homography in image widths."""
    height, width = image.shape[:2]
    matrix = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0), [0, 0, 1]])
    matrix[:2, 2] += np.array(shift) * width
    scale = np.diag([1 / width, 1 / width, 1])
    return cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), (
        scale @ matrix @ np.linalg.inv(scale)
    )


@pytest.mark.parametrize(("shift", "turn"), [((0.02, -0.01), 0.0), ((0.0, 0.03), 2.0), ((-0.05, 0.01), -1.0)])
def test_a_known_motion_of_the_camera_is_found_within_a_hundredth_of_the_width(
    shift: tuple[float, float], turn: float
) -> None:
    scene = gray(textured(3, height_px=120, width_px=160))
    moved, truth = warped(scene, shift, turn)
    step = camera_step(scene, moved, CameraMotionConfig())
    assert step.valid
    away = corner_shift(step.homography, 0.75) - corner_shift(truth, 0.75)
    assert np.linalg.norm(away, axis=1).mean() < 0.01


def test_what_moves_in_front_of_a_still_camera_is_no_camera_motion() -> None:
    scene = textured(3, height_px=120, width_px=160)
    one, two = scene.copy(), scene.copy()
    cv2.circle(one, (50, 60), 22, (255, 255, 255), -1)
    cv2.circle(two, (62, 60), 22, (255, 255, 255), -1)
    step = camera_step(gray(one), gray(two), CameraMotionConfig())
    assert shift_length(step.homography, 0.75) < 0.003
    assert residual(gray(one), gray(two), step.homography) > 1.0


def test_motion_of_the_camera_alone_leaves_no_residual() -> None:
    scene = cv2.GaussianBlur(gray(textured(5, height_px=120, width_px=160)), (7, 7), 0)
    moved, truth = warped(scene, (0.03, 0.0))
    assert residual(scene, moved, truth) < 0.3 * residual(scene, moved, np.eye(3))


def test_a_blank_wall_says_nothing_and_is_not_valid() -> None:
    wall = np.full((120, 160), 90, np.uint8)
    assert not camera_step(wall, wall, CameraMotionConfig()).valid


def test_motion_belongs_to_the_frame_that_it_starts_from() -> None:
    scene = textured(3, height_px=120, width_px=160)
    moved, truth = warped(scene, (0.04, 0.0))
    measure = MeasureFrames(10.0)
    for image in (scene, moved, moved):
        measure.add(image, piece=0, fresh=True)
    found = measure.finish()
    assert found.camera_valid.tolist() == [True, True, False]
    assert np.allclose(found.camera[0].reshape(3, 3), truth, atol=0.01)
    assert np.allclose(found.camera[1].reshape(3, 3), np.eye(3), atol=0.01)
    assert found.camera_speed[0] == pytest.approx(0.4, abs=0.05)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="width_px of at least 32"):
        CameraMotionConfig(width_px=4)
