"""What the versions of NVIDIA's GR00T trainer want of a data set: horizons, embodiment tags and the ids of their heads.

Read from the public sources of N1.5 (gr00t/data/embodiment_tags.py, gr00t/experiment/data_config.py), N1.6 and N1.7
(gr00t/data/embodiment_tags.py, gr00t/configs/data/embodiment_configs.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GrootVersion = Literal["n1.5", "n1.6", "n1.7"]
NEW_EMBODIMENT = "new_embodiment"


@dataclass(frozen=True, kw_only=True)
class GrootRules:
    """`horizon` steps of action in one sample; `state_size` and `action_size` are what its code takes by default;
    `tags` maps an embodiment tag to the id of its head; `relative` says that actions may be relative to the state,
    `relative_poses` that poses may be too."""

    horizon: int
    state_size: int
    action_size: int
    relative: bool
    relative_poses: bool
    tags: Mapping[str, int]


RULES: Mapping[GrootVersion, GrootRules] = {
    "n1.5": GrootRules(
        horizon=16,
        state_size=64,
        action_size=32,
        relative=False,
        relative_poses=False,
        tags={"gr1": 24, "oxe_droid": 17, "agibot_genie1": 26, NEW_EMBODIMENT: 31},
    ),
    "n1.6": GrootRules(
        horizon=16,
        state_size=29,
        action_size=29,
        relative=True,
        relative_poses=False,
        tags={
            "oxe_google": 0,
            "oxe_widowx": 1,
            "libero_panda": 2,
            "unitree_g1": 8,
            NEW_EMBODIMENT: 10,
            "robocasa_panda_omron": 13,
            "oxe_droid": 16,
            "gr1": 20,
            "behavior_r1_pro": 24,
        },
    ),
    "n1.7": GrootRules(
        horizon=40,
        state_size=132,
        action_size=132,
        relative=True,
        relative_poses=True,
        tags={
            "simpler_env_google": 0,
            "simpler_env_widowx": 1,
            "libero_sim": 2,
            NEW_EMBODIMENT: 10,
            "robocasa_panda_omron": 10,
            "robocasa_gr1_tabletop": 10,
            "unitree_g1_sonic": 11,
            "oxe_droid_relative_eef_relative_joint": 24,
            "real_g1_relative_eef_relative_joints": 25,
            "unitree_g1_full_body_with_waist_height_nav_cmd": 25,
            "real_r1_pro_sharpa_relative_eef": 26,
            "xdof_relative_eef_relative_joint": 27,
        },
    ),
}

KNOWN_TAGS: Mapping[tuple[str, GrootVersion], str] = {("gr1", "n1.5"): "gr1", ("gr1", "n1.6"): "gr1"}
"""(embodiment, version) -> the tag whose layout it has; every other one is a new embodiment."""
