import pytest

from harness.leaderboard import numbers
from harness.records.reader import SuiteRecords
from harness.records.schema import Failure
from harness.report.page import write_page
from tests.browser.chromium import complaints
from tests.report.trials import searched
from tests.synthetic import RunSpec, board_of, write_records

BREAKOUT = "</script><img src=x onerror=alert(1)> & more"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    spec = RunSpec(
        seeds=2, patients=8, failed={("ua_mt", 3, 0, 1)}, missing={("mc_net", 7, 0, 1)},
        failure=Failure(kind="error", reason=BREAKOUT),
    )  # fmt: skip
    return write_records(tmp_path_factory.mktemp("runs") / "phantom_mini", spec)


@pytest.fixture(scope="session")
def board(store):
    return searched(board_of(store))


@pytest.fixture(scope="session")
def page_file(store, board):
    return write_page(SuiteRecords(store), board)


def texts(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText.trim())", selector
    )


def methods(driver, table):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((row) => row.dataset.method)",
        f"#table-{table} tbody:not(.references) tr",
    )


def choose(driver, select, value):
    from selenium.webdriver.support.select import Select

    Select(driver.find_element("id", select)).select_by_value(value)


def press(driver, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def table_rows(board, labelled, checkpoint="last"):
    return board.results.query("labelled == @labelled and checkpoint == @checkpoint and block == 'ranked'")


def shown_number(fraction):
    return numbers.percent(fraction).replace("-", MINUS)


def test_it_opens_without_console_messages_and_fetches_nothing(page):
    assert page.current_url.startswith("file:")
    assert complaints(page) == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert all(texts(page, f"#{name}")[0] for name in ("answer", "results", "pairs", "curves", "budget"))


def test_the_table_shows_the_frame(page, board):
    labelled = 3
    rows = table_rows(board, labelled)
    assert methods(page, f"1-{labelled}") == list(rows["entry"])
    cells = texts(page, f"#table-1-{labelled} tbody:not(.references) .value")
    assert cells == [shown_number(value) for value in rows["dice"]]
    intervals = texts(page, f"#table-1-{labelled} tbody:not(.references) .interval")
    assert intervals == [
        numbers.bounds(shown_number(low), shown_number(high))
        for low, high in zip(rows["dice_low"], rows["dice_high"], strict=True)
    ]
    ranks = texts(page, f"#table-1-{labelled} tbody:not(.references) td:nth-child(1)")
    shared = zip(rows["rank"].fillna(rows["place"]), rows["rank_worst"].fillna(rows["place"]), strict=True)
    assert ranks == [f"{low}" if low == high else f"{low}\N{EN DASH}{high}" for low, high in shared]


def test_failed_runs_are_visible_and_their_reasons_are_text(page):
    assert "1/2\n1 failed" in texts(page, '#table-1-3 tr[data-method="ua_mt"] td')
    assert texts(page, ".failures li") == [f"ua_mt, subset 0, seed 1: error ({BREAKOUT})"]
    assert "1/2\n1 to run" in texts(page, '#table-1-7 tr[data-method="mc_net"] td')
    assert page.execute_script("return document.querySelectorAll('img').length") == 0


def test_sorting_by_mouse_and_by_key(page, board):
    from selenium.webdriver.common.keys import Keys

    rows = table_rows(board, 7)
    header = '#table-1-7 th[data-key="hd95_voxel"]'
    page.find_element("css selector", f"{header} button").click()
    by_distance = list(rows.sort_values("hd95_voxel")["entry"])
    assert methods(page, "1-7") == by_distance
    # the header keeps the focus although its table was drawn anew: Enter turns the order round
    press(page, Keys.ENTER)
    assert methods(page, "1-7") == by_distance[::-1]
    assert texts(page, "#table-1-7 tbody.references tr[data-method] th") == ["supervised_full"]


def test_the_switches_show_other_columns_of_the_frames(page, board):
    choose(page, "view-checkpoint", "best_val")
    rows = table_rows(board, 3, "best_val")
    assert texts(page, "#table-1-3 tbody:not(.references) .value") == [shown_number(value) for value in rows["dice"]]
    choose(page, "view-checkpoint", "last")
    choose(page, "view-metric", "hd95_voxel")
    rows = table_rows(board, 3)
    assert texts(page, "#table-1-3 tbody:not(.references) .value") == [f"{v:.2f}" for v in rows["hd95_voxel"]]
    choose(page, "view-metric", "dice")
    choose(page, "view-class", "RV")
    classes = board.per_class.query(
        "labelled == 3 and checkpoint == 'last' and class_name == 'RV' and metric == 'dice'"
    )
    expected = classes.set_index("entry")["mean"][list(rows["entry"])]
    assert texts(page, "#table-1-3 tbody:not(.references) .value") == [shown_number(value) for value in expected]
    assert complaints(page) == []


def test_the_matrix_reads_without_colour(page, board):
    pairs = board.paired.query("labelled == 7 and checkpoint == 'last' and metric == 'dice'")
    cells = page.execute_script("""
        const table = document.querySelector('.matrix[data-group="1-7"]');
        const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.innerText);
        return [...table.tBodies[0].rows].flatMap((row, i) => [...row.cells].slice(1).map((cell, j) =>
            [names[i], names[j], cell.innerText.split("\\n"), cell.getAttribute("aria-label")]));
    """)
    labels = {(row, column): (text, label) for row, column, text, label in cells if row != column}
    assert len(labels) == 2 * len(pairs)
    for pair in pairs.to_dict("records"):
        for names, sign in (((pair["entry_a"], pair["entry_b"]), 1), ((pair["entry_b"], pair["entry_a"]), -1)):
            text, label = labels[names]
            assert text[0] == numbers.points(sign * pair["difference"]).replace("-", MINUS)
            beyond = "▲" if sign * pair["difference"] > 0 else "▼"
            assert text[1] == {"not significant": "≈", "undetermined": "?"}.get(pair["verdict"], beyond)
            assert f"{names[0]} {MINUS} {names[1]}" in label
