"""The training reader: windows of observation, state and action, read straight into one batch of arrays.

`Windows` is map-style: `windows[i]` is one window, `windows.__getitems__(numbers)` a whole batch, which is what
torch.utils.data.DataLoader calls. It holds no open file when it is pickled; each worker opens the shards it meets and
keeps the last few. What comes out is numpy in dicts; a loader passes it on with `collate_fn=as_it_is`, or with a
function that turns arrays into tensors there in the worker.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import ConfigError, CorruptFileError
from storage.frames import frame_codec
from storage.instructions import instruction_runs, text_at
from storage.pictures.resizing import scaled
from storage.shards.reader import Shard, Video
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.memory import HEAP, Memory
from storage.training_reader.window_layout import Camera, WindowRecipe
from storage.training_reader.window_table import Place, window_table

Batch = dict[str, Any]
"""One batch of B windows. V view, T and S observation and state offsets, H steps of the chunk, D the widest vector:

    images {view: (B, T, height, width, 3) uint8}       image_mask {view: (B, T) bool}
    state (B, S, D) float32, state_mask (B, S, D) bool  action (B, H, D) float32, action_mask (B, H, D) bool
    action_confidence (B, H, D) float32 in 0..1, if the config asks for it
    fields {name: (B, ...)}, field_mask {name: (B,)}    embodiment (B,) int64, position in `Windows.embodiments`
    source (B,) int64, episode (B,) int64 row of the source's index, step (B,) int64 the present step
    rate_hz (B,) float64, instruction: list of B texts

A mask is false where nothing was recorded: beyond an episode's end, at a step that is invalid, in a dimension or a view
that this embodiment does not have. What is masked is zero, or repeats the first or last step.
"""


class Windows:
    """All windows of `sources`, as `config` says. `open_shards` is how many shards stay open in each process.

    Raises ConfigError where a source has no window, or where sources do not fit together.
    """

    def __init__(self, sources: Sequence[Source], config: WindowConfig, *, open_shards: int = 48) -> None:
        if not sources:
            raise ConfigError("windows need at least one source")
        self.sources, self.config = tuple(sources), config
        self.table = window_table(self.sources, config)
        recipes = self.table.recipe_of_unit
        self.embodiments: tuple[str, ...] = tuple(dict.fromkeys(recipe.head for recipe in recipes))
        _refuse_mixed_heads(self.sources, recipes)
        self._number_of_head = {head: number for number, head in enumerate(self.embodiments)}
        self.state_size = max(recipe.state_size for recipe in recipes)
        self.action_size = max(recipe.action_size for recipe in recipes)
        self._views = {view: self._view(view) for view in config.cameras}
        self._fields = {name: self._field(name) for name in config.fields}
        self._instructions = [source.dataset.instructions() for source in self.sources]
        self._open_shards = open_shards
        self._open: OrderedDict[int, _OpenShard] = OrderedDict()

    def __len__(self) -> int:
        return int(self.table.ends[-1])

    def __getitem__(self, number: int) -> Batch:
        """One window: a batch without its first axis."""
        return _without_first_axis(self.__getitems__([number]))

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """The windows `numbers` as one batch, in this order."""
        return self.batch(numbers)

    def batch(self, numbers: Sequence[int], *, memory: Memory = HEAP) -> Batch:
        """The windows `numbers` as one batch, in this order, in arrays of `memory`."""
        places = self.table.places(numbers)
        batch = self._empty(len(places), memory)
        steps = [0] * len(places)
        # Neighbours on the disk one behind the other, whatever the order of the batch.
        for number in sorted(range(len(places)), key=places.__getitem__):
            place = places[number]
            shard = self._shard(place.unit)
            steps[number] = step = shard.present_step(place)
            shard.fill(batch, number, place, step)
            for view in self._views.keys() - self.table.recipe_of_unit[place.unit].cameras.keys():
                batch["images"][view][number] = 0
        self._describe(batch, places, steps)
        return batch

    def episode_id(self, batch: Batch, place: int) -> str:
        """The id of the episode that one window of a batch is from."""
        index = self.sources[int(batch["source"][place])].dataset.index
        return str(index.table["episode_id"][int(batch["episode"][place])].as_py())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def _describe(self, batch: Batch, places: list[Place], steps: list[int]) -> None:
        recipes = [self.table.recipe_of_unit[place.unit] for place in places]
        batch["embodiment"] = np.array([self._number_of_head[recipe.head] for recipe in recipes], dtype=np.int64)
        batch["source"] = np.array([recipe.source for recipe in recipes], dtype=np.int64)
        batch["rate_hz"] = np.array([recipe.rate_hz for recipe in recipes], dtype=np.float64)
        batch["episode"] = np.array([place.row for place in places], dtype=np.int64)
        batch["step"] = np.array(steps, dtype=np.int64)
        batch["instruction"] = [
            self._shard(place.unit).instruction(place, step, self._instructions[recipe.source][place.row])
            for recipe, place, step in zip(recipes, places, steps, strict=True)
        ]

    def _shard(self, unit: int) -> "_OpenShard":
        if unit in self._open:
            self._open.move_to_end(unit)
            return self._open[unit]
        source, unit_id = self.table.units[unit]
        shard = self.sources[source].dataset.open_shard(unit_id)
        self._open[unit] = opened = _OpenShard(shard, self.table.recipe_of_unit[unit])
        if len(self._open) > self._open_shards:
            self._open.popitem(last=False)
        return opened

    def _empty(self, count: int, memory: Memory) -> Batch:
        zeros = memory.zeros
        observations, horizon = len(self.config.observation_offsets_s), self.config.horizon_steps
        states = (count, len(self.config.state_offsets_s), self.state_size)
        actions = (count, horizon, self.action_size)
        sure = {"action_confidence": zeros(actions, np.float32) + np.float32(1)} if self.config.confidence else {}
        return {
            **sure,
            "images": {  # most of a batch, and every frame is drawn or cleared
                view: memory.empty((count, observations, *shape), dtype) for view, (shape, dtype) in self._views.items()
            },
            "image_mask": {view: zeros((count, observations), bool) for view in self._views},
            "state": zeros(states, np.float32),
            "state_mask": zeros(states, bool),
            "action": zeros(actions, np.float32),
            "action_mask": zeros(actions, bool),
            "fields": {name: zeros((count, *shape), dtype) for name, (shape, dtype) in self._fields.items()},
            "field_mask": {name: zeros((count,), bool) for name in self._fields},
        }

    def _view(self, view: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype of one frame of a view, the same for all sources."""
        cameras = {recipe.cameras[view] for recipe in self.table.recipe_of_unit if view in recipe.cameras}
        wanted = list(self.config.cameras[view])
        if not cameras:
            there = sorted({name for source in self.sources for name in _camera_names(source)})
            raise ConfigError(f"no episode has a camera for view {view!r}: wanted one of {wanted}, there are {there}")
        shapes = {_resized(camera, self.config.size_px) for camera in cameras}
        dtypes = {np.dtype(frame_codec(camera.codec).dtype) for camera in cameras}
        if len(shapes) != 1 or len(dtypes) != 1:
            sizes = sorted(f"{camera.name} {camera.width_px}x{camera.height_px} {camera.codec}" for camera in cameras)
            raise ConfigError(f"view {view!r} is filled by frames of different kinds: {sizes}; choose a size_px")
        return shapes.pop(), dtypes.pop()

    def _field(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        kinds = {recipe.fields[name] for recipe in self.table.recipe_of_unit if name in recipe.fields}
        if len(kinds) != 1:
            raise ConfigError(
                f"field {name!r} must have one shape in all sources; got {sorted(map(str, kinds)) or 'none'}"
            )
        return kinds.pop()


class _OpenShard:
    """One open shard, with everything at hand that its windows need."""

    def __init__(self, shard: Shard, recipe: WindowRecipe) -> None:
        self._recipe = recipe
        self._state = shard.array("state") if recipe.state_size else None
        self._action = shard.array(recipe.action) if recipe.action_size else None
        self._masks = [shard.array(name) for name in recipe.masks]
        self._confidence = shard.array(recipe.confidence) if recipe.confidence else None
        self._confidence_of_number = np.asarray(recipe.confidence_of_number, dtype=np.int64)
        self._fields = {name: shard.array(name) for name in recipe.fields}
        self._videos = {view: (camera, shard.video(camera.name)) for view, camera in recipe.cameras.items()}
        self._scratch: dict[tuple[int, ...], NDArray[Any]] = {}
        runs = ((int(record["start"]), instruction_runs(record)) for record in shard.episodes)
        self._runs = {start: its for start, its in runs if its}

    def instruction(self, place: Place, step: int, instruction: str) -> str:
        """The instruction at `step` of the episode at `place`: `instruction`, unless it changes on the way."""
        runs = self._runs.get(place.start)
        return text_at(runs, step) if runs and runs[0][1] == instruction else instruction

    def present_step(self, place: Place) -> int:
        """The step of the episode that the window at `place` is around."""
        if not place.gaps:
            return place.first + place.nth
        valid = self._valid(place.start + place.first, place.start + place.length)
        return place.first + int(np.flatnonzero(valid)[place.nth])

    def fill(self, batch: Batch, number: int, place: Place, step: int) -> None:
        """Read the window around `step` of the episode at `place` into `batch`, at `number`."""
        if self._state is not None:
            self._fill_state(batch["state"][number], batch["state_mask"][number], place, step)
        if self._action is not None:
            self._fill_action(batch["action"][number], batch["action_mask"][number], place, step)
        if self._confidence is not None:
            self._fill_confidence(batch["action_confidence"][number], place, step)
        for name, rows in self._fields.items():
            batch["fields"][name][number] = rows[place.start + step]
            batch["field_mask"][name][number] = True
        for view, (camera, video) in self._videos.items():
            images, mask = batch["images"][view][number], batch["image_mask"][view][number]
            for slot, offset in enumerate(self._recipe.observation_offsets):
                at = min(max(step + offset, 0), place.length - 1)
                self._decode(camera, video, place.start + at, images[slot])
                mask[slot] = at == step + offset

    def _fill_state(self, state: NDArray[Any], mask: NDArray[Any], place: Place, step: int) -> None:
        assert self._state is not None
        size = self._recipe.state_size
        for slot, offset in enumerate(self._recipe.state_offsets):
            at = min(max(step + offset, 0), place.length - 1)
            state[slot, :size] = self._state[place.start + at]
            mask[slot, :size] = at == step + offset

    def _fill_action(self, action: NDArray[Any], mask: NDArray[Any], place: Place, step: int) -> None:
        assert self._action is not None
        chunk, size, first = self._recipe.chunk, self._recipe.action_size, place.start + step
        there = min(chunk.reach, place.length - step)
        rows = self._action[first : first + there]
        if chunk.matrices:
            if there < chunk.reach:
                rows = np.concatenate([rows, np.repeat(rows[-1:], chunk.reach - there, axis=0)])
            # NaN times a weight of zero would spread to the steps that do not stand on it.
            action[:, :size] = chunk.apply(np.nan_to_num(rows) if self._masks else rows)
            mask[:, :size] = (chunk.needs <= there)[:, None]
        else:
            action[:there, :size] = rows
            action[there:, :size] = rows[-1]
            mask[:there, :size] = True
        if self._masks:
            invalid = np.zeros(chunk.reach + 1, dtype=np.int64)
            invalid[1 : there + 1] = ~self._valid(first, first + there)
            count = np.cumsum(invalid)
            mask &= (count[np.minimum(chunk.needs, chunk.reach)] == count[chunk.begins])[:, None]
            if count[-1]:
                # A label that could not be given may be NaN, which would live through a product with its mask.
                action[~mask] = 0.0

    def _fill_confidence(self, confidence: NDArray[Any], place: Place, step: int) -> None:
        """The confidence of the recorded step that each step of the chunk begins on."""
        assert self._confidence is not None
        chunk = self._recipe.chunk
        rows = place.start + np.minimum(step + chunk.begins, place.length - 1)
        confidence[:, : self._recipe.action_size] = self._confidence[rows][:, self._confidence_of_number]

    def _valid(self, begin: int, end: int) -> NDArray[np.bool_]:
        if len(self._masks) == 1:
            return self._masks[0][begin:end]
        valid: NDArray[np.bool_] = np.logical_and.reduce([mask[begin:end] for mask in self._masks])
        return valid

    def _decode(self, camera: Camera, video: Video, row: int, out: NDArray[Any]) -> None:
        codec = frame_codec(camera.codec)
        fits = out.shape == camera.frame_shape
        scratch = out if fits else self._scratch_for(camera)
        try:
            codec.decode_into(video[row], scratch)
        except CorruptFileError as error:
            raise CorruptFileError(f"{video.path}, frame {row}: {error}; `pyramid data verify` finds more") from error
        if fits:
            return
        scaled(scratch, (out.shape[0], out.shape[1]), out=out, nearest=not codec.channels)

    def _scratch_for(self, camera: Camera) -> NDArray[Any]:
        if camera.frame_shape not in self._scratch:
            self._scratch[camera.frame_shape] = np.empty(camera.frame_shape, dtype=frame_codec(camera.codec).dtype)
        return self._scratch[camera.frame_shape]


def _refuse_mixed_heads(sources: Sequence[Source], recipes: Sequence[WindowRecipe]) -> None:
    """A head is a body's commands or latent actions, never both: they are other numbers, under one normalisation."""
    latent = {recipe.head for recipe in recipes if recipe.action == "action/latent"}
    others = {recipe.head for recipe in recipes if recipe.action not in ("", "action/latent")}
    if mixed := latent & others:
        titles = sorted({sources[recipe.source].title for recipe in recipes if recipe.head in mixed})
        raise ConfigError(
            f"the sources {titles} put latent actions and commands under one head, {sorted(mixed)[0]!r};"
            ' give the latent ones a head of their own, such as Source(..., head="lapa")'
        )


def as_it_is(batch: Batch) -> Batch:
    """A collate function for loaders: what `__getitems__` returns is a batch already."""
    return batch


def _without_first_axis(batch: Batch) -> Batch:
    return {name: _without_first_axis(value) if isinstance(value, dict) else value[0] for name, value in batch.items()}


def _resized(camera: Camera, size_px: tuple[int, int] | None) -> tuple[int, ...]:
    return camera.frame_shape if size_px is None else (*size_px, *camera.frame_shape[2:])


def _camera_names(source: Source) -> set[str]:
    return {name for layout in source.dataset.index.layouts for name in layout.get("cameras", ())}
