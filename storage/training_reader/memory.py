"""Where the arrays of a batch lie: on the heap, or in memory that processes share."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Memory(Protocol):
    """Makes arrays of a shape and a dtype, of zeros or of whatever is there."""

    def zeros(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]: ...

    def empty(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]: ...


class Heap:
    """Numpy's own memory."""

    def zeros(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    def empty(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]:
        return np.empty(shape, dtype)


HEAP = Heap()
