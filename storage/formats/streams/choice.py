"""What becomes of the streams of a recording: state, action, cameras, instruction, and what is kept beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from storage.errors import SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig
from storage.formats.mapping.column_map import Piece, find_column
from storage.formats.mapping.fates import Became, Fate
from storage.formats.mapping.usual_names import (
    ACTION_COLUMNS,
    ACTION_PREFIXES,
    STATE_COLUMNS,
    STATE_PREFIXES,
    usual_columns,
    usual_instruction,
)
from storage.formats.streams.stream import Recording, Stream
from storage.formats.untrusted.clean_names import clean_name, distinct

_CAMERA_PREFIXES = ("observations/images/", "observation/images/", "obs/sensor_data/", "obs/", "observation/", "data/")
_CAMERA_SUFFIXES = ("/rgb", "_image", "_rgb")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`foreign` maps an array name, `cameras` a camera to its stream; `left_out` a stream to the reason."""

    state: tuple[Piece, ...]
    action: tuple[Piece, ...]
    cameras: Mapping[str, Stream]
    instruction: Stream | None
    foreign: Mapping[str, Stream]
    left_out: Mapping[str, str]


def choose(recording: Recording, config: ImportConfig, where: str) -> Choice:
    """The choice for `recording`; raises UnknownNameError for columns and cameras that it does not have."""
    streams, columns, length = recording.streams, config.columns, recording.length
    numbers = {
        name: one for name, one in streams.items() if one.kind == "numbers" and one.length in (length, length + 1)
    }
    state = _pieces(columns.state, numbers, where) or recording.state or _usual(numbers, STATE_COLUMNS, STATE_PREFIXES)
    action = (
        _pieces(columns.action, numbers, where) or recording.action or _usual(numbers, ACTION_COLUMNS, ACTION_PREFIXES)
    )
    cameras = _cameras(recording, config, where)
    texts = {name: stream for name, stream in streams.items() if stream.kind == "text"}
    wanted = config.instruction_column or columns.instruction
    spoken = find_column(wanted, texts, where) if wanted else usual_instruction(texts)
    whole = {piece.column for piece in (*state, *action) if piece.start == 0 and piece.stop is None}
    foreign: dict[str, Stream] = {}
    for name, stream in numbers.items():
        if name not in whole:
            foreign[distinct("foreign/" + clean_name(name.replace("/", ".")), foreign, name)] = stream
    left_out = {name: stream.why for name, stream in streams.items() if stream.kind == "other"}
    shown = {stream.name for stream in cameras.values()}
    for name, stream in streams.items():
        if stream.kind in ("image", "depth", "video") and name not in shown:
            left_out[name] = "not among the cameras that were asked for" if config.cameras else "has another length"
        if stream.kind == "numbers" and name not in numbers:
            left_out[name] = f"has {stream.length} entries for {length} steps"
        if stream.kind == "text" and name != spoken:
            left_out[name] = "text of no known meaning; --instruction-column takes the instruction from it"
    return Choice(
        state=state,
        action=action,
        cameras=cameras,
        instruction=streams.get(spoken) if spoken else None,
        foreign=foreign,
        left_out=left_out,
    )


def fates_of_choice(recording: Recording, choice: Choice) -> list[Fate]:
    """The table of what became of every stream."""
    fates = []
    vectors: tuple[tuple[Literal["state", "action"], tuple[Piece, ...]], ...]
    vectors = (("state", choice.state), ("action", choice.action))
    for vector, pieces in vectors:
        at = 0
        for piece in pieces:
            width = recording.streams[piece.column].width
            end = width if piece.stop is None else piece.stop
            size, whole = end - piece.start, (piece.start, end) == (0, width)
            column = piece.column if whole else f"{piece.column}[{piece.start}:{end}]"
            detail = _told(f"{vector}[{at}:{at + size}]", recording.streams[piece.column])
            fates.append(Fate(column=column, became=vector, detail=detail, width=size))
            at += size
    for name, stream in choice.cameras.items():
        became: Became = "depth" if stream.kind == "depth" else "camera"
        fates.append(Fate(column=stream.name, became=became, detail=_told(f"video/{name}", stream)))
    for name, stream in choice.foreign.items():
        fates.append(Fate(column=stream.name, became="foreign", detail=_told(name, stream), width=stream.width))
    if choice.instruction is not None:
        fates.append(Fate(column=choice.instruction.name, became="text", detail="instruction"))
    return fates + [Fate(column=name, became="left out", detail=why) for name, why in choice.left_out.items()]


def _told(detail: str, stream: Stream) -> str:
    return f"{detail}; {stream.why}" if stream.why else detail


def _pieces(mapped: tuple[Piece, ...], numbers: Mapping[str, Stream], where: str) -> tuple[Piece, ...]:
    out = []
    for piece in mapped:
        column = find_column(piece.column, numbers, where)
        if piece.stop is not None and piece.stop > numbers[column].width:
            raise SchemaError(
                f"{where}: the mapping asks for {column}[{piece.start}:{piece.stop}]; it has {numbers[column].width} "
                "numbers"
            )
        out.append(Piece(column=column, start=piece.start, stop=piece.stop, scale=piece.scale, xyzw=piece.xyzw))
    return tuple(out)


def _usual(numbers: Mapping[str, Stream], whole: tuple[str, ...], prefixes: tuple[str, ...]) -> tuple[Piece, ...]:
    return tuple(Piece(column=column) for column in usual_columns(numbers, whole, prefixes))


def _cameras(recording: Recording, config: ImportConfig, where: str) -> dict[str, Stream]:
    views = {name: one for name, one in recording.streams.items() if one.kind in ("image", "depth", "video")}
    # Half as many images as steps are a camera that lost some, which costs the episode; fewer are something else.
    fitting = {name: one for name, one in views.items() if one.kind == "video" or 2 * one.length >= recording.length}
    mapped = {name: find_column(camera.column, views, where) for name, camera in (config.columns.cameras or {}).items()}
    cameras: dict[str, Stream] = {name: views[column] for name, column in mapped.items()}
    for column, stream in fitting.items():
        if column not in mapped.values():
            cameras[distinct(camera_name(column), cameras, column)] = stream
    if missing := [name for name in config.cameras if name not in cameras]:
        raise UnknownNameError.among("camera", missing[0], cameras, hint=f"(of {where})")
    return {name: stream for name, stream in cameras.items() if not config.cameras or name in config.cameras}


def camera_name(column: str) -> str:
    """The name of a camera whose images lie in `column`: without what every camera of a layout has around it."""
    name = column
    for prefix in _CAMERA_PREFIXES:
        name = name.removeprefix(prefix)
    for suffix in _CAMERA_SUFFIXES:
        name = name.removesuffix(suffix)
    return clean_name(name.replace("/", "."))
