"""The plan: an immutable list of units of work. It is written before anything runs and never derived again.

A job has one plan file for each round (`plan/<job>-<round>.parquet`); what is to do is the plan minus the manifests.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from storage.atomic_files import write_once
from storage.datasets.unit_paths import SHARDS
from storage.errors import AlreadyWrittenError, ConfigError, CorruptFileError
from storage.ids import canonical_json
from storage.seals import KEY, PLACEHOLDER, check_seal, sealed

FOLDER = "plan"
JOB_NAME = re.compile(r"[a-z0-9][a-z0-9_.]*(-[a-z0-9_.]+)*")
_PLAN_FILE = re.compile(r"(?P<job>.+)-(?P<round>\d{3,})\.parquet")
_SCHEMA = pyarrow.schema(
    [
        ("unit_id", pyarrow.string()),
        ("job", pyarrow.string()),
        ("round", pyarrow.int32()),
        ("sink", pyarrow.string()),
        ("seed", pyarrow.int64()),
        ("config_hash", pyarrow.string()),
        ("items", pyarrow.large_string()),
        ("inputs", pyarrow.large_string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class WorkUnit:
    """The unit of work, of retry and of resume: what becomes one shard (or one sidecar of one).

    `items` are the JSON objects that the source stage takes, `inputs` maps the name of an input to the hash of its
    content, `config_hash` covers the stages, their versions and their settings.
    """

    unit_id: str
    job: str
    items: tuple[Mapping[str, Any], ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    config_hash: str
    sink: str = SHARDS
    round: int = 0

    def to_text(self) -> str:
        return canonical_json(self)

    @classmethod
    def from_text(cls, text: str) -> "WorkUnit":
        """The inverse of `to_text`."""
        values = json.loads(text)
        return cls(**{**values, "items": tuple(values["items"])})


def plan_path(root: Path, job: str, round_number: int = 0) -> Path:
    """The file that holds one round of a job's plan."""
    return root / FOLDER / f"{job}-{round_number:03d}.parquet"


def check_job_name(name: str) -> str:
    """`name`, when it can name a job; raises ConfigError."""
    if not JOB_NAME.fullmatch(name) or re.search(r"-\d{3,}$", name):
        raise ConfigError(
            f"a job is named in lower case letters, digits, '_', '.' and '-', and does not end in a round's number"
            f" such as -000; got {name!r}"
        )
    return name


def write_plan(root: Path, units: Sequence[WorkUnit]) -> Path:
    """Write one round of one job's plan. Writing the same again is fine, another plan raises AlreadyWrittenError."""
    ids = [unit.unit_id for unit in units]
    rounds = {(unit.job, unit.round) for unit in units}
    if len(rounds) != 1 or len(set(ids)) != len(ids):
        raise ConfigError(f"a plan holds one round of one job and each unit once; got rounds {sorted(rounds)}")
    ((job, round_number),) = rounds
    path = plan_path(root, check_job_name(job), round_number)
    rows = {name: [_cell(unit, name) for unit in units] for name in _SCHEMA.names}
    buffer = io.BytesIO()
    table = pyarrow.table(rows, schema=_SCHEMA.with_metadata({KEY: PLACEHOLDER}))
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    if not write_once(path, sealed(buffer.getvalue(), last=True)) and read_plan(path) != tuple(units):
        raise AlreadyWrittenError(f"{path} holds another plan; a plan never changes, so give the job a new name")
    return path


def _cell(unit: WorkUnit, name: str) -> Any:
    value = getattr(unit, name)
    return canonical_json(value) if name in ("items", "inputs") else value


def read_plan(path: Path) -> tuple[WorkUnit, ...]:
    """The units of one plan file, in order; raises CorruptFileError."""
    content = path.read_bytes()
    try:
        # read_table would import pandas.
        with pyarrow.parquet.ParquetFile(io.BytesIO(content)) as file:
            table = file.read(use_threads=False)
        if table.schema.metadata:  # plans of older programs have none
            check_seal(content, path, last=True)
        return tuple(_unit(row) for row in table.select(_SCHEMA.names).to_pylist())
    except CorruptFileError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(f"{path} is not a readable plan: {error}") from error


def read_unit_ids(path: Path) -> tuple[str, ...]:
    """The ids of the units of one plan file, in order, without their items; raises CorruptFileError."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            return tuple(file.read(columns=["unit_id"], use_threads=False)["unit_id"].to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        raise CorruptFileError(f"{path} is not a readable plan: {error}") from error


def _unit(row: Mapping[str, Any]) -> WorkUnit:
    return WorkUnit(**{**row, "items": tuple(json.loads(row["items"])), "inputs": json.loads(row["inputs"])})


def plan_files(root: Path, job: str | None = None) -> list[Path]:
    """The plan files of `job`, or of all jobs, by name and round."""
    files: list[tuple[str, int, Path]] = []
    for path in (root / FOLDER).glob("*.parquet"):
        match = _PLAN_FILE.fullmatch(path.name)
        if match and job in (None, match["job"]):
            files.append((match["job"], int(match["round"]), path))
    return [path for _, _, path in sorted(files)]


def read_plans(root: Path, job: str | None = None) -> tuple[WorkUnit, ...]:
    """All units of `job`, or of all jobs, round by round."""
    return tuple(unit for path in plan_files(root, job) for unit in read_plan(path))
