"""`pyramid doctor`: look at the machine and the environment, and say how to mend what is wrong."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("storage", "groot", "generators", "judges", "idm", "lapa", "pipelines", "workflows")
PINNED = ("numpy", "zarr", "mujoco", "robosuite", "mink", "pyarrow", "torch", "ray", "transformers", "diffusers")
FREE_DISK_GB = 5.0

_RENDER = """
import mujoco, numpy
scene = '<worldbody><light pos="0 0 2"/><geom size=".3" rgba="1 0 0 1"/></worldbody>'
model = mujoco.MjModel.from_xml_string(f'<mujoco>{scene}</mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    picture = renderer.render()
assert picture[..., 0].max() > 60, "the frame is black"
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination. `mend` says what to do when `state` is not "good"."""

    subject: str
    state: Literal["good", "warning", "bad"]
    text: str
    mend: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order in which to mend them."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _versions,
        _own_packages,
        _graphics,
        _processors,
        _disk,
    )
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    good = sys.version_info[:2] == (3, 11)
    mend = "" if good else "use Python 3.11: make clean, then make test PYTHON=/path/to/python3.11"
    yield Finding(subject="python", state="good" if good else "bad", text=platform.python_version(), mend=mend)


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.strip().split("==", 1) for line in lines if "==" in line)


def _versions() -> Iterator[Finding]:
    pins = _pins()
    for name in PINNED:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(subject=name, state="bad", text="not installed", mend="run scripts/setup.sh .venv")
            continue
        wanted = pins.get(name, found)
        if found.split("+")[0] == wanted:
            yield Finding(subject=name, state="good", text=found)
        else:
            mend = f"pip install -c constraints.txt {name}=={wanted}"
            yield Finding(subject=name, state="warning", text=f"{found}, pinned is {wanted}", mend=mend)


def _own_packages() -> Iterator[Finding]:
    """Our top-level names are generic: another package of the same name may come first on the path."""
    for name in PACKAGES:
        module = importlib.import_module(name)
        here = Path(module.__file__ or "").resolve()
        if ROOT not in here.parents:
            mend = f"start from {ROOT}, or remove the other package from PYTHONPATH"
            yield Finding(subject=f"package {name}", state="bad", text=f"comes from {here.parent}", mend=mend)
    yield Finding(subject="packages", state="good", text=f"our own, from {ROOT}")


def _graphics() -> Iterator[Finding]:
    """Render one frame with each back-end, in a process of its own since a wrong one may crash."""
    chosen = os.environ.get("MUJOCO_GL", "")
    working = [backend for backend in dict.fromkeys((chosen or "egl", "egl", "osmesa")) if _renders(backend)]
    if not working:
        mend = "sudo apt-get install libosmesa6 libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
        yield Finding(subject="graphics", state="bad", text="no back-end rendered a frame", mend=mend)
    elif chosen and chosen not in working:
        mend = f"export MUJOCO_GL={working[0]}"
        yield Finding(subject="graphics", state="bad", text=f"MUJOCO_GL={chosen} does not render", mend=mend)
    else:
        yield Finding(subject="graphics", state="good", text=f"rendered a frame with {', '.join(working)}")


def _renders(backend: str) -> bool:
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    command = [sys.executable, "-c", _RENDER]
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False).returncode == 0


def _processors() -> Iterator[Finding]:
    yield Finding(subject="processors", state="good", text=f"{len(os.sched_getaffinity(0))} to use")
    if shutil.which("nvidia-smi") is None:
        yield Finding(subject="gpus", state="good", text="none found; everything runs on the CPU")
        return
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    yield Finding(subject="gpus", state="good", text="; ".join(listed) or "none answered")


def _disk() -> Iterator[Finding]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    good = free_gb >= FREE_DISK_GB
    mend = "" if good else "free some space, or write elsewhere: --output /another/disk"
    text = f"{free_gb:.0f} GB free in {Path.cwd()}"
    yield Finding(subject="disk", state="good" if good else "warning", text=text, mend=mend)
