"""From gigabytes of GPU memory to the share of a card that Ray reckons in."""

import subprocess

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.stage import Resources
from storage.errors import ConfigError, WorldError

_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


def gpu_share(resources: Resources) -> float:
    """Cards that one process needs. What is given in gigabytes is taken of the smallest card there is, to 1 %."""
    if not resources.gpu_memory_gb:
        return resources.gpus
    return max(resources.gpus, share_of(resources.gpu_memory_gb, smallest_card_gb()))


def share_of(wanted_gb: float, card_gb: float) -> float:
    """The share of a card of `card_gb`, rounded up to 1 %; raises ConfigError when one card is not enough."""
    if wanted_gb > card_gb:
        raise ConfigError(f"a stage needs {wanted_gb:g} GB of GPU memory; the smallest card here has {card_gb:g} GB")
    return min(1.0, -(-round(wanted_gb / card_gb * 1e6) // 10_000) / 100)


def smallest_card_gb() -> float:
    """Memory of the smallest card of the cluster, asked of every node that has one."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]
    asked = ray.remote(num_cpus=0)(cards_gb)
    answers = ray.get(
        [asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes]
    )
    cards = [card for answer in answers for card in answer]
    if not cards:
        raise WorldError(
            "the cluster says that it has GPUs, but nvidia-smi lists none; say `gpus`, not `gpu_memory_gb`"
        )
    return float(min(cards))


def cards_gb() -> list[float]:
    """Memory of each card of this machine, in GB (2^30 bytes)."""
    try:
        listed = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [float(line) / 1024 for line in listed.split()]
