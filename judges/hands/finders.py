"""Making the hand finder that a config names: the one that ships, or one from a Python file."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from judges.hands.hand_config import LANDMARKER, HandConfig
from judges.hands.landmarks import HandFinder
from storage.errors import ConfigError, MissingFileError
from storage.ids import content_id


def make_finder(config: HandConfig) -> HandFinder:
    """The finder, loaded and ready. Raises ConfigError or MissingFileError."""
    if config.model == LANDMARKER:
        from judges.hands.palm_landmarker import PalmLandmarker

        return PalmLandmarker(config)
    path = Path(config.model)
    if path.suffix != ".py" or not path.is_file():
        raise MissingFileError(
            f'hands.model is "none", "{LANDMARKER}" or a Python file with make_finder; got {config.model!r}'
        )
    return _from_file(path, config)


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
