import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.testing.faulty_stage import StrangeError
from pipelines.unit.crash_recorder import discard_recording, read_recording, recording
from pipelines.unit.failure import Failure
from pipelines.unit.unit_result import UnitResult
from storage.errors import GraphicsError, SchemaError, UnfitModelError, WorldError


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize("error", [StrangeError(3, reason="x"), SystemExit(4), UnprintableError(), MemoryError()])
def test_any_error_becomes_plain_data_and_comes_back_equal(tmp_path: Path, error: BaseException) -> None:
    failure = Failure.of(error, stage="s", making=False, root=tmp_path)
    result = UnitResult(unit_id="u", items=2, failure=failure)
    assert UnitResult.from_text(result.to_text()) == result
    assert failure.error == type(error).__name__


@pytest.mark.parametrize(
    ("error", "making", "kind"),
    [
        (SchemaError("bad"), False, "unit"),
        (SchemaError("bad"), True, "setup"),
        (UnfitModelError("fails its gates"), True, "setup"),
        (ModuleNotFoundError("no torch"), True, "setup"),
        (GraphicsError("no EGL"), False, "setup"),
        (WorldError("busy"), True, "unit"),
        (OSError(28, "No space left on device"), False, "output"),
        (OSError(30, "Read-only file system"), False, "output"),
        (OSError(5, "Input/output error"), False, "unit"),
    ],
)
def test_what_no_other_unit_can_escape_ends_the_job(
    tmp_path: Path, error: BaseException, making: bool, kind: str
) -> None:
    assert Failure.of(error, stage="s", making=making, root=tmp_path).kind == kind


def test_a_full_disk_is_seen_behind_the_error_that_it_caused(tmp_path: Path) -> None:
    error = WorldError("cannot write")
    error.__cause__ = OSError(28, "No space left on device")
    assert Failure.of(error, stage="s", making=False, root=tmp_path).kind == "output"


def test_an_error_of_our_own_is_raised_as_itself(tmp_path: Path) -> None:
    failure = Failure.of(UnfitModelError("R2 is 0.1"), stage="idm_label", making=True, root=tmp_path)
    with pytest.raises(UnfitModelError, match=r"stage 'idm_label' of job 'j' cannot work on .*: R2 is 0\.1"):
        failure.raise_again("j")


def test_a_process_that_ends_well_leaves_no_recording(tmp_path: Path) -> None:
    with recording(tmp_path, "u", timeout_s=60):
        assert read_recording(tmp_path, "u").starts == 1
    assert read_recording(tmp_path, "u").starts == 0


@pytest.mark.parametrize(
    ("end", "text"),
    [("ctypes.string_at(0)", "Segmentation fault"), ("time.sleep(60)", "Timeout"), ("os._exit(0)", "")],
)
def test_a_process_that_dies_leaves_its_last_stack(tmp_path: Path, end: str, text: str) -> None:
    program = (
        "import ctypes, os, time; from pathlib import Path; from pipelines.unit.crash_recorder import recording\n"
        f"with recording(Path({str(tmp_path)!r}), 'u', timeout_s=1.0):\n    {end}\n"
    )
    root = Path(__file__).resolve().parents[3]
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=False)
    found = read_recording(tmp_path, "u")
    assert found.starts == 2
    assert text in found.stack
    discard_recording(tmp_path, "u")
    assert read_recording(tmp_path, "u").starts == 0
