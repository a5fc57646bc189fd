"""MLflow's own pages, as a reader meets what tracking wrote: the table, the views and the comparison of two methods.

HARNESS_SCREENSHOTS=FOLDER keeps a picture of each page.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services import mlflow_server
from tests.support import wait_until
from tests.synthetic import RunSpec, write_records, write_tables
from tests.tracking.view import experiment_tags, track

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

SIZE = (1500, 1000)
COSINE = {"family": "cosine", "low": 0.1, "high": 1.0}
SCHEDULES = (
    {"family": "constant", "tau": 0.1},
    {"family": "half_cosine", "start": 1.0, "end": 0.1},
    {**COSINE, "periods": 1.0},
    {**COSINE, "periods": 10.0},
)
GRID = [{"centers_per_class": r, "student_temperature": t} for t in SCHEDULES for r in (1, 2, 4, 8, 16)]
SUITE = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.15, "action_pp": 0.4, "supervised_full": 0.0},
    seeds=2,
    patients=4,
    history_steps=10,
    search={"action_pp": GRID},
    chosen={"action_pp": GRID[12]},
)


class Pages:
    """A tracked suite behind a real server, in a real browser."""

    def __init__(self, driver: WebDriver, uri: str, database: Path) -> None:
        self.driver = driver
        self.uri = uri
        self.database = database
        self.seen = ""
        self.links = dict(_links(experiment_tags(database)["mlflow.note.content"]))

    def open(self, link: str, name: str, *, texts: Iterable[str]) -> str:
        """The text of a page, once it holds all of `texts`: MLflow draws its parts one after the other."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.uri}/{link}")
        expected = tuple(texts)

        def missing() -> list[str]:
            self.seen = self.text()
            return [part for part in expected if part not in self.seen]

        wait_until(lambda: not missing(), lambda: f"the page holds {missing()}\n{self.seen}")
        if folder := os.environ.get("HARNESS_SCREENSHOTS"):
            time.sleep(3.0)  # charts are drawn after their titles
            self.driver.save_screenshot(str(Path(folder) / f"mlflow_{name}.png"))
        return self.seen

    def text(self) -> str:
        """All that is to be read, on one line."""
        return " ".join(self.driver.execute_script("return document.body ? document.body.innerText : ''").split())


def _links(note: str) -> Iterator[tuple[str, str]]:
    """Text and target of a note's links."""
    for part in note.split("[")[1:]:
        text, _, rest = part.partition("](")
        yield text, rest.partition(")")[0]


@pytest.fixture(scope="module")
def pages(browser: WebDriver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    desk = tmp_path_factory.mktemp("desk")
    store = write_records(desk / "runs" / "phantom_views", SUITE)
    write_tables(store)
    database = desk / "mlflow.db"
    track(store, f"sqlite:///{database}")
    with mlflow_server(desk) as (uri, _):
        width, height = SIZE
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.get(uri)
        for key, value in (("panelOpen", "false"), ("fab.autoOpenedOnFirstLoad", "true")):  # it covers a third
            browser.execute_script(f"localStorage.setItem('mlflow.assistant.{key}_v1', '{value}')")
        yield Pages(browser, uri, database)


def test_the_experiment_shows_its_links_and_the_suites_run(pages: Pages):
    experiment = pages.links["Methods"].split("/")[2]
    assert list(pages.links) == ["Leaderboard", "Methods", "Finals", "Search of action_pp", "Methods side by side"]
    text = pages.open(f"#/experiments/{experiment}/runs", "runs", texts=["matching run", *pages.links])
    assert text.count("phantom_views") >= 2  # the path of the page, and the one run that is not below another


def test_the_leaderboard_opens_as_a_table(pages: Pages):
    pages.open(pages.links["Leaderboard"], "leaderboard", texts=["dice_low", "View as table", "action_pp"])


def test_the_methods_open_as_charts(pages: Pages):
    charts = ("4 matching runs", "Methods (6)", "val/dice_by_device_seconds")
    text = pages.open(pages.links["Methods"], "methods", texts=charts)
    assert "Error loading" not in text


def test_the_finals_open_as_a_table_by_test_dice(pages: Pages):
    rows = ("supervised_full/all/0/", "action_pp/7/0/", "supervised/3/0/")
    text = pages.open(pages.links["Finals"], "finals", texts=["14 matching runs", "test/last/dice", *rows])
    order = [text.index(row) for row in rows]
    assert order == sorted(order)


def test_the_search_opens_as_parallel_coordinates_of_tau_and_centres(pages: Pages):
    axes = ("centers_per_class", "student_temperature", "validation_dice")
    texts = ("20 matching runs", "Parallel Coordinates", "Model metrics", *axes)
    text = pages.open(pages.links["Search of action_pp"], "search", texts=texts)
    assert text.index("Parallel Coordinates") < text.index("Model metrics")  # first, above what MLflow adds itself
    drawn = "return document.querySelectorAll('.parcoords, canvas').length"
    wait_until(lambda: pages.driver.execute_script(drawn) > 0, "the lines are drawn")
