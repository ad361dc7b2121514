"""`pyramid review`: the review page on a port of this machine."""

import ipaddress
import secrets
import socket
from pathlib import Path

import uvicorn

from storage.errors import WorldError
from workflows.review.app import make_app
from workflows.review.clips import Gallery


def serve_review(dataset: Path, *, selection: str, host: str, port: int) -> None:
    """Serve the page until it is stopped (Ctrl-C). Away from loopback the address carries a token."""
    gallery = Gallery(dataset, selection)
    token = "" if is_loopback(host) else secrets.token_urlsafe(16)
    listener = listening(host, port)
    shown = f"http://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}/"
    print(f"review of {dataset}: {shown}{f'?token={token}' if token else ''} (Ctrl-C ends it)", flush=True)
    server = uvicorn.Server(uvicorn.Config(make_app(gallery, token=token), log_level="warning"))
    server.run(sockets=[listener])
    print(f"decisions are in {dataset / 'reviews' / 'decisions.jsonl'}; `pyramid data select {dataset}` takes them in")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; raises WorldError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WorldError(f"cannot listen at {host}:{port}: {error.strerror}; choose another --port (0: any)") from error
    listener.listen(64)
    return listener
