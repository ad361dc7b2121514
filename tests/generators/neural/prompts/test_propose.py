import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from generators.neural.first_frames.reference import FirstFrame
from generators.neural.prompts.language_model import LanguageModel
from generators.neural.prompts.prompt_file import prompts_of
from generators.neural.prompts.propose import Proposal, Refused, balanced, checked, enumerate_proposals
from generators.neural.prompts.scene import Scene
from storage.errors import ConfigError, InputError, MissingFileError, WorldError

SCENE = Scene.from_json(
    {
        "objects": ["red cube", {"name": "green cube", "centre": [0.9, 0.5]}, "bowl"],
        "places": ["table"],
        "reachable": [0, 0.8],
    }
)


def test_every_proposal_is_feasible() -> None:
    proposals = enumerate_proposals(SCENE)
    prompts = [proposal.prompt for proposal in proposals]
    assert "lift the red cube" in prompts
    assert "pick up red cube from table to bowl" in prompts
    assert not any("green cube" in prompt for prompt in prompts), "it is out of reach"
    assert not any("lift the table" in prompt or "red cube on the red cube" in prompt for prompt in prompts)
    assert len(set(prompts)) == len(prompts)


def test_a_choice_is_spread_over_verbs_and_things() -> None:
    scene = Scene.from_json({"objects": ["red cube", "green cube", "blue cube"]})
    chosen = balanced(enumerate_proposals(scene, {"lift": "lift the {thing}", "push": "push the {thing}"}), 3)
    assert {proposal.thing for proposal in chosen} == {"red cube", "green cube", "blue cube"}
    assert {proposal.verb for proposal in chosen} == {"lift", "push"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("lift the red mug", "names nothing"),
        ("stack the bowl on the red cube", "changes the object"),
        ("lift the table", "cannot be moved"),
        ("lift the green cube", "out of reach"),
        ("red cube", "no verb"),
    ],
)
def test_sentences_that_change_the_scene_are_refused(said: str, reason: str) -> None:
    expected = Proposal(prompt="", verb="lift", thing="red cube") if "changes" in reason else None
    found = checked(said, SCENE, expected=expected)
    assert isinstance(found, Refused)
    assert reason in found.reason


@contextmanager
def server(answer: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_a_language_models_words_are_kept_where_they_speak_of_the_same_thing() -> None:
    asked = [Proposal(prompt=f"lift the {thing}", verb="lift", thing=thing) for thing in ("red cube", "bowl")]
    with server(json.dumps({"instructions": ["Raise the red cube.", "raise the red mug"]})) as url:
        kept, refused = LanguageModel(url=url, model="m").rephrased(asked, SCENE)
    assert [(one.prompt, one.origin) for one in kept] == [("raise the red cube", "language model")]
    assert [one.reason for one in refused] == ["names nothing that is in the picture"]


def test_an_answer_that_cannot_be_read_refuses_and_a_server_that_is_gone_is_said() -> None:
    asked = [Proposal(prompt="lift the bowl", verb="lift", thing="bowl")]
    with server("Sure! Here you are:") as url:
        kept, refused = LanguageModel(url=url, model="m").rephrased(asked, SCENE)
    assert not kept
    assert "cannot be read" in refused[0].reason
    with pytest.raises(WorldError, match="does not answer"):
        LanguageModel(url=url, model="m", timeout_s=2).rephrased(asked, SCENE)


FRAMES = [FirstFrame(sha256=text, embodiment="panda", episode=text, instruction=text) for text in ("lift a", "lift b")]


def test_prompts_are_the_frames_own_all_of_them_or_a_files(tmp_path: Path) -> None:
    assert prompts_of("own", FRAMES).of(FRAMES[1]) == [("lift b",)]
    assert prompts_of("all", FRAMES).of(FRAMES[1]) == [("lift a",), ("lift b",)]
    (tmp_path / "p.txt").write_text("lift the cube | put it down\n")
    assert prompts_of(str(tmp_path / "p.txt"), FRAMES).of(FRAMES[0]) == [("lift the cube", "put it down")]
    (tmp_path / "s.yaml").write_text("objects: [red cube]\ntemplates: {lift: 'lift the {thing}'}\n")
    assert prompts_of(str(tmp_path / "s.yaml"), FRAMES).of(FRAMES[0]) == [("lift the red cube",)]


def test_prompts_that_are_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "wrong.yaml").write_text("things: [a]\n")
    for source, error in (("nowhere.txt", MissingFileError), (str(tmp_path / "empty.txt"), InputError)):
        with pytest.raises(error):
            prompts_of(source, FRAMES)
    with pytest.raises(ConfigError, match="describes a scene by"):
        prompts_of(str(tmp_path / "wrong.yaml"), FRAMES)
    with pytest.raises(InputError, match="have no recorded instruction"):
        prompts_of("own", [FirstFrame(sha256="", embodiment="panda", image="a.png")])
