"""A proxy in front of a real model server that spoils some answers on their way: the faults that servers have."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Spoil = Callable[[int, BaseHTTPRequestHandler], bool]
"""Called with the number of the request; answers it and returns True, or leaves it to the real server."""


@contextmanager
def faulty(target: str, spoil: Spoil, *, change: Callable[[dict[str, Any]], Any] | None = None) -> Iterator[str]:
    """The URL of a proxy to `target` that spoils requests; `change` alters the answers that come from the server."""
    count, lock = [0], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with lock:
                count[0] += 1
                number = count[0]
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if spoil(number, self):
                return
            request = urllib.request.Request(
                target + self.path, data=body, headers={"content-type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    content = answer.read()
                status = 200
            except urllib.error.HTTPError as error:
                content, status = error.read(), error.code
            if change and status == 200:
                content = json.dumps(change(json.loads(content))).encode()
            send(self, status, content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    """Answer a request."""
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(content)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    with suppress(BrokenPipeError, ConnectionResetError):
        handler.wfile.write(content)


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An error of a server."""
    return lambda handler: send(handler, code, b'{"error": {"message": "not now"}}', **headers)


def garbage(handler: BaseHTTPRequestHandler) -> None:
    """An answer that is no JSON."""
    send(handler, 200, b'{"choices": [{"mess')


def hang(handler: BaseHTTPRequestHandler) -> None:
    """No answer for longer than anybody waits."""
    time.sleep(4.0)


def cut(handler: BaseHTTPRequestHandler) -> None:
    """A connection that ends in the middle."""
    handler.connection.close()
