"""The page of `pyramid evaluate lapa`: one self-contained HTML file, no network."""

from pathlib import Path
from typing import Any

import jinja2

from lapa.evaluation.evaluate import Evaluation
from lapa.evaluation.example_strips import Strip, motion_strips, neighbour_strips, transfer_strips
from lapa.fitting.health import Gates, Health
from lapa.labelling.saved_model import LapaModel
from storage.atomic_files import write_whole

_FEATURES = {
    "latent": "latent (before quantisation)",
    "codes": "codes (after quantisation)",
    "difference": "raw frame difference",
    "random": "encoder never trained",
    "shuffled": "shuffled motions",
}


def write_report(evaluation: Evaluation, loaded: LapaModel, target: Path, *, pictures: int = 6) -> Path:
    """Write the page to `target` and return it; `pictures` is the number of examples of each kind."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, template.render(r=_page(evaluation, loaded, pictures)).encode())
    return target


def _page(evaluation: Evaluation, loaded: LapaModel, pictures: int) -> dict[str, Any]:
    model, clips = loaded.network, evaluation.held_out
    sections: dict[str, list[Strip]] = {}
    if pictures:
        sections = {
            "Nearest neighbours across bodies": neighbour_strips(model, clips, count=pictures),
            "Actions moved to another scene": transfer_strips(model, clips, count=max(1, pictures // 3)),
            "Highest and lowest motion": motion_strips(model, clips, count=min(pictures, 6)),
        }
    return {
        "model": evaluation.model,
        "preset": evaluation.preset,
        "hash": evaluation.content_hash,
        "failures": evaluation.failures,
        "health": _health_rows(evaluation.health, loaded.gates),
        "pairs": evaluation.health.pairs,
        "episodes": len(clips),
        "probes": [_probe_table(source, table) for source, table in evaluation.probes.items()],
        "codes": [_code_row(source, shares) for source, shares in evaluation.code_shares.items()],
        "code_use": evaluation.health.by_source,
        "masked": evaluation.masked,
        "sections": {title: strips for title, strips in sections.items() if strips},
    }


def _health_rows(health: Health, gates: Gates) -> list[dict[str, Any]]:
    rows = [
        ("share of codes used", health.used_share, f"≥ {gates.used_share:g}", health.used_share >= gates.used_share),
        (
            "perplexity over codebook size",
            health.perplexity_share,
            f"≥ {gates.perplexity_share:g}",
            health.perplexity_share >= gates.perplexity_share,
        ),
        (
            "squared error over copying the present frame",
            health.reconstruction,
            f"≤ {gates.reconstruction:g}",
            health.reconstruction <= gates.reconstruction,
        ),
        ("error to the future over that to the present", health.toward_future, "≤ 1", health.toward_future <= 1),
        ("endpoint swap: error grows by", health.swap, f"≥ {gates.swap:g}", health.swap >= gates.swap),
        ("S-PCFC", health.static_cosine, f"≤ {gates.static_cosine:g}", health.static_cosine <= gates.static_cosine),
    ]
    unquantised = health.used_share == 0
    return [
        {"name": name, "value": f"{value:.3f}", "bar": bar, "good": good}
        for number, (name, value, bar, good) in enumerate(rows)
        if not (unquantised and number < 2)
    ]


def _probe_table(source: str, table: Any) -> dict[str, Any]:
    groups = list(table["latent"])
    rows = [
        {"name": _FEATURES.get(name, name), "scores": [f"{scores[group]:.2f}" for group in groups]}
        for name, scores in table.items()
    ]
    return {"source": source, "groups": groups, "rows": rows}


def _code_row(source: str, shares: Any) -> dict[str, Any]:
    """Bars of one source, heights in percent of the most used code."""
    largest = max(max(shares), 1e-9)
    return {"source": source, "heights": [round(100 * share / largest, 1) for share in shares]}
