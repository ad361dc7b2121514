"""A stage that misbehaves on demand, for chaos tests: it takes its process down, hangs, or raises strange things."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from storage.episode import Episode
from storage.errors import InputError, WorldError
from storage.ids import Randomness
from storage.outcomes import Kept, Outcome

Fault = Literal["none", "kill", "segfault", "exit", "leave", "strange", "input", "world", "hang", "value"]


@dataclass(frozen=True, kw_only=True)
class FaultyConfig:
    """`fault` happens at episodes made from one of `seeds`: always, or only the first `times` where `marks` names a
    folder to count in. None of it changes what comes out."""

    fault: Fault = field(default="none", metadata={"identity": False})
    seeds: tuple[int, ...] = field(default=(), metadata={"identity": False})
    times: int = field(default=0, metadata={"identity": False})
    marks: Path | None = field(default=None, metadata={"identity": False})
    pause_s: float = field(default=0.0, metadata={"identity": False})


class StrangeError(Exception):
    """An error that cannot be pickled: its constructor takes more than a message."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"code {code}: {reason}")


class Faulty:
    """Passes episodes on, after the fault that it was asked for."""

    def __init__(self, config: FaultyConfig) -> None:
        self._config = config

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        for episode in episodes:
            time.sleep(self._config.pause_s)
            if int(episode.provenance["source"]["seed"]) in self._config.seeds and self._is_due(episode.episode_id):
                FAULTS[self._config.fault]()
        return [[Kept(episode)] for episode in episodes]

    def _is_due(self, name: str) -> bool:
        if self._config.marks is None:
            return True
        for number in range(self._config.times):
            try:
                (self._config.marks / f"{name}.{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False


def _segfault() -> None:
    ctypes.string_at(0)


def _strange() -> None:
    raise StrangeError(7, reason="no pickle takes me")


def _raise(error: Exception) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


FAULTS: Mapping[Fault, Callable[[], object]] = {
    "none": lambda: None,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": _segfault,
    "exit": lambda: sys.exit(3),
    "leave": lambda: os._exit(0),
    "strange": _strange,
    "input": _raise(InputError("this input is not as expected")),
    "world": _raise(WorldError("the device is busy")),
    "value": _raise(ValueError("a mistake in the stage")),
    "hang": lambda: time.sleep(3600),
}
