"""Serving a policy: in the foreground for `pyramid serve`, or in a process of its own while simulators ask it."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groot.serving.server import PolicyServer, ServeConfig
from storage.errors import ConfigError, WorldError

if TYPE_CHECKING:
    from groot.serving.observation import Policy

Protocol = Literal["groot", "openpi"]
_START_TIMEOUT_S = 300.0


def policy_from(
    model: Path | None, *, replay: Path | None = None, head: str = "", device: str = "auto", **more: Any
) -> "Policy":
    """The fitted policy in `model`, or one that plays back the data set `replay`."""
    if (model is None) == (replay is None):
        raise ConfigError("serve either a MODEL folder, or a data set with --replay; got both or none")
    if replay is not None:
        from groot.serving.replay_policy import ReplayPolicy

        return ReplayPolicy(replay, **more)
    import torch

    from groot.training.policy import GrootPolicy

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    assert model is not None
    return GrootPolicy.load(model, head=head, device=chosen)


def serve(policy: "Policy", config: ServeConfig, *, protocol: Protocol = "groot") -> None:
    """Serve until a client kills the server or a person interrupts it."""
    if protocol == "openpi":
        from groot.serving.openpi_server import OpenpiServer

        OpenpiServer(policy, config).serve()
        return
    PolicyServer(policy, config).serve()


@contextmanager
def served(model: Path | None, **options: Any) -> Iterator[str]:
    """The address of a server of the policy in `model`, in a process of its own that ends with the block."""
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=_serve_in_process, args=(there, model, options), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(_START_TIMEOUT_S):
            raise WorldError(f"the policy server did not start within {_START_TIMEOUT_S:g} s")
        try:
            answer = here.recv()
        except EOFError:
            raise WorldError("the policy server ended before it was ready; see its error above") from None
        if isinstance(answer, Exception):
            raise answer
        yield str(answer)
    finally:
        process.terminate()
        process.join()


def _serve_in_process(pipe: Connection, model: Path | None, options: dict[str, Any]) -> None:
    try:
        server = PolicyServer(policy_from(model, **options), ServeConfig(port=0))
    except Exception as error:  # noqa: BLE001  whatever it is, the process that waits must hear of it
        pipe.send(error)
        return
    pipe.send(server.address)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    server.serve()


def _end_with(pipe: Connection) -> None:
    """End this process with the one that waits at the other end of the pipe, also where that was killed."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(0)
