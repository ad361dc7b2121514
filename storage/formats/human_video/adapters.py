"""Every data set of human video that is known by its layout. A new one is a file beside this one and a row here."""

from collections.abc import Mapping
from pathlib import Path

from storage.errors import MissingFileError, UnknownNameError
from storage.formats.human_video.datasets import (
    assembly101,
    ego4d,
    ego_exo4d,
    egodex,
    epic_kitchens,
    hoi4d,
    holoassist,
    plain_folder,
    rh20t_human,
    something_something,
)
from storage.formats.human_video.source_video import Adapter

ADAPTERS: Mapping[str, Adapter] = {
    module.ADAPTER.name: module.ADAPTER
    for module in (
        ego4d,
        epic_kitchens,
        ego_exo4d,
        hoi4d,
        assembly101,
        holoassist,
        rh20t_human,
        something_something,
        egodex,
        plain_folder,
    )
}
"""Name -> adapter, in the order in which a folder is looked at; the plain folder takes what nobody else knows."""


def find_adapter(name: str, root: Path) -> Adapter:
    """The adapter called `name`, or with "auto" the first that recognises `root`; raises UnknownNameError."""
    if not root.exists():
        raise MissingFileError(f"{root} is not there; expected a video or a folder with videos")
    if name == "auto":
        return next(adapter for adapter in ADAPTERS.values() if adapter.recognises(root))
    try:
        return ADAPTERS[name]
    except KeyError:
        raise UnknownNameError.among("data set of human video", name, ADAPTERS) from None
