"""CONTRIBUTING's table is followed as a stranger would: only what a row names is touched, and the addition works."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmarks", "generators", "groot", "idm", "judges", "lapa", "pipelines", "storage", "workflows")
TABLE = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| ")][2:]


def touched_by(what: str) -> list[str]:
    """The paths that the row about `what` names as those to touch."""
    (line,) = [line for line in TABLE if line.startswith(f"| {what}")]
    return re.findall(r"`([\w/.]+\.\w+)`", line.strip("| ").split(" | ")[2])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code, without weights."""
    for package in PACKAGES:
        heavy = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.npz", "*.png", "*.jpg")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=heavy)
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def add(copy: Path, what: str, *, files: Mapping[str, str], lines: Mapping[str, tuple[str, str]]) -> None:
    """Write new `files`, and put lines before a place in those that are there: path -> (place, lines). Every path must
    be one that the row of the table names."""
    named = touched_by(what)
    for path in (*files, *lines):
        wild = [re.escape(one).replace("NAME", r"\w+").replace("FOLDER", r"[\w/]+") for one in named]
        assert any(re.fullmatch(one, path) for one in wild), f"{path} is not named by the row about {what}: {named}"
    for path, text in files.items():
        assert not (copy / path).exists()
        (copy / path).write_text(text)
    for path, (place, new) in lines.items():
        old = (copy / path).read_text()
        assert old.count(place) == 1, f"{place!r} is {old.count(place)} times in {path}"
        (copy / path).write_text(old.replace(place, new + place))


def run(copy: Path, program: str, *words: str) -> str:
    command = [sys.executable, "-c", program, *words]
    here = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=copy, env=here)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_that_the_table_names_is_there() -> None:
    for line in TABLE:
        for path in re.findall(r"`([\w/.]+\.\w+)`", line):
            if "NAME" not in path:
                assert (ROOT / path).exists(), f"{path} is named and is not there"


def test_lengths_of_models_are_what_they_are_said_to_be() -> None:
    for line in TABLE:
        for path, said in re.findall(r"`([\w/.]+\.py)` \((\d+)", line):
            length = len((ROOT / path).read_text().splitlines())
            assert abs(length - int(said)) <= 10, f"{path} has {length} lines, not {said}"


def test_an_embodiment_is_one_declaration(copy: Path) -> None:
    new = """MY_ARM = register(
    Embodiment(
        name="my_arm",
        description="an arm of mine",
        state=Layout(parts=(Part(name="joints", size=5, quantity="joint", unit="rad"),)),
        action=Layout(parts=(Part(name="joints", size=5, quantity="joint", unit="rad"),)),
    )
)

"""
    place = "SHIPPED: frozenset[str]"
    add(copy, "an embodiment", files={}, lines={"storage/embodiment.py": (place, new)})
    run(
        copy,
        "from storage.testing import tiny_dataset; from pathlib import Path\n"
        "data = tiny_dataset(Path('data'), embodiment='my_arm')\n"
        "assert next(data.episodes()).arrays['state'].shape[1] == 5",
    )


def test_a_stage_is_a_file_and_a_row(copy: Path) -> None:
    model = (copy / "pipelines/stages/where.py").read_text()
    new = """    "long_enough": Stage(
        call="pipelines.stages.long_enough:Where",
        config="pipelines.stages.long_enough:WhereConfig",
    ),
"""
    place = '    "where": Stage('
    files = {"pipelines/stages/long_enough.py": model}
    add(copy, "a stage", files=files, lines={"pipelines/catalog.py": (place, new)})
    run(
        copy,
        "from pipelines.catalog import CATALOG; from storage.testing import tiny_episode\n"
        "from pipelines.testing.stage_contract import check_row, check_stage\n"
        "check_row('long_enough', CATALOG['long_enough'])\n"
        "check_stage(CATALOG['long_enough'], {'condition': 'length > 5'}, [tiny_episode(seed) for seed in range(3)])",
    )


_CSV_FORMAT = '''"""Folders of CSV files: one file an episode, columns q0.. and a0.., a row a step, 10 Hz."""

from contextlib import contextmanager

import numpy as np

from storage.formats.mapping.column_map import Piece
from storage.formats.streams.importer import StreamFormat
from storage.formats.streams.stream import Recording, Ref, array_stream


def _refs(root, config):
    return [Ref(name=path.name, files=(path.name,), place={"file": path.name}) for path in sorted(root.glob("*.csv"))]


@contextmanager
def _opened(root, ref, config):
    rows = np.loadtxt(root / ref.place["file"], delimiter=",", skiprows=1, dtype=np.float32)
    streams = {"q": array_stream("q", rows[:, :3]), "a": array_stream("a", rows[:, 3:])}
    yield Recording(
        streams=streams, length=len(rows), rate_hz=10.0, state=(Piece(column="q"),), action=(Piece(column="a"),)
    )


CSV = StreamFormat(name="csv", refs=_refs, opened=_opened)
'''


def test_a_foreign_format_is_a_file_and_three_rows(copy: Path) -> None:
    lines = {
        "storage/formats/import_stage.py": (
            "\n\n_LARGE_MEGABYTES",
            "\nfrom storage.formats.streams.csv_files import CSV\n\n"
            "FORMATS = {**FORMATS, CSV.name: (partial(list_streams, CSV), partial(read_streams, CSV),"
            " partial(stream_fates, CSV))}\n",
        ),
        "storage/formats/detect.py": ('    "agibot": lambda', '    "csv": lambda path: any(path.glob("*.csv")),\n'),
        "storage/formats/import_item.py": ('"lerobot", "robomimic"', '"csv", '),
    }
    files = {"storage/formats/streams/csv_files.py": _CSV_FORMAT}
    add(copy, "a foreign format", files=files, lines=lines)
    run(
        copy,
        "from pathlib import Path; import numpy as np\n"
        "Path('mine').mkdir()\n"
        "for n in range(2):\n"
        "    np.savetxt(f'mine/{n}.csv', np.random.default_rng(n).normal(size=(6, 5)), delimiter=',', header='q,a')\n"
        "from workflows.recipes.run_context import RunContext\n"
        "from workflows.steps.import_data import STEP, ImportStep\n"
        "print(STEP.run(RunContext(root=Path('data')), ImportStep(path='mine')))\n"
        "from storage.datasets.dataset import Dataset\n"
        "assert [e.arrays['state'].shape for e in Dataset.open(Path('data')).episodes()] == [(6, 3)] * 2",
    )


def test_a_benchmark_is_a_module_with_run(copy: Path) -> None:
    text = """from benchmarks.measure import result

def run(quick: bool) -> dict:
    return result({"answer": 42.0}, {"answer": {"at_least": 40}})
"""
    add(copy, "a benchmark", files={"benchmarks/storage/answer.py": text}, lines={})
    program = "import sys; from benchmarks.__main__ import main; sys.exit(main(sys.argv[1:]))"
    assert "storage_answer" in run(copy, program, "--list").split()
    assert '"holds": true' in run(copy, program, "storage_answer", "--quick")


def test_a_task_is_a_file_and_a_row(copy: Path) -> None:
    model = (copy / "generators/simulation/tasks/lift.py").read_text()
    model = model.replace('name="lift",\n    env', 'name="my_lift",\n    env')
    lines = {
        "generators/simulation/task/registry.py": (
            '    "generators.simulation.tasks.lift",\n',
            '    "generators.simulation.tasks.my_lift",\n',
        )
    }
    add(copy, "a simulation task", files={"generators/simulation/tasks/my_lift.py": model}, lines=lines)
    run(
        copy,
        "from generators.simulation.task.registry import find_task; from pathlib import Path\n"
        "assert find_task('my_lift').instruction == 'lift the red cube'\n"
        "from workflows.recipes.run_context import RunContext\n"
        "from workflows.steps.generate import STEP, GenerateStep\n"
        "step = GenerateStep(task='my_lift', keep=1, size_px=0)\n"
        "print(STEP.run(RunContext(root=Path('data')), step))",
    )
