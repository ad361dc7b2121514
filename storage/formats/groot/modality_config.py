"""The modality config of a data set as the Python file that a GR00T trainer loads: it registers itself (N1.6, N1.7,
--modality-config-path), or is named as module:Class (N1.5, --data-config)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.formats.groot.action_keys import ActionKey
from storage.formats.groot.versions import GrootVersion

CONFIG_FILE = "groot_modality_config.py"
_LISTED = "        modality_keys={keys!r},"
_KINDS = {
    "absolute": ("ABSOLUTE", "NON_EEF", "DEFAULT"),
    "relative joints": ("RELATIVE", "NON_EEF", "DEFAULT"),
    "relative pose": ("RELATIVE", "EEF", "XYZ_ROT6D"),
}


@dataclass(frozen=True, kw_only=True)
class ConfigSketch:
    """What a config says: `modality` is modality.json; `tag` the embodiment tag, with the head `head`."""

    modality: Mapping[str, Any]
    actions: Sequence[ActionKey]
    horizon: int
    tag: str
    head: int


def config_text(sketch: ConfigSketch, version: GrootVersion) -> str:
    """The text of the Python file."""
    return _n15(sketch) if version == "n1.5" else _registered(sketch, version)


def language_keys(modality: Mapping[str, Any]) -> list[str]:
    """The annotation that is the instruction, with the prefix that trainers expect; [] where there is none."""
    names = [name for name in modality.get("annotation", {}) if not name.endswith("validity")]
    likely = [name for name in names if "task" in name or "instruction" in name or "description" in name]
    return [f"annotation.{name}" for name in (likely or names)[:1]]


def _registered(sketch: ConfigSketch, version: GrootVersion) -> str:
    modality = sketch.modality
    actions = []
    for key in sketch.actions:
        rep, kind, form = _KINDS[key.kind]
        actions.append(
            f"            # {key.name}\n"
            f"            ActionConfig(\n"
            f"                rep=ActionRepresentation.{rep}, type=ActionType.{kind}, format=ActionFormat.{form}\n"
            f"            ),"
        )
    lines = [
        f'"""Modality config for GR00T {version.upper()}: --modality-config-path {CONFIG_FILE}, tag {sketch.tag}, head '
        f'{sketch.head}."""',
        "",
        "from gr00t.configs.data.embodiment_configs import register_modality_config",
        "from gr00t.data.embodiment_tags import EmbodimentTag",
        "from gr00t.data.types import ActionConfig, ActionFormat, ActionRepresentation, ActionType, ModalityConfig",
        "",
        "MODALITY_CONFIG = {",
        *_modality("video", "[0]", list(modality["video"])),
        *_modality("state", "[0]", list(modality["state"])),
        '    "action": ModalityConfig(',
        f"        delta_indices=list(range({sketch.horizon})),",
        _LISTED.format(keys=[key.name for key in sketch.actions]),
        "        action_configs=[",
        *actions,
        "        ],",
        "    ),",
        *_modality("language", "[0]", language_keys(modality)),
        "}",
        "",
        f"register_modality_config(MODALITY_CONFIG, embodiment_tag=EmbodimentTag.{sketch.tag.upper()})",
        "",
    ]
    return "\n".join(lines)


def _modality(name: str, deltas: str, keys: list[str]) -> list[str]:
    listed = _LISTED.format(keys=keys)
    return [f'    "{name}": ModalityConfig(', f"        delta_indices={deltas},", listed, "    ),"]


def _n15(sketch: ConfigSketch) -> str:
    modality = sketch.modality
    video, state, action = (
        [f"{section}.{name}" for name in modality[section]] for section in ("video", "state", "action")
    )
    module = CONFIG_FILE.removesuffix(".py")
    return f'''"""Data config for GR00T N1.5: --data-config {module}:DataConfig --embodiment-tag {sketch.tag} (head
    {sketch.head})."""

{_N15_IMPORTS}


class DataConfig:
    video_keys = {video!r}
    state_keys = {state!r}
    action_keys = {action!r}
    language_keys = {language_keys(modality)!r}
    observation_indices = [0]
    action_indices = list(range({sketch.horizon}))
    normalization_modes = {dict.fromkeys((*state, *action), "min_max")!r}

{_N15_METHODS}'''


_N15_IMPORTS = """\
from gr00t.data.dataset import ModalityConfig
from gr00t.data.transform.base import ComposedModalityTransform
from gr00t.data.transform.concat import ConcatTransform
from gr00t.data.transform.state_action import StateActionToTensor, StateActionTransform
from gr00t.data.transform.video import VideoColorJitter, VideoCrop, VideoResize, VideoToNumpy, VideoToTensor
from gr00t.model.transforms import GR00TTransform"""
_N15_METHODS = """\
    def modality_config(self):
        seen, done = self.observation_indices, self.action_indices
        return {
            "video": ModalityConfig(delta_indices=seen, modality_keys=self.video_keys),
            "state": ModalityConfig(delta_indices=seen, modality_keys=self.state_keys),
            "action": ModalityConfig(delta_indices=done, modality_keys=self.action_keys),
            "language": ModalityConfig(delta_indices=seen, modality_keys=self.language_keys),
        }

    def transform(self):
        modes = self.normalization_modes
        steps = [
            VideoToTensor(apply_to=self.video_keys),
            VideoCrop(apply_to=self.video_keys, scale=0.95),
            VideoResize(apply_to=self.video_keys, height=224, width=224, interpolation="linear"),
            VideoColorJitter(apply_to=self.video_keys, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.08),
            VideoToNumpy(apply_to=self.video_keys),
        ]
        for keys in (self.state_keys, self.action_keys):
            steps.append(StateActionToTensor(apply_to=keys))
            chosen = {key: modes[key] for key in keys}
            steps.append(StateActionTransform(apply_to=keys, normalization_modes=chosen))
        steps.append(
            ConcatTransform(
                video_concat_order=self.video_keys,
                state_concat_order=self.state_keys,
                action_concat_order=self.action_keys,
            )
        )
        steps.append(
            GR00TTransform(
                state_horizon=len(self.observation_indices),
                action_horizon=len(self.action_indices),
                max_state_dim=64,
                max_action_dim=32,
            )
        )
        return ComposedModalityTransform(transforms=steps)
"""
