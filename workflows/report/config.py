"""Settings of a report, in a module of their own: who only plans a report need not load what draws it."""

from dataclasses import dataclass

from storage.errors import InputError

GALLERY_EPISODES = 12


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What goes into a page. `gallery` clips are embedded, some 50 kB each camera."""

    gallery: int = GALLERY_EPISODES
    output: str = ""

    def __post_init__(self) -> None:
        if self.gallery < 0:
            raise InputError(f"gallery is a number of episodes, 0 or more; got {self.gallery}")
