"""Which programs made something: our commit, Python, and the packages that decide what comes out."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("data-pyramid-factory", "numpy", "mujoco", "robosuite", "mink", "zarr", "simplejpeg", "av", "torch", "ray")


@cache
def versions() -> dict[str, str]:
    """Name -> version. `commit` ends in "+" where files differ from it."""
    by_name = {"python": platform.python_version(), "commit": _commit()}
    for package in _PACKAGES:
        try:
            by_name[package] = version(package)
        except PackageNotFoundError:
            continue
    return by_name


def _commit() -> str:
    here = Path(__file__).resolve().parents[2]
    try:
        commit = _git(here, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
