"""A plugin of a user's own whose stage fails until it is mended, for tests of what comes after a failure."""

from pathlib import Path

_SOURCE = """
import ctypes, os, signal, time
from dataclasses import dataclass
from pathlib import Path
from pipelines.stage import Resources, Stage
from storage.outcomes import Kept

@dataclass(frozen=True, kw_only=True)
class FragileConfig:
    pass

class Fragile:
    def __init__(self, config): pass
    def __call__(self, episodes, randomness):
        if not Path(__file__).with_name("mended").exists():
            {fault}
        return [[Kept(episode)] for episode in episodes]

STAGES = {{"fragile": Stage(call=f"{{__file__}}:Fragile", config=f"{{__file__}}:FragileConfig",
                           resources=Resources(memory_gb=0.1))}}
"""


def write_fragile_plugin(path: Path, fault: str) -> None:
    """Write to `path` a plugin whose stage `fragile` does the Python statement `fault` as long as there is no file
    `mended` beside it. The statement may use ctypes, os, signal, time and Path."""
    path.write_text(_SOURCE.format(fault=fault))
