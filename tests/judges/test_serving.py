"""A real server on loopback (`transformers serve` with the starter judge), and what goes wrong on the way to one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judges.vision_language.client import RefusedError
from judges.vision_language.config import STARTER_FOLDER, ModelConfig, ServerSettings
from judges.vision_language.judge import JudgeByModel
from judges.vision_language.recaption import Recaption, RecaptionConfig
from storage.episode import Episode
from storage.errors import WorldError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import tiny_episode
from storage.verdicts.verdicts import Verdict
from tests.judges.faulty_proxy import cut, faulty, garbage, hang, status

pytestmark = pytest.mark.slow  # a server takes its time to start
RANDOM = Randomness(0, "judge_model")
SHORT = {kind: f"short_{kind}" for kind in ("instruction", "physics", "caption", "again")}
NAME = str(STARTER_FOLDER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def serving() -> Iterator[subprocess.Popen[bytes]]:
    """The server; `serving.url` is where it is."""
    command = Path(sys.executable).with_name("transformers")
    if not command.exists() and not shutil.which("transformers"):
        pytest.skip("transformers has no command line here")
    port = _free_port()
    process = subprocess.Popen(
        [str(command), "serve", NAME, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    process.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    end = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, "transformers serve ended at its start"
            assert time.monotonic() < end, "transformers serve did not start in four minutes"
            time.sleep(0.5)
    yield process
    process.kill()
    process.wait(30)


def config(url: str, tmp_path: Path, **server: Any) -> ModelConfig:
    settings = {"attempts": 3, "pause_s": 0.01, "timeout_s": 60.0, "structured": False, "key_variable": ""} | server
    return ModelConfig(
        model=NAME,
        server=ServerSettings(url=url, **settings),
        questions=("instruction",),
        prompts=SHORT,
        frames=8,
        replies=str(tmp_path / "replies"),
        longest_reply=24,
    )


def clips(count: int = 3) -> list[Episode]:
    return [tiny_episode(seed, length=10, instruction="lift the red cube") for seed in range(count)]


def judged(settings: ModelConfig, episodes: list[Episode]) -> list[Verdict]:
    judge = JudgeByModel(settings)
    found = []
    for (outcome,) in judge(episodes, RANDOM):
        assert isinstance(outcome, Kept)
        verdict = Verdict.from_json(outcome.episode.verdicts[-1])
        assert verdict is not None
        found.append(verdict)
    judge.close()
    return found


def test_a_served_model_says_what_the_same_model_says_here(serving: Any, tmp_path: Path) -> None:
    there = judged(config(f"{serving.url}/v1", tmp_path), clips())
    local = ModelConfig(model=NAME, questions=("instruction",), replies="", longest_reply=24, force=True)
    here = judged(local, clips())
    assert [verdict.reason for verdict in there] == [verdict.reason for verdict in here]
    assert all(verdict.passed is not None for verdict in there)


def test_a_served_model_captions(serving: Any, tmp_path: Path) -> None:
    failed = Verdict(judge="instruction", passed=False, score=0.0, threshold=0.5).to_json()
    settings = RecaptionConfig(model=config(f"{serving.url}/v1", tmp_path), replies=str(tmp_path / "replies"))
    ((outcome,),) = Recaption(settings)([tiny_episode(0, length=20, verdicts=(failed,))], RANDOM)
    assert isinstance(outcome, Kept) or outcome.reason in ("nothing is completed", "new caption refused")


@pytest.mark.parametrize("fault", [status(429, retry_after="0"), status(500), status(503), garbage, cut])
def test_a_fault_that_passes_costs_nothing(serving: Any, tmp_path: Path, fault: Any) -> None:
    def spoil(number: int, handler: Any) -> bool:
        if number in (1, 3):
            fault(handler)
        return number in (1, 3)

    with faulty(serving.url, spoil) as url:
        assert len(judged(config(url, tmp_path, parallel=1), clips())) == 3


@pytest.mark.parametrize("fault", [status(500), status(429, retry_after="0"), garbage, cut, hang])
def test_a_fault_that_stays_leaves_clips_unjudged_and_keeps_the_others(
    serving: Any, tmp_path: Path, fault: Any
) -> None:
    def spoil(number: int, handler: Any) -> bool:
        if number > 1:
            fault(handler)
        return number > 1

    episodes = clips()
    with faulty(serving.url, spoil) as url:
        settings = config(url, tmp_path, attempts=2, timeout_s=1.5 if fault is hang else 60.0, parallel=1)
        with pytest.raises(WorldError, match="2 of 3 questions got no reply"):
            JudgeByModel(settings)(episodes, RANDOM)
    assert len(list((tmp_path / "replies").rglob("*.json"))) == 1


def test_a_killed_server_passes_nothing(serving: Any, tmp_path: Path) -> None:
    with faulty("http://127.0.0.1:9", lambda number, handler: bool(cut(handler)) or True) as url:
        settings = config(url, tmp_path, attempts=2)
    with pytest.raises(WorldError, match="3 of 3 questions got no reply"):
        JudgeByModel(settings)(clips(), RANDOM)


def test_a_server_that_answers_as_another_model_is_refused(serving: Any, tmp_path: Path) -> None:
    def as_another(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "model": "somebody-else"}

    with (
        faulty(serving.url, lambda number, handler: False, change=as_another) as url,
        pytest.raises(RefusedError, match="answers as 'somebody-else'"),
    ):
        JudgeByModel(config(url, tmp_path))(clips(1), RANDOM)


def test_an_endless_reply_is_cut_and_is_no_verdict(serving: Any, tmp_path: Path) -> None:
    def endless(answer: dict[str, Any]) -> dict[str, Any]:
        answer["choices"][0]["message"]["content"] = '{"reason": "' + "and then " * 20000
        return answer

    with faulty(serving.url, lambda number, handler: False, change=endless) as url:
        ((outcome,),) = JudgeByModel(config(url, tmp_path))(clips(1), RANDOM)
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "unjudged"
    assert len(outcome.detail["said"]) <= 400


def test_a_wrong_key_is_no_verdict_about_any_clip(serving: Any, tmp_path: Path) -> None:
    def spoil(number: int, handler: Any) -> bool:
        status(401)(handler)
        return True

    with faulty(serving.url, spoil) as url, pytest.raises(RefusedError, match="environment variable"):
        JudgeByModel(config(url, tmp_path))(clips(1), RANDOM)


def test_a_server_that_is_paused_times_out_and_is_asked_again(serving: Any, tmp_path: Path) -> None:
    settings = config(f"{serving.url}/v1", tmp_path, attempts=1, timeout_s=1.0)
    os.kill(serving.pid, signal.SIGSTOP)
    try:
        with pytest.raises(WorldError, match="got no reply"):
            JudgeByModel(settings)(clips(1), RANDOM)
    finally:
        os.kill(serving.pid, signal.SIGCONT)
    assert len(judged(config(f"{serving.url}/v1", tmp_path), clips(1))) == 1
