"""Importing LeRobot v2.0, v2.1 and v3.0, GR00T's variant too: from a folder to items, and from an item to an episode.

The instruction is the text of an annotation column (`task_description` before others), else of task_index; `valid`
comes from a validity annotation; other annotations are kept in the provenance as runs [[first step, text], ...]. For
the rest see `columns`. Row i belongs to frame i of every video; times only find an episode in a shared file.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from storage.episode import Episode, Layer
from storage.errors import ConfigError, InputError, SchemaError
from storage.formats.import_item import ImportConfig, ImportItem, fingerprint
from storage.formats.lerobot.cameras import find_cameras, read_frames
from storage.formats.lerobot.columns import array_names, column_fates, read_arrays
from storage.formats.lerobot.layout import find_embodiment
from storage.formats.lerobot.meta import LeRobotMeta, read_lerobot_meta
from storage.formats.lerobot.parquet_columns import is_numeric, is_text, matrix, read_schema, read_table
from storage.formats.lerobot.text import Texts, read_texts, text_columns
from storage.formats.lerobot.v3.language import LANGUAGE_COLUMNS, language_runs, read_language
from storage.formats.lerobot.vectors import vectors_of
from storage.formats.lerobot.words import episode_words, words_of
from storage.formats.mapping.fates import Fate, require_vectors
from storage.formats.video.writer import rate_fraction
from storage.frames import Frames
from storage.ids import content_id


def data_sets_in(root: Path) -> list[Path]:
    """`root` if it is a LeRobot data set, otherwise the data sets in its folders, one or two levels down."""
    if (root / "meta" / "info.json").is_file():
        return [root]
    infos = [*root.glob("*/meta/info.json"), *root.glob("*/*/meta/info.json")]
    return sorted(path.parent.parent for path in infos)


def list_lerobot(root: Path, config: ImportConfig) -> list[ImportItem]:
    """One item for each episode that `config` asks for, of the data set `root` or of all data sets in it. Reads
    metadata, one footer and one frame of each camera."""
    folders = data_sets_in(root) or [root]
    items = [item for folder in folders for item in _list_one(folder, config, several=len(folders) > 1)]
    return config.limited(items)


def _list_one(root: Path, config: ImportConfig, *, several: bool) -> list[ImportItem]:
    meta = read_lerobot_meta(root)
    numbers = [int(row["episode_index"]) for row in meta.episodes if config.wants(int(row["episode_index"]))]
    if (missing := set(config.episodes) - set(numbers)) and not several:
        raise ConfigError(f"{root} has no episodes {sorted(missing)}; it has {_ranges(meta)}")
    if config.limit:
        numbers = numbers[: config.limit]
    if not numbers and several:
        return []
    columns, texts = _columns(meta, numbers)
    views, _ = find_cameras(meta, numbers, config)
    fates = lerobot_fates(root, config)
    require_vectors(str(root), fates, allow_no_actions=config.allow_no_actions, allow_no_state=config.allow_no_state)
    embodiment = find_embodiment(meta, config.embodiment, vectors_of(meta, config.columns))
    template = ImportItem(
        format="lerobot",
        root=str(root),
        number=0,
        name="",
        episode_id="",
        layer="real",
        length=0,
        embodiment=embodiment.name,
        embodiment_record=embodiment.to_json(),
        rate=str(rate_fraction(config.columns.rate_hz or meta.rate_hz)),
        cameras={name: view.size_px for name, view in views.items()},
        arrays=tuple(array_names(meta, columns, config.columns)),
        files={},
        details={"columns": columns, "texts": texts, "cameras": {name: asdict(view) for name, view in views.items()}},
    )
    mark = lru_cache(maxsize=None)(lambda name: fingerprint(root / name))
    keys = list(meta.cameras().values())
    chosen = [view.key for view in views.values()]
    return [_item(meta, number, template, config, mark, (keys, chosen)) for number in numbers]


def _item(
    meta: LeRobotMeta,
    number: int,
    template: ImportItem,
    config: ImportConfig,
    mark: Any,
    cameras: tuple[list[str], list[str]],
) -> ImportItem:
    # Of all cameras, also those that are not asked for: an episode is the same however much of it is taken.
    everything = {name: mark(name) for name in _files(meta, number, cameras[0])}
    ours = meta.our_episodes.get(number, {})
    untouched = bool(ours) and ours.get("data_fingerprint") == everything[meta.data_file(number)]
    fresh = content_id("lerobot", number, everything)
    row = meta.row_of[number]
    return replace(
        template,
        number=number,
        name=f"episode {number} of {meta.root.name}",
        episode_id=str(ours["episode_id"]) if untouched else fresh,
        parent_id=str(ours.get("parent_id" if untouched else "episode_id", "")),
        layer=_layer(config, ours),
        length=int(row.get("length") or 0) if isinstance(row.get("length"), int | float) else 0,
        files={name: everything.get(name) or mark(name) for name in _files(meta, number, cameras[1])},
        details={**template.details, "ours": untouched},
    )


def lerobot_fates(root: Path, config: ImportConfig) -> list[Fate]:
    """What becomes of every column and camera of the first data set in `root`."""
    (first, *_) = data_sets_in(root) or [root]
    meta = read_lerobot_meta(first)
    numbers = [int(row["episode_index"]) for row in meta.episodes]
    columns, texts = _columns(meta, numbers)
    fates = column_fates(meta, columns, config.columns)
    spoken = text_columns(columns, texts)
    taken = {fate.column.partition("[")[0] for fate in fates}
    instruction = config.instruction_column or config.columns.instruction
    for column in columns:
        if column in taken or (column in meta.features and meta.features[column].get("dtype") in ("image", "video")):
            continue
        if column in spoken or column in LANGUAGE_COLUMNS or column == instruction:
            fates.append(Fate(column=column, became="text", detail="instruction or annotation"))
        else:
            made_up = column in meta.ours.get("filled_columns", ())
            why = "made up by the export" if made_up else "neither numbers nor a text of a known name"
            fates.append(Fate(column=column, became="left out", detail=why))
    _, seen = find_cameras(meta, numbers, config)
    phantom = [
        Fate(column=key, became="left out", detail="info.json promises it; there is no file of it")
        for key, feature in meta.features.items()
        if feature.get("dtype") == "video" and key not in {fate.column for fate in seen}
    ]
    kept = dict.fromkeys(name for row in meta.episodes for name in episode_words(row))
    about = [Fate(column=f"episodes: {name}", became="text", detail="kept with its episode") for name in kept]
    return fates + seen + phantom + about


def read_lerobot(item: ImportItem, config: ImportConfig) -> Episode:
    """The episode that `item` names. Raises InputError and its kinds for whatever is wrong with its files."""
    item.check_unchanged()
    meta = read_lerobot_meta(Path(item.root))
    path = meta.root / meta.data_file(item.number)
    table = _rows(meta, item, path)
    arrays = read_arrays(meta, path, table, config.columns)
    texts = read_texts(meta, path, table, config.instruction_column or config.columns.instruction)
    if texts.valid is not None:
        arrays["valid"] = texts.valid
    cameras = {name: _frames(meta, item, name, table, config) for name in item.details["cameras"]}
    length = _common_length(item, table.num_rows, cameras, config.length_tolerance_frames)
    ours = meta.our_episodes[item.number] if item.details["ours"] else {}
    item.declare()
    return Episode(
        episode_id=item.episode_id,
        parent_id=item.parent_id,
        layer=item.layer,
        embodiment=item.embodiment,
        length=length,
        rate_hz=config.columns.rate_hz or meta.rate_hz,
        instruction=texts.instruction or config.instruction,
        original_instruction=str(ours.get("original_instruction", "")),
        cameras={name: _cut(frames, length) for name, frames in cameras.items()},
        arrays={name: array[:length] for name, array in arrays.items()},
        verdicts=tuple(ours.get("verdicts", ())),
        provenance=_provenance(meta, item, config, ours, (texts, table)),
    )


def _rows(meta: LeRobotMeta, item: ImportItem, path: Path) -> Any:
    """The rows of an episode. In a shared file they must be those that say so themselves."""
    table = read_table(path, rows=meta.index.rows_in_file(item.number) if meta.index else None)
    if set(table.column_names) != set(item.details["columns"]):
        odd = sorted(set(table.column_names) ^ set(item.details["columns"]))
        raise SchemaError(f"{path} has other columns than the rest of its data set: {', '.join(odd)}")
    if meta.index is None:
        return table
    claimed = int(meta.row_of[item.number]["length"])
    if table.num_rows != claimed:
        raise SchemaError(f"{item.name} has {table.num_rows} rows in {path}; the table of episodes promises {claimed}")
    for name, expected in (("episode_index", np.full(claimed, item.number)), ("frame_index", np.arange(claimed))):
        if name in table.column_names and not (matrix(path, table, name)[:, 0] == expected).all():
            raise SchemaError(
                f"{path}: the rows that the table of episodes gives to episode {item.number} have another {name}; "
                "the rows "
                "are out of order or the table is stale: write the data set again with LeRobot"
            )
    return table


def _layer(config: ImportConfig, ours: Mapping[str, Any]) -> Layer:
    return config.layer or ours.get("layer") or "real"


def _ranges(meta: LeRobotMeta) -> str:
    numbers = [int(row["episode_index"]) for row in meta.episodes]
    return f"{len(numbers)} episodes, numbered {min(numbers)} to {max(numbers)}" if numbers else "none"


def _columns(meta: LeRobotMeta, numbers: list[int]) -> tuple[dict[str, bool], list[str]]:
    """Column -> whether it is numeric, and the columns of text, from the first episode whose file can be read."""
    failure: InputError | None = None
    for number in numbers:
        try:
            schema = read_schema(meta.root / meta.data_file(number))
        except InputError as error:
            failure = failure or error
        else:
            numeric = {field.name: is_numeric(field.type) for field in schema}
            return numeric, [field.name for field in schema if is_text(field.type)]
    raise failure or SchemaError(f"{meta.root} lists no episodes")


def _files(meta: LeRobotMeta, number: int, keys: list[str]) -> list[str]:
    videos = [key for key in keys if meta.features[key].get("dtype") == "video"]
    return [meta.data_file(number), *(meta.video_file(number, key) for key in videos)]


def _frames(meta: LeRobotMeta, item: ImportItem, name: str, table: Any, config: ImportConfig) -> Frames:
    frames = read_frames(meta, item.number, item.details["cameras"][name], table, config)
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
            f"{item.name} has {told}; they must agree (--length-tolerance, length_tolerance_frames in a recipe, cuts "
            "up to "
            f"that many; it is {tolerance})"
        )
    return shortest


def _cut(frames: Frames, length: int) -> Frames:
    return frames if len(frames) == length else replace(frames, payloads=frames.payloads[:length])


def _provenance(
    meta: LeRobotMeta, item: ImportItem, config: ImportConfig, ours: Mapping[str, Any], said: tuple[Texts, Any]
) -> dict[str, Any]:
    texts, table = said
    spoken = text_columns(item.details["columns"], item.details["texts"])
    cameras = {name: camera["key"] for name, camera in item.details["cameras"].items()}
    left_out = sorted(
        column
        for column, numeric in item.details["columns"].items()
        if not numeric and column not in (*spoken, *LANGUAGE_COLUMNS, texts.column) and column not in cameras.values()
    )
    record = {
        "format": f"LeRobot {meta.info['codebase_version']}",
        "root": item.root,
        "episode_index": item.number,
        "robot_type": meta.robot_type,
        "words": words_of(meta, vectors_of(meta, config.columns), cameras, texts.column),
        "files": dict(item.files),
        "size_px": None if config.size_px is None else list(config.size_px),
        "own_export": bool(meta.ours),
    }
    language = read_language(table)
    annotations = {**texts.annotations, **language_runs(language, meta.rate_hz)}
    told = {"annotations": annotations, "language": language, "episode": episode_words(meta.row_of[item.number])}
    record |= {name: value for name, value in told.items() if value}
    if left_out:
        record["left_out"] = left_out
    before = dict(ours.get("provenance", {}))
    if "imported" in before:
        record["before"] = before["imported"]
    return {**before, "imported": record}
