"""`pyramid data inspect`: what a foreign recording holds, and the mapping that it seems to want."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from storage.errors import ConfigError, InputError
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import fates_of, list_items, read_item, resolved, source_of
from storage.formats.mapping.column_map import MAP_FILE
from storage.formats.mapping.fates import Fate, fate_table
from storage.formats.mapping.guess import guess_mapping


def inspect_source(path: Path, format: str = "auto") -> dict[str, Any]:
    """What is at `path`, as JSON: its format, the fates of its columns, the first episode, and a guessed mapping."""
    config = resolved(
        ImportConfig(path=str(path), format=format, allow_no_actions=True, allow_no_state=True, codec="jpeg")  # type: ignore[arg-type]
    )
    root, name = source_of(config)
    fates = fates_of(config)
    inspection: dict[str, Any] = {"path": str(root), "format": name, "columns": [asdict(fate) for fate in fates]}
    inspection["mapping"] = guess_mapping(fates)
    try:
        try:
            inspection |= _looked_into(config)
        except ConfigError:
            # Only the rate is missing: look again with any, and say so.
            inspection |= _looked_into(replace(config, rate_hz=10.0))
            inspection["rate"] = "not told by the source: `pyramid data import` needs --rate-hz"
    except InputError as error:
        inspection["problem"] = str(error)
    return inspection


def inspection_text(inspection: Mapping[str, Any]) -> str:
    """The inspection for people."""
    lines = [f"{inspection['path']}: {inspection['format']}, {inspection.get('episodes', '?')} episodes"]
    lines += [f"  {inspection[key]}" for key in ("rate", "problem") if key in inspection]
    lines.append(fate_table([Fate(**row) for row in inspection["columns"]]))
    first = inspection.get("first")
    if first:
        rate = "an unknown rate" if "rate" in inspection else f"{first['rate_hz']:g} Hz"
        lines.append(f"first episode: {first['length']} steps at {rate}, {first['embodiment']}")
        lines.append(f"  instruction: {first['instruction']!r}")
        lines += [
            f"  {name}: shape {row['shape']}, from {row['min']:g} to {row['max']:g}"
            for name, row in first["arrays"].items()
        ]
        lines += [f"  {name}: {row[0]}x{row[1]} px, {row[2]}" for name, row in first["cameras"].items()]
    if inspection["mapping"]:
        lines.append(f"mapping that it seems to want (--write puts it into {MAP_FILE} beside the data):")
        lines += [f"  {key}: {value}" for key, value in inspection["mapping"].items()]
    return "\n".join(lines)


def write_mapping(path: Path, inspection: Mapping[str, Any]) -> Path:
    """Write the guessed mapping beside the data; raises ConfigError where a mapping is there already."""
    target = (path if path.is_dir() else path.parent) / MAP_FILE
    if target.exists():
        raise ConfigError(f"{target} is there already; edit it, or remove it first")
    if not inspection["mapping"]:
        raise ConfigError(f"{path}: no mapping to write; nothing in it was recognised as numbers or images")
    head = "# What becomes of the columns of this recording; see docs/foreign-formats.md.\n"
    target.write_text(head + yaml.safe_dump(dict(inspection["mapping"]), sort_keys=False, allow_unicode=True))
    return target


def _looked_into(config: ImportConfig) -> dict[str, Any]:
    units = list_items(config)
    return {"episodes": sum(len(unit) for unit in units), "first": _first(units[0][0], config)}


def _first(item: Mapping[str, Any], config: ImportConfig) -> dict[str, Any]:
    episode = read_item(item, config)
    arrays = {
        name: {"shape": list(rows.shape), "min": float(rows.min()), "max": float(rows.max())}
        for name, rows in sorted(episode.arrays.items())
    }
    cameras = {name: [view.width_px, view.height_px, view.codec] for name, view in sorted(episode.cameras.items())}
    return {
        "length": episode.length,
        "rate_hz": episode.rate_hz,
        "embodiment": episode.embodiment,
        "instruction": episode.instruction,
        "arrays": arrays,
        "cameras": cameras,
    }
