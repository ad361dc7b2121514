"""`pyramid serve`: a policy behind a socket."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    model: Annotated[Path | None, typer.Argument(help="Folder of a fitted policy.", metavar="[MODEL]")] = None,
    replay: Annotated[Path | None, typer.Option(help="Play back this data set's own actions instead.")] = None,
    protocol: Annotated[Literal["groot", "openpi"], typer.Option(help="Isaac-GR00T (ZeroMQ) or openpi.")] = "groot",
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs --token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: 5555 for groot, 8000 for openpi.")] = 0,
    token: Annotated[str, typer.Option(help="What clients must send.", envvar="PYRAMID_SERVE_TOKEN")] = "",
    head: Annotated[str, typer.Option(help="Head of the model that acts.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    horizon: Annotated[int, typer.Option(help="Steps of a chunk of --replay.")] = 16,
    execution_horizon: Annotated[int, typer.Option(help="Steps that --replay moves on by.")] = 8,
) -> None:
    """Serve a policy to clients of Isaac-GR00T N1.5, N1.6 and N1.7, or of openpi."""
    from groot.serving.server import ServeConfig
    from workflows.serving import policy_from
    from workflows.serving import serve as serve_policy

    logging.getLogger("groot").setLevel(logging.INFO)
    config = ServeConfig(host=host, port=port or {"groot": 5555, "openpi": 8000}[protocol], token=token)
    more = {"horizon": horizon, "execution_horizon": execution_horizon} if replay else {}
    policy = policy_from(model, replay=replay, head=head, device=device, **more)
    print(f"serving {policy.info.embodiment} on {config.host}:{config.port} ({protocol}); stop with Ctrl-C", flush=True)
    serve_policy(policy, config, protocol=protocol)
