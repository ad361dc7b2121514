"""A failure as plain data. Exceptions stay where they are raised: not every one of them survives being pickled."""

import errno
import socket
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from storage.atomic_files import write_whole
from storage.datasets.unit_paths import STAGING
from storage.errors import GraphicsError, InputError, PyramidError, UnfitModelError, WorkFailedError, WorldError

Kind = Literal["unit", "setup", "output", "process"]
"""unit: this unit failed; setup: no unit can succeed; output: the data set cannot be written;
process: the process that worked on the unit is gone."""

_CANNOT_START = (InputError, UnfitModelError, ImportError)
_NOWHERE = (GraphicsError, WorkFailedError)
"""What no other unit would escape: no graphics on this machine, or a stage that says that its work fails at large."""
_NO_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt at a unit failed: in which stage, with what, where."""

    kind: Kind
    stage: str
    error: str
    message: str
    traceback: str = ""
    host: str = ""

    @property
    def ends_the_job(self) -> bool:
        """Whether no other unit can fare better."""
        return self.kind in ("setup", "output")

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Failure":
        """The inverse of `asdict`."""
        return cls(**record)

    @classmethod
    def of(cls, error: BaseException, *, stage: str, making: bool, root: Path) -> "Failure":
        """The record of `error`, which ended an attempt in `stage`, or while `making` it."""
        kind: Kind = "unit"
        if output_refuses(error, root):
            kind = "output"
        elif isinstance(error, _NOWHERE) or (making and isinstance(error, _CANNOT_START)):
            kind = "setup"
        report = traceback.TracebackException.from_exception(error)
        return cls(
            kind=kind,
            stage=stage,
            error=type(error).__name__,
            message="".join(report.format_exception_only()).strip(),
            traceback="".join(report.format()),
            host=socket.gethostname(),
        )

    def raise_again(self, job: str) -> NoReturn:
        """Raise the error of our own that this failure was, or a WorldError, with what to do next."""
        text = self.message.split(": ", maxsplit=1)[-1]
        if self.kind == "output":
            raise WorldError(
                f"job {job!r} stopped: its data set cannot be written ({text}). What is committed stays; make room or"
                " make the folder writable, then resume"
            )
        kinds = {kind.__name__: kind for kind in _own_errors(PyramidError)}
        raise kinds.get(self.error, WorldError)(
            f"stage {self.stage!r} of job {job!r} cannot work on {self.host}: {text}"
        )


def _own_errors(kind: type[PyramidError]) -> Iterator[type[PyramidError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _own_errors(inner)


def output_refuses(error: BaseException, root: Path) -> bool:
    """Whether `error` came of a data set that cannot be written, and not of the unit."""
    causes = list(_chain(error))
    if any(isinstance(each, OSError) and each.errno in _NO_OUTPUT for each in causes):
        return True
    return any(isinstance(each, OSError) for each in causes) and not can_write(root)


def can_write(root: Path) -> bool:
    """Whether a small file can be put into the data set in `root`."""
    probe = root / STAGING / ".probe"
    try:
        write_whole(probe, b"?")
        probe.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
