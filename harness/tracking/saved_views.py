"""Views of an experiment that are useful as they open: state that MLflow's pages read from tags, and a note with links.

MLflow's own Share button stores a view (filter, columns, charts) in a tag of the experiment and links to it by key; the
views here are stored in the same way. A page of another MLflow leaves out what it does not know of a view.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import pandas as pd

from harness.records.schema import Run
from harness.tracking.content import Tag, hyper_params
from harness.tracking.parents import TABLE
from harness.tracking.series import CURVE, HEADLINE, MAIN
from harness.tracking.tracked import TrackedSuite

VIEW_TAG = "mlflow.sharedViewState."
NOTE_TAG = "mlflow.note.content"
SIGNATURE = "`harness track`:"
"""How a note of ours begins; another one is somebody's own and stays."""

CARD_HEIGHT = 460
"""Of a chart, in pixels."""

FINAL_COLUMNS = ("tags.method", "tags.labelled", "tags.subset", "tags.seed", "tags.status", "tags.selected")
FINAL_METRICS = ("test/last/dice", "test/best_val/dice", "test/last/n_missed", "validation_dice", "spent/steps")
MANY_RUNS = 1000
RESULT = "validation_dice"
MAX_COLUMNS = 8
"""Of parallel coordinates."""
MAX_CATEGORIES = 12
"""A column of text with more values is left to the columns of its numbers."""

Chart = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """One saved view.

    key, title: its name in links, and for people.
    filter:     MLflow's search syntax.
    order:      metric by which runs are sorted, best first; sorted by time MLflow would show their parents instead.
    columns:    of the table.
    charts:     as MLflow's pages store them, without ids; `per_row` of them side by side.
    """

    key: str
    title: str
    mode: Literal["TABLE", "CHART"]
    filter: str
    order: str
    columns: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    per_row: int = 1

    def state(self) -> dict[str, Any]:
        """The state of a page that shows it."""
        section = {
            "uuid": "harness", "name": self.title, "display": True, "isReordered": False, "deleted": False,
            "isGenerated": False, "columns": self.per_row, "cardHeight": CARD_HEIGHT,
        }  # fmt: skip
        common = {"metricSectionId": "harness", "deleted": False, "isGenerated": False}
        charts = [{"uuid": f"harness-{number}", **common, **chart} for number, chart in enumerate(self.charts)]
        return {
            "searchFilter": self.filter,
            "orderByKey": f"metrics.`{self.order}`",
            "orderByAsc": False,
            "selectedColumns": list(self.columns),
            "runsHiddenMode": "SHOW_ALL",
            "isAccordionReordered": True,  # or MLflow sorts this section among those that it makes by itself
            **({"compareRunSections": [section], "compareRunCharts": charts} if charts else {}),
        }

    def tag(self, at_ms: int) -> tuple[str, str]:
        """Name and value of the experiment's tag; MLflow lists named views, the youngest first."""
        envelope = {"name": self.title, "createdAt": at_ms, "updatedAt": at_ms, "state": json.dumps(self.state())}
        return VIEW_TAG + self.key, json.dumps(envelope)

    def link(self, experiment_id: str) -> str:
        """Where the view opens, relative to the server's address."""
        query = {"viewStateShareKey": self.key, "compareRunsMode": self.mode}
        return f"#/experiments/{experiment_id}/runs?{urlencode(query)}"


def saved_views(suite: TrackedSuite) -> list[View]:
    """The views that a suite's runs give something to see in."""
    rung = ("tags.rung",) if any(run.rung is not None for run in suite.runs) else ()
    where, columns = f"tags.{Tag.ROLE} = 'final'", _columns((*FINAL_COLUMNS, *rung), FINAL_METRICS)
    table = View("harness_finals", "Finals", "TABLE", where, MAIN, columns)
    finals = [_methods(suite.tables), table] if suite.tables else []
    trials = {entry: [run.asked for run in runs if run.is_search] for entry, runs in suite.entries.items()}
    return [*finals, *(_search(entry, asked) for entry, asked in trials.items() if asked)]


def _methods(tables: Sequence[str]) -> View:
    """Test Dice, and validation Dice against device seconds, by method; tables: `TrackedSuite.tables`."""
    many = {"runsCountToCompare": MANY_RUNS}
    plain = {"xAxisKey": "step", "useGlobalXaxisKey": False, "lineSmoothness": 0, "useGlobalLineSmoothing": False}
    charts: list[Chart] = []
    for name in tables:
        curve = f"{name}/{CURVE}"
        charts.append({"type": "BAR", "metricKey": f"{HEADLINE}/{name}", **many})
        charts.append({"type": "LINE", "metricKey": curve, "selectedMetricKeys": [curve], **plain, **many})
    return View(
        "harness_methods", "Methods", "CHART", f"tags.{Tag.ROLE} = 'method'", f"{HEADLINE}/{tables[0]}",
        _columns(("tags.method",), [metric for name in tables for metric in (f"{HEADLINE}/{name}", f"{name}/{CURVE}")]),
        tuple(charts), per_row=2,
    )  # fmt: skip


def _search(entry: str, trials: Sequence[Run]) -> View:
    """What the search of an entry varied, up to the last validation Dice, as parallel coordinates."""
    params = varied_columns([hyper_params(asked) for asked in trials])[:MAX_COLUMNS]
    chart = {"type": "PARALLEL", "selectedParams": params, "selectedMetrics": [RESULT], "showAllRuns": True}
    return View(
        f"harness_search_{entry}", f"Search of {entry}", "CHART",
        f"tags.{Tag.ROLE} = 'search' AND tags.method = '{entry}'", RESULT,
        _columns(("tags.method", "tags.selected"), [RESULT], params), (chart,) if params else (),
    )  # fmt: skip


def varied_columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Columns that all rows have, with more than one value, equal ones once, text with too many values left out.

    MLflow leaves a run that lacks one of its columns out of a chart.
    """
    frame = pd.DataFrame(rows).dropna(axis="columns").sort_index(axis="columns").T.drop_duplicates().T
    different = frame.nunique()
    numbers = frame.apply(pd.to_numeric, errors="coerce").notna().all()
    return [str(name) for name in frame.columns[(different > 1) & ((different <= MAX_CATEGORIES) | numbers)]]


def _columns(tags: Iterable[str], metrics: Iterable[str], params: Iterable[str] = ()) -> tuple[str, ...]:
    """Columns as the table stores them: tags.`method`, metrics.`val/dice`."""
    quoted = (f"{kind}.`{name}`" for kind, _, name in (tag.partition(".") for tag in tags))
    return (*quoted, *(f"params.`{name}`" for name in params), *(f"metrics.`{name}`" for name in metrics))


def experiment_tags(suite: str, views: Sequence[View], opens: str, at_ms: int) -> dict[str, str]:
    """All that tracking stores at the experiment: the views and the note that links to them.

    opens: the links, on one line: of a longer note MLflow shows the first line alone.
    at_ms: when the views count as made, so that the same records give the same tags.
    """
    stored = dict(view.tag(at_ms - number) for number, view in enumerate(views))
    return {**stored, NOTE_TAG: f"{SIGNATURE} **{suite}**. Open {opens}"}


def links(
    views: Iterable[View], experiment_id: str, suite_run: str, entry_runs: Sequence[str], has_table: bool
) -> Iterator[str]:
    """What a reader of the experiment opens: the leaderboard, the views, and the entries side by side."""
    if has_table:
        yield f"[Leaderboard](#/experiments/{experiment_id}/runs/{suite_run}/artifacts/{TABLE})"
    for view in views:
        yield f"[{view.title}]({view.link(experiment_id)})"
    if len(entry_runs) > 1:
        compared = {"runs": _list(entry_runs), "experiments": _list([experiment_id])}
        yield f"[Methods side by side](#/compare-runs?{urlencode(compared)})"


def _list(values: Sequence[str]) -> str:
    return json.dumps(list(values), separators=(",", ":"))
