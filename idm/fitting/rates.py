"""Whether held-out episodes run at the rate of the model's chunks, seen before training: they calibrate it."""

from collections.abc import Sequence

import numpy as np

from idm.network.model import IdmConfig
from storage.errors import ConfigError
from storage.training_reader.training_data import TrainingData


def check_rates(data: Sequence[TrainingData], config: IdmConfig) -> None:
    """Raises ConfigError, with the settings that fit, where a held-out episode has another rate than the chunks."""
    wanted_hz = config.rate_hz
    for each in data:
        held_out = each.episodes()[1]
        table = each.dataset.index.table.select(["episode_id", "rate_hz"]).to_pydict()
        rates = {rate for name, rate in zip(table["episode_id"], table["rate_hz"], strict=True) if name in held_out}
        other = sorted(rate for rate in rates if abs(rate / wanted_hz - 1) > 1e-3)
        if other:
            steps = max(int(np.round(config.chunk_s * other[0])), 1)
            raise ConfigError(
                f"preset {config.preset!r} speaks of {wanted_hz:g} steps a second, and {each.dataset.name} has held-out"
                f" episodes at {', '.join(f'{rate:g}' for rate in other)} Hz, which could not calibrate it; set"
                f" model: {{chunk_steps: {steps}, chunk_s: {steps / other[0]:.6g}}} in --config"
            )
