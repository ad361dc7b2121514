"""Importing GR00T LeRobot v2.0 / v2.1: from a folder to items, and from an item to an episode.

The instruction is the text of an annotation column (`task_description` before others), else of task_index; `valid`
comes from a validity annotation; other annotations are kept in the provenance as runs [[first step, text], ...]. For
the rest see `lerobot_columns`. Row i belongs to frame i of every video; times are not used to pair them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.episode import Episode, Layer
from storage.errors import ConfigError, InputError, SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig, ImportItem, fingerprint
from storage.formats.lerobot.columns import array_names, read_arrays
from storage.formats.lerobot.image_column import encode_pictures
from storage.formats.lerobot.layout import find_embodiment
from storage.formats.lerobot.meta import LeRobotMeta, read_lerobot_meta
from storage.formats.lerobot.parquet_columns import is_numeric, read_schema, read_table
from storage.formats.lerobot.text import read_texts
from storage.formats.video.clip import encode_video
from storage.formats.video.reader import probe
from storage.formats.video.writer import rate_fraction
from storage.frames import Frames
from storage.ids import content_id


def list_lerobot(root: Path, config: ImportConfig) -> list[ImportItem]:
    """One item for each episode that `config` asks for. Reads metadata, one footer and one frame of each camera."""
    meta = read_lerobot_meta(root)
    numbers = [int(row["episode_index"]) for row in meta.episodes if config.wants(int(row["episode_index"]))]
    if missing := set(config.episodes) - set(numbers):
        raise ConfigError(f"{root} has no episodes {sorted(missing)}; it has {_ranges(meta)}")
    if config.limit:
        numbers = numbers[: config.limit]
    all_cameras = meta.cameras()
    cameras = _chosen_cameras(meta, all_cameras, config)
    columns = _columns(meta, numbers)
    body = find_embodiment(meta, config.embodiment)
    sizes = {name: _size_of(meta, key, numbers) for name, key in cameras.items()}
    arrays = tuple(array_names(meta, columns))
    lengths = {int(row["episode_index"]): int(row.get("length", 0)) for row in meta.episodes}
    items = []
    for number in numbers:
        everything = {name: fingerprint(root / name) for name in _files(meta, number, all_cameras)}
        files = {name: everything[name] for name in _files(meta, number, cameras)}
        ours = meta.our_episodes.get(number, {})
        untouched = bool(ours) and ours.get("data_fingerprint") == files[meta.data_file(number)]
        # Of all cameras, also those that are not asked for: an episode is the same however much of it is taken.
        fresh = content_id("lerobot", number, everything)
        items.append(
            ImportItem(
                format="lerobot",
                root=str(root),
                number=number,
                name=f"episode {number} of {root.name}",
                episode_id=str(ours["episode_id"]) if untouched else fresh,
                parent_id=str(ours.get("parent_id" if untouched else "episode_id", "")),
                layer=_layer(config, ours),
                length=lengths[number],
                embodiment=body.name,
                embodiment_record=body.to_json(),
                rate=str(rate_fraction(meta.rate_hz)),
                cameras=sizes,
                arrays=arrays,
                files=files,
                details={"columns": columns, "camera_keys": cameras, "ours": untouched},
            )
        )
    return items


def read_lerobot(item: ImportItem, config: ImportConfig) -> Episode:
    """The episode that `item` names. Raises InputError and its kinds for whatever is wrong with its files."""
    item.check_unchanged()
    meta = read_lerobot_meta(Path(item.root))
    path = meta.root / meta.data_file(item.number)
    table = read_table(path)
    if set(table.column_names) != set(item.details["columns"]):
        odd = sorted(set(table.column_names) ^ set(item.details["columns"]))
        raise SchemaError(f"{path} has other columns than the rest of its data set: {', '.join(odd)}")
    arrays = read_arrays(meta, path, table)
    texts = read_texts(meta, path, table, config.instruction_column)
    if texts.valid is not None:
        arrays["valid"] = texts.valid
    cameras = {name: _frames(meta, item, key, table, config) for name, key in item.details["camera_keys"].items()}
    length = _common_length(item, table.num_rows, cameras, config.length_tolerance_frames)
    ours = meta.our_episodes[item.number] if item.details["ours"] else {}
    item.declare()
    return Episode(
        episode_id=item.episode_id,
        parent_id=item.parent_id,
        layer=item.layer,
        embodiment=item.embodiment,
        length=length,
        rate_hz=meta.rate_hz,
        instruction=texts.instruction or config.instruction,
        original_instruction=str(ours.get("original_instruction", "")),
        cameras={name: _cut(frames, length) for name, frames in cameras.items()},
        arrays={name: array[:length] for name, array in arrays.items()},
        verdicts=tuple(ours.get("verdicts", ())),
        provenance=_provenance(meta, item, config, ours, texts.annotations),
    )


def _layer(config: ImportConfig, ours: Mapping[str, Any]) -> Layer:
    return config.layer or ours.get("layer") or "real"


def _ranges(meta: LeRobotMeta) -> str:
    numbers = [int(row["episode_index"]) for row in meta.episodes]
    return f"{len(numbers)} episodes, numbered {min(numbers)} to {max(numbers)}" if numbers else "none"


def _chosen_cameras(meta: LeRobotMeta, found: Mapping[str, str], config: ImportConfig) -> dict[str, str]:
    for name in config.cameras:
        if name not in found:
            raise UnknownNameError.among("camera", name, found, hint=f"(cameras of {meta.root} that have files)")
    return {name: key for name, key in found.items() if not config.cameras or name in config.cameras}


def _columns(meta: LeRobotMeta, numbers: list[int]) -> dict[str, bool]:
    """Column -> whether it is numeric, from the first episode whose file can be read."""
    failure: InputError | None = None
    for number in numbers:
        try:
            schema = read_schema(meta.root / meta.data_file(number))
        except InputError as error:
            failure = failure or error
        else:
            return {field.name: is_numeric(field.type) for field in schema}
    raise failure or SchemaError(f"{meta.root} lists no episodes")


def _size_of(meta: LeRobotMeta, key: str, numbers: list[int]) -> tuple[int, int]:
    """Height and width of a camera: of its first readable file, or as promised where images lie in columns."""
    failure: InputError | None = None
    if meta.features[key].get("dtype") == "video":
        for number in numbers:
            try:
                info = probe(meta.root / meta.video_file(number, key))
            except InputError as error:
                failure = failure or error
            else:
                return info.height_px, info.width_px
    if failure:
        raise failure
    shape = [int(size) for size in meta.features[key]["shape"]]
    height, width = shape[1:] if shape[0] in (1, 3) else shape[:2]
    return height, width


def _files(meta: LeRobotMeta, number: int, cameras: Mapping[str, str]) -> list[str]:
    videos = [key for key in cameras.values() if meta.features[key].get("dtype") == "video"]
    return [meta.data_file(number), *(meta.video_file(number, key) for key in videos)]


def _frames(meta: LeRobotMeta, item: ImportItem, key: str, table: Any, config: ImportConfig) -> Frames:
    if meta.features[key].get("dtype") == "image":
        frames = encode_pictures(meta.root / meta.data_file(item.number), table, key, config.coding)
    else:
        frames = encode_video(meta.root / meta.video_file(item.number, key), config.coding)
    (name,) = (name for name, its in item.details["camera_keys"].items() if its == key)
    expected = config.coding.resize.size_of(*item.cameras[name])
    if (frames.height_px, frames.width_px) != expected:
        raise SchemaError(
            f"{item.name}: camera {name!r} is {frames.width_px}x{frames.height_px} px, elsewhere in its data set "
            f"{expected[1]}x{expected[0]} px; give size_px to bring all to one size"
        )
    return frames


def _common_length(item: ImportItem, rows: int, cameras: Mapping[str, Frames], tolerance: int) -> int:
    lengths = {"rows": rows, **{f"frames of {name!r}": len(frames) for name, frames in cameras.items()}}
    shortest, longest = min(lengths.values()), max(lengths.values())
    if longest - shortest > tolerance:
        told = ", ".join(f"{count} {what}" for what, count in lengths.items())
        raise SchemaError(
            f"{item.name} has {told}; they must agree (length_tolerance_frames = {tolerance} cuts up to {tolerance})"
        )
    return shortest


def _cut(frames: Frames, length: int) -> Frames:
    if len(frames) == length:
        return frames
    return Frames(
        payloads=frames.payloads[:length], height_px=frames.height_px, width_px=frames.width_px, codec=frames.codec
    )


def _provenance(
    meta: LeRobotMeta,
    item: ImportItem,
    config: ImportConfig,
    ours: Mapping[str, Any],
    annotations: Mapping[str, Any],
) -> dict[str, Any]:
    left_out = sorted(
        column
        for column, numeric in item.details["columns"].items()
        if not numeric and not column.startswith("annotation.") and column not in item.details["camera_keys"].values()
    )
    record = {
        "format": f"LeRobot {meta.info['codebase_version']}",
        "root": item.root,
        "episode_index": item.number,
        "robot_type": meta.robot_type,
        "files": dict(item.files),
        "size_px": None if config.size_px is None else list(config.size_px),
    }
    if annotations:
        record["annotations"] = dict(annotations)
    if left_out:
        record["left_out"] = left_out
    before = dict(ours.get("provenance", {}))
    if "imported" in before:
        record["before"] = before["imported"]
    return {**before, "imported": record}
