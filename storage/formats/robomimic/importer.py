"""Importing robomimic and MimicGen HDF5: from a file to items, and from a demonstration to an episode.

| data/demo_<i>                         | here                                                                    |
| actions                               | action/ground_truth, float32                                            |
| states                                | simulation/state, float64                                               |
| obs/<camera>_image (T, H, W, 3) uint8 | camera <camera>                                                         |
| obs/state, or robosuite's keys        | state, float32                                                          |
| any other numeric (T, ...) data set   | foreign/<path with dots>, float64, trailing dimensions flattened        |
| mask/<name>                           | provenance: masks                                                       |
| attrs env_args, ep_meta, model_file   | provenance: env_args; instruction; model_file by hash                   |
next_obs and depth images are left out, and named in the provenance. Without images an episode has only states, to be
rendered later.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Embodiment
from storage.episode import Episode
from storage.errors import ConfigError, InputError, MissingFileError, SchemaError, UnknownNameError
from storage.formats.import_item import ImportConfig, ImportItem, fingerprint
from storage.formats.robomimic.contents import (
    OURS,
    Camera,
    Contents,
    contents_of,
    json_attribute,
    language_of,
    rate_of,
    read_foreign,
)
from storage.formats.robomimic.embodiment import body_of
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES, opened
from storage.formats.robomimic.mjcf_file import model_reference
from storage.formats.robomimic.robosuite_state import read_state
from storage.formats.video.writer import rate_fraction
from storage.frames import Frames
from storage.ids import content_id
from storage.resizing import RGB

_IMAGES_AT_ONCE = 16


def list_robomimic(root: Path, config: ImportConfig) -> list[ImportItem]:
    """One item for each demonstration that `config` asks for, of one file or of all files of a folder.

    A file of several that cannot be read still gets an item, so that the import counts it; reading the item raises.
    """
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() in HDF5_SUFFIXES)
    if not paths:
        raise MissingFileError(f"{root} holds no HDF5 file ({', '.join(sorted(HDF5_SUFFIXES))})")
    folder = root.parent if root.is_file() else root
    items: list[ImportItem] = []
    failure: InputError | None = None
    for path in paths:
        try:
            items += _items_of(folder, path, len(items), config)
        except InputError as error:
            failure = failure or error
            items.append(_unreadable(folder, path, len(items), config))
    if failure and all(item.details.get("unreadable") for item in items):
        raise failure
    if missing := [number for number in config.episodes if number >= len(items)]:
        raise ConfigError(f"{root} has no demonstrations {missing}; it has {len(items)}, numbered from 0")
    return config.limited([item for item in items if config.wants(item.number)])


def read_robomimic(item: ImportItem, config: ImportConfig) -> Episode:
    """The episode that `item` names; raises InputError and its kinds for whatever is wrong with its file."""
    item.check_unchanged()
    path = Path(item.root) / str(item.details["file"])
    with opened(path) as file:
        if item.details.get("unreadable"):
            _require_demos(path, file, config)
        return _episode(path, file, item, config)


def read_demo(path: Path, demo: str, config: ImportConfig | None = None) -> Episode:
    """One demonstration of one file, for programs that know which they want."""
    config = config or ImportConfig(path=str(path))
    with opened(path) as file:
        names = demo_names(path, file)
        if demo not in names:
            raise UnknownNameError.among("demonstration", demo, names, hint=f"(in {path})")
        item = _item(path.parent, path, {"demo": demo, "number": names.index(demo), "print": ""}, file, config)
        return _episode(path, file, item, config)


def demo_names(path: Path, file: Any, mask: str = "") -> list[str]:
    """Names of the demonstrations of an open file in numerical order, those of filter key `mask` only."""
    names = [str(name) for name in file["data"]] if "data" in file else []
    if mask:
        masks = masks_of(file)
        if mask not in masks:
            raise UnknownNameError.among("mask", mask, masks, hint=f"(in {path})")
        names = [name for name in names if name in masks[mask]]
    return sorted(names, key=lambda name: (int(re.sub(r"\D", "", name) or 0), name))


def masks_of(file: Any) -> dict[str, set[str]]:
    """Filter key -> names of its demonstrations."""
    groups = file.get("mask", {})
    return {
        str(name): {value.decode() if isinstance(value, bytes) else str(value) for value in groups[name][:]}
        for name in groups
    }


def _require_demos(path: Path, file: Any, config: ImportConfig) -> list[str]:
    names = demo_names(path, file, config.mask)
    if not names:
        raise SchemaError(f"{path} has no demonstrations; expected groups data/demo_0, data/demo_1, ...")
    return names


def _items_of(folder: Path, path: Path, first: int, config: ImportConfig) -> list[ImportItem]:
    mark = fingerprint(path)
    with opened(path) as file:
        return [
            _item(folder, path, {"demo": demo, "number": first + place, "print": mark}, file, config)
            for place, demo in enumerate(_require_demos(path, file, config))
        ]


def _item(folder: Path, path: Path, about: Mapping[str, Any], file: Any, config: ImportConfig) -> ImportItem:
    group = file["data"][about["demo"]]
    env_args = json_attribute(path, file["data"], "env_args")
    contents = contents_of(path, about["demo"], group, config.cameras)
    body = body_of(path, env_args, json_attribute(path, file["data"], OURS), contents.action_size, config)
    ours = contents.ours
    name = str(path.relative_to(folder))
    return ImportItem(
        format="robomimic",
        root=str(folder),
        number=int(about["number"]),
        name=f"{about['demo']} of {path.name}",
        episode_id=str(ours.get("episode_id") or content_id("robomimic", about["demo"], about["print"])),
        parent_id=str(ours.get("parent_id", "")),
        layer=config.layer or ours.get("layer") or "simulation",
        length=contents.length,
        embodiment=body.name,
        embodiment_record=body.to_json(),
        rate=str(rate_fraction(float(ours.get("rate_hz") or rate_of(path, env_args, config)))),
        cameras={camera: (its.height_px, its.width_px) for camera, its in contents.cameras.items()},
        arrays=_array_names(body, group, contents),
        files={name: str(about["print"])},
        details={"file": name, "demo": about["demo"]},
    )


def _unreadable(folder: Path, path: Path, number: int, config: ImportConfig) -> ImportItem:
    mark = fingerprint(path)
    return ImportItem(
        format="robomimic",
        root=str(folder),
        number=number,
        name=path.name,
        episode_id=content_id("robomimic", path.name, mark),
        layer=config.layer or "simulation",
        length=0,
        embodiment=config.embodiment or "panda",
        rate="20",
        cameras={},
        arrays=(),
        files={str(path.relative_to(folder)): mark},
        details={"file": str(path.relative_to(folder)), "demo": "", "unreadable": True},
    )


def _array_names(body: Embodiment, group: Any, contents: Contents) -> tuple[str, ...]:
    names = {*contents.foreign, *contents.restored}
    if "actions" not in contents.ours.get("filled", ()):
        names.add("action/ground_truth")
    if contents.has_states:
        names.add("simulation/state")
    if _state(body, group, contents, rows=1) is not None:
        names.add("state")
    return tuple(sorted(names))


def _episode(path: Path, file: Any, item: ImportItem, config: ImportConfig) -> Episode:
    demo = str(item.details["demo"])
    group = file["data"][demo]
    contents = contents_of(path, demo, group, config.cameras)
    body = item.declare()
    cameras = {}
    for name, camera in contents.cameras.items():
        if camera.length != contents.length:
            raise SchemaError(f"{item.name}: camera {name!r} has {camera.length} images for {contents.length} actions")
        cameras[name] = _frames(item, name, group[camera.key], camera, config)
    ours = contents.ours
    return Episode(
        episode_id=item.episode_id,
        parent_id=item.parent_id,
        layer=item.layer,
        embodiment=item.embodiment,
        length=contents.length,
        rate_hz=float(ours.get("rate_hz") or item.rate_fraction),
        instruction=str(ours.get("instruction") or language_of(path, file, group) or config.instruction),
        original_instruction=str(ours.get("original_instruction", "")),
        cameras=cameras,
        arrays=_arrays(body, group, contents),
        verdicts=tuple(ours.get("verdicts", ())),
        provenance=_provenance(path, file, item, contents, config),
    )


def _arrays(body: Embodiment, group: Any, contents: Contents) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if "actions" not in contents.ours.get("filled", ()):
        arrays["action/ground_truth"] = np.asarray(group["actions"][:], np.float32)
    if contents.has_states:
        arrays["simulation/state"] = np.asarray(group["states"][:], np.float64)
    state = _state(body, group, contents)
    if state is not None:
        arrays["state"] = state
    for name, key in contents.foreign.items():
        arrays[name] = read_foreign(group[key])
    for name, key in contents.restored.items():
        arrays[name] = np.asarray(group[key][:])
    return arrays


def _state(body: Embodiment, group: Any, contents: Contents, rows: int | None = None) -> NDArray[np.float32] | None:
    """The state vector. Our own export wrote it whole or not at all; others have it in robosuite's keys."""
    observations = group.get("obs", {})
    if contents.ours:
        observations = {"state": observations["state"]} if "state" in observations else {}
    return read_state(body, observations, rows)


def _frames(item: ImportItem, name: str, data: Any, camera: Camera, config: ImportConfig) -> Frames:
    if (camera.height_px, camera.width_px) != item.cameras[name]:
        raise SchemaError(f"{item.name}: camera {name!r} has another size than when the import was planned")
    return config.coding.encode(_images(data, upside_down=config.flip_images))


def _images(data: Any, *, upside_down: bool) -> Iterator[RGB]:
    """Images one by one; read a few at a time, because compressed files keep several in one chunk."""
    for start in range(0, len(data), _IMAGES_AT_ONCE):
        for image in data[start : start + _IMAGES_AT_ONCE]:
            yield np.ascontiguousarray(image[::-1]) if upside_down else image


def _provenance(path: Path, file: Any, item: ImportItem, contents: Contents, config: ImportConfig) -> dict[str, Any]:
    group = file["data"][item.details["demo"]]
    layouts = {
        name: {"dtype": str(group[key].dtype), "shape": list(group[key].shape[1:]), "path": key}
        for name, key in contents.foreign.items()
    }
    record: dict[str, Any] = {
        "format": "robomimic",
        "root": item.root,
        "file": item.details["file"],
        "demo": item.details["demo"],
        "files": dict(item.files),
        "masks": sorted(name for name, demos in masks_of(file).items() if item.details["demo"] in demos),
        "left_out": list(contents.left_out),
        "foreign": layouts,
        "size_px": None if config.size_px is None else list(config.size_px),
    }
    if "model_file" in group.attrs:
        record["model_file"] = model_reference(str(group.attrs["model_file"]))
    before = dict(contents.ours.get("provenance", {}))
    if "imported" in before:
        record["before"] = before["imported"]
    env_args = json_attribute(path, file["data"], "env_args")
    return {**before, "imported": record, **({"env_args": env_args} if env_args else {})}
