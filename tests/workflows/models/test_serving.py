"""A policy server that a command starts for its roll-outs."""

import os
import subprocess
import sys
import time
from pathlib import Path

from storage.testing import tiny_dataset

_PROGRAM = """
import multiprocessing, sys, time
from pathlib import Path
from workflows.models.serving import served

if __name__ == "__main__":
    with served(None, replay=Path(sys.argv[1])):
        print(multiprocessing.active_children()[0].pid, flush=True)
        time.sleep(600)
"""


def test_the_server_of_a_command_that_is_killed_ends_with_it(tmp_path: Path) -> None:
    dataset = tiny_dataset(tmp_path / "data", units=1)
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    command = [sys.executable, str(program), str(dataset.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as running:
        assert running.stdout is not None
        server = int(running.stdout.readline())
        assert Path(f"/proc/{server}").exists()
        running.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{server}").exists():
        assert time.monotonic() < deadline, "the server outlives the command that started it"
        time.sleep(0.1)
