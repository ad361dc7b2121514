"""Whether every stage of a job will find what it reads, known before anything runs."""

from collections.abc import Iterable, Sequence

from pipelines.catalog import stages
from pipelines.stage import Stage
from storage.errors import ConfigError, UnknownNameError
from storage.fields import FIELDS, covers, field_of

ALWAYS = frozenset({"instruction", "provenance"})
"""What every episode has, if only empty."""


def check_fields(job: str, chain: Sequence[tuple[str, Stage]], provides: frozenset[str]) -> None:
    """Raise ConfigError when a stage of `chain` reads what nobody before it writes, naming who would have had to.

    `provides`, when not empty, stands for what the source writes.
    """
    for name, stage in chain:
        _check_names(name, stage.reads | stage.writes)
    (source, first), *rest = chain
    if not first.source or any(stage.source for _, stage in rest):
        sources = [name for name, stage in chain if stage.source]
        raise ConfigError(
            f"job {job!r}: the first stage, and no other, is a source; the sources here are {sources or 'none'},"
            f" the first stage is {source!r}"
        )
    there = ALWAYS | (provides or first.writes)
    for name, stage in rest:
        for needed in sorted(stage.reads):
            if not any(gives(written, needed) for written in there):
                raise ConfigError(_missing(job, name, needed=needed, there=there))
        there |= stage.writes


def gives(written: str, needed: str) -> bool:
    """Whether what one stage writes ("video/front") serves what another reads ("video")."""
    return covers(needed, written) or covers(written, needed)


def _check_names(stage: str, names: Iterable[str]) -> None:
    known = {row.name for row in FIELDS} | {"video", "action"}
    for name in names:
        if name not in known:
            try:
                field_of(name)
            except UnknownNameError as error:
                raise ConfigError(f"stage {stage!r} declares a field that does not exist: {error}") from None


def _missing(job: str, stage: str, *, needed: str, there: Iterable[str]) -> str:
    writers = sorted(
        name for name, row in stages().items() if name != stage and any(gives(each, needed) for each in row.writes)
    )
    who = f"the stages that write it: {', '.join(writers)}" if writers else "no stage writes it"
    return (
        f"job {job!r}: stage {stage!r} reads {needed!r}, and nobody before it writes that (there are"
        f" {', '.join(sorted(there))}); put one of its writers before it, or take another source; {who}"
    )
