"""Batches from several processes, through shared memory: arrays are written there by the worker and looked at where
they lie; only texts and shapes travel through a pipe.

Workers take turns, so the stream is the same with any number of them. In a torch DataLoader:
`DataLoader(SharedBatches(...), batch_size=None)`, with workers here and none there.
"""

import mmap
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, WorkFailedError
from storage.training_reader.memory import HEAP, Memory

Make = Callable[[int, Memory], Any]
"""Batch number -> arrays and other values, in any nest of dicts. Arrays of the given memory are shared from the
beginning; others are copied there."""
_ALIGNMENT = 64
_ROOM = 1.25
"""How much larger than the first batch a slot is; an array that does not fit travels through the pipe."""


@dataclass(frozen=True)
class _Placed:
    """Where an array lies in a slot."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


class SharedBatches:
    """The endless stream `make(first)`, `make(first + 1)`, ... computed by `workers` processes.

    A batch is valid until `hold` more have been taken; copy what must live longer. `make` runs in forked processes: it
    may hold open files and large tables, which are not copied. An error in it is raised here, in its place in the
    stream; a worker that dies raises WorkFailedError. Close it, or use it in a `with` block.
    """

    def __init__(self, make: Make, *, workers: int, first: int = 0, hold: int = 1, ahead: int = 3) -> None:
        if workers < 1 or hold < 1 or ahead < 1:
            raise ConfigError(f"workers, hold and ahead must be at least 1; got {workers}, {hold}, {ahead}")
        self._turn, self._hold = 0, hold
        self._layouts: list[Any] = [None] * workers
        self._taken: deque[tuple[int, int]] = deque()
        size = _ALIGNMENT + round(_ROOM * _bytes_of(make(first, HEAP)))
        forked = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._slots: list[list[mmap.mmap]] = []
        self._processes: list[Any] = []
        for number in range(workers):
            slots = [_memory(size) for _ in range(ahead + hold)]
            here, there = forked.Pipe()
            stream = range(first + number, 1 << 62, workers)
            process = forked.Process(target=_work, args=(there, make, stream, slots), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._slots.append(slots)
            self._processes.append(process)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while len(self._taken) > self._hold:
            worker, slot = self._taken.popleft()
            self._send(worker, slot)
        worker = self._turn % len(self._pipes)
        slot, content = self._receive(worker)
        self._turn += 1
        self._taken.append((worker, slot))
        return _seen(content, self._slots[worker][slot])

    def _receive(self, worker: int) -> tuple[int, Any]:
        try:
            answer = self._pipes[worker].recv()
        except (EOFError, OSError):
            raise self._died(worker) from None
        if isinstance(answer, BaseException):
            self.close()
            raise answer
        slot, layout, texts = answer
        if layout is not None:
            self._layouts[worker] = layout
        return int(slot), _with_texts(self._layouts[worker], iter(texts))

    def _send(self, worker: int, slot: int) -> None:
        with suppress(OSError):  # a worker that has ended: what it said last is read when its batch is taken
            self._pipes[worker].send(slot)

    def _died(self, worker: int) -> WorkFailedError:
        self._processes[worker].join(timeout=5)
        code = self._processes[worker].exitcode
        self.close()
        return WorkFailedError(
            f"loader process {worker} of {len(self._pipes)} ended with exit code {code}; when the machine ran out of"
            " memory, take fewer workers"
        )

    def close(self) -> None:
        """End the workers."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for pipe in self._pipes:
            pipe.close()

    def __enter__(self) -> "SharedBatches":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _memory(size: int) -> mmap.mmap:
    """Memory that forked processes share, in huge pages where the system gives them."""
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class _Slot:
    """Memory of one batch, filled from its beginning; a `Memory`."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory, self._end = memory, 0
        self._start = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]

    def clear(self) -> None:
        self._end = 0

    def zeros(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]:
        """An array of zeros, in this memory while there is room."""
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    def empty(self, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]:
        """An array of whatever was there before, in this memory while there is room."""
        array = self._new(shape, np.dtype(dtype))
        return np.empty(shape, dtype) if array is None else array

    def placed(self, array: NDArray[Any]) -> "_Placed | None":
        """Where `array` lies, copied here unless it is here already; None where there is no room."""
        offset = array.__array_interface__["data"][0] - self._start
        if not 0 <= offset < len(self._memory) or not array.flags.c_contiguous:
            copy = self._new(array.shape, array.dtype)
            if copy is None:
                return None
            copy[...] = array
            offset = copy.__array_interface__["data"][0] - self._start
        return _Placed(offset, array.shape, array.dtype.str)

    def _new(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        offset = -(-self._end // _ALIGNMENT) * _ALIGNMENT
        end = offset + int(np.prod(shape)) * dtype.itemsize
        if end > len(self._memory):
            return None
        self._end = end
        return _view(_Placed(offset, shape, dtype.str), self._memory)


def _work(pipe: Connection, make: Make, numbers: range, memories: list[mmap.mmap]) -> None:
    """A worker: the batches `numbers`, each into a slot that is free. A layout is sent when it changes."""
    cv2.setNumThreads(0)
    slots = [_Slot(memory) for memory in memories]
    free, sent = deque(range(len(slots))), None
    try:
        for number in numbers:
            while not free or pipe.poll():
                free.append(pipe.recv())
            chosen = free.popleft()
            slots[chosen].clear()
            texts: list[Any] = []
            layout = _put(make(number, slots[chosen]), slots[chosen], texts)
            pipe.send((chosen, None if layout == sent else layout, texts))
            sent = layout
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001  it is raised again where the batch is taken
        pipe.send(error)


class _Text:
    """Stands for what is no array in a layout."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text)

    __hash__ = None  # type: ignore[assignment]


def _put(value: Any, slot: _Slot, texts: list[Any]) -> Any:
    """The layout of `value`: where its arrays lie in `slot`; everything else is appended to `texts`."""
    if isinstance(value, Mapping):
        return {name: _put(inner, slot, texts) for name, inner in value.items()}
    placed = slot.placed(value) if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else None
    if placed is None:
        texts.append(value)
    return placed or _Text()


def _with_texts(layout: Any, texts: Iterator[Any]) -> Any:
    if isinstance(layout, Mapping):
        return {name: _with_texts(inner, texts) for name, inner in layout.items()}
    return next(texts) if isinstance(layout, _Text) else layout


def _seen(value: Any, slot: mmap.mmap) -> Any:
    if isinstance(value, Mapping):
        return {name: _seen(inner, slot) for name, inner in value.items()}
    return _view(value, slot) if isinstance(value, _Placed) else value


def _view(placed: _Placed, slot: mmap.mmap) -> NDArray[Any]:
    return np.ndarray(placed.shape, dtype=placed.dtype, buffer=slot, offset=placed.offset)


def _bytes_of(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_bytes_of(inner) for inner in value.values())
    return value.nbytes + _ALIGNMENT if isinstance(value, np.ndarray) else 0
