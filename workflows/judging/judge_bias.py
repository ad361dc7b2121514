"""`pyramid evaluate judge --bias MODEL`: whether a model refuses clips that are made wrong on purpose."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from judges.vision_language.bias import QUESTION, biases
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import JudgeByModel
from pipelines.config import config_from
from storage.atomic_files import json_bytes, write_whole
from storage.datasets.dataset import Dataset
from storage.errors import InputError
from workflows.judging.filtering import FilterConfig


def measure_bias(dataset: Path, *, model: str, settings: dict[str, Any], clips: int, output: Path) -> str:
    """Ask `model` (as in `pyramid filter --judge`) about the first `clips` clips with an instruction, and about those
    made wrong; write the counts and return them as a table."""
    from generators.simulation.plan_attempts import wilson_interval

    opened = Dataset.open(dataset)
    chosen = [episode for episode in opened.episodes() if episode.instruction and episode.cameras][:clips]
    if not chosen:
        raise InputError(f"{dataset} has no clip with video and an instruction to ask about")
    wanted = FilterConfig(source=dataset, model=model, settings=settings).model_settings()
    config = replace(config_from(ModelConfig, wanted), questions=(QUESTION,), replies="", skip_rejected=False)
    judge = JudgeByModel(config)
    try:
        table = biases(chosen, judge, cameras=config.cameras)
    finally:
        judge.close()
    write_whole(
        output,
        json_bytes(
            {"model": model, "dataset": opened.name, "kinds": {kind: asdict(row) for kind, row in table.items()}}
        ),
    )
    if len(table) == 1:
        raise InputError(
            f"{model} accepts none of {len(chosen)} clips of {dataset}, so nothing can be made wrong: name a"
            " data set whose clips follow their instructions"
        )
    lines = [f"{'clips':<22} {'refused':>8}  95 % interval    unsure"]
    for kind, row in table.items():
        low, high = wilson_interval(row.refused, row.clips)
        share = f"{row.refused / row.clips:.0%}" if row.clips else "-"
        lines.append(
            f"{kind:<22} {share:>8}   {low:4.0%} to {high:4.0%}   {row.unsure:>6}   of {row.clips + row.unsure}"
        )
    return "\n".join(lines)
