"""The catalog: every stage by its name, plain data. Nothing named here is imported before it runs.

A user adds stages with a Python file or an installed package (entry point group "pyramid.stages") that holds

    STAGES = {"smooth": Stage(call=f"{__file__}:Smooth", config=f"{__file__}:SmoothConfig", reads=..., writes=...)}
"""

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pipelines.stage import Resources, Stage, load_file
from storage.errors import ConfigError, UnknownNameError
from storage.fields import FIELDS

_LOG = logging.getLogger(__name__)
ENTRY_POINTS = "pyramid.stages"

EVERYTHING = frozenset(row.name for row in FIELDS)
"""What a source writes that passes on whatever its input holds; `Job.provides` says what that is."""

CATALOG: dict[str, Stage] = {
    "import_episodes": Stage(
        call="storage.formats.import_stage:ImportEpisodes",
        config="storage.formats.import_item:ImportConfig",
        version=3,
        writes=EVERYTHING,
        source=True,
        at_once=1,
        resources=Resources(memory_gb=2.0),
    ),
    "idm_label": Stage(
        call="idm.labelling.label:LabelActions",
        config="idm.labelling.label_config:IdmLabelConfig",
        reads=frozenset({"video"}),
        writes=frozenset(
            {"action/{}", "label/valid/{}", "label/confidence/{}", "label/interval/{}", "label/flags/{}", "provenance"}
        ),
        version=2,
        process="torch",
        at_once=1,
        resources=Resources(gpu_memory_gb=4.0, memory_gb=2.0),
    ),
    "lapa_label": Stage(
        call="lapa.labelling.label:LabelLatents",
        config="lapa.labelling.label_config:LapaLabelConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"action/latent", "label/codes", "label/valid/latent", "label/flags/latent", "provenance"}),
        version=3,
        process="torch",
        at_once=1,
        resources=Resources(gpu_memory_gb=4.0, memory_gb=3.0),
    ),
    "context_features": Stage(
        call="groot.features.context_features:ContextFeatures",
        config="groot.features.feature_config:FeatureConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"feature/{}", "feature_mask/{}", "provenance"}),
        process="torch",
        resources=Resources(gpu_memory_gb=8.0, memory_gb=6.0),
    ),
    "generate_clips": Stage(
        call="generators.neural.dream:GenerateClips",
        config="generators.neural.dream_config:GenerateClipsConfig",
        writes=frozenset({"video/{}", "instruction", "provenance"}),
        source=True,
        version=2,
        process="torch",
        # The starter's needs; a large model says how much more by its offload, and is given a card of its own.
        resources=Resources(gpu_memory_gb=8.0, memory_gb=3.0),
    ),
    "detect": Stage(
        call="judges.detection.detect:Detect",
        config="judges.detection.config:DetectConfig",
        reads=frozenset({"video", "instruction"}),
        writes=frozenset({"label/box", "label/valid/{}", "provenance"}),
        process="torch",
        resources=Resources(gpu_memory_gb=4.0, memory_gb=2.0),
    ),
    "judge_execution": Stage(
        call="workflows.judging.judge_execution:PlayAndJudge",
        config="judges.execution:ExecutionConfig",
        reads=frozenset({"action/{}"}),
        writes=frozenset({"verdicts"}),
        process="simulation",
        resources=Resources(memory_gb=1.5),
    ),
    "judge_model": Stage(
        call="judges.vision_language.judge:JudgeByModel",
        config="judges.vision_language.config:ModelConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"verdicts"}),
        process="torch",
        resources=Resources(gpu_memory_gb=20.0, memory_gb=4.0),
    ),
    "judge_rules": Stage(
        call="judges.rules.judge:JudgeByRules",
        config="judges.rules.judge:RulesConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"verdicts"}),
    ),
    "reviewed_captions": Stage(
        call="judges.reviewed_captions:ReviewedCaptions",
        config="judges.reviewed_captions:ReviewedCaptionsConfig",
        writes=frozenset({"instruction"}),
    ),
    "recaption": Stage(
        call="judges.vision_language.recaption:Recaption",
        config="judges.vision_language.recaption:RecaptionConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"verdicts", "instruction", "provenance"}),
        process="torch",
        resources=Resources(gpu_memory_gb=20.0, memory_gb=4.0),
    ),
    "caption": Stage(
        call="judges.vision_language.caption:Caption",
        config="judges.vision_language.caption:CaptionConfig",
        reads=frozenset({"video"}),
        writes=frozenset({"instruction", "provenance"}),
        process="torch",
        resources=Resources(gpu_memory_gb=20.0, memory_gb=4.0),
    ),
    "multiply": Stage(
        call="generators.simulation.multiply:Multiply",
        config="generators.simulation.multiply_config:MultiplyConfig",
        writes=frozenset(
            {"state", "action/{}", "simulation/state", "video/{}", "instruction", "provenance", "verdicts"}
        ),
        source=True,
        process="simulation",
        at_once=1,
        resources=Resources(memory_gb=1.5),
    ),
    "roll_out": Stage(
        call="generators.simulation.rollouts.roll_out:RollOut",
        config="generators.simulation.rollouts.roll_out_config:RollOutConfig",
        writes=frozenset(
            {"state", "action/{}", "simulation/state", "video/{}", "instruction", "provenance", "verdicts"}
        ),
        source=True,
        process="simulation",
        resources=Resources(memory_gb=1.5),
    ),
    "judge_quality": Stage(
        call="judges.quality.judge:JudgeQuality",
        config="judges.quality.judge:QualityConfig",
        writes=frozenset({"verdicts"}),
        resources=Resources(cpus=1, memory_gb=0.5),
    ),
    "near_duplicates": Stage(
        call="judges.curation.near_duplicates:NearDuplicates",
        config="judges.curation.near_duplicates:NearDuplicateConfig",
        writes=frozenset({"verdicts"}),
        resources=Resources(cpus=1, memory_gb=0.5),
    ),
    "watch_video": Stage(
        call="judges.curation.watch:WatchVideo",
        config="judges.curation.watch_config:WatchConfig",
        writes=frozenset(
            {
                "video/{}",
                "timestamp",
                "source_frame",
                "source_time",
                "label/camera_motion",
                "label/motion",
                "label/valid/{}",
                "label/confidence/{}",
                "label/flags/{}",
                "label/hand_landmarks",
                "label/hand_joints",
                "label/hand_rotations",
                "label/camera_pose",
                "state",
                "action/{}",
                "instruction",
                "provenance",
                "verdicts",
            }
        ),
        source=True,
        at_once=1,
        resources=Resources(memory_gb=1.5),
    ),
    "read_unit": Stage(
        call="pipelines.read_unit:ReadUnit",
        config="pipelines.read_unit:ReadUnitConfig",
        writes=EVERYTHING,
        source=True,
        # It only maps files; the stage after it looks at them, so both share a process.
        resources=Resources(cpus=0),
    ),
    "read_rejects": Stage(
        call="pipelines.stages.read_rejects:ReadRejects",
        config="pipelines.read_unit:ReadUnitConfig",
        writes=EVERYTHING,
        source=True,
        resources=Resources(cpus=0),
    ),
    "where": Stage(
        call="pipelines.stages.where:Where",
        config="pipelines.stages.where:WhereConfig",
        resources=Resources(memory_gb=0.5),
    ),
}

_user_stages: dict[str, Stage] = {}


def stages() -> dict[str, Stage]:
    """Every stage that is known: shipped, installed, and loaded from files."""
    return {**_installed(), **CATALOG, **_user_stages}


def find_stage(name: str) -> Stage:
    """The row called `name`; raises UnknownNameError."""
    if name in CATALOG:
        return CATALOG[name]
    known = stages()
    try:
        return known[name]
    except KeyError:
        hint = "(your own come from a file or an entry point, see docs/stages-and-runs.md)"
        raise UnknownNameError.among("stage", name, known, hint=hint) from None


def load_stages(paths: Iterable[Path]) -> None:
    """Make the stages known that Python files declare in `STAGES`."""
    for path in paths:
        module = load_file(Path(path))
        _take(getattr(module, "STAGES", None), str(path))


def _take(declared: Any, where: str) -> None:
    rows = isinstance(declared, Mapping) and all(isinstance(row, Stage) for row in declared.values())
    if not rows:
        raise ConfigError(f"{where} must hold STAGES, a dict of stage name -> pipelines.stage.Stage; got {declared!r}")
    for name, row in declared.items():
        if name in CATALOG or _user_stages.setdefault(name, row) != row:
            raise ConfigError(f"{where} declares a stage {name!r}, which is there already; choose another name")


def _installed() -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for point in entry_points(group=ENTRY_POINTS):
        try:
            stages.update(point.load())
        except (ImportError, AttributeError, TypeError) as error:
            _LOG.warning("the stages of entry point %s cannot be loaded: %s", point.value, error)
    return stages
