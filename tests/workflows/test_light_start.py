"""What a command loads: help, completion and status must be there at once, and where nothing heavy can be imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.run_job import run_job
from pipelines.testing.tiny_jobs import load_test_stages, tiny_job

HEAVY = ("av", "cv2", "h5py", "jinja2", "matplotlib", "mujoco", "numba", "ray", "robosuite", "scipy", "torch", "zarr")
FOR_HELP = (*HEAVY, "numpy", "pyarrow", "simplejpeg", "yaml")
_PROBE = """
import sys
from workflows.cli import main
sys.argv = ["pyramid", *sys.argv[2:]]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("LOADED", *{name.partition(".")[0] for name in sys.modules})
"""


def loaded_by(*words: str, **environment: str) -> set[str]:
    """The packages that `pyramid <words>` has loaded when it ends well."""
    command = [sys.executable, "-c", _PROBE, "pyramid", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("words", [(), ("generate",), ("data", "import"), ("label", "idm"), ("sim", "check")])
def test_help_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not loaded_by(*words, "--help") & set(FOR_HELP)


def test_completion_loads_nothing_heavy() -> None:
    typed = {"_PYRAMID_COMPLETE": "complete_bash", "COMP_WORDS": "pyramid da", "COMP_CWORD": "1"}
    assert not loaded_by(**typed) & set(FOR_HELP)


def test_status_loads_what_reads_a_plan_and_nothing_more(tmp_path: Path) -> None:
    load_test_stages()
    run_job(tmp_path / "data", tiny_job())
    assert not loaded_by("status", str(tmp_path / "data")) & set(HEAVY)


@pytest.fixture
def broken_packages(tmp_path: Path) -> str:
    """A path on which the packages with native libraries cannot be imported."""
    for name in ("cv2", "torch", "mujoco"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('lib{name}.so: cannot open shared object')\n")
    return os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])


def pyramid(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workflows", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_help_and_doctor_run_where_native_packages_cannot_be_imported(broken_packages: str) -> None:
    assert pyramid("--help", PYTHONPATH=broken_packages).returncode == 0
    examined = pyramid("doctor", PYTHONPATH=broken_packages)
    assert "Traceback" not in examined.stderr
    assert "disk" in examined.stdout


def test_a_package_that_cannot_be_imported_ends_in_one_line_that_names_the_doctor(
    broken_packages: str, tmp_path: Path
) -> None:
    done = pyramid("sim", "check", "stack", "--output", str(tmp_path / "check"), PYTHONPATH=broken_packages)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot open shared object" in done.stderr
    assert "pyramid doctor" in done.stderr
