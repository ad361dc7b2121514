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

from workflows.system_libraries import IMPORTS, LIBRARIES, last_line, missing_imports

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("storage", "groot", "generators", "judges", "idm", "lapa", "pipelines", "workflows")
PINNED = ("numpy", "zarr", "mujoco", "robosuite", "mink", "pyarrow", "torch", "ray", "transformers", "diffusers")
FREE_DISK_GB = 5.0
GRAPHICS_PACKAGES = [package for library, package in LIBRARIES.items() if "GL" in library or "Mesa" in library]

_RENDER = """
from generators.simulation.stepping.graphics_context import open_renderer
import mujoco
scene = '<worldbody><light pos="0 0 2"/><geom size=".3" rgba="1 0 0 1"/></worldbody>'
model = mujoco.MjModel.from_xml_string(f'<mujoco>{scene}</mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with open_renderer(model, height_px=48, width_px=64) as renderer:
    renderer.update_scene(data)
    picture = renderer.render()
assert picture[..., 0].max() > 60, "the frame is black"
"""
_COMPILE = """
import torch._dynamo
from torch import nn
assert nn.Linear(2, 2)(torch.ones(1, 2)).shape == (1, 2)
"""
"""What labelling imports after a frame was drawn: the compiler stack of torch, with an LLVM of its own."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One line of the examination. `mend` says what to do when `state` is not "good"."""

    subject: str
    state: Literal["good", "warning", "bad"]
    text: str
    mend: str = ""


def examine() -> list[Diagnosis]:
    """Every finding, in the order in which to mend them."""
    checks: tuple[Callable[[], Iterator[Diagnosis]], ...] = (
        _python,
        _versions,
        _own_packages,
        _libraries,
        _graphics,
        _drawing_then_labelling,
        _processors,
        _disk,
        _ray_token,
    )
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Diagnosis]:
    good = sys.version_info[:2] == (3, 11)
    mend = "" if good else "use Python 3.11: make clean, then make test PYTHON=/path/to/python3.11"
    yield Diagnosis(subject="python", state="good" if good else "bad", text=platform.python_version(), mend=mend)


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.strip().split("==", 1) for line in lines if "==" in line)


def _versions() -> Iterator[Diagnosis]:
    pins = _pins()
    for name in PINNED:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis(subject=name, state="bad", text="not installed", mend="run scripts/setup.sh .venv")
            continue
        wanted = pins.get(name, version)
        if version.split("+")[0] == wanted:
            yield Diagnosis(subject=name, state="good", text=version)
        else:
            mend = f"pip install -c constraints.txt {name}=={wanted}"
            yield Diagnosis(subject=name, state="warning", text=f"{version}, pinned is {wanted}", mend=mend)


def _own_packages() -> Iterator[Diagnosis]:
    """Our top-level names are generic: another package of the same name may come first on the path."""
    for name in PACKAGES:
        module = importlib.import_module(name)
        here = Path(module.__file__ or "").resolve()
        if ROOT not in here.parents:
            mend = f"start from {ROOT}, or remove the other package from PYTHONPATH"
            yield Diagnosis(subject=f"package {name}", state="bad", text=f"comes from {here.parent}", mend=mend)
    yield Diagnosis(subject="packages", state="good", text=f"our own, from {ROOT}")


def _libraries() -> Iterator[Diagnosis]:
    """Import what the commands import, each package in a process of its own, and name the library that it misses."""
    broken = 0
    for name, error, package in missing_imports():
        broken += 1
        mend = f"sudo apt-get install {package}" if package else f"{Path(sys.executable).parent}/pip install {name}"
        yield Diagnosis(subject=f"import {name}", state="bad", text=error, mend=mend)
    if not broken:
        yield Diagnosis(subject="libraries", state="good", text=f"{len(IMPORTS)} packages with native code import")


def _graphics() -> Iterator[Diagnosis]:
    """Render one frame with each back-end, in a process of its own since a wrong one may crash."""
    chosen = os.environ.get("MUJOCO_GL", "")
    working = [backend for backend in dict.fromkeys((chosen or "egl", "egl", "osmesa")) if _renders(backend)]
    if not working:
        mend = f"sudo apt-get install {' '.join(dict.fromkeys(GRAPHICS_PACKAGES))}"
        yield Diagnosis(subject="graphics", state="bad", text="no back-end rendered a frame", mend=mend)
    elif chosen and chosen not in working:
        mend = f"export MUJOCO_GL={working[0]}"
        yield Diagnosis(subject="graphics", state="bad", text=f"MUJOCO_GL={chosen} does not render", mend=mend)
    else:
        yield Diagnosis(subject="graphics", state="good", text=f"rendered a frame with {', '.join(working)}")


def _drawing_then_labelling() -> Iterator[Diagnosis]:
    """Draw a frame and import torch's compiler stack after it, as the demo does when it labels what it drew."""
    child = _child(_RENDER + _COMPILE, os.environ.get("MUJOCO_GL", ""))
    if child.returncode == 0:
        yield Diagnosis(subject="draw, then label", state="good", text="both in one process")
    else:
        text = last_line(child.stderr, child.returncode)
        mend = "label in another process: --engine ray keeps drawing and labelling apart"
        yield Diagnosis(subject="draw, then label", state="bad", text=text, mend=mend)


def _renders(backend: str) -> bool:
    return _child(_RENDER, backend).returncode == 0


def _child(program: str, backend: str) -> subprocess.CompletedProcess[str]:
    """Run `program` in a process of its own, drawing with `backend` ("": what is found), since it may crash."""
    chosen = {"MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend} if backend else {}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **chosen, "PYTHONPATH": path}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def _processors() -> Iterator[Diagnosis]:
    yield Diagnosis(subject="processors", state="good", text=f"{len(os.sched_getaffinity(0))} to use")
    if shutil.which("nvidia-smi") is None:
        yield Diagnosis(subject="gpus", state="good", text="none found; everything runs on the CPU")
        return
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    yield Diagnosis(subject="gpus", state="good", text="; ".join(listed) or "none answered")


def _disk() -> Iterator[Diagnosis]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    good = free_gb >= FREE_DISK_GB
    mend = "" if good else "free some space, or write elsewhere: --output /another/disk"
    text = f"{free_gb:.0f} GB free in {Path.cwd()}"
    yield Diagnosis(subject="disk", state="good" if good else "warning", text=text, mend=mend)


def _ray_token() -> Iterator[Diagnosis]:
    """A cluster of today's Ray asks for a token once there is one on its head."""
    from pipelines.engines.ray_token import MODE, token_place

    place, mode = token_place(), os.environ.get(MODE, "")
    if mode == "token" and not place:
        mend = f"copy ~/.ray/auth_token from the head of the cluster, or unset {MODE} (docs/cluster.md)"
        yield Diagnosis(subject="ray token", state="bad", text=f"{MODE}=token, and there is none here", mend=mend)
    elif place and mode not in ("", "token"):
        yield Diagnosis(subject="ray token", state="good", text=f"{place}, not used: {MODE}={mode}")
    elif place:
        yield Diagnosis(subject="ray token", state="good", text=f"{place}; nodes of a cluster need the same one")
    else:
        yield Diagnosis(
            subject="ray token", state="good", text="none here; a cluster may ask for one (docs/cluster.md)"
        )
