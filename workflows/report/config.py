"""Settings of a report, in a module of their own: who only plans a report need not load what draws it."""

from dataclasses import dataclass

from storage.errors import InputError

GALLERY_EPISODES = 12


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What goes into a page. `gallery` clips are embedded, some 50 kB each camera; with `selection` they and the
    composition are of that part of the data set alone."""

    gallery: int = GALLERY_EPISODES
    output: str = ""
    selection: str = ""

    def __post_init__(self) -> None:
        if self.gallery < 0:
            raise InputError(f"gallery is a number of episodes, 0 or more; got {self.gallery}")
