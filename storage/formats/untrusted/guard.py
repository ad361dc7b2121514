"""One bad input costs itself alone: whatever a library raises over the content of a foreign file becomes an InputError.

Readers check what they can; what damage makes of the rest (h5py raises KeyError and RuntimeError, numpy ValueError and
TypeError, Python UnicodeDecodeError and RecursionError) is told here, once, with the name of the input.
"""

import zipfile
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from storage.errors import CorruptFileError, PyramidError

_P = ParamSpec("_P")
_R = TypeVar("_R")
OF_CONTENT = (
    ValueError,  # also UnicodeError, and json's
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SystemError,  # numcodecs, for a chunk of an absurd size
    RuntimeError,  # also RecursionError, and h5py's
    AssertionError,
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
)
"""What libraries raise over the content of a file."""


def guarded(where: str, call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """`call(*args, **kwargs)`; an error that follows from the content of the input `where` becomes CorruptFileError.

    Errors of this project and those of the world (OSError: disk, network) pass as they are.
    """
    try:
        return call(*args, **kwargs)
    except PyramidError:
        raise
    except OF_CONTENT as error:
        raise CorruptFileError(
            f"{where} cannot be read: {type(error).__name__}: {str(error)[:300]}; it is damaged or of an unknown layout"
        ) from error
