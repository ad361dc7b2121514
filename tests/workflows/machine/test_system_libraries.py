"""What the system must bring is found by asking, and named with its package."""

import subprocess
import sys
from pathlib import Path

from workflows import system_libraries as libraries


def test_a_library_that_is_there_loads_and_another_does_not() -> None:
    assert libraries.loads("libc.so.6")
    assert not libraries.loads("libnothing-of-the-kind.so.9")


def test_the_error_of_opencv_names_the_package_that_mends_it() -> None:
    text = "ImportError: libgthread-2.0.so.0: cannot open shared object file: No such file or directory"
    assert libraries.package_for(text) == "libglib2.0-0"
    assert libraries.package_for("ImportError: libxyz.so.1: cannot open shared object file") == ""
    assert libraries.package_for("ValueError: something else") == ""


def test_a_package_that_misses_a_library_is_told_with_its_error(tmp_path: Path) -> None:
    line = "ImportError: libgthread-2.0.so.0: cannot open shared object file: No such file or directory"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in *cv2) echo "{line}" >&2; exit 1;; esac\n')
    python.chmod(0o755)
    assert list(libraries.missing_imports(str(python))) == [("cv2", line, "libglib2.0-0")]


def test_a_package_that_crashes_is_told_with_its_signal(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *torch) kill -SEGV $$;; esac\n')
    python.chmod(0o755)
    assert list(libraries.missing_imports(str(python))) == [("torch", "ended by SIGSEGV", "")]


def test_the_program_runs_without_any_installed_package() -> None:
    command = [sys.executable, "-I", "-S", libraries.__file__]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
