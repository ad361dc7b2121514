"""Recordings of named streams as items and episodes: the one way in for every layout that is not LeRobot or robomimic.

A reader says which recordings there are and opens one; what becomes of its streams is decided here: by the user's
mapping, by what the reader knows, or by usual names. Everything else of numbers is kept as foreign/<name>.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import EMBODIMENTS, Embodiment, Layout, Part
from storage.episode import Episode
from storage.errors import ConfigError, InputError, MissingFileError, SchemaError
from storage.formats.depth import encode_depth
from storage.formats.derived_embodiment import derived_name, guess_part
from storage.formats.import_item import FormatName, ImportConfig, ImportItem, fingerprint
from storage.formats.mapping.column_map import Piece
from storage.formats.mapping.fates import Fate, require_vectors
from storage.formats.streams.choice import Choice, choose, fates_of_choice
from storage.formats.streams.stream import Recording, Ref, Stream
from storage.formats.untrusted.guard import guarded
from storage.formats.untrusted.limits import check_steps
from storage.formats.untrusted.time_stamps import check_times
from storage.formats.video.clip import encode_frames
from storage.formats.video.writer import rate_fraction
from storage.frames import Frames
from storage.ids import content_id


@dataclass(frozen=True, kw_only=True)
class StreamFormat:
    """A reader: `refs` lists the recordings of a source, `opened` opens one below the root. Of a `uniform` format
    only the first recording is opened while listing: its records are large, and declare one layout for all of them."""

    name: FormatName
    refs: Callable[[Path, ImportConfig], list[Ref]]
    opened: Callable[[Path, Ref, ImportConfig], AbstractContextManager[Recording]]
    uniform: bool = False


def list_streams(reader: StreamFormat, root: Path, config: ImportConfig) -> list[ImportItem]:
    """One item for each recording that `config` asks for. One of several that cannot be opened still gets an item, so
    that the import counts it; reading it raises."""
    folder = root if root.is_dir() else root.parent
    refs = reader.refs(root, config)
    if not refs:
        raise MissingFileError(f"{root} holds no recording of {reader.name}")
    if missing := [number for number in config.episodes if number >= len(refs)]:
        raise ConfigError(f"{root} has no episodes {missing}; it has {len(refs)}, numbered from 0")
    wanted = [(number, ref) for number, ref in enumerate(refs) if config.wants(number)]
    wanted = wanted[: config.limit] if config.limit else wanted
    items: list[ImportItem] = []
    failure: InputError | None = None
    marks: dict[str, str] = {}
    for number, ref in wanted:
        for name in ref.files:
            marks.setdefault(name, fingerprint(folder / name))
        bare = _bare_item(reader, folder, number, ref, config, marks)
        good = next((item for item in items if not item.details.get("unreadable")), None)
        if reader.uniform and good is not None:
            items.append(_like(good, bare))
            continue
        try:
            items.append(guarded(bare.name, _described, reader, folder, ref, config, bare))
        except InputError as error:
            failure = failure or error
            items.append(replace(bare, details={**bare.details, "unreadable": True}))
    if failure and all(item.details.get("unreadable") for item in items):
        raise failure
    return items


def _like(good: ImportItem, bare: ImportItem) -> ImportItem:
    """`bare` as one more of the kind of `good`."""
    own = {name: getattr(bare, name) for name in ("number", "name", "episode_id", "files", "details")}
    return replace(good, **own)


def stream_fates(reader: StreamFormat, root: Path, config: ImportConfig) -> list[Fate]:
    """What becomes of every stream of the first recording that can be opened."""
    folder = root if root.is_dir() else root.parent
    failure: InputError | None = None
    for ref in reader.refs(root, config):
        try:
            return guarded(ref.name, _fates, reader, folder, ref, config)
        except InputError as error:
            failure = failure or error
    raise failure or MissingFileError(f"{root} holds no recording of {reader.name}")


def read_streams(reader: StreamFormat, item: ImportItem, config: ImportConfig) -> Episode:
    """The episode that `item` names; raises InputError and its kinds for whatever is wrong with its files."""
    item.check_unchanged()
    root = Path(item.root)
    ref = Ref(name=item.name, files=tuple(item.files), place=item.details["place"])
    with reader.opened(root, ref, config) as recording:
        choice = choose(recording, config, item.name)
        if not item.details.get("unreadable"):
            _check_kind(item, recording, choice, config)
        item.declare()
        return _episode(item, recording, choice, config)


def _check_kind(item: ImportItem, recording: Recording, choice: Choice, config: ImportConfig) -> None:
    """Raise SchemaError where a recording is of another kind than it was planned as."""
    embodiment = _embodiment(recording, choice, config)
    cameras = {name: stream.size_px for name, stream in choice.cameras.items()}
    arrays = set(_array_names(recording, choice))
    if (embodiment.name, cameras, arrays) != (item.embodiment, dict(item.cameras), set(item.arrays)):
        raise SchemaError(
            f"{item.name} has the layout {embodiment.name}, cameras {cameras} and {sorted(arrays)}; the rest of its"
            f" source has {item.embodiment}, {dict(item.cameras)} and {sorted(item.arrays)}: import it by itself"
        )


def _array_names(recording: Recording, choice: Choice) -> tuple[str, ...]:
    names = {*choice.foreign}
    names |= {"state"} if choice.state else set()
    names |= {"action/ground_truth"} if choice.action else set()
    names |= {"timestamp"} if recording.times is not None else set()
    return tuple(sorted(names))


def _fates(reader: StreamFormat, folder: Path, ref: Ref, config: ImportConfig) -> list[Fate]:
    with reader.opened(folder, ref, config) as recording:
        return fates_of_choice(recording, choose(recording, config, ref.name))


def _bare_item(
    reader: StreamFormat, folder: Path, number: int, ref: Ref, config: ImportConfig, marks: Mapping[str, str]
) -> ImportItem:
    files = {name: marks[name] for name in ref.files}
    return ImportItem(
        format=reader.name,
        root=str(folder),
        number=number,
        name=ref.name,
        episode_id=content_id(reader.name, sorted(files.items()), dict(ref.place)),
        layer=config.layer or "real",
        length=0,
        embodiment=config.embodiment if config.embodiment in EMBODIMENTS else "human",
        rate="20",
        cameras={},
        arrays=(),
        files=files,
        details={"place": dict(ref.place)},
    )


def _described(reader: StreamFormat, folder: Path, ref: Ref, config: ImportConfig, bare: ImportItem) -> ImportItem:
    with reader.opened(folder, ref, config) as recording:
        choice = choose(recording, config, ref.name)
        require_vectors(
            ref.name,
            fates_of_choice(recording, choice),
            allow_no_actions=config.allow_no_actions,
            allow_no_state=config.allow_no_state,
            numeric=True,
        )
        check_steps(ref.name, recording.length)
        embodiment = _embodiment(recording, choice, config)
        return replace(
            bare,
            layer=config.layer or recording.layer,
            length=recording.length,
            embodiment=embodiment.name,
            embodiment_record=embodiment.to_json(),
            rate=str(_rate(recording, config, ref.name)),
            cameras={name: stream.size_px for name, stream in choice.cameras.items()},
            arrays=_array_names(recording, choice),
        )


def _rate(recording: Recording, config: ImportConfig, where: str) -> Fraction:
    rate = config.columns.rate_hz or config.rate_hz or recording.rate_hz
    if not rate and recording.times is not None and len(recording.times) > 1:
        rate = float(np.round(1 / np.median(np.diff(recording.times)), 3))
    if not 0 < rate < 1e6:
        raise ConfigError(f"{where} does not tell its rate; give it by --rate-hz (rate_hz in a recipe)")
    return rate_fraction(rate)


def _embodiment(recording: Recording, choice: Choice, config: ImportConfig) -> Embodiment:
    """The embodiment that `config` names, known or new, or one derived from the layout."""
    state, action = (
        _layout(recording, pieces, vector) for pieces, vector in ((choice.state, "state"), (choice.action, "action"))
    )
    if known := EMBODIMENTS.get(config.embodiment):
        for name, mine, its in (("state", state, known.state), ("action", action, known.action)):
            if mine.size and its.size and mine.size != its.size:
                raise SchemaError(
                    f"its {name} has {mine.size} numbers, that of embodiment {known.name!r} has {its.size}; name "
                    "another "
                    "embodiment, a new one, or none to have one derived"
                )
        return known
    return Embodiment(
        name=config.embodiment or derived_name(recording.robot_type, state, action),
        description=f"Derived from recordings of {recording.robot_type or 'an unnamed robot'}; units are unknown",
        state=state,
        action=action,
    )


def _layout(recording: Recording, pieces: tuple[Piece, ...], vector: str) -> Layout:
    parts: list[Part] = []
    for piece in pieces:
        width = recording.streams[piece.column].width
        size = (width if piece.stop is None else piece.stop) - piece.start
        names = recording.names.get(piece.column, ())
        if len(pieces) == 1 and len(names) == size == width and len(set(names)) == size:
            parts += [guess_part(name, 1) for name in names]
        else:
            name = "vector" if len(pieces) == 1 else piece.column.replace("/", "_").replace(".", "_")
            known = {part.name for part in parts}
            name = name if name not in known else f"{name}_{piece.start}"
            parts.append(guess_part(name, size, quaternion=piece.xyzw))
    return Layout(parts=tuple(parts))


def _episode(item: ImportItem, recording: Recording, choice: Choice, config: ImportConfig) -> Episode:
    length = recording.length
    cameras = {name: _frames(stream, length, config) for name, stream in choice.cameras.items()}
    lengths = {name: len(frames) for name, frames in cameras.items()}
    shortest = min([length, *lengths.values()])
    if max([length, *lengths.values()]) - shortest > config.length_tolerance_frames:
        raise SchemaError(
            f"{item.name} has {length} steps and frames {lengths}; they must agree (--length-tolerance cuts up to "
            "that many; "
            f"it is {config.length_tolerance_frames})"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for name, pieces in (("state", choice.state), ("action/ground_truth", choice.action)):
        if pieces:
            rows = [piece.of(recording.streams[piece.column].numbers()[:length]) for piece in pieces]
            arrays[name] = np.concatenate(rows, axis=1).astype(np.float32)
    for name, stream in choice.foreign.items():
        arrays[name] = stream.numbers()[:length].astype(np.float64)
    if recording.times is not None:
        times = recording.times[:length].astype(np.float64)
        check_times(item.name, times)
        arrays["timestamp"] = times - times[0]
    return Episode(
        episode_id=item.episode_id,
        layer=item.layer,
        embodiment=item.embodiment,
        length=shortest,
        rate_hz=float(item.rate_fraction),
        instruction=_instruction(recording, choice, config),
        cameras={name: replace(frames, payloads=frames.payloads[:shortest]) for name, frames in cameras.items()},
        arrays={name: rows[:shortest] for name, rows in arrays.items()},
        provenance={"imported": _record(item, recording, choice, config)},
    )


def _instruction(recording: Recording, choice: Choice, config: ImportConfig) -> str:
    if choice.instruction is not None:
        assert choice.instruction.read is not None
        said = next((text for text in choice.instruction.read() if text.strip()), "")
        if said:
            return str(said).strip()
    return recording.instruction or config.instruction


def _frames(stream: Stream, length: int, config: ImportConfig) -> Frames:
    if stream.kind == "video":
        assert stream.frames is not None
        return encode_frames(stream.frames(), config.coding)
    assert stream.images is not None
    images: Iterator[Any] = stream.images(length)
    return encode_depth(images, config.coding.resize) if stream.kind == "depth" else config.coding.encode(images)


def _record(item: ImportItem, recording: Recording, choice: Choice, config: ImportConfig) -> dict[str, Any]:
    record: dict[str, Any] = {
        "format": item.format,
        "root": item.root,
        "place": dict(item.details["place"]),
        "files": dict(item.files),
        "robot_type": recording.robot_type,
        "left_out": sorted(choice.left_out),
        "size_px": None if config.size_px is None else list(config.size_px),
        **recording.about,
    }
    annotations = {name: list(runs) for name, runs in recording.runs.items()}
    return {**record, **({"annotations": annotations} if annotations else {})}
