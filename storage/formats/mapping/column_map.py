"""Which column of a source becomes what: the user's own mapping, for layouts that nobody foresaw.

    state         obs.qpos[0:7], obs.gripper|scale=0.001    columns or slices of them, one after another
    action        act                                       the same
    camera.front  images.front|chw|flipped                  a column of images and how they lie in it
    instruction   lang                                      a column of text
    rate_hz       20                                        steps a second

Options of numbers: `scale=`, `xyzw` (a quaternion that is to be stored as w, x, y, z), `wxyz` (it is already).
Options of images: `chw`, `hwc`, `float` (0..1), `flipped` (upside down), `bgr`; of depth: `metres`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from storage.errors import ConfigError, MissingFileError, SchemaError, UnknownNameError

MAP_FILE = "pyramid_map.yaml"
"""The file that `pyramid data inspect` writes and that an import finds beside the data."""

_FILE_BYTES = 1 << 20
_NUMBERS = frozenset({"xyzw", "wxyz"})
_IMAGES = frozenset({"chw", "hwc", "float", "flipped", "bgr", "metres"})
_PIECE = re.compile(
    r"\s*(?P<column>[^\[\]|]+?)\s*(?:\[\s*(?P<start>\d*)\s*:\s*(?P<stop>\d*)\s*\])?\s*(?P<options>(?:\|[^|]+)*)\s*"
)
_XYZW_TO_WXYZ = [3, 0, 1, 2]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Numbers `column[start:stop]` of every step (stop None: to the end), times `scale`."""

    column: str
    start: int = 0
    stop: int | None = None
    scale: float = 1.0
    xyzw: bool = False

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """This piece of the rows (T, D) of its column; raises SchemaError where they are too narrow."""
        stop = values.shape[1] if self.stop is None else self.stop
        if stop > values.shape[1] or self.start >= stop:
            raise SchemaError(
                f"the mapping asks for {self.column}[{self.start}:{stop}]; the column has {values.shape[1]} numbers "
                "a step"
            )
        out = values[:, self.start : stop]
        if self.xyzw:
            if out.shape[1] != 4:
                raise SchemaError(f"the mapping calls {self.column} a quaternion; it has {out.shape[1]} numbers, not 4")
            out = out[:, _XYZW_TO_WXYZ]
        return out if self.scale == 1.0 else out * self.scale


@dataclass(frozen=True, kw_only=True)
class CameraColumn:
    """A column of images and the options of the module that say how they lie."""

    column: str
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """A parsed mapping; what is empty is left to be recognised."""

    state: tuple[Piece, ...] = ()
    action: tuple[Piece, ...] = ()
    cameras: Mapping[str, CameraColumn] | None = None
    instruction: str = ""
    rate_hz: float = 0.0


def parse_map(settings: Mapping[str, Any]) -> ColumnMap:
    """The mapping that `settings` (see the module) say; raises ConfigError."""
    cameras: dict[str, CameraColumn] = {}
    entries: dict[str, Any] = {}
    for key, value in settings.items():
        if key in ("state", "action"):
            entries[key] = tuple(_piece(text) for text in _texts(value))
        elif key.startswith("camera.") and len(key) > len("camera."):
            cameras[key.removeprefix("camera.")] = _camera(str(value))
        elif key == "instruction":
            entries[key] = str(value)
        elif key == "rate_hz":
            entries[key] = _rate(value)
        else:
            raise UnknownNameError.among("mapping", key, ("state", "action", "instruction", "rate_hz", "camera.NAME"))
    return ColumnMap(cameras=cameras or None, **entries)


def read_map_file(path: Path) -> dict[str, str]:
    """The settings in a YAML file of a mapping; raises MissingFileError or ConfigError."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_FILE_BYTES)
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ConfigError(f"{path} uses YAML aliases (*name), which a mapping does not need; write the columns out")
        record = yaml.safe_load(text)
    except FileNotFoundError:
        raise MissingFileError(f"{path} is not there; `pyramid data inspect PATH --write` makes one") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(record, Mapping):
        raise ConfigError(f"{path}: expected a mapping such as `state: obs.qpos`; got {type(record).__name__}")
    settings = {str(key): ", ".join(_texts(value)) for key, value in record.items()}
    parse_map(settings)
    return settings


def find_column(wanted: str, known: Iterable[str], where: str) -> str:
    """The name among `known` that `wanted` means ("/" and "." are one); raises UnknownNameError."""
    names = list(known)
    if wanted in names:
        return wanted
    alike = [name for name in names if name.replace("/", ".") == wanted.replace("/", ".")]
    if len(alike) == 1:
        return alike[0]
    raise UnknownNameError.among("column", wanted, names, hint=f"(of {where}; the mapping names it)")


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [str(value)]
    return [part.strip() for text in values for part in str(text).split(",") if part.strip()]


def _piece(text: str) -> Piece:
    match = _PIECE.fullmatch(text)
    if not match:
        raise ConfigError(f"a piece of a mapping is COLUMN, COLUMN[0:7] or COLUMN|scale=0.01; got {text!r}")
    scale, xyzw = 1.0, False
    for option in filter(None, match["options"].split("|")):
        name, _, value = option.partition("=")
        if name == "scale":
            scale = _rate(value, "scale")
        elif option in _NUMBERS:
            xyzw = option == "xyzw"
        else:
            raise UnknownNameError.among("option of a mapping", option, ("scale=NUMBER", *_NUMBERS))
    start, stop = int(match["start"] or 0), int(match["stop"]) if match["stop"] else None
    return Piece(column=match["column"], start=start, stop=stop, scale=scale, xyzw=xyzw)


def _camera(text: str) -> CameraColumn:
    column, *options = text.split("|")
    for option in options:
        if option not in _IMAGES:
            raise UnknownNameError.among("option of a camera", option, _IMAGES)
    return CameraColumn(column=column.strip(), options=frozenset(options))


def _rate(value: Any, what: str = "rate_hz") -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number) or number == 0 or (what == "rate_hz" and number < 0):
        raise ConfigError(f"{what} of a mapping is a number other than 0; got {value!r}")
    return number
