"""The page of figures."""

from pathlib import Path
from xml.etree import ElementTree

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
    assert "http" not in page.replace("http-equiv", "")
    drawings = [part.split("</svg>")[0] for part in page.split("<svg")[1:]]
    assert len(drawings) == 2
    for drawing in drawings:
        root = ElementTree.fromstring(f"<svg{drawing}</svg>")
        assert len(root.findall("circle")) in (2, 10)
