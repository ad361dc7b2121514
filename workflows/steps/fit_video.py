"""`fit_video`: tune an image-to-video model to data sets with a LoRA."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generators.neural.fitting.config import VideoFitConfig
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import ConfigError
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep

OWN_DATA = "@dataset"


@dataclass(frozen=True, kw_only=True)
class FitVideoStep(VideoFitConfig):
    """Fit a LoRA for `model` to `datasets` ("@dataset": the run's own) and write it into `output`; "@dataset/..." lies
    in the run's folder. `camera` "" takes the first camera; `most_episodes` limits what is learned from (0: all)."""

    output: str = "@dataset/video-lora"
    model: str = "starter"
    datasets: tuple[str, ...] = (OWN_DATA,)
    camera: str = ""
    most_episodes: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.output or not self.datasets:
            raise ConfigError("fit_video needs output and datasets")

    @property
    def fit(self) -> VideoFitConfig:
        """The settings of the fit alone."""
        return VideoFitConfig(**{name: getattr(self, name) for name in VideoFitConfig.__dataclass_fields__})


def run_fit_video(context: RunContext, step: FitVideoStep) -> str:
    """Fit; one line on what came of it."""
    from generators.neural.fitting.fit import fit_lora
    from generators.neural.models.load import load_model
    from generators.neural.models.options import ModelOptions

    episodes = recorded_episodes([_placed(context, path) for path in step.datasets], step.most_episodes)
    camera = step.camera or sorted(episodes[0].cameras)[0]
    without = [episode.episode_id for episode in episodes if camera not in episode.cameras]
    if without:
        there = ", ".join(sorted(episodes[0].cameras))
        raise ConfigError(f"{len(without)} episodes have no camera {camera!r}, the first is {without[0]}; try {there}")
    output = _placed(context, step.output)
    model = load_model(step.model, ModelOptions(dtype=step.dtype))  # type: ignore[arg-type]
    result = fit_lora(model, episodes, camera, step.fit, output)
    error = f", held-out error {result.figures['error']:.4g}" if "error" in result.figures else ""
    return f"fitted a LoRA for {step.model} to {len(episodes)} episodes in {output}: {result.steps} steps{error}"


def recorded_episodes(roots: Sequence[Path], most: int) -> list[Episode]:
    """Episodes with video and an instruction, not generated ones. Raises ConfigError when there are none."""
    episodes = [
        episode
        for root in roots
        for episode in Dataset.open(root).episodes()
        if episode.layer != "neural" and episode.cameras and episode.instruction
    ]
    if not episodes:
        names = ", ".join(str(root) for root in roots)
        raise ConfigError(f"no episodes with video and an instruction in {names}; import or generate some first")
    return episodes[:most] if most else episodes


def _placed(context: RunContext, path: str) -> Path:
    return Path(str(context.root) + path.removeprefix(OWN_DATA)) if path.startswith(OWN_DATA) else Path(path)


STEP = PlainStep(config=FitVideoStep, work=run_fit_video, reads_data=True)
