"""Early reports about targets."""

import numpy as np

from groot.target_checks import target_findings


def targets() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, size=(64, 4, 3)).astype(np.float32)


def test_good_targets_have_no_findings() -> None:
    assert target_findings(targets(), np.ones((64, 4, 3), bool)) == []


def test_each_kind_of_bad_target_is_named() -> None:
    values, mask = targets(), np.ones((64, 4, 3), bool)
    values[..., 0] = 0.5
    values[:8, :, 1] = 3.0
    values[0, 0, 2] = np.nan
    texts = target_findings(values, mask, names=("x", "y", "z"))
    assert [text.split(" ")[2] for text in texts] == ["x", "y", "z"]
    assert "never change" in texts[0]
    assert "normalised range" in texts[1]
    assert "NaN" in texts[2]


def test_declared_constants_and_masked_values_are_not_reported() -> None:
    values, mask = targets(), np.ones((64, 4, 3), bool)
    values[..., 0] = 0.5
    values[3] = np.nan
    mask[3] = False
    assert target_findings(values, mask, constant=(0,)) == []
    assert "no valid target" in target_findings(values, mask & False)[0]
