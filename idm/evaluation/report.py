"""One page about a model's labels: scores, the calibration plot, error against uncertainty. Self-contained HTML with
drawn SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from storage.atomic_files import write_whole

_SIZE, _MARGIN = 260, 36
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.15rem .8rem;border-bottom:1px solid #ddd;text-align:left}
td:last-child{text-align:right;font-variant-numeric:tabular-nums}figure{display:inline-block;margin:1rem}
svg{background:#fafafa;border:1px solid #ddd}figcaption{font-size:13px;color:#555;max-width:17rem}"""


def write_page(path: Path, figures: Mapping[str, Mapping[str, Any]], *, model: str) -> Path:
    """Write the figures of `idm.evaluation.evaluate.evaluate`, by head, as a page."""
    parts = [f"<h1>Action labels</h1><p>model {escape(model)}</p>"]
    for head, scores in figures.items():
        parts.append(f"<h2>{escape(head)}</h2>{_table(scores)}{_plots(scores)}")
    page = f"<!doctype html><meta charset=utf-8><title>Action labels</title><style>{_STYLE}</style>{''.join(parts)}"
    write_whole(Path(path), page.encode())
    return Path(path)


def _table(scores: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>"
        for name, value in sorted(scores.items())
        if isinstance(value, int | float)
    )
    return f"<table><tr><th>figure</th><th>value</th></tr>{rows}</table>"


def _plots(scores: Mapping[str, Any]) -> str:
    curve = scores.get("curve")
    if not curve:
        return ""
    covered = scores.get("coverage", float("nan"))
    calibration = _figure(
        _points(curve["shares"], curve["factors"]),
        "Factor on the stated uncertainty that covers each share of the held-out steps."
        f" The 90 % intervals cover {covered:.1%}.",
        across="share covered",
        up="factor",
    )
    error = _figure(
        _points(curve["uncertainty"], curve["error"]),
        "Mean error against stated uncertainty, ten groups of equally many steps. A straight line is perfect.",
        across="uncertainty",
        up="error",
    )
    return calibration + error


def _points(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(x, y, strict=True))


def _figure(points: Sequence[tuple[float, float]], caption: str, *, across: str, up: str) -> str:
    """A line with dots, axes from zero."""
    most_x, most_y = (max((point[axis] for point in points), default=1.0) or 1.0 for axis in (0, 1))
    span = _SIZE - 2 * _MARGIN
    places = [(_MARGIN + span * x / most_x, _SIZE - _MARGIN - span * y / most_y) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0a6"/>' for x, y in places)
    corner, end = _MARGIN, _SIZE - _MARGIN
    axes = f'<path d="M{corner} {corner}V{end}H{end}" fill="none" stroke="#888"/>'
    words = (
        f'<text x="{end}" y="{_SIZE - 10}" text-anchor="end" font-size="12">{escape(across)} (to {most_x:.3g})</text>'
        f'<text x="8" y="{corner - 12}" font-size="12">{escape(up)} (to {most_y:.3g})</text>'
    )
    drawing = f'<polyline points="{line}" fill="none" stroke="#0a6"/>{dots}{axes}{words}'
    svg = f'<svg width="{_SIZE}" height="{_SIZE}" role="img">{drawing}</svg>'
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
