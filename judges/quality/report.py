"""The page of quality: every episode with its scores, the most uncertain first."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from storage.atomic_files import write_whole
from storage.datasets.dataset import Dataset
from storage.verdicts.verdicts import Verdict

_HEAD = """<!doctype html><meta charset="utf-8"><title>Quality of {name}</title>
<style>body{{font:14px/1.4 sans-serif;margin:2em;color:#222}}table{{border-collapse:collapse}}
td,th{{padding:.25em .6em;text-align:right;border-bottom:1px solid
#ddd}}td:first-child,th:first-child,.why{{text-align:left}}
# .fail{{background:#f6c9c4}}.near{{background:#fbeccb}}code{{font-size:12px}}</style>
<h1>Quality of {name}</h1><p>{count} episodes, {failing} with a verdict against them. Red is above its threshold, yellow
above half of it. Nothing is dropped: <code>pyramid data select</code> chooses by these verdicts.</p><table>"""


def uncertainty_of(verdicts: Sequence[Verdict]) -> float:
    """How uncertain an episode is: the number of judges against it, and how close the others come."""
    return sum(_share(verdict) if verdict.passed else 1.0 + _share(verdict) for verdict in verdicts)


def write_quality_page(dataset: Dataset, verdicts: Mapping[str, Sequence[Verdict]], path: Path) -> Path:
    """Write the page of `dataset` to `path`; `verdicts` maps an episode to what the judges of quality say."""
    order = sorted(verdicts, key=lambda episode_id: (-uncertainty_of(verdicts[episode_id]), episode_id))
    judges = list(dict.fromkeys(verdict.judge for episode_id in order for verdict in verdicts[episode_id]))
    failing = sum(any(not verdict.passed for verdict in its) for its in verdicts.values())
    head = _HEAD.format(name=html.escape(dataset.name), count=len(order), failing=failing)
    columns = "".join(f"<th>{html.escape(judge)}" for judge in judges)
    rows = [_row(episode_id, verdicts[episode_id], judges) for episode_id in order]
    text = f"{head}<tr><th>episode<th>uncertainty{columns}<th class=why>why\n" + "\n".join(rows) + "</table>\n"
    write_whole(path, text.encode())
    return path


def _row(episode_id: str, verdicts: Sequence[Verdict], judges: Sequence[str]) -> str:
    by_judge = {verdict.judge: verdict for verdict in verdicts}
    cells = "".join(_cell(by_judge.get(judge)) for judge in judges)
    why = "; ".join(html.escape(verdict.reason) for verdict in verdicts if verdict.reason)
    name = html.escape(episode_id)
    return f"<tr><td><code>{name}</code><td>{uncertainty_of(verdicts):.2f}{cells}<td class=why>{why}"


def _cell(verdict: Verdict | None) -> str:
    if verdict is None or verdict.score is None:
        return "<td>"
    kind = " class=fail" if not verdict.passed else " class=near" if _share(verdict) > 0.5 else ""
    return f"<td{kind}>{verdict.score:.3g}"


def _share(verdict: Verdict) -> float:
    """How much of its threshold a score that should be low uses, at most 1."""
    if verdict.score is None or not verdict.threshold or verdict.better == "higher":
        return 0.0
    return min(1.0, max(0.0, verdict.score / verdict.threshold))
