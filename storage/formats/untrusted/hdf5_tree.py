"""Walking through an HDF5 file that nobody vouches for: bounded in depth and number, and never out of the file."""

import time
from collections.abc import Iterator
from typing import Any

import h5py

from storage.errors import CorruptFileError, InputError
from storage.formats.untrusted.limits import LIMITS


def datasets_in(where: str, group: Any) -> list[tuple[str, Any]]:
    """(path below `group`, data set) of everything in it, sorted by path.

    Raises InputError for links and storage outside of the file, CorruptFileError for what cannot be opened and for more
    objects, levels or time than `storage.formats.untrusted.limits` allows.
    """
    datasets: list[tuple[str, Any]] = []
    until = time.process_time() + LIMITS.seconds
    for path, item in _walk(where, group, "", 0):
        datasets.append((path, item))
        if len(datasets) > LIMITS.objects or time.process_time() > until:
            raise CorruptFileError(
                f"{where} holds more than {LIMITS.objects} arrays, or takes more than {LIMITS.seconds:g} s of CPU to "
                "look through"
            )
    return sorted(datasets, key=lambda pair: pair[0])


def _walk(where: str, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > LIMITS.depth:
        raise CorruptFileError(f"{where} nests groups deeper than {LIMITS.depth} levels")
    for name in group:
        path = f"{prefix}{name}"
        child = open_child(where, group, name)
        if isinstance(child, h5py.Group):
            yield from _walk(where, child, f"{path}/", depth + 1)
        elif isinstance(child, h5py.Dataset):
            yield path, child


def open_child(where: str, group: Any, name: str) -> Any:
    """The object `name` of `group`; raises InputError when it lies in another file."""
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise InputError(f"{where}: {name!r} is a link to another file, which is not followed; copy it into the file")
    try:
        child = group[name]
    except (KeyError, RuntimeError, ValueError, OSError) as error:
        raise CorruptFileError(f"{where}: {name!r} cannot be opened ({error}); the file is damaged") from error
    if isinstance(child, h5py.Dataset) and (child.is_virtual or child.external):
        raise InputError(f"{where}: {name!r} lies in another file, which is not read; copy it into the file")
    return child


def text_attribute(group: Any, name: str) -> str:
    """Attribute `name` as text, "" where there is none; bytes that are no UTF-8 are replaced."""
    value = group.attrs.get(name)
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
