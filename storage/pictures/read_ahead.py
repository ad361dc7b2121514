"""Frames of a clip in blocks and in order, decoded ahead by threads, so that whatever computes never waits for them."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from storage.errors import ConfigError

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a clip is read: frames in a block, threads that decode, and how many blocks they may be ahead."""

    block: int = 128
    threads: int = 2
    ahead: int = 2

    def __post_init__(self) -> None:
        if min(self.block, self.threads) < 1 or self.ahead < 0:
            raise ConfigError(f"Reading wants block and threads >= 1, ahead >= 0; got {self}")


def blocks(
    steps: int, decode: Callable[[range], Decoded], reading: Reading
) -> Iterator[tuple[int, tuple[Decoded, ...]]]:
    """The first step of each block, and what `decode` gave for its parts, one for each thread.

    Parts come in the order of the steps, never in the order in which threads finish.
    """
    with ThreadPoolExecutor(max_workers=reading.threads) as pool:
        waiting: deque[tuple[int, list[Future[Decoded]]]] = deque()
        for begin in range(0, steps, reading.block):
            waiting.append((begin, _submitted(pool, decode, begin, min(begin + reading.block, steps), reading.threads)))
            if len(waiting) > reading.ahead:
                yield _taken(waiting.popleft())
        while waiting:
            yield _taken(waiting.popleft())


def _submitted(
    pool: ThreadPoolExecutor, decode: Callable[[range], Decoded], begin: int, end: int, parts: int
) -> list[Future[Decoded]]:
    share = max(-(-(end - begin) // parts), 1)
    return [pool.submit(decode, range(place, min(place + share, end))) for place in range(begin, end, share)]


def _taken(block: tuple[int, list[Future[Decoded]]]) -> tuple[int, tuple[Decoded, ...]]:
    return block[0], tuple(part.result() for part in block[1])
