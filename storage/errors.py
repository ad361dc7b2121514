"""Every error that this project raises on purpose.

    PyramidError
    |-- InputError (ValueError)             what a person or a foreign file handed in is not as expected
    |   |-- MissingFileError (FileNotFoundError)
    |   |-- CorruptFileError                truncated, wrong checksum, undecodable
    |   |-- SchemaError                     wrong dimension, dtype, length or a NaN
    |   |-- UnknownNameError (LookupError)  no such embodiment, stage, task, key; names the nearest ones
    |   `-- ConfigError                     a recipe, flag or plan that cannot work
    |-- DatasetError (ValueError)           a data set that cannot be used
    |   |-- NotADatasetError
    |   |-- SchemaVersionError
    |   `-- AlreadyWrittenError (FileExistsError)
    |-- WorldError (OSError)                the machine said no: disk, memory, graphics; worth another try
    |   `-- GraphicsError
    |-- BrokenSimulationError (RuntimeError)  an environment raised or its physics diverged; ends one attempt
    |-- StageContractError (TypeError)      a stage gave back what no stage may
    |-- WorkFailedError (RuntimeError)      too much of a job failed
    `-- UnfitModelError (RuntimeError)      a model that fails its own gates was asked to label

Texts say what was expected, what came and what to do next. A constructor takes the message only, so that
every error survives pickling on its way out of a worker.
"""

import difflib
from collections.abc import Iterable
from typing import Self


class PyramidError(Exception):
    """Root of every error raised on purpose."""


class InputError(PyramidError, ValueError):
    """What a person or a foreign file handed in is not as expected."""


class MissingFileError(InputError, FileNotFoundError):
    """A named file or folder is not there."""

    # OSError formats its arguments in its own way; the message alone is wanted.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class CorruptFileError(InputError):
    """A file is truncated, fails its checksum or cannot be decoded."""


class SchemaError(InputError):
    """An array has the wrong dimension, dtype, length or content."""


class UnknownNameError(InputError, LookupError):
    """A name that nothing answers to."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> Self:
        """The error for `name`, which is no `kind`; lists the nearest known names, or all of them."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        listing = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
        return cls(f"unknown {kind} {name!r}; {listing}" + (f" {hint}" if hint else ""))


class ConfigError(InputError):
    """A recipe, a flag or a plan that cannot work."""


class DatasetError(PyramidError, ValueError):
    """A data set that cannot be used."""


class NotADatasetError(DatasetError):
    """A folder without a readable dataset.json."""


class SchemaVersionError(DatasetError):
    """A data set written by another version of the schema."""


class AlreadyWrittenError(DatasetError, FileExistsError):
    """What would be written is there already and differs."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class WorldError(PyramidError, OSError):
    """The machine said no; the same call may succeed later or elsewhere."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class GraphicsError(WorldError):
    """No headless graphics: nothing can be rendered."""


class BrokenSimulationError(PyramidError, RuntimeError):
    """An environment raised in `step` or its physics diverged: the attempt is lost, the environment is not."""


class StageContractError(PyramidError, TypeError):
    """A stage broke its contract: a mistake in its code, whatever the data."""


class WorkFailedError(PyramidError, RuntimeError):
    """More of a job failed than its recipe allows."""


class UnfitModelError(PyramidError, RuntimeError):
    """A model that fails its own gates was asked to label."""
