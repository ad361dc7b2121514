"""The policy server: every version's messages, many clients, bad requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from groot.serving.arrays_on_the_wire import pack, unpack
from groot.serving.client import GrootClient, Version
from groot.serving.observation import Observation, PolicyInfo, checked
from groot.serving.openpi_client import OpenpiClient
from groot.serving.openpi_server import OpenpiServer
from groot.serving.server import PolicyServer, ServeConfig
from storage.errors import ConfigError, SchemaError, WorldError

INFO = PolicyInfo(
    embodiment="panda",
    views={"front": ("agentview",)},
    state={"arm": 3, "gripper": 1},
    action={"arm": 3, "gripper": 1},
    horizon=4,
    rate_hz=20.0,
)


class Echo:
    """Gives back the state, plus the seed, as the action of every step."""

    info = INFO

    def act(self, observation: Observation, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        seen = checked(observation, self.info)
        return {part: np.tile(values + seed, (4, 1)).astype(np.float32) for part, values in seen.state.items()}


def seen(value: float = 1.0) -> Observation:
    return Observation(
        images={"front": np.zeros((8, 8, 3), np.uint8)},
        state={"arm": np.full(3, value, np.float32), "gripper": np.full(1, -value, np.float32)},
        instruction="go",
    )


@contextmanager
def running(**config: Any) -> Iterator[PolicyServer]:
    server = PolicyServer(Echo(), ServeConfig(port=0, **config))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@contextmanager
def client(server: PolicyServer, version: Version = "n1.7", **options: Any) -> Iterator[GrootClient]:
    made = GrootClient(server.address, version=version, **options)
    try:
        yield made
    finally:
        made.close()


def raw(server: PolicyServer, message: bytes) -> Any:
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.connect(server.address)
    socket.send(message)
    answer, _ = unpack(socket.recv())
    socket.close()
    context.term()
    return answer


@pytest.mark.parametrize("version", ["n1.5", "n1.6", "n1.7"])
def test_clients_of_every_version_get_their_actions(version: Version) -> None:
    with running() as server, client(server, version) as asking:
        assert asking.ping()
        actions = asking.act(seen(2.0))
        assert {part: values.shape for part, values in actions.items()} == {"arm": (4, 3), "gripper": (4, 1)}
        assert np.allclose(actions["arm"], 2.0)
        assert asking.reset() == {}
        assert asking.info == INFO


def test_replies_have_the_shape_of_the_version_that_asked() -> None:
    flat = {
        "video.front": np.zeros((1, 8, 8, 3), np.uint8),
        "state.arm": np.ones((1, 3)),
        "state.gripper": np.ones((1, 1)),
        "annotation.human.action": ["go"],
    }
    nested = {
        "video": {"front": np.zeros((2, 1, 8, 8, 3), np.uint8)},
        "state": {"arm": np.ones((2, 1, 3), np.float32), "gripper": np.ones((2, 1, 1), np.float32)},
        "language": {"task": [["go"], ["stop"]]},
    }
    with running() as server:
        assert raw(server, pack({"data": flat}, "npy"))["action.arm"].shape == (4, 3)
        batched = {key: value if isinstance(value, list) else value[None] for key, value in flat.items()}
        assert raw(server, pack({"data": batched}, "npy"))["action.arm"].shape == (1, 4, 3)
        action, info = raw(server, pack({"data": {"observation": nested, "options": {"seed": 3}}}, "nd"))
        assert action["arm"].shape == (2, 4, 3)
        assert np.allclose(action["arm"][1], 1 + 4), "each sample has noise of its own"
        assert info == {}
        configs = raw(server, pack({"endpoint": "get_modality_config"}, "npy"))
        assert configs["action"]["as_json"]["delta_indices"] == [0, 1, 2, 3]


def test_bad_requests_cost_themselves_alone() -> None:
    wrong_state = {"video.front": np.zeros((1, 8, 8, 3), np.uint8), "state.arm": np.ones((1, 2))}
    bad = {
        b"junk": "msgpack",
        pack([1, 2], "npy"): "a request is a map",
        pack({"endpoint": "get_acton"}, "npy"): "get_action",
        pack({"data": None}, "npy"): "an observation is a map",
        pack({"data": {"pixels": 3}}, "npy"): "video.front",
        pack({"data": wrong_state}, "npy"): "gripper",
        pack({"data": {"video.front": np.zeros((8, 8, 3), np.uint8)}}, "npy"): "uint8",
        pack({"data": {"observation": 3}}, "nd"): "an observation is a map",
    }
    with running() as server, client(server) as asking:
        for message, text in bad.items():
            assert text in raw(server, message)["error"]
            assert np.allclose(asking.act(seen())["arm"], 1.0), "others go on"
        with pytest.raises(SchemaError, match="lacks the state parts"):
            asking.act(Observation(images=seen().images, state={"arm": np.ones(3)}))


def test_a_client_that_goes_away_and_one_that_is_no_req_socket_hurt_nobody() -> None:
    with running() as server, client(server) as asking:
        context = zmq.Context()
        for kind, parts in ((zmq.REQ, [pack({"endpoint": "ping"}, "npy")]), (zmq.DEALER, [b"a", b"b", b"c"])):
            socket = context.socket(kind)
            socket.connect(server.address)
            socket.send_multipart(parts)
            socket.close(linger=0)
        context.term()
        assert asking.ping()


def test_eight_clients_at_once_each_get_their_own_answer() -> None:
    wrong: list[float] = []
    with running() as server:

        def ask(value: float) -> None:
            with client(server) as asking:
                for _ in range(5):
                    if not np.allclose(asking.act(seen(value))["arm"], value):
                        wrong.append(value)

        threads = [threading.Thread(target=ask, args=(float(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_token_is_asked_for_and_needed_where_others_can_listen() -> None:
    with running(token="secret") as server:
        with client(server, token="secret") as asking:
            assert asking.ping()
        with client(server, token="guess") as asking, pytest.raises(SchemaError, match="Unauthorized"):
            asking.act(seen())
    with pytest.raises(ConfigError, match="--token"):
        ServeConfig(host="0.0.0.0")


def test_a_kill_stops_the_server_and_silence_is_an_error() -> None:
    server = PolicyServer(Echo(), ServeConfig(port=0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    with client(server, timeout_s=1.0) as asking:
        asking.kill()
        thread.join(timeout=10)
        assert not thread.is_alive()
        with pytest.raises(WorldError, match="no answer"):
            asking.act(seen())


def test_openpi_clients_get_chunks_and_clear_refusals() -> None:
    server = OpenpiServer(Echo(), ServeConfig(port=0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        uri = f"ws://127.0.0.1:{server.port}"
        asking = OpenpiClient(uri)
        assert asking.metadata["policy"]["embodiment"] == "panda"
        message = {
            "observation/front": np.zeros((8, 8, 3), np.uint8),
            "observation/arm": np.ones(3),
            "observation/gripper": np.ones(1),
            "prompt": "go",
        }
        answer = asking.infer(message)
        assert answer["actions"].shape == (4, 4)
        assert "prev_total_ms" in asking.infer(message)["server_timing"]
        with pytest.raises(SchemaError, match="lacks the state parts"):
            asking.infer({"observation/front": message["observation/front"]})
        asking.close()
        other = OpenpiClient(uri)
        assert other.infer(message)["actions"].shape == (4, 4), "one client's error costs its own connection"
        other.close()
    finally:
        server.stop()
        thread.join()
