"""HDF5 files that hurt the library: two on which it never comes back, one that crashes it."""

import struct
from pathlib import Path

import h5py
import numpy as np

from storage.formats.testing.laboratories import tiny_isaac_lab

_NO_ADDRESS = 24
_ENTRIES, _KEY, _CHILD = 32, 8, 8
_NODE_BYTES = _NO_ADDRESS + _KEY * (_ENTRIES + 1) + _CHILD * _ENTRIES


def _many_links(path: Path) -> tuple[bytearray, int]:
    """(bytes of a file whose group needs a tree of two levels, place of the root of that tree)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", libver="earliest") as file:
        demo = file.create_group("data/demo_0")
        demo["actions"] = np.zeros((6, 7))
        for number in range(400):
            demo[f"n{number:04d}"] = np.zeros(3)
    content = bytearray(path.read_bytes())
    trees = (at for at in range(0, len(content), 8) if content[at : at + 4] == b"TREE")
    return content, next(at for at in trees if content[at + 4] == 0 and content[at + 5] > 0)


def spinning_hdf5(path: Path, levels: int = 10) -> Path:
    """A file whose group is a tree of `levels` levels in which every child is the same next node: going through it
    takes 32 to the power of `levels` steps."""
    content, root = _many_links(path)
    (leaf,) = struct.unpack("<Q", content[root + _NO_ADDRESS + _KEY :][:_CHILD])
    node = content[root : root + _NODE_BYTES]
    content += bytes(-len(content) % 8)
    places = [root, *(len(content) + number * _NODE_BYTES for number in range(levels - 1))]
    for number, (at, child) in enumerate(zip(places, [*places[1:], leaf], strict=True)):
        node[5:8] = struct.pack("<BH", levels - number, _ENTRIES)
        for entry in range(_ENTRIES):
            start = _NO_ADDRESS + _KEY + entry * (_KEY + _CHILD)
            node[start : start + _CHILD] = struct.pack("<Q", child)
        content[at : at + _NODE_BYTES] = node
    # The superblock tells where the file ends.
    content[40:48] = struct.pack("<Q", len(content))
    path.write_bytes(bytes(content))
    return path


def crashing_hdf5(path: Path) -> Path:
    """A file whose tree holds itself, on which the library runs out of stack."""
    content, root = _many_links(path)
    start = root + _NO_ADDRESS + _KEY
    content[start : start + _CHILD] = struct.pack("<Q", root)
    path.write_bytes(bytes(content))
    return path


def spinning_texts(path: Path) -> Path:
    """A file whose heap of texts tells a wrong length of its first one, so that the library goes through it for ever
    when it reads an attribute."""
    content = bytearray(tiny_isaac_lab(path).read_bytes())
    content[content.find(b"GCOL") + 24] = 73
    path.write_bytes(bytes(content))
    return path
