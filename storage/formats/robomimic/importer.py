"""Importing robomimic and MimicGen HDF5: from a file to items, and from a demonstration to an episode.

| data/demo_<i>                         | here                                                                    |
| actions                               | action/ground_truth, float32                                            |
| states                                | simulation/state, float64                                               |
| obs/<camera>_image (T, H, W, 3) uint8 | camera <camera>                                                         |
| obs/state, or robosuite's keys        | state, float32                                                          |
| any other numeric (T, ...) data set   | foreign/<path with dots>, float64, trailing dimensions flattened        |
| mask/<name>                           | provenance: masks                                                       |
| attrs env_args, ep_meta, model_file   | provenance: env_args; instruction; model_file by hash                   |
Isaac Lab and Mimic (`states` is a group), LIBERO and raw recordings of robosuite are read the same way. What is left
out (next_obs, depth of an unknown unit) is named in the provenance. Without images an episode has only states, to be
rendered later.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import EMBODIMENTS, Embodiment
from storage.episode import Episode
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError, SchemaError, UnknownNameError
from storage.formats.depth import encode_depth
from storage.formats.import_item import ImportConfig, ImportItem, fingerprint
from storage.formats.mapping.column_map import Piece
from storage.formats.mapping.fates import Fate, require_vectors
from storage.formats.robomimic.contents import (
    OURS,
    CameraImages,
    Contents,
    contents_of,
    env_args_of,
    json_attribute,
    language_of,
    rate_of,
    read_foreign,
)
from storage.formats.robomimic.embodiment import OUR_BODIES, embodiment_of
from storage.formats.robomimic.fates import fates_of_contents
from storage.formats.robomimic.hdf5_file import HDF5_SUFFIXES, opened
from storage.formats.robomimic.mjcf_file import model_reference
from storage.formats.robomimic.robosuite_state import read_state
from storage.formats.streams.images import image_slices
from storage.formats.untrusted.guard import guarded
from storage.formats.untrusted.hdf5_tree import open_child
from storage.formats.untrusted.limits import check_array
from storage.formats.video.writer import rate_fraction
from storage.frames import Frames
from storage.ids import content_id


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
            items += guarded(str(path), _items_of, folder, path, len(items), config)
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
        if item.details.get("unreadable") and not item.details["demo"]:
            _require_demos(path, file, config)
            raise CorruptFileError(f"{path} could not be read when the import was planned; plan it again")
        if item.details.get("unreadable"):
            # Raises what was wrong with it.
            about = {"demo": item.details["demo"], "number": item.number, "print": ""}
            _item(Path(item.root), path, about, file, config)
            raise CorruptFileError(f"{item.name} could not be read when the import was planned; plan it again")
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
    names = [str(name) for name in open_child(str(path), file, "data")] if "data" in file else []
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
        str(name): {v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in groups[name][:]}
        for name in groups
    }


def _require_demos(path: Path, file: Any, config: ImportConfig) -> list[str]:
    names = demo_names(path, file, config.mask)
    if not names:
        raise SchemaError(f"{path} has no demonstrations; expected groups data/demo_0, data/demo_1, ...")
    return names


def robomimic_fates(root: Path, config: ImportConfig) -> list[Fate]:
    """What becomes of every data set of the first demonstration that can be read."""
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() in HDF5_SUFFIXES)
    failure: InputError | None = None
    for path in paths:
        try:
            return guarded(str(path), _fates_of_first, path, config)
        except InputError as error:
            failure = failure or error
    raise failure or MissingFileError(f"{root} holds no HDF5 file ({', '.join(sorted(HDF5_SUFFIXES))})")


def _fates_of_first(path: Path, config: ImportConfig) -> list[Fate]:
    with opened(path) as file:
        failure: InputError | None = None
        for demo in _require_demos(path, file, config):
            try:
                group = open_child(str(path), file["data"], demo)
                contents = contents_of(path, demo, group, config)
                return fates_of_contents(_embodiment(path, file, contents, config), contents)
            except InputError as error:
                failure = failure or error
    raise failure or SchemaError(f"{path} has no demonstrations")


def _embodiment(path: Path, file: Any, contents: Contents, config: ImportConfig) -> Embodiment:
    return embodiment_of(path, env_args_of(path, file), json_attribute(path, file["data"], OURS), contents, config)


def _items_of(folder: Path, path: Path, first: int, config: ImportConfig) -> list[ImportItem]:
    """One item for each demonstration; one that cannot be looked into gets an item that fails when it is read."""
    mark = fingerprint(path)
    items: list[ImportItem] = []
    failure: InputError | None = None
    with opened(path) as file:
        for place, demo in enumerate(_require_demos(path, file, config)):
            about = {"demo": demo, "number": first + place, "print": mark}
            try:
                items.append(guarded(f"{path}, {demo}", _item, folder, path, about, file, config))
            except InputError as error:
                failure = failure or error
                items.append(_unreadable(folder, path, first + place, config, demo))
    if failure and all(item.details.get("unreadable") for item in items):
        raise failure
    return items


def _item(folder: Path, path: Path, about: Mapping[str, Any], file: Any, config: ImportConfig) -> ImportItem:
    demo = str(about["demo"])
    group = open_child(str(path), file["data"], demo)
    env_args = env_args_of(path, file)
    contents = contents_of(path, demo, group, config)
    embodiment = _embodiment(path, file, contents, config)
    require_vectors(
        f"{path}, {demo}",
        fates_of_contents(embodiment, contents),
        allow_no_actions=config.allow_no_actions,
        allow_no_state=config.allow_no_state,
    )
    ours = contents.ours
    name = str(path.relative_to(folder))
    return ImportItem(
        format="robomimic",
        root=str(folder),
        number=int(about["number"]),
        name=f"{demo} of {path.name}",
        episode_id=str(ours.get("episode_id") or content_id("robomimic", demo, about["print"])),
        parent_id=str(ours.get("parent_id", "")),
        layer=config.layer or ours.get("layer") or "simulation",
        length=contents.length,
        embodiment=embodiment.name,
        embodiment_record=embodiment.to_json(),
        rate=str(rate_fraction(float(ours.get("rate_hz") or rate_of(path, env_args, config)))),
        cameras={camera: its.size_px for camera, its in contents.cameras.items()},
        arrays=_array_names(embodiment, group, contents),
        files={name: str(about["print"])},
        details={"file": name, "demo": demo},
    )


def _unreadable(folder: Path, path: Path, number: int, config: ImportConfig, demo: str = "") -> ImportItem:
    mark = fingerprint(path)
    return ImportItem(
        format="robomimic",
        root=str(folder),
        number=number,
        name=f"{demo} of {path.name}" if demo else path.name,
        episode_id=content_id("robomimic", demo or path.name, mark),
        layer=config.layer or "simulation",
        length=0,
        embodiment=config.embodiment if config.embodiment in EMBODIMENTS else "panda",
        rate="20",
        cameras={},
        arrays=(),
        files={str(path.relative_to(folder)): mark},
        details={"file": str(path.relative_to(folder)), "demo": demo, "unreadable": True},
    )


def _array_names(embodiment: Embodiment, group: Any, contents: Contents) -> tuple[str, ...]:
    names = {*contents.foreign, *contents.restored}
    if "actions" not in contents.ours.get("filled", ()):
        names.add("action/ground_truth")
    if contents.has_states:
        names.add("simulation/state")
    if _state(embodiment, group, contents, rows=1) is not None:
        names.add("state")
    return tuple(sorted(names))


def _episode(path: Path, file: Any, item: ImportItem, config: ImportConfig) -> Episode:
    demo = str(item.details["demo"])
    group = open_child(str(path), file["data"], demo)
    contents = contents_of(path, demo, group, config)
    embodiment = item.declare()
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
        arrays=_arrays(embodiment, group, contents),
        verdicts=tuple(ours.get("verdicts", ())),
        provenance=_provenance(path, file, item, contents, config),
    )


def _arrays(embodiment: Embodiment, group: Any, contents: Contents) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if "actions" not in contents.ours.get("filled", ()):
        arrays["action/ground_truth"] = _vector(group, contents.action)
    if contents.has_states:
        check_array(f"{group.name}/states", group["states"].shape, 8)
        arrays["simulation/state"] = np.asarray(group["states"][:], np.float64)
    state = _state(embodiment, group, contents)
    if state is not None:
        arrays["state"] = state
    for name, key in contents.foreign.items():
        arrays[name] = read_foreign(group[key])
    for name, key in contents.restored.items():
        arrays[name] = np.asarray(group[key][:])
    return arrays


def _state(
    embodiment: Embodiment, group: Any, contents: Contents, rows: int | None = None
) -> NDArray[np.float32] | None:
    """The state vector. Our own export wrote it whole or not at all; others have it in robosuite's keys."""
    observations = group.get("obs", {})
    if contents.ours:
        observations = {"state": observations["state"]} if "state" in observations else {}
        return read_state(embodiment, observations, rows)
    if contents.state and embodiment.state.size == contents.size(contents.state) and embodiment.name not in OUR_BODIES:
        return _vector(group, contents.state, rows)
    return read_state(embodiment, observations, rows)


def _vector(group: Any, pieces: tuple[Piece, ...], rows: int | None = None) -> NDArray[np.float32]:
    """A vector (T, D) of the pieces of the columns of a demonstration."""
    parts = []
    for piece in pieces:
        data = group[piece.column]
        check_array(str(data.name), data.shape, 8)
        values = np.asarray(data[:rows])
        parts.append(piece.of(values.reshape(len(values), -1)))
    return np.asarray(np.concatenate(parts, axis=1), np.float32)


def _frames(item: ImportItem, name: str, data: Any, camera: CameraImages, config: ImportConfig) -> Frames:
    if camera.size_px != item.cameras[name]:
        raise SchemaError(f"{item.name}: camera {name!r} has another size than when the import was planned")
    images: Iterator[Any] = (camera.layout.convert(image) for image in image_slices(data, camera.length))
    if camera.layout.depth:
        return encode_depth(images, config.coding.resize)
    return config.coding.encode(images)


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
        "left_out": sorted(contents.left_out),
        "foreign": layouts,
        "size_px": None if config.size_px is None else list(config.size_px),
    }
    if "model_file" in group.attrs:
        record["model_file"] = model_reference(str(group.attrs["model_file"]))
    before = dict(contents.ours.get("provenance", {}))
    if "imported" in before:
        record["before"] = before["imported"]
    env_args = env_args_of(path, file)
    return {**before, "imported": record, **({"env_args": env_args} if env_args else {})}
