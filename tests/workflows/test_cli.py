"""The command line: exit status, one clear message, and the whole road on tiny data."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from storage.datasets.dataset import Dataset
from storage.testing import tiny_dataset
from workflows.cli import app, main


def run(*words: str) -> str:
    """Run a command that must succeed; what it printed."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run a command that must fail; its exit status and its message."""
    monkeypatch.setattr(sys, "argv", ["pyramid", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


def test_every_command_has_help() -> None:
    groups = [[], ["data"], ["sim"], ["fit"], ["label"], ["evaluate"]]
    for group in groups:
        listing = run(*group, "--help")
        assert "Commands" in listing
    for words in (["run"], ["generate"], ["data", "export"], ["sim", "check"], ["label", "idm"]):
        assert "Usage" in run(*words, "--help")


def test_info_tells_what_is_there(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data")
    found = json.loads(run("data", "info", str(tmp_path / "data"), "--json"))
    assert found["episodes"] == 6
    assert found["contents"][0]["embodiment"] == "panda"


def test_info_shows_one_episode_with_its_provenance(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    episode = next(dataset.episodes())
    found = json.loads(run("data", "info", str(dataset.root), "--episode", episode.episode_id, "--json"))
    assert found["provenance"] == dict(episode.provenance)


def test_verify_is_silent_about_good_data_and_fails_on_a_flipped_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tiny_dataset(tmp_path / "data")
    assert "every checksum" in run("data", "verify", str(dataset.root))
    victim = next(dataset.root.glob("shards/*/state/c.0.0"))
    content = bytearray(victim.read_bytes())
    content[5] ^= 1
    victim.write_bytes(content)
    status, message = fail(monkeypatch, capsys, "data", "verify", str(dataset.root))
    assert status == 1
    assert "1 findings" in message


def test_merge_split_export_and_import_keep_every_episode(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        tiny_dataset(tmp_path / name, seed=seed)
    joined = str(tmp_path / "joined")
    run("data", "merge", str(tmp_path / "one"), str(tmp_path / "two"), "--output", joined)
    run("data", "split", joined, "--output", str(tmp_path / "parts"), "--part", "a=0.5", "--part", "b=0.5")
    parts = [len(Dataset.open(tmp_path / "parts" / name)) for name in ("a", "b")]
    assert sum(parts) == len(Dataset.open(Path(joined))) == 12
    run("data", "export", joined, "--output", str(tmp_path / "lerobot"))
    run("data", "import", str(tmp_path / "lerobot"), "--output", str(tmp_path / "again"))
    assert len(Dataset.open(tmp_path / "again")) == 12


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["data", "info", "/no/such/folder"], 1, "is not there"),
        (["run", "no-such-recipe"], 2, "shipped recipes"),
        (["generate", "stak", "--keep", "1", "--output", "x"], 2, "did you mean stack"),
        (["data", "import", "/no/such/file", "--output", "x"], 2, "is not there"),
        (["data", "import", ".", "--height-px", "96"], 1, "go together; got 96 and 0"),
        (["status", "/tmp"], 1, "dataset.json"),
    ],
)
def test_bad_use_ends_in_one_clear_message(
    words: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    came, message = fail(monkeypatch, capsys, *words)
    assert (came, message.count("\n")) == (status, 1)
    assert said in message
    assert not list(tmp_path.iterdir())


def test_graphics_that_mujoco_does_not_know_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("generators.simulation.GRAPHICS", "nonsense")
    status, message = fail(monkeypatch, capsys, "generate", "mine.py", "--keep", "1")
    assert (status, message.count("\n")) == (1, 1)
    assert "MUJOCO_GL=nonsense is no way to OpenGL; set it to egl or osmesa" in message


def test_a_dry_run_of_the_demo_prints_every_step_and_writes_nothing(tmp_path: Path) -> None:
    shown = run("run", "demo", "--output", str(tmp_path / "demo"), "--dry-run")
    assert "multiply" in shown
    assert "until 40 episodes are kept" in shown
    assert not (tmp_path / "demo").exists()
