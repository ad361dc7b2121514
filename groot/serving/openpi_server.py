"""The same policies for openpi's clients: a WebSocket with msgpack messages.

On connecting the server sends a metadata map; then every observation map is answered with {"actions": (H, D),
"policy_timing", "server_timing"}. An error is a text frame, and the connection closes with code 1011. `/healthz` is OK.
Observation keys are "observation/<view>" (H, W, 3), "observation/<part>" (n,) and "prompt"; openpi's own names stand
for ours through `keys`.
"""

import hmac
import http
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from groot.serving.arrays_on_the_wire import pack, unpack
from groot.serving.observation import Observation, Policy
from groot.serving.server import ServeConfig
from storage.errors import PyramidError, SchemaError

log = logging.getLogger(__name__)
PREFIX = "observation/"


class OpenpiServer:
    """Serves one policy to any number of connections, one inference at a time. `keys` maps a client's names to ours."""

    def __init__(
        self, policy: Policy, config: ServeConfig | None = None, *, keys: Mapping[str, str] | None = None
    ) -> None:
        self.policy, self.config, self.keys = policy, config or ServeConfig(port=8000), dict(keys or {})
        self._one_at_a_time = threading.Lock()
        self._server: Server = serve(
            self._connection,
            self.config.host,
            self.config.port,
            compression=None,
            max_size=self.config.largest_mb << 20,
            process_request=self._before,
        )
        self.port = int(self._server.socket.getsockname()[1])

    def serve(self) -> None:
        """Answer until `stop`."""
        log.info("serving on ws://%s:%d", self.config.host, self.port)
        self._server.serve_forever()

    def stop(self) -> None:
        """Let `serve` return; may be called from any thread."""
        self._server.shutdown()

    def _before(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        told = request.headers.get("Authorization", "").removeprefix("Api-Key ")
        if self.config.token and not hmac.compare_digest(told.encode(), self.config.token.encode()):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Unauthorized: Invalid API token\n")
        return None

    def _connection(self, connection: ServerConnection) -> None:
        try:
            connection.send(pack({"policy": self.policy.info.to_json()}, "openpi"))
            before_ms: float | None = None
            for message in connection:
                began_s = time.perf_counter()
                answer = self._answer(message, before_ms)
                connection.send(answer)
                before_ms = 1000 * (time.perf_counter() - began_s)
        except ConnectionClosed:
            return
        except PyramidError as error:
            log.warning("refused a request: %s", error)
            self._refuse(connection, str(error))
        except Exception as error:
            log.exception("a request failed")
            self._refuse(connection, f"{type(error).__name__}: {error}")

    def _refuse(self, connection: ServerConnection, text: str) -> None:
        try:
            connection.send(text)
            connection.close(1011, "error in the policy; see the message before")
        except ConnectionClosed:
            return

    def _answer(self, message: str | bytes, before_ms: float | None) -> bytes:
        if isinstance(message, str):
            raise SchemaError("an observation is a binary frame with one msgpack map; got text")
        data, _ = unpack(message)
        observation = self._observation(data)
        with self._one_at_a_time:
            began_s = time.perf_counter()
            parts = self.policy.act(observation)
            infer_ms = 1000 * (time.perf_counter() - began_s)
        timing = {"infer_ms": infer_ms} | ({} if before_ms is None else {"prev_total_ms": before_ms})
        actions = np.concatenate([parts[part] for part in self.policy.info.action], axis=-1)
        return pack({"actions": actions, "policy_timing": {"infer_ms": infer_ms}, "server_timing": timing}, "openpi")

    def _observation(self, data: Any) -> Observation:
        if not isinstance(data, Mapping):
            raise SchemaError(f'an observation is a map with "{PREFIX}..." and "prompt"; got {type(data).__name__}')
        named = {self.keys.get(str(key), str(key)).removeprefix(PREFIX): value for key, value in data.items()}
        info = self.policy.info
        return Observation(
            images={view: np.asarray(named[view]) for view in info.views if view in named},
            state={part: np.atleast_1d(np.asarray(named[part])) for part in info.state if part in named},
            instruction=str(named.get("prompt", "")),
        )
