"""A client of policy servers of Isaac-GR00T N1.5, N1.6 and N1.7, ours included. It needs no torch."""

from typing import Any, Literal

import numpy as np
import zmq
from numpy.typing import NDArray

from groot.serving.arrays_on_the_wire import Form, pack, unpack
from groot.serving.groot_messages import write_observation
from groot.serving.observation import Observation, PolicyInfo
from storage.errors import SchemaError, WorldError

Version = Literal["n1.5", "n1.6", "n1.7"]
_FORMS: dict[Version, Form] = {"n1.5": "npy", "n1.6": "npy", "n1.7": "nd"}


class GrootClient:
    """Asks a server for actions; is itself a `Policy` where the server tells what it is (ours does).

    An error that the server tells is raised as SchemaError, a server that does not answer within `timeout_s` as
    WorldError; the next call tries on a new connection.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5555",
        *,
        version: Version = "n1.7",
        token: str = "",
        timeout_s: float = 15.0,
    ) -> None:
        self.address, self.version, self._token, self._timeout_s = address, version, token, timeout_s
        self._context = zmq.Context()
        self._socket: Any = None
        self._info: PolicyInfo | None = None

    @property
    def info(self) -> PolicyInfo:
        """What the policy takes and gives; only our own servers tell."""
        if self._info is None:
            self._info = PolicyInfo.from_json(self.call("get_policy_info"))
        return self._info

    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """Action part -> (H, n)."""
        flat = self.version == "n1.5"
        message = write_observation(observation, flat=flat)
        if flat:
            reply = self.call("get_action", message)
            return {part.removeprefix("action."): np.asarray(value) for part, value in reply.items()}
        reply, _ = self.call("get_action", {"observation": message, "options": {"seed": seed}})
        return {part.removeprefix("action."): np.asarray(value)[0] for part, value in reply.items()}

    def reset(self, **options: Any) -> dict[str, Any]:
        """Begin a new episode."""
        return dict(self.call("reset", {"options": options}))

    def ping(self) -> bool:
        """Whether a server answers."""
        try:
            return bool(self.call("ping")["status"] == "ok")
        except WorldError:
            return False

    def kill(self) -> None:
        """Stop the server."""
        self.call("kill")

    def call(self, endpoint: str, data: Any = None) -> Any:
        """The answer of one endpoint."""
        request = {"endpoint": endpoint}
        request |= {} if data is None else {"data": data}
        request |= {"api_token": self._token} if self._token else {}
        socket = self._connected()
        try:
            socket.send(pack(request, _FORMS[self.version]))
            answer, _ = unpack(socket.recv())
        except zmq.ZMQError as error:
            self._drop()
            raise WorldError(
                f"no answer of the policy server at {self.address} within {self._timeout_s:g} s: {error};"
                " is `pyramid serve` running there?"
            ) from error
        if isinstance(answer, dict) and "error" in answer:
            raise SchemaError(f"the policy server at {self.address} refused: {answer['error']}")
        return answer

    def close(self) -> None:
        self._drop()
        self._context.term()

    def _connected(self) -> Any:
        if self._socket is None:
            self._socket = self._context.socket(zmq.REQ)
            self._socket.setsockopt(zmq.LINGER, 0)
            for option in (zmq.RCVTIMEO, zmq.SNDTIMEO):
                self._socket.setsockopt(option, round(self._timeout_s * 1000))
            self._socket.connect(self.address)
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a client holds a connection; make one in each process")
