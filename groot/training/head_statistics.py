"""What every head is normalised by: the statistics that the shards carry, merged; or, where a chunk is not the recorded
rows (relative, or resampled in time), those of training windows themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.action_space import relative_parts, to_relative
from groot.normalise import Method, Normaliser
from groot.training.heads import Head, state_columns
from groot.training.mixture import LATENT_HEAD, Cell
from storage.datasets.merged_statistics import merged_statistics
from storage.embodiment import embodiment_named
from storage.errors import ConfigError
from storage.statistics import Statistics, merge
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows

_WINDOWS_FOR_STATISTICS = 8192


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """`normalisation` as in `groot.normalise`; `relative` chunks are differences to the present state; `state_parts`
    (embodiment -> parts of its state; all by default) are what the network feels, where every source has a state."""

    normalisation: Method = "min_max"
    relative: bool = False
    state_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def heads_of(
    cells: Sequence[Cell],
    sources: Sequence[Source],
    windows: WindowConfig,
    config: HeadOptions,
    *,
    slots: Mapping[str, int] | None = None,
) -> dict[str, Head]:
    """The heads of a mixture, by name, in the order of the training windows. `slots` are those of a checkpoint.

    Raises ConfigError for a head whose sources differ in width, or have no statistics.
    """
    known = dict(slots or {})
    by_head: dict[str, list[Cell]] = {}
    for cell in cells:
        by_head.setdefault(cell.head, []).append(cell)
    heads: dict[str, Head] = {}
    for name, mine in by_head.items():
        slot = known.setdefault(name, max(known.values(), default=-1) + 1)
        heads[name] = _head(name, slot, mine, config)
    resampled = windows.horizon_s is not None and any(
        abs(windows.horizon_s * head.rate_hz - windows.horizon_steps) > 1e-6 for head in heads.values()
    )
    if resampled or any(head.relative for head in heads.values()):
        heads = _fitted_to_windows(heads, sources, windows, config.normalisation, resampled=resampled)
    return heads


def _head(name: str, slot: int, cells: Sequence[Cell], config: HeadOptions) -> Head:
    first = cells[0]
    embodiment = embodiment_named(first.embodiment)
    latent = name == LATENT_HEAD
    action = _merged(name, [(cell, f"action/{cell.kind}") for cell in cells])
    # Dreams that share a head with recordings have no state: theirs is 0 once normalised; others keep their own.
    felt = (
        [] if latent else [cell for cell in cells if all("state" in cell.dataset.arrays(unit) for unit in cell.units)]
    )
    parts = (
        () if not felt else config.state_parts.get(embodiment.name, tuple(part.name for part, _ in embodiment.state))
    )
    state = None
    if parts:
        columns = state_columns(embodiment, parts)
        state = _picked(Normaliser.of(_merged(name, [(cell, "state") for cell in felt]), config.normalisation), columns)
    relative = config.relative and not latent and bool(relative_parts(embodiment))
    if relative and len(felt) < len(cells):
        blind = sorted({str(cell.dataset.root) for cell in cells if cell not in felt})
        raise ConfigError(
            f"head {name!r} has chunks relative to the state, and {', '.join(blind)} has no state: leave it out, or"
            " train absolute chunks (model: {actions: absolute})"
        )
    rates = {float(cell.dataset.index.layout(unit)["rate_hz"]) for cell in cells for unit in cell.units}
    return Head(
        name=name,
        kind=first.kind,
        embodiment_name=embodiment.name,
        slot=slot,
        action_size=len(action.mean),
        action=Normaliser.of(action, config.normalisation),
        state=state,
        state_parts=parts,
        relative=relative,
        rate_hz=max(rates),
    )


def _merged(head: str, wanted: Sequence[tuple[Cell, str]]) -> Statistics:
    """Statistics of some cells, each of the array that is `wanted` of it."""
    parts = []
    for cell, name in wanted:
        statistics = merged_statistics(cell.dataset, cell.units).get(cell.embodiment, {}).get(name)
        if statistics is None:
            raise ConfigError(
                f"{cell.dataset.root} carries no statistics of {name} for {cell.embodiment}, which head {head!r} is"
                " normalised by: every number there is NaN or invalid, or the labels were committed without them"
            )
        parts.append(statistics)
    widths = {str(cell.dataset.root): len(part.mean) for (cell, _), part in zip(wanted, parts, strict=True)}
    if len(set(widths.values())) > 1:
        raise ConfigError(
            f"sources of head {head!r} differ in the width of {wanted[0][1]}: {widths}; choose one, or labels of one"
            " model"
        )
    return merge(parts)


def _picked(normaliser: Normaliser, columns: NDArray[np.int64]) -> Normaliser:
    return Normaliser(offset=normaliser.offset[columns], scale=normaliser.scale[columns])


def _fitted_to_windows(
    heads: Mapping[str, Head], sources: Sequence[Source], config: WindowConfig, method: Method, *, resampled: bool
) -> dict[str, Head]:
    """`heads` with normalisers of the chunks of training windows: by step where they are relative."""
    windows = Windows(sources, replace(config, cameras={}, fields=(), confidence=False))
    numbers = np.arange(len(windows))
    if len(numbers) > _WINDOWS_FOR_STATISTICS:
        numbers = np.random.default_rng(0).choice(len(windows), _WINDOWS_FOR_STATISTICS, replace=False)
    batch = windows.__getitems__(np.sort(numbers).tolist())
    fitted: dict[str, Head] = {}
    for number, name in enumerate(windows.embodiments):
        head = heads[name]
        if not (head.relative or resampled):
            fitted[name] = head
            continue
        rows = (batch["embodiment"] == number) & batch["action_mask"][..., : head.action_size].all(axis=(1, 2))
        if not rows.any():
            raise ConfigError(f"no training window of head {name!r} has all of its {config.horizon_steps} steps")
        fitted[name] = replace(head, action=_normaliser_of(head, batch, rows, method))
    return fitted


def _normaliser_of(head: Head, batch: Mapping[str, Any], rows: NDArray[np.bool_], method: Method) -> Normaliser:
    chunks = batch["action"][rows][..., : head.action_size]
    if not head.relative:
        return Normaliser.fitted(chunks.reshape(-1, head.action_size), method)
    state = batch["state"][rows][:, 0, : head.embodiment.state.size]
    return Normaliser.fitted(to_relative(chunks, state, head.embodiment), method)
