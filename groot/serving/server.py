"""A policy behind a ZeroMQ socket, in the shape that users of Isaac-GR00T know.

A request is one msgpack map: "endpoint" (default "get_action"), "data", "api_token". Endpoints: ping, kill,
get_modality_config, get_action, reset. The reply to N1.5's get_action is the action map, to later ones [action, info];
arrays come back in the form they came in. Anything wrong is answered with {"error": text} and costs that request only.
"""

import hmac
import ipaddress
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq

from groot.serving.arrays_on_the_wire import Form, pack, unpack
from groot.serving.groot_messages import modality_configs, read_observation, reply
from groot.serving.observation import Policy
from storage.errors import ConfigError, InputError, PyramidError, SchemaError, UnknownNameError

log = logging.getLogger(__name__)
_POLL_MS = 100


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Where to listen. Anything but this machine (loopback) needs a `token`, which every request must then carry.
    Port 0 takes a free one. Messages above `largest_mb` are refused."""

    host: str = "127.0.0.1"
    port: int = 5555
    token: str = ""
    largest_mb: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536 or self.largest_mb < 1:
            raise ConfigError(f"a port is 0..65535 and largest_mb at least 1; got {self.port}, {self.largest_mb}")
        if not self.token and not is_loopback(self.host):
            raise ConfigError(
                f"serving on {self.host}, where others can reach it, needs a token (--token); without one only"
                " 127.0.0.1 is served"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PolicyServer:
    """Answers one request at a time, whoever it is from; `serve` returns when it is asked to stop.

    A ROUTER socket: a client that goes away, or that sends what is no request, leaves nothing behind.
    """

    def __init__(self, policy: Policy, config: ServeConfig | None = None) -> None:
        self.policy, self.config = policy, config or ServeConfig()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, self.config.largest_mb << 20)
        try:
            if self.config.port:
                self._socket.bind(f"tcp://{self.config.host}:{self.config.port}")
                self.port = self.config.port
            else:
                self.port = self._socket.bind_to_random_port(f"tcp://{self.config.host}")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise ConfigError(
                f"cannot listen on {self.config.host}:{self.config.port}: {error}; choose another --port"
            ) from error
        self._stop = threading.Event()
        self._endpoints: Mapping[str, Callable[[Any, Form], Any]] = {
            "ping": lambda data, form: {"status": "ok", "message": "Server is running"},
            "kill": self._kill,
            "get_modality_config": self._modality_config,
            "get_action": self._get_action,
            "reset": self._reset,
            "get_policy_info": lambda data, form: self.policy.info.to_json(),
        }

    @property
    def address(self) -> str:
        return f"tcp://{self.config.host}:{self.port}"

    def serve(self) -> None:
        """Answer requests until `stop` or a client's kill."""
        log.info("serving on %s", self.address)
        try:
            while not self._stop.is_set():
                if self._socket.poll(_POLL_MS):
                    self._answer(self._socket.recv_multipart())
        finally:
            self._socket.close(linger=500)
            self._context.term()

    def stop(self) -> None:
        """Let `serve` return; may be called from any thread."""
        self._stop.set()

    def _answer(self, frames: list[bytes]) -> None:
        # A REQ client sends [its id, empty, message]; what looks otherwise has nobody to answer to in this pattern.
        if len(frames) != 3 or frames[1]:
            log.warning("a message of %d parts was dropped: expected one part from a REQ socket", len(frames))
            return
        self._socket.send_multipart([frames[0], b"", self.answer(frames[2])])

    def answer(self, message: bytes) -> bytes:
        """The reply to one message."""
        form: Form = "npy"
        try:
            request, came = unpack(message)
            form = came or form
            return pack(self._dispatch(request, form), form)
        except PyramidError as error:
            log.warning("refused a request: %s", error)
            return pack({"error": str(error)}, form)
        except Exception as error:
            log.exception("a request failed")
            return pack({"error": f"{type(error).__name__}: {error}"}, form)

    def _dispatch(self, request: Any, form: Form) -> Any:
        if not isinstance(request, Mapping):
            raise SchemaError(f'a request is a map with "endpoint" and "data"; got {type(request).__name__}')
        if self.config.token and not hmac.compare_digest(
            str(request.get("api_token") or "").encode(), self.config.token.encode()
        ):
            raise InputError("Unauthorized: Invalid API token")
        endpoint = request.get("endpoint", "get_action")
        if endpoint not in self._endpoints:
            raise UnknownNameError.among("endpoint", str(endpoint), self._endpoints)
        return self._endpoints[endpoint](request.get("data"), form)

    def _kill(self, data: Any, form: Form) -> None:
        self._stop.set()

    def _get_action(self, data: Any, form: Form) -> Any:
        later = isinstance(data, Mapping) and "observation" in data
        options = (data.get("options") or {}) if later else {}
        request = read_observation(data["observation"] if later else data)
        seed = int(options.get("seed", 0))
        actions = [
            self.policy.act(observation, seed=seed + row) for row, observation in enumerate(request.observations)
        ]
        told = reply(request, actions)
        return [told, dict(getattr(self.policy, "step_info", {}))] if later else told

    def _reset(self, data: Any, form: Form) -> Any:
        reset = getattr(self.policy, "reset", None)
        options = (data or {}).get("options") or {}
        return dict(reset(**options) or {}) if reset else {}

    def _modality_config(self, data: Any, form: Form) -> Any:
        configs = modality_configs(self.policy.info)
        marker = "__ModalityConfig__" if form == "nd" else "__ModalityConfig_class__"
        return {name: {marker: True, "as_json": config} for name, config in configs.items()}
