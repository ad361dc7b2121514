"""When a command dies or is stopped, somebody says of what, where, and how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipelines.run_job import status
from pipelines.testing.fragile_plugin import write_fragile_plugin
from storage.testing import assert_sound, tiny_dataset

FAULT = {"segfault": "SIGSEGV", "kill": "SIGKILL"}
_DO = {
    "segfault": "ctypes.string_at(0)",
    "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    "wait": 'Path(__file__).with_name("waiting").touch(), time.sleep(60)',
}


@pytest.fixture
def command(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """`pyramid run` of a recipe whose stage has the fault that the test asks for."""
    tiny_dataset(tmp_path / "data")
    write_fragile_plugin(tmp_path / "fragile.py", _DO[request.param])
    steps = [{"stages": {"name": "x", "chain": ["fragile"], "sink": "labels/x"}}]
    recipe = {"name": "r", "output": str(tmp_path / "data"), "plugins": ["fragile.py"], "steps": steps}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    return [sys.executable, "-m", "workflows", "run", str(tmp_path / "r.yaml"), "--engine", "local"]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYRAMID_WATCH"}


@pytest.mark.parametrize("command", ["segfault", "kill"], indirect=True)
def test_a_crash_names_signal_stage_and_unit_and_the_run_goes_on(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    name = next(FAULT[fault] for fault in FAULT if _DO[fault] in (tmp_path / "fragile.py").read_text())
    assert done.returncode == 128 + getattr(signal, name)
    (last,) = [line for line in done.stderr.splitlines() if line.startswith("pyramid: ended by")]
    assert name in last
    assert "in stage 'fragile' of unit " in last
    assert f"`pyramid resume {tmp_path / 'data'}`" in last
    (tmp_path / "mended").touch()
    assert subprocess.run(command, capture_output=True, check=False, env=environment()).returncode == 0
    assert_sound(tmp_path / "data")
    assert [each.tally.open_units for each in status(tmp_path / "data") if each.tally.job == "x"] == [0]


@pytest.mark.parametrize("command", ["wait"], indirect=True)
def test_ctrl_c_says_how_to_go_on(command: list[str], tmp_path: Path) -> None:
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        # What runs in the background of a script ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "waiting").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert f"`pyramid resume {tmp_path / 'data'}`" in errors
    assert "Traceback" not in errors
