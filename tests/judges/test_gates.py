"""A model is asked what it can tell: its card says what it cannot."""

import json
from pathlib import Path

import pytest

from judges.vision_language.config import ModelConfig
from storage.errors import UnfitModelError


def model(folder: Path, failed: object) -> str:
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps({"failed_gates": failed}))
    return str(folder)


def test_only_the_questions_that_a_model_cannot_tell_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = ModelConfig(model=model(tmp_path / "m", {"physics": ["warped 0.5"]}))
    assert config.asked == ("instruction",)
    config.check_gates()
    assert "physics: warped 0.5" in caplog.text


def test_a_model_that_can_tell_nothing_that_is_asked_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {"physics": ["warped 0.5"]})
    with pytest.raises(UnfitModelError, match=r"physics: warped 0\.5.*force: true"):
        ModelConfig(model=folder, questions=("physics",)).check_gates()
    forced = ModelConfig(model=folder, force=True)
    forced.check_gates()
    assert forced.asked == ("instruction", "physics")


def test_the_starter_is_asked_everything() -> None:
    assert ModelConfig().asked == ("instruction", "physics")
