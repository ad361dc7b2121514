"""Drivers and nodes that vanish."""

import json
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.job import Policy
from pipelines.run_job import status
from pipelines.testing.chaos_job import Chaos
from pipelines.testing.tiny_jobs import check_run, content_of
from storage.datasets.unit_paths import Sink

pytestmark = pytest.mark.slow

Drive = Callable[[Path, Chaos], subprocess.Popen[str]]
Undisturbed = Callable[[Chaos], dict[str, str]]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_driver_killed_three_times_is_resumed_from_the_folder_alone(
    tmp_path: Path, drive: Drive, undisturbed: Undisturbed, engine: str
) -> None:
    root = tmp_path / "data"
    chaos = Chaos(wild={"pause_s": 0.2}, units=24, engine=engine, workers=2 if engine == "ray" else None)
    for number in range(3):
        driver = drive(root, replace(chaos, resume=number > 0))
        _wait_for_commits(root, driver, more=4)
        driver.kill()
        driver.wait()
        (state,) = status(root)
        assert state.tally.open_units > 0
        check_run(root, ended=False)
    last = drive(root, replace(chaos, resume=True))
    said, errors = last.communicate(timeout=300)
    assert last.returncode == 0, said + errors
    check_run(root)
    assert content_of(root) == undisturbed(chaos)


def test_a_node_that_is_lost_takes_no_unit_with_it(tmp_path: Path, drive: Drive, undisturbed: Undisturbed) -> None:
    from ray.cluster_utils import Cluster

    root = tmp_path / "data"
    store = {"object_store_memory": 100 * 1024**2}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **store})
    try:
        doomed = cluster.add_node(num_cpus=1, **store)
        cluster.wait_for_nodes()
        chaos = Chaos(wild={"pause_s": 0.5}, units=24, engine="ray", address=cluster.address)
        driver = drive(root, chaos)
        _wait_for_commits(root, driver, more=6)
        cluster.remove_node(doomed, allow_graceful=False)
        said, errors = driver.communicate(timeout=400)
    finally:
        cluster.shutdown()
    assert driver.returncode == 0, said + errors
    check_run(root)
    assert not Sink(root).dead()
    assert content_of(root) == undisturbed(chaos)


def test_a_cluster_behind_a_client_address_does_the_same(
    tmp_path: Path, drive: Drive, undisturbed: Undisturbed
) -> None:
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = {"num_cpus": 2, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args={**head, "object_store_memory": 150 * 1024**2})
    try:
        policy = Policy(attempts=2, max_failed_fraction=0.5)
        wild = {"fault": "kill", "seeds": [3]}
        chaos = Chaos(wild=wild, policy=policy, engine="ray", address=f"ray://127.0.0.1:{port}")
        driver = drive(tmp_path / "data", chaos)
        said, errors = driver.communicate(timeout=400)
    finally:
        cluster.shutdown()
    assert driver.returncode == 0, said + errors
    check_run(tmp_path / "data")
    (letter,) = json.loads(said)[0]["dead_letters"]
    expected = undisturbed(chaos)
    del expected[f"shards/{letter['unit_id']}"]
    assert content_of(tmp_path / "data") == expected


def _wait_for_commits(root: Path, driver: subprocess.Popen[str], *, more: int) -> None:
    wanted = len(Sink(root).committed()) + more
    deadline = time.monotonic() + 180
    while len(Sink(root).committed()) < wanted:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline, f"no progress; committed {len(Sink(root).committed())}"
        time.sleep(0.05)
