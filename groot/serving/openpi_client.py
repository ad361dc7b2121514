"""A client of openpi's policy servers, ours included."""

from collections.abc import Mapping
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from groot.serving.arrays_on_the_wire import pack, unpack
from storage.errors import SchemaError, WorldError


class OpenpiClient:
    """Sends observation maps, gets action maps. `metadata` is what the server said of itself.

    Raises WorldError where no server answers, SchemaError with the server's text where it refuses.
    """

    def __init__(self, uri: str = "ws://127.0.0.1:8000", *, token: str = "", timeout_s: float = 15.0) -> None:
        self.uri, self._timeout_s = uri, timeout_s
        headers = {"Authorization": f"Api-Key {token}"} if token else {}
        try:
            self._connection: ClientConnection = connect(
                uri, compression=None, max_size=None, additional_headers=headers, open_timeout=timeout_s
            )
            self.metadata: Mapping[str, Any] = unpack(self._bytes())[0]
        except (OSError, WebSocketException) as error:
            raise WorldError(f"no openpi policy server at {uri}: {error}") from error

    def infer(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """The server's answer to one observation, with "actions" (H, D)."""
        try:
            self._connection.send(pack(dict(observation), "openpi"))
            return dict(unpack(self._bytes())[0])
        except (OSError, WebSocketException) as error:
            raise WorldError(f"the policy server at {self.uri} went away: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def _bytes(self) -> bytes:
        answer = self._connection.recv(timeout=self._timeout_s)
        if isinstance(answer, str):
            raise SchemaError(f"the policy server at {self.uri} refused: {answer}")
        return bytes(answer)
