"""The page of a training run: roll-outs, losses, errors by head and horizon, shares of the mixture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.atomic_files import write_whole

if TYPE_CHECKING:
    from groot.training.fit_policy import Fitted
    from groot.training.policy_config import GrootFitConfig
    from workflows.models.fit_roll_outs import TriedTask

PAGE = "training.html"


def write_training_page(
    output: Path, fitted: "Fitted", config: "GrootFitConfig", trials: "Sequence[TriedTask]" = ()
) -> Path:
    """Write OUTPUT/training.html, with clips of the roll-outs `trials`, and return its path."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((Path(__file__).parents[1] / "report" / "training.html").read_text())
    card = fitted.policy.card
    page = template.render(
        name=output.name,
        preset=config.model.name,
        steps=fitted.result.steps,
        wall_min=f"{fitted.result.wall_s / 60:.1f}",
        curves=_curves(fitted.result.history),
        figures=_rows(fitted.result.figures),
        mixture=[dict(each, name=name) for name, each in (card.data if card else {}).items()],
        left_out=list(fitted.left_out),
        findings=list(fitted.result.findings),
        trials=[_trial(trial, output) for trial in trials],
    )
    target = output / PAGE
    write_whole(target, page.encode())
    return target


def _trial(trial: "TriedTask", output: Path) -> dict[str, Any]:
    from workflows.models.fit_roll_outs import shown_episodes
    from workflows.report.clips import clip_data_uri

    clips = []
    for episode in shown_episodes(trial):
        about = episode.provenance["generation"]
        caption = f"scene {about['scene']}: {'succeeded' if about['success'] else 'failed'}"
        for camera, frames in sorted(episode.cameras.items()):
            source = clip_data_uri(frames, rate_hz=episode.rate_hz)
            clips.append({"caption": f"{caption}, {camera}", "source": source})
    report = (trial.folder / "report.html").relative_to(output)
    return {"line": trial.line, "report": str(report), "instruction": episode.instruction, "clips": clips}


def _rows(figures: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": f"{value:.4g}"} for name, value in sorted(figures.items())]


def _curves(history: Any) -> list[str]:
    """One SVG for each logged quantity."""
    import io

    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    names = [name for name in (history[-1] if history else {}) if name != "step"]
    curves = []
    for name in names:
        points = [(record["step"], record[name]) for record in history if name in record]
        figure, axes = plt.subplots(figsize=(4.2, 2.4))
        axes.plot(*zip(*points, strict=True), linewidth=1.2)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        file = io.StringIO()
        figure.savefig(file, format="svg", bbox_inches="tight")
        plt.close(figure)
        curves.append(file.getvalue()[file.getvalue().index("<svg") :])
    return curves
