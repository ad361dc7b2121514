"""A cluster of our own is nobody else's: its processes listen on loopback only."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_PROGRAM = """
import sys
from pathlib import Path
import psutil
from pipelines.run_job import EngineOptions, run_job
from pipelines.testing.tiny_jobs import load_test_stages, tiny_job

load_test_stages()
run_job(Path(sys.argv[1]), tiny_job(units=2), EngineOptions(engine="ray", workers=2))
me = psutil.Process()
for process in (me, *me.children(recursive=True)):
    for connection in process.net_connections("inet"):
        if connection.status == psutil.CONN_LISTEN:
            print(connection.laddr.ip)
"""


def test_the_processes_of_a_local_run_listen_on_loopback_only(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    addresses = done.stdout.split()
    assert len(addresses) > 3
    assert set(addresses) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
