"""Opening HDF5 files, with errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from storage.errors import CorruptFileError, MissingFileError
from storage.formats.untrusted.hdf5_probe import check_hdf5

HDF5_SUFFIXES = frozenset({".hdf5", ".h5", ".hdf"})


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The h5py file `path`, read-only; OSErrors inside the block become CorruptFileError too."""
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; expected an HDF5 file")
    check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise CorruptFileError(
            f"{path} is not a readable HDF5 file ({error}); it is cut off, or was being written when its program died"
        ) from error
