"""Pictures of the report as SVG text: the pyramid, and the curves of one episode."""

import io
import re
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from storage.embodiment import Layout
from storage.episode import Episode

LAYERS = ("real", "neural", "simulation", "human")
"""From the peak of the pyramid to its base."""

_PLOTTED_STEPS = 400


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pyramid"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)


def pyramid(hours: Mapping[str, float]) -> str:
    """The pyramid with each layer's share; layers that hold nothing are drawn hollow."""
    total = sum(hours.values()) or 1.0
    rows, height, width = [], 46.0, 300.0
    for level, layer in enumerate(LAYERS):
        top, bottom = (width * level / len(LAYERS), width * (level + 1) / len(LAYERS))
        y = 8 + level * (height + 4)
        corners = [(width / 2 - top / 2, y), (width / 2 + top / 2, y), (width / 2 + bottom / 2, y + height)]
        corners.append((width / 2 - bottom / 2, y + height))
        points = " ".join(f"{px:.0f},{py:.0f}" for px, py in corners)
        share = hours.get(layer, 0.0) / total
        opacity = 0.16 if share == 0 else 0.9
        rows.append(f'<polygon points="{points}" fill="var(--{layer})" fill-opacity="{opacity}"/>')
        text = f"{layer} · {100 * share:.0f} %" if share else f"{layer} · none"
        rows.append(f'<text x="{width + 8:.0f}" y="{y + height / 2 + 5:.0f}" fill="currentColor">{text}</text>')
    return f'<svg viewBox="0 0 480 216" role="img" aria-label="share of hours by layer">{"".join(rows)}</svg>'


def episode_plots(episode: Episode, *, state: Layout, action: Layout) -> list[str]:
    """One figure for the state and one for the actions, a panel for each part of the layout; one for latent actions."""
    plots = []
    if "state" in episode.arrays:
        plots.append(_curves("state", state, {"state": episode.arrays["state"]}, episode.timestamps()))
    actions = {
        kind: _where_valid(episode, kind)
        for kind in ("ground_truth", "predicted")
        if f"action/{kind}" in episode.arrays
    }
    if actions:
        plots.append(_curves("action", action, actions, episode.timestamps()))
    if "action/latent" in episode.arrays:
        plots.append(_latents(episode))
    return plots


def _where_valid(episode: Episode, kind: str) -> NDArray[np.float32]:
    """The actions of a kind, NaN in steps that carry no label."""
    values = episode.arrays[f"action/{kind}"]
    valid = episode.arrays.get(f"label/valid/{kind}", np.ones(len(values), bool))
    return np.where(valid[:, None], values, np.float32(np.nan))


def _latents(episode: Episode) -> str:
    """The latent action over time, a row for each dimension, and below it the codes; white where there is none."""
    rows = {"latent action [1]": (episode.arrays["action/latent"].T, "coolwarm")}
    if "label/codes" in episode.arrays:
        codes = episode.arrays["label/codes"].T
        rows["codes"] = (np.where(codes < 0, np.nan, codes), "prism")
    figure = Figure(figsize=(8.0, 1.6 * len(rows)))
    end_s = episode.length / episode.rate_hz
    for number, (title, (values, colours)) in enumerate(rows.items(), start=1):
        axes = figure.add_subplot(len(rows), 1, number)
        axes.imshow(
            values, aspect="auto", interpolation="nearest", cmap=colours, extent=(0.0, end_s, len(values) - 0.5, -0.5)
        )
        axes.set_title(title, fontsize=7)
        axes.tick_params(labelsize=6)
    figure.tight_layout()
    return _svg(figure)


def _curves(title: str, layout: Layout, series: Mapping[str, NDArray[np.float32]], time_s: NDArray[np.float64]) -> str:
    stride = max(1, len(time_s) // _PLOTTED_STEPS)
    panels = [(part.name, span, part.unit) for part, span in layout] or [("all", slice(None), "1")]
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(8.0, 1.5 * lines + 0.3))
    figure.suptitle(title, fontsize=9, x=0.02, ha="left")
    for number, (name, span, unit) in enumerate(panels, start=1):
        axes = figure.add_subplot(lines, columns, number)
        for kind, values in series.items():
            style = "-" if kind in ("state", "ground_truth") else "--"
            axes.set_prop_cycle(None)
            axes.plot(time_s[::stride], values[::stride, span], style, linewidth=0.9)
        axes.set_title(f"{name} [{unit}]" + (" dashed: predicted" if "predicted" in series else ""), fontsize=7)
        axes.tick_params(labelsize=6)
        axes.margins(x=0.01)
    figure.tight_layout()
    return _svg(figure)
