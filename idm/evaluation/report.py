"""The page of `pyramid evaluate idm`: one self-contained HTML file, no network."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from storage.atomic_files import write_whole


def write_page(path: Path, figures: Mapping[str, Mapping[str, Any]], *, model: str) -> Path:
    """Write the figures of `idm.evaluation.evaluate.evaluate`, by head, as a page: scores, the calibration plot, error
    against uncertainty."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text())
    heads = [
        {
            "name": head,
            "scores": [
                (name, f"{value:.4g}") for name, value in sorted(scores.items()) if isinstance(value, int | float)
            ],
            "covered": f"{scores.get('coverage', float('nan')):.1%}",
            "plot": _plot(scores["curve"]) if scores.get("curve") else "",
        }
        for head, scores in figures.items()
    ]
    write_whole(Path(path), template.render(model=model, heads=heads).encode())
    return Path(path)


def _plot(curve: Mapping[str, Any]) -> str:
    """The two plots side by side as a PNG in base64."""
    from matplotlib.figure import Figure  # without pyplot: no display, nothing global

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    calibration, error = figure.subplots(1, 2)
    calibration.plot(curve["shares"], curve["factors"], marker="o", color="#0a6")
    calibration.set(xlabel="share covered", ylabel="factor on the uncertainty", ylim=(0, None))
    error.plot(curve["uncertainty"], curve["error"], marker="o", color="#0a6")
    error.set(xlabel="stated uncertainty", ylabel="mean error", xlim=(0, None), ylim=(0, None))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    return base64.b64encode(drawn.getvalue()).decode()
