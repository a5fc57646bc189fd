"""MLflow's own pages, as a reader meets what tracking wrote: the table, the views and the comparison of two methods.

HARNESS_SCREENSHOTS=FOLDER keeps a picture of each page.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services import mlflow_server
from tests.synthetic import RunSpec, write_run, write_tables
from tests.tracking.view import by_key, experiment_tags, runs, track

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

SIZE = (1500, 1000)
WAIT_SECONDS = 60.0
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
        self.links = dict(_links(experiment_tags(database)["mlflow.note.content"]))

    def open(self, link: str, name: str, *, until: Callable[[str], bool]) -> str:
        """The text of a page, once it holds what is waited for."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.uri}/{link}")
        deadline = time.monotonic() + WAIT_SECONDS
        while not until(text := self.text()) and time.monotonic() < deadline:
            time.sleep(0.3)
        if folder := os.environ.get("HARNESS_SCREENSHOTS"):
            time.sleep(3.0)  # charts are drawn after their titles
            self.driver.save_screenshot(str(Path(folder) / f"mlflow_{name}.png"))
        assert until(text), text
        return text

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
    store = write_run(desk / "runs" / "phantom_views", SUITE)
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


def test_the_experiment_shows_its_links_and_the_suites_run(pages: Pages) -> None:
    experiment = pages.links["Methods"].split("/")[2]
    text = pages.open(f"#/experiments/{experiment}/runs", "runs", until=lambda text: "matching runs" in text)
    assert list(pages.links) == ["Leaderboard", "Methods", "Finals", "Search of action_pp", "Methods side by side"]
    assert all(link in text for link in pages.links)
    assert text.count("phantom_views") >= 2  # the path of the page, and the one run that is not below another


def test_the_leaderboard_opens_as_a_table(pages: Pages) -> None:
    text = pages.open(pages.links["Leaderboard"], "leaderboard", until=lambda text: "dice_low" in text)
    assert "View as table" in text
    assert "action_pp" in text


def test_the_methods_open_as_charts_beside_their_differences(pages: Pages) -> None:
    charts = ("Methods (7)", "val/dice_by_device_seconds")  # drawn one after the other
    text = pages.open(pages.links["Methods"], "methods", until=lambda text: all(name in text for name in charts))
    assert "4 matching runs" in text
    assert "Error loading" not in text


def test_the_finals_open_as_a_table_by_test_dice(pages: Pages) -> None:
    text = pages.open(pages.links["Finals"], "finals", until=lambda text: "14 matching runs" in text)
    order = [text.index(name) for name in ("supervised_full/all/0/", "action_pp/7/0/", "supervised/3/0/")]
    assert order == sorted(order)
    assert "test/last/dice" in text


def test_the_search_opens_as_parallel_coordinates_of_tau_and_centres(pages: Pages) -> None:
    axes = ("centers_per_class", "student_temperature", "validation_dice")
    text = pages.open(
        pages.links["Search of action_pp"], "search",
        until=lambda text: "Parallel Coordinates" in text and all(axis in text for axis in axes),
    )  # fmt: skip
    assert "20 matching runs" in text
    assert text.index("Parallel Coordinates") < text.index("Model metrics")  # first, above what MLflow adds itself
    drawn = pages.driver.execute_script("return document.querySelectorAll('.parcoords, canvas').length")
    assert drawn > 0


def test_two_methods_side_by_side(pages: Pages) -> None:
    ids = {run.name: run_id for run_id, run in runs(pages.database).items()}
    experiment = pages.links["Methods"].split("/")[2]
    link = f'#/compare-runs?runs=["{ids["action_pp"]}","{ids["ua_mt"]}"]&experiments=["{experiment}"]'
    text = pages.open(link, "compare", until=lambda text: "Show diff only" in text and "dice/labelled_3" in text)
    assert "Comparing 2 Runs" in text
    assert "centers_per_class" in text
    found = by_key(pages.database)
    for method in ("action_pp", "ua_mt"):
        assert f"{found[method].last('dice/labelled_3'):.3f}" in text
