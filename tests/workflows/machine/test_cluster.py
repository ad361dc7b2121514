"""Two nodes by `ray start`, as docs/cluster.md says, with the token that today's Ray asks for."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from storage.datasets.dataset import Dataset
from storage.testing import assert_sound

pytestmark = pytest.mark.slow
_RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", **more}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a token in it."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run([*_RAY, "get-auth-token", "--generate"], env=environment(home), check=True, capture_output=True)
    assert (home / ".ray" / "auth_token").exists()
    return home


@pytest.fixture
def address(home: Path, tmp_path: Path) -> Iterator[str]:
    """A head and a second node on loopback, with one CPU each."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    small = ["--num-cpus=1", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1", "--block"]
    small += ["--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"]
    head = [*_RAY, "start", "--head", f"--port={port}", "--include-dashboard=false", *small]
    head += [f"--ray-client-server-port={free_port()}"]
    log = (tmp_path / "nodes.log").open("w")
    nodes = [subprocess.Popen(head, env=environment(home), stdout=log, stderr=log)]
    try:
        _wait_for(port, tmp_path / "nodes.log")
        joining = [*_RAY, "start", f"--address={address}", *small]
        with_token = environment(home, RAY_AUTH_MODE="token")
        nodes.append(subprocess.Popen(joining, env=with_token, stdout=log, stderr=log))
        _wait_for_nodes(address, home)
        yield address
    finally:
        for node in reversed(nodes):
            node.terminate()
        for node in nodes:
            node.wait(timeout=60)
        log.close()


def _wait_for(port: int, log: Path) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the head does not listen: {log.read_text()}")


def _wait_for_nodes(address: str, home: Path) -> None:
    program = (
        "import sys, time, ray\nray.init(address=sys.argv[1], log_to_driver=False)\n"
        "while sum(node['Alive'] for node in ray.nodes()) < 2: time.sleep(0.2)"
    )
    command = [sys.executable, "-c", program, address]
    with_token = environment(home, RAY_AUTH_MODE="token")
    subprocess.run(command, env=with_token, check=True, timeout=120, capture_output=True)


def pyramid(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workflows", *words]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False, timeout=500)


def test_two_nodes_generate_together_and_who_has_no_token_is_told_what_to_do(
    address: str, home: Path, tmp_path: Path
) -> None:
    step = {"generate": {"task": "lift", "keep": 4, "kept_per_unit": 1, "size_px": 0}}
    recipe = {"name": "r", "output": str(tmp_path / "data"), "steps": [step]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    refused = pyramid("run", str(tmp_path / "r.yaml"), "--address", address, home=tmp_path)
    assert refused.returncode == 1
    (message,) = [line for line in refused.stderr.splitlines() if line.startswith("pyramid:")]
    assert "~/.ray/auth_token" in message
    assert "RAY_AUTH_TOKEN_PATH" in message
    assert "Traceback" not in refused.stderr
    done = pyramid("run", str(tmp_path / "r.yaml"), "--address", address, home=home)
    assert done.returncode == 0, done.stderr
    assert_sound(tmp_path / "data")
    assert len(Dataset.open(tmp_path / "data")) == 4
