"""Making the hand finder that a config names: the one that ships, or one from a Python file."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from judges.hands.hand_config import HandConfig
from judges.hands.landmarks import HandFinder
from storage.errors import ConfigError
from storage.ids import content_id


def make_finder(config: HandConfig) -> HandFinder:
    """The finder, loaded and ready. Raises ConfigError or MissingFileError."""
    path = config.file()
    if path is not None:
        return _from_file(path, config)
    from judges.hands.palm_landmarker import PalmLandmarker

    return PalmLandmarker(config)


def _from_file(path: Path, config: HandConfig) -> HandFinder:
    name = f"pyramid_hands_{content_id(str(path.resolve()))}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    make = getattr(module, "make_finder", None)
    if not callable(make):
        raise ConfigError(f"{path} must hold a function make_finder(config) -> HandFinder")
    finder: HandFinder = make(config)
    return finder
