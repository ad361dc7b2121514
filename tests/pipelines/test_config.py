from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.config import config_from, from_anywhere, identity_of, settings_of
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate_hz: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    noise_m: float = 0.1
    sizes: tuple[int, ...] = ()
    folder: Path | None = None
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    device: str = field(default="cpu", metadata={"identity": False})

    def __post_init__(self) -> None:
        if self.noise_m < 0:
            raise ConfigError(f"noise_m must not be negative; got {self.noise_m}")


def test_a_config_comes_back_from_its_settings() -> None:
    config = Outer(noise_m=0.5, sizes=(1, 2), folder=Path("/a"), inner=Inner(rate_hz=5), many=(Inner(), Inner()))
    assert config_from(Outer, settings_of(config)) == config


def test_a_list_becomes_a_tuple_and_a_whole_number_a_float() -> None:
    assert config_from(Outer, {"noise_m": 1, "sizes": [3]}) == Outer(noise_m=1.0, sizes=(3,))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"nois_m": 1.0}, "unknown key of Outer 'nois_m'; did you mean noise_m"),
        ({"inner": {"rate_h": 1.0}}, "unknown key of Inner (in inner) 'rate_h'; did you mean rate_hz"),
        ({"many": [{"rate_h": 1.0}]}, "unknown key of Inner (in many) 'rate_h'"),
        ({"noise_m": "much"}, "noise_m: expected a valid number; got 'much'"),
        ({"sizes": ["1"]}, "sizes.0: expected a valid integer; got '1'"),
        ({"noise_m": -1.0}, "noise_m must not be negative; got -1.0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from(Outer, settings)
    assert text in str(caught.value)


def test_a_missing_setting_is_named() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needy:
        task: str

    with pytest.raises(ConfigError, match="task is needed and was not given"):
        config_from(Needy, {})


def test_what_is_no_identity_does_not_enter_it() -> None:
    assert identity_of(Outer(device="cuda")) == identity_of(Outer())
    assert identity_of(Outer(noise_m=0.2)) != identity_of(Outer())


@dataclass(frozen=True, kw_only=True)
class Model:
    folder: str = field(metadata={"identity": False})

    def inputs(self) -> dict[str, str]:
        return {"weights": Path(self.folder, "weights").read_text()}


def test_a_file_counts_by_its_content_and_not_by_where_it_lies(tmp_path: Path) -> None:
    identities = []
    for name, weights in (("one", "A"), ("other", "A"), ("refitted", "B")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(weights)
        identities.append(identity_of(Model(folder=str(tmp_path / name))))
    assert identities[0] == identities[1] != identities[2]


def test_a_model_that_is_named_from_here_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("weights", "starter"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path / "weights")
    settings = {"model": "weights", "camera": "weights", "inner": [{"lora": "weights"}], "other": {"model": "starter"}}
    assert from_anywhere(settings) == {**settings, "model": here, "inner": [{"lora": here}]}
    served = {"model": "weights", "server": {"url": "http://127.0.0.1:1"}}
    assert from_anywhere(served) == served
