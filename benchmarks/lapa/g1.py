"""Latent actions on a real humanoid: fit to 22 episodes of the Unitree G1, measured on 6 that were held out.

Quick: 400 steps, no labels. Whole: 800 steps, once without labels and once with 2.5 % of the pairs labelled.
"""

from typing import Any

from benchmarks.lapa.clips import ClipSplit, fit_once, g1_clips, g1_config, g1_probes, health_figures, use_threads
from benchmarks.measure import print_table, result, timed

BARS: dict[str, dict[str, float]] = {
    "codes used": {"at_least": 0.9},
    "perplexity over codebook": {"at_least": 0.4},
    "reconstruction over copying": {"at_most": 0.6},
    "endpoint swap": {"at_least": 2.0},
    "S-PCFC": {"at_most": 0.6},
    "arm R2, latent": {"at_least": 0.5},
    "arm R2, codes": {"at_least": 0.4},
    "arm R2, shuffled": {"at_most": 0.05},
    "2.5 % labels: arm R2, latent": {"at_least": 0.6},
}


def run(quick: bool) -> dict[str, Any]:
    use_threads(2)
    split = g1_clips()
    steps = 400 if quick else 800
    figures = _fit(split, steps, labelled_share=0.0)
    if not quick:
        labelled = _fit(split, steps, labelled_share=0.025)
        figures |= {f"2.5 % labels: {name}": value for name, value in labelled.items()}
    bars = {name: bar for name, bar in BARS.items() if name in figures}
    print(f"Unitree G1, 22 training and 6 held-out episodes, 96x72, {steps} steps")
    print_table(figures, bars)
    return result(figures, bars)


def _fit(split: ClipSplit, steps: int, *, labelled_share: float) -> dict[str, float]:
    config = g1_config(steps=steps, labelled_share=labelled_share)
    fitted = []
    seconds = timed(lambda: fitted.append(fit_once(split, config)))
    fit = fitted[0]
    table = g1_probes(fit.model.network, split, baselines=not labelled_share)
    health = fit.health
    figures = health_figures(health)
    for feature, scores in table.items():
        figures |= {f"{part.removeprefix('right_')} R2, {feature}": score for part, score in scores.items()}
    return {**figures, "CPU seconds": seconds.cpu_s, "wall seconds": seconds.wall_s}
