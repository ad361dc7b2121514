"""The one place where an OpenGL context is made, after everything that must be loaded before it.

Two native libraries in one process: a context on a CPU (Mesa's llvmpipe, by EGL or OSMesa) loads the system's libLLVM;
triton, which torch imports the first time that it compiles something, brings an LLVM of its own. Triton after the
context ends in a segmentation fault; triton before it does no harm, and costs 0.3 s and 94 MB. Torch without CUDA has
no triton.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import mujoco

LOADED_FIRST = ("triton",)
"""Packages with an LLVM of their own that may be imported later in a process that draws."""


def open_renderer(model: mujoco.MjModel, *, height_px: int, width_px: int) -> mujoco.Renderer:
    """A renderer for pictures of `model` of that size, with an OpenGL context that belongs to the calling thread.

    Raises what MuJoCo raises where there is no headless graphics (RuntimeError, ImportError, AttributeError,
    mujoco.FatalError).
    """
    load_first()
    return mujoco.Renderer(model, height_px, width_px)


@cache
def load_first() -> None:
    """Import what must be in the process before an OpenGL context is, as far as it is installed."""
    for name in LOADED_FIRST:
        if find_spec(name) is not None:
            import_module(name)
