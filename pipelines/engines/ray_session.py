"""Being connected to Ray: a cluster of our own on this machine, or one that is there. Quietly, in both cases."""

import logging
import math
import os
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import ray
from ray._private import ray_constants

from pipelines.engines.auto import usable_cores
from pipelines.engines.fused_stages import Segment
from pipelines.engines.ray_token import token_advice, use_token
from storage.errors import ConfigError, WorldError

_LOG = logging.getLogger(__name__)
_REPOSITORY = Path(__file__).resolve().parents[2]
_EXCLUDES = (
    ".git",
    ".venv",
    "**/__pycache__",
    ".*_cache",
    ".cache",
    ".hypothesis",
    "runs",
    "data",
    "build",
    "*.zarr",
    "*.egg-info",
)
_LOOPBACK = "127.0.0.1"
PRETENDED: dict[str, Any] = {}
"""For tests: resources that a cluster of our own is told it has, as `ray.init` takes them."""
_SPANS_MACHINES = bool(ray_constants.ENABLE_RAY_CLUSTER)
_LISTENS_S = 10.0
_CONNECTIONS = 2
"""A busy cluster may take longer to prepare for a client than Ray waits for it."""
_NOT_REACHED = (ConnectionError, ValueError, RuntimeError, OSError)
_SUMMARIES_BYTES = 128 * 1024**2


class RaySession:
    """Being connected to Ray, for one job.

    `address` None starts a cluster on this machine with `workers` processes at a time (all CPUs by default); "auto",
    "host:port" and "ray://host:port" join one, to which the repository travels, without data and environment. A cluster
    that we started serves the jobs that follow, and ends with this process or with `stop_ray`; a connection that others
    made is used as it is.
    """

    _ours: ClassVar[dict[str, Any] | None] = None

    def __init__(self, *, address: str | None, workers: int | None, segments: tuple[Segment, ...]) -> None:
        cpus = max(1.0, *(segment.resources.cpus for segment in segments))
        self._settings = _joining(address) if address else _alone(workers, cpus=cpus, passing=len(segments) > 1)
        if RaySession._ours is not None and not _serves(RaySession._ours, self._settings):
            stop_ray()
        if not ray.is_initialized():
            self._connect()
        resources = ray.cluster_resources()
        self.gpus: float = resources.get("GPU", 0.0)
        for segment in segments:
            self._check_room(segment)

    def renew(self) -> None:
        """Connect anew, which ends every actor of ours. Ray forgets actors that were about to be restarted when their
        pool was given up; they keep their CPUs and GPUs, and the next pool would wait for these without end."""
        if RaySession._ours is None:
            _LOG.warning("processes died on a connection to Ray that is not ours; what they held may not come back")
            return
        stop_ray()
        self._connect()

    def _connect(self) -> None:
        _be_quiet()
        alone = self._settings["address"] == "local"
        _listen_on_loopback(alone)
        if not alone:
            use_token()
        for attempt in range(1, _CONNECTIONS + 1):
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._settings)
                break
            except Exception as error:  # Ray's own time-outs at the start are bare ones
                if type(error) is not Exception and not isinstance(error, _NOT_REACHED):
                    raise
                where = self._settings["address"].replace("local", "this machine")
                if attempt == _CONNECTIONS or not where.startswith("ray://"):
                    advice = "" if where == "this machine" else f". {token_advice()}"
                    raise WorldError(f"cannot reach Ray at {where}: {_first_line(error)}{advice}") from error
                _LOG.warning("Ray at %s does not answer yet, trying once more: %s", where, error)
        RaySession._ours = self._settings

    def _check_room(self, segment: Segment) -> None:
        """A process that fits on no node would be waited for without end."""
        gigabyte = 1024**3
        needs = {"CPU": segment.resources.cpus, "memory": segment.resources.memory_gb * gigabyte}
        if self.gpus:
            needs["GPU"] = segment.resources.gpus
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= need for name, need in needs.items()) for node in nodes):
            most = {name: max(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU", "memory")}
            raise ConfigError(
                f"one process of this job needs {segment.resources}, and no node has all that; the most that one has:"
                f" {most['CPU']:g} CPUs, {most['GPU']:g} GPUs, {most['memory'] / gigabyte:.1f} GB of memory"
            )


def stop_ray() -> None:
    """End the cluster or the connection that we started, if any."""
    if RaySession._ours is not None:
        RaySession._ours = None
        ray.shutdown()


def _serves(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether what is running will do: the same cluster, as many CPUs, and no less room in the object store."""
    store = "object_store_memory"
    same = all(there.get(name) == wanted.get(name) for name in (there.keys() | wanted.keys()) - {store})
    return ray.is_initialized() and same and (store not in there or store in wanted)


def _alone(workers: int | None, *, cpus: float, passing: bool) -> dict[str, Any]:
    processes = workers or max(1, int(usable_cores() // cpus))
    settings: dict[str, Any] = {
        # Without "local", Ray would join whatever cluster happens to run on this machine.
        "address": "local",
        "num_cpus": math.ceil(processes * cpus),
        "include_dashboard": False,
        "_node_ip_address": _LOOPBACK,
        **PRETENDED,
    }
    if not passing:
        # Only plans and summaries go through the object store.
        settings["object_store_memory"] = _SUMMARIES_BYTES
    return settings


def _joining(address: str) -> dict[str, Any]:
    """How to join a cluster. Ray would try an address where nobody listens for minutes, so it is asked for first."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=_LISTENS_S).close()
        except OSError as error:
            raise WorldError(
                f"nobody answers at {address} ({error}); is the cluster there, and its port open?"
            ) from error
    return {"address": address, "runtime_env": {"working_dir": str(_REPOSITORY), "excludes": list(_EXCLUDES)}}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _listen_on_loopback(alone: bool) -> None:
    """A cluster of our own serves this machine alone. Ray does so where clusters cannot span machines, by a switch that
    it reads when it is imported: here from the module, in its other processes from the environment."""
    spans = _SPANS_MACHINES and not alone
    ray_constants.ENABLE_RAY_CLUSTER = spans
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = str(int(spans))


def _be_quiet() -> None:
    """Ray speaks of each worker that dies on the standard output, where a program may be read by another."""
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A unit that outgrows the memory is tried again by us; Ray alone would try it without end.
    os.environ.setdefault("RAY_task_oom_retries", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    warnings.filterwarnings("ignore", message=".*ray_remote_args.*")
    ray._private.worker._worker_logs_enabled = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
