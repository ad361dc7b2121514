"""Who wants to hear of a run."""

from typing import Protocol

from pipelines.progress.job_counts import Tally


class Progress(Protocol):
    """What a run tells about itself, from its own thread: at its beginning and end, and after every unit. What units
    have come to that are not done yet is to be read from `pipelines.progress.in_flight`."""

    def begin(self, tally: Tally) -> None: ...
    def changed(self, tally: Tally) -> None: ...
    def end(self, tally: Tally) -> None: ...


class Silent:
    """Progress that nobody wants to see."""

    def begin(self, tally: Tally) -> None: ...
    def changed(self, tally: Tally) -> None: ...
    def end(self, tally: Tally) -> None: ...
