"""An export onto a disk that fills up ends in one error and leaves nothing behind, in every format."""

import subprocess
import sys
from pathlib import Path

from storage.testing import tiny_dataset

_PROGRAM = """
import resource, signal, sys
from pathlib import Path
from storage.errors import WorldError
from workflows.datasets.export import export_dataset

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
root, folder = map(Path, sys.argv[1:])
for kind in ("robomimic", "lerobot", "lerobot-v3", "groot-n1.6"):
    for limit in (0, 90, 1000, 3000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        try:
            export_dataset(root, folder / "exported", kind=kind)
        except WorldError as error:
            assert str(error).startswith(f"cannot write {folder / 'exported'}"), error
            assert "make room" in str(error), error
        else:
            raise AssertionError(f"{kind} fits into {limit} bytes a file")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        left = list(folder.iterdir())
        assert not left, f"{kind} at {limit}: {left}"
    print(kind)
"""


def test_an_export_on_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=2).root
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(root), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.split() == ["robomimic", "lerobot", "lerobot-v3", "groot-n1.6"], done.stderr
    assert (done.returncode, done.stderr) == (0, "")
