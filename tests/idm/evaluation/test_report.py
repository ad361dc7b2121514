"""The page of figures."""

import base64
from pathlib import Path

import cv2
import numpy as np

from idm.evaluation.metrics import calibration_curve
from idm.evaluation.report import write_page


def test_the_page_shows_scores_and_plots_and_needs_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    uncertainty = random.uniform(0.1, 1, 500)
    curve = calibration_curve(random.normal(size=500) * uncertainty, uncertainty, [0.5, 0.9])
    figures = {"panda": {"r2/position": 0.91234, "coverage": 0.9, "curve": curve, "event_f1/6": 0.97}}
    page = write_page(tmp_path / "idm.html", figures, model="<abc>").read_text()
    assert "0.9123" in page
    assert "&lt;abc&gt;" in page
    assert "http" not in page
    (picture,) = [part.split('"')[0] for part in page.split("data:image/png;base64,")[1:]]
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR)
    halves = np.hsplit(drawn[:, : drawn.shape[1] // 2 * 2].reshape(drawn.shape[0], -1, 3), 2)
    line = np.array([0x66, 0xAA, 0x00])  # blue, green, red of the curves
    assert all((np.abs(half.astype(int) - line).max(axis=2) < 20).sum() > 100 for half in halves)


def test_a_head_without_a_curve_has_no_picture(tmp_path: Path) -> None:
    page = write_page(tmp_path / "idm.html", {"panda": {"r2/position": 0.5}}, model="m").read_text()
    assert "<img" not in page
