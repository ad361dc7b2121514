"""Multiplying demonstrations in simulation, after MimicGen and DexMimicGen."""

import ctypes
import logging
import os

from storage.errors import GraphicsError

# robosuite logs hints about its own set-up at import and a line for every robot it makes. They say nothing to a user
# of ours; its errors are let through.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)


def _headless_graphics() -> str:
    """The way to OpenGL that this machine has without a display. MuJoCo must be told before it is imported, and does
    not import at all when it is told to use a library that is missing."""
    for name, library in (("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8")):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return name
    return "disabled"


GRAPHICS = os.environ.setdefault("MUJOCO_GL", _headless_graphics())
"""The way to OpenGL that MuJoCo was told to take; robosuite may write another into the environment later."""

_KNOWN_GRAPHICS = (
    *("egl", "osmesa", "glfw", "glx", "cgl", "wgl"),
    *("enable", "enabled", "on", "true", "1", ""),
    *("disable", "disabled", "off", "false", "0"),
)


def check_graphics() -> None:
    """Raise GraphicsError where `MUJOCO_GL` holds what MuJoCo does not know: it would not even import."""
    if GRAPHICS.lower().strip() not in _KNOWN_GRAPHICS:
        raise GraphicsError(
            f"MUJOCO_GL={GRAPHICS} is no way to OpenGL; set it to egl or osmesa, or leave it unset (`pyramid doctor`"
            " tells what works)"
        )
