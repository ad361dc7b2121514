"""Visual meshes: as they ship, or decimated once and cached, for scenes that many workers hold and render on CPUs.

Only meshes whose geoms take part in neither contacts nor inertia are replaced, so the physics stays the same.
Decimation is by quadric error metrics (Garland and Heckbert 1997, fast-simplification). The cache is keyed by the
mesh's content and the settings; `PYRAMID_CACHE` names its folder (default ~/.cache/pyramid).
"""

import hashlib
import logging
import os
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fast_simplification
import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.task.execution import Quality

logger = logging.getLogger(__name__)

SMALLEST_FACES = 300
"""Meshes of fewer faces are left alone."""
KEPT_SHARE = 0.06
MOST_FACES = 1500
"""A mesh keeps this share of its faces, at least SMALLEST_FACES / 2 and at most MOST_FACES."""
CACHE_VERSION = 1
_building = threading.Lock()


def cache_folder() -> Path:
    """Where decimated meshes are kept between processes."""
    named = os.environ.get("PYRAMID_CACHE")
    return (Path(named) if named else Path.home() / ".cache" / "pyramid") / "meshes"


@contextmanager
def lightened(quality: Quality) -> Iterator[None]:
    """While this is open, every MJCF text that is compiled has its visual meshes decimated (`fast`).

    robosuite offers no way in before it compiles a robot and a scene for the first time, so MuJoCo's loader itself is
    replaced for as long as an environment is built.
    """
    if quality == "full":
        yield
        return
    with _building:
        original = mujoco.MjModel.from_xml_string

        def from_xml_string(xml: str, *arguments: Any, **named: Any) -> mujoco.MjModel:
            return original(lightened_xml(xml), *arguments, **named)

        mujoco.MjModel.from_xml_string = from_xml_string
        try:
            yield
        finally:
            mujoco.MjModel.from_xml_string = original


def lightened_xml(xml: str) -> str:
    """The same MJCF with its purely visual meshes replaced by decimated ones."""
    root = ElementTree.fromstring(xml)
    visual = _visual_meshes(root)
    changed = False
    for mesh in root.iter("mesh"):
        name, file = mesh.get("name"), mesh.get("file")
        if name in visual and file and Path(file).is_absolute() and (light := _light_file(Path(file))):
            mesh.set("file", str(light))
            mesh.set("inertia", "shell")
            changed = True
    return ElementTree.tostring(root, encoding="unicode") if changed else xml


def _visual_meshes(root: ElementTree.Element) -> set[str]:
    """Names of meshes that only geoms without contacts and outside the inertia groups use."""
    body = root.find("worldbody")
    visual: set[str] = set()
    solid: set[str] = set()
    for geom in body.iter("geom") if body is not None else ():
        if name := geom.get("mesh"):
            only_seen = geom.get("contype") == "0" and geom.get("conaffinity") == "0" and geom.get("group", "0") != "0"
            (visual if only_seen else solid).add(name)
    textured = {material.get("name") for material in root.iter("material") if material.get("texture")}
    draped = {geom.get("mesh", "") for geom in root.iter("geom") if geom.get("material") in textured}
    return visual - solid - draped


def _light_file(path: Path) -> Path | None:
    """The decimated twin of a mesh file; None where there is nothing to gain or the format is not read."""
    settings = f"{CACHE_VERSION}:{SMALLEST_FACES}:{KEPT_SHARE}:{MOST_FACES}:".encode()
    key = hashlib.sha256(settings + path.read_bytes()).hexdigest()[:32]
    light = cache_folder() / f"{key}.obj"
    if light.is_file():
        return light if light.stat().st_size else None
    light.parent.mkdir(parents=True, exist_ok=True)
    made = _decimated(path)
    _write(light, made)
    return light if made else None


def _decimated(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    read = {".obj": _read_obj, ".stl": _read_stl}.get(path.suffix.lower())
    if read is None:
        return None
    vertices, faces = _merged(*read(path))
    if len(faces) <= SMALLEST_FACES:
        return None
    wanted = min(max(int(KEPT_SHARE * len(faces)), SMALLEST_FACES), MOST_FACES)
    points, triangles = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=wanted
    )
    if len(triangles) < 4:
        return None
    logger.info("%s: %d faces -> %d", path.name, len(faces), len(triangles))
    return points.astype(np.float64), triangles.astype(np.int64)


def _merged(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The same surface with vertices that coincide made one, and empty faces dropped."""
    unique, index = np.unique(vertices.astype(np.float32), axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return unique.astype(np.float64), faces[whole]


def _read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in path.read_text().splitlines():
        if line.startswith("v "):
            vertices.append([float(number) for number in line.split()[1:4]])
        elif line.startswith("f "):
            corners = [int(corner.split("/")[0]) for corner in line.split()[1:]]
            corners = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
            faces += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    return np.array(vertices).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)


def _read_stl(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Binary STL, which is all that MuJoCo reads."""
    content = path.read_bytes()
    count = int.from_bytes(content[80:84], "little")
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles = np.frombuffer(content, dtype=record, count=count, offset=84)
    return triangles["corners"].reshape(-1, 3).astype(np.float64), np.arange(3 * count).reshape(-1, 3)


def _write(path: Path, mesh: tuple[NDArray[np.float64], NDArray[np.int64]] | None) -> None:
    """Write a mesh as OBJ, atomically; an empty file says that the original is to be used."""
    lines: list[str] = []
    if mesh:
        lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in mesh[0]]
        lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh[1]]
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
        file.write("\n".join(lines))
    Path(file.name).replace(path)
