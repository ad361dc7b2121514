"""What the operating system must bring: asked for by loading it, and named with its Debian package.

Runs with nothing but the standard library, since it is asked before any package is installed and where one cannot be
imported: `python workflows/system_libraries.py` prints the Debian packages that are missing, one a line, and with
`--imports` also those that the installed Python packages ask for when they are imported.
"""

import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libEGL_mesa.so.0": "libegl-mesa0",
    "libGL.so.1": "libgl1",
    "libOSMesa.so.8": "libosmesa6",
    "libglapi.so.0": "libgl1-mesa-dri",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
"""Shared library -> Debian package: headless graphics for MuJoCo (EGL, OSMesa, Mesa's software driver), and what OpenCV
loads."""

MORE_LIBRARIES = {
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libatomic.so.1": "libatomic1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libportaudio.so.2": "libportaudio2",
    "libstdc++.so.6": "libstdc++6",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libxcb.so.1": "libxcb1",
}
"""Libraries that no package needs today on a bare Debian 12, but that a newer version may ask for at import."""

IMPORTS = ("av", "cv2", "h5py", "llvmlite", "matplotlib", "mink", "mujoco", "pyarrow", "ray", "robosuite", "torch")
"""Python packages with native code, in the order in which they are tried."""

_MISSING_LIBRARY = re.compile(r"(lib[\w+.-]*?\.so[.\d]*): cannot open shared object file")


def missing_packages() -> list[str]:
    """The Debian packages that are missing before any Python package is installed: libraries, compiler, headers."""
    needed = [package for library, package in LIBRARIES.items() if not loads(library)]
    if not any(shutil.which(name) for name in ("cc", "gcc")):
        needed += ["gcc", "libc6-dev"]
    if not Path("/usr/include/linux/input.h").exists():
        needed.append("linux-libc-dev")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        needed.append("python3-dev")
    if not _has_ensurepip():
        needed.append("python3-venv")
    return needed


def missing_imports(python: str = sys.executable) -> Iterator[tuple[str, str, str]]:
    """Of each package in `IMPORTS` that `python` cannot import: its name, the last line of the error, and the Debian
    package that brings the library it misses ("" where the error speaks of none that is known)."""
    for name in IMPORTS:
        child = subprocess.run([python, "-c", f"import {name}"], capture_output=True, text=True, check=False)
        if child.returncode:
            yield name, last_line(child.stderr, child.returncode), package_for(child.stderr)


def package_for(error: str) -> str:
    """The Debian package with the shared library that `error`, the text of an ImportError, says is missing; or ""."""
    match = _MISSING_LIBRARY.search(error)
    return {**MORE_LIBRARIES, **LIBRARIES}.get(match.group(1), "") if match else ""


def loads(library: str) -> bool:
    """Whether the dynamic linker finds `library` ("libEGL.so.1"); asked in a child, so that nothing stays loaded."""
    program = f"import ctypes, sys\ntry: ctypes.CDLL({library!r})\nexcept OSError: sys.exit(1)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def last_line(text: str, status: int) -> str:
    """The last line of an error text, or the signal that ended the process."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    lines = text.strip().splitlines()
    return lines[-1] if lines else f"ended with status {status}"


def _has_ensurepip() -> bool:
    try:
        import ensurepip
    except ImportError:
        return False
    return bool(ensurepip.version())


def main(arguments: list[str]) -> int:
    """Print what is missing; the status is 1 when an import fails for another reason than a known library."""
    packages = dict.fromkeys(missing_packages())
    unexplained = 0
    for name, error, package in missing_imports() if "--imports" in arguments else ():
        packages |= {package: None} if package else {}
        if not package:
            print(f"{name} cannot be imported: {error}", file=sys.stderr)
            unexplained = 1
    print("\n".join(packages), end="\n" if packages else "")
    return unexplained


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
