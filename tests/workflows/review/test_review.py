"""The review page: what people decide is on the disk, outlives a kill, and counts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from storage.datasets.dataset import Dataset
from storage.testing import tiny_episode, write_unit
from storage.verdicts.reviews import Decision, append_decision, decisions_of
from storage.verdicts.selection import SelectionPolicy, make_selection, write_selection
from storage.verdicts.verdicts import Verdict
from tests.workflows.review.web_driver import browser
from workflows.datasets.selecting import select_episodes
from workflows.judging.judge_calibration import calibrate_judge, cases_of
from workflows.review.app import make_app
from workflows.review.clips import Gallery


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four clips whose judge says 0.1, 0.45, 0.6 and 0.95 and wants 0.5."""
    root = tmp_path / "data"
    Dataset.create(root, name="clips")
    episodes = []
    for seed, score in enumerate((0.1, 0.45, 0.6, 0.95)):
        verdict = Verdict(judge="instruction", passed=score >= 0.5, score=score, threshold=0.5, reason="said so")
        episodes.append(
            tiny_episode(seed, length=10, rate_hz=5.0, instruction=f"lift disc {seed}", verdicts=(verdict.to_json(),))
        )
    write_unit(root, episodes)
    write_selection(root, make_selection(root, "good"))
    return root


@pytest.fixture
def page(data: Path) -> Iterator[TestClient]:
    with TestClient(make_app(Gallery(data, "good"))) as client:
        yield client


def test_clips_come_most_uncertain_first(page: TestClient) -> None:
    clips = page.get("/clips").json()["clips"]
    assert [clip["instruction"] for clip in clips] == ["lift disc 1", "lift disc 2", "lift disc 0", "lift disc 3"]
    assert [clip["state"] for clip in clips] == ["rejected", "kept", "rejected", "kept"]


def test_a_clip_plays_as_mp4(page: TestClient) -> None:
    first = page.get("/clips").json()["clips"][0]["episode_id"]
    video = page.get(f"/clips/{first}.mp4")
    assert video.headers["content-type"] == "video/mp4"
    assert b"ftyp" in video.content[:16]
    assert page.get("/clips/nobody.mp4").status_code == 404


def test_a_decision_is_on_the_disk_when_it_is_confirmed(page: TestClient, data: Path) -> None:
    first = page.get("/clips").json()["clips"][0]["episode_id"]
    assert page.post("/decisions", json={"episode_id": first, "accept": True}).json() == {"saved": first}
    assert decisions_of(data)[first].accept is True
    assert decisions_of(data)[first].judges["instruction"]["score"] == 0.45


def test_a_decision_outweighs_the_judge_in_the_next_selection(page: TestClient, data: Path) -> None:
    first = page.get("/clips").json()["clips"][0]["episode_id"]
    page.post("/decisions", json={"episode_id": first, "accept": True})
    assert first in select_episodes(data, "good", SelectionPolicy()).episodes


def test_an_edited_caption_reaches_the_readers_of_the_next_selection(page: TestClient, data: Path) -> None:
    kept = [clip for clip in page.get("/clips").json()["clips"] if clip["state"] == "kept"]
    name = kept[0]["episode_id"]
    page.post("/decisions", json={"episode_id": name, "caption": "first edit"})
    select_episodes(data, "good", SelectionPolicy())
    page.post("/decisions", json={"episode_id": name, "caption": "second edit"})
    select_episodes(data, "good", SelectionPolicy())
    episode = Dataset.open(data, selection="good").episode(name)
    assert episode.instruction == "second edit"
    assert episode.original_instruction == kept[0]["instruction"]


def test_decisions_calibrate_the_judge(page: TestClient, data: Path) -> None:
    for clip, accept in zip(page.get("/clips").json()["clips"], (True, True, False, True), strict=True):
        page.post("/decisions", json={"episode_id": clip["episode_id"], "accept": accept})
    cases = cases_of(data, judge="instruction", truth="people")
    assert sorted((case.score, case.right) for case in cases) == [(0.1, False), (0.45, True), (0.6, True), (0.95, True)]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"episode_id": "nobody", "accept": True}, 404),
        ({"accept": True}, 422),
        ({"episode_id": "x", "acept": True}, 422),
    ],
)
def test_what_is_no_decision_is_refused(page: TestClient, data: Path, body: dict[str, object], status: int) -> None:
    assert page.post("/decisions", json=body).status_code == status
    assert decisions_of(data) == {}


def test_away_from_loopback_nothing_is_answered_without_the_token(data: Path) -> None:
    with TestClient(make_app(Gallery(data, "good"), token="secret")) as client:
        assert client.get("/clips").status_code == 403
        assert client.get("/clips?token=wrong").status_code == 403
        assert client.get("/clips?token=secret").status_code == 200
        assert client.get("/clips").status_code == 200, "the cookie carries it from there on"


def test_another_name_for_this_machine_is_not_answered(page: TestClient) -> None:
    assert page.get("/clips", headers={"host": "evil.example"}).status_code == 403


def test_a_person_reviews_in_a_browser_and_nothing_is_lost_by_a_kill(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workflows", "review", str(data), "--port", "0"]
    with browser() as view:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            assert server.stdout is not None
            url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
            view.open(url)
            view.until("document.querySelectorAll('#list button').length === 4")
            view.until("Number(document.body.dataset.playable) > 0")
            first = view.script("return document.body.dataset.shown")
            view.type("body", "a")
            view.until("document.body.dataset.decided === '1'")
            view.type("body", "r")
            view.until("document.body.dataset.decided === '2'")
            view.type("body", "e")
            view.type("#caption", " again\n")
            view.until("document.body.dataset.decided === '3'")
            view.picture(Path(os.environ.get("REVIEW_PICTURE", tmp_path / "review.png")))
        finally:
            server.kill()
            server.wait(20)
    found = decisions_of(data)
    assert found[first].accept is True
    assert sorted(str(each.accept) for each in found.values()) == ["False", "None", "True"]
    assert any(each.caption == "lift disc 0 again" for each in found.values())


def test_the_threshold_of_a_judge_that_wants_low_scores_is_in_its_own_unit(tmp_path: Path) -> None:
    root = tmp_path / "data"
    Dataset.create(root, name="clips")
    episodes = [
        tiny_episode(
            seed,
            length=10,
            verdicts=(Verdict(judge="shake", passed=True, score=score, threshold=9.0, better="lower").to_json(),),
        )
        for seed, score in enumerate((1.0, 2.0, 3.0, 4.0))
    ]
    write_unit(root, episodes)
    for episode, accept in zip(episodes, (True, True, False, False), strict=True):
        append_decision(root, Decision(episode_id=episode.episode_id, accept=accept))
    told = calibrate_judge(root, judge="shake", truth="people", precision=0.95, output=tmp_path / "shake.json")
    assert told.endswith("--threshold shake=2")
