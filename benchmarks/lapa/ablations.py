"""What each option of the latent action model brings, on the real G1: same data, steps and seed, one thing changed.

Quick: 150 steps of four variants. Whole: 250 steps of all.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.lapa.clips import fit_once, g1_clips, g1_config, g1_probes, use_threads
from benchmarks.measure import result
from lapa.fitting.fit import LapaFitConfig
from lapa.network.augment import AugmentConfig

Change = Callable[[LapaFitConfig], LapaFitConfig]


def _quantizer(**settings: Any) -> Change:
    return lambda config: replace(
        config, model=replace(config.model, quantizer=replace(config.model.quantizer, **settings))
    )


def _encoder(**settings: Any) -> Change:
    return lambda config: replace(
        config, model=replace(config.model, encoder=replace(config.model.encoder, **settings))
    )


def _loss(**settings: Any) -> Change:
    return lambda config: replace(config, loss=replace(config.loss, **settings))


def _labels(share: float) -> Change:
    return lambda config: replace(
        config,
        batches=replace(config.batches, labelled_share=share, label_parts={"g1_inspire": ("right_arm",)}),
    )


def _no_augmentation(config: LapaFitConfig) -> LapaFitConfig:
    return replace(config, augment=AugmentConfig(shift=0, zoom=0, brightness=0, contrast=0))


VARIANTS: dict[str, Change] = {
    "as shipped": lambda config: config,
    "no augmentation": _no_augmentation,
    "later frame in place of difference": _encoder(second_input="later"),
    "2.5 % labels": _labels(0.025),
    "no rotation trick": _quantizer(rotation_trick=False),
    "no code revival": _quantizer(revive_below=0.0),
    "nsvq": _quantizer(kind="nsvq"),
    "fsq 4x4x4": _quantizer(kind="fsq", levels=(4, 4, 4)),
    "residual, two of 64": _quantizer(kind="residual"),
    "no bottleneck": _quantizer(kind="none"),
    "codebook of 8": _quantizer(codebook_size=8),
    "4 codes": lambda config: replace(config, model=replace(config.model, codes=4)),
    "queries read the codes": _encoder(readout="queries"),
    "loss not weighted by change": _loss(change=0.0),
    "swap contrast": _loss(swap=1.0),
}
QUICK = ("as shipped", "no augmentation", "later frame in place of difference", "nsvq")
COLUMNS = ("recon", "used", "perpl", "swap", "S-PCFC", "arm z", "arm q", "hand z", "hand q")


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    split, steps = g1_clips(), 150 if quick else 250
    print(f"Unitree G1, 96x72, {steps} steps; R2 of probes before (z) and after (q) quantisation")
    print(f"{'':<36}" + "".join(f"{name:>9}" for name in COLUMNS))
    figures: dict[str, float] = {}
    for name in QUICK if quick else VARIANTS:
        fit = fit_once(split, VARIANTS[name](g1_config(steps=steps)))
        table, health = g1_probes(fit.model.network, split), fit.health
        row = [health.reconstruction, health.used_share, health.perplexity_share, health.swap, health.static_cosine]
        row += [table[feature][part] for part in ("right_arm", "right_hand") for feature in ("latent", "codes")]
        print(f"{name:<36}" + "".join(f"{value:>9.2f}" for value in row), flush=True)
        figures |= {f"{name}: {column}": value for column, value in zip(COLUMNS, row, strict=True)}
    return result(figures, {})
