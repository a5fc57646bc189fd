import base64
import re
from pathlib import Path

import pytest

from harness.leaderboard import numbers
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import SuiteRecords
from harness.records.schema import Failure
from harness.records.suite_folder import SuiteFolder
from harness.report.page import write_page
from tests.browser.chromium import DESKTOP, PHONE, complaints, show
from tests.report.trials import searched
from tests.support import LIMIT_SECONDS
from tests.synthetic import RunSpec, board_of, write_records

BREAKOUT = "</script><img src=x onerror=alert(1)> & more"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> SuiteFolder:
    """Eight patients, two labelled counts, a failed run whose reason is hostile, and a run that is missing."""
    spec = RunSpec(
        seeds=2, patients=8, failed=frozenset({("ua_mt", 3, 0, 1)}), missing=frozenset({("mc_net", 7, 0, 1)}),
        failure=Failure(kind="error", reason=BREAKOUT),
    )  # fmt: skip
    return write_records(tmp_path_factory.mktemp("runs") / "phantom_mini", spec)


@pytest.fixture(scope="session")
def board(store) -> Leaderboard:
    return searched(board_of(store))


@pytest.fixture(scope="session")
def page_file(store, board) -> Path:
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


def overflow(driver):
    return driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def table_rows(board, labelled, checkpoint="last"):
    return board.results.query("labelled == @labelled and checkpoint == @checkpoint and block == 'ranked'")


def shown_number(fraction):
    return numbers.percent(fraction).replace("-", MINUS)


def test_it_opens_without_console_messages_and_fetches_nothing(page):
    assert page.current_url.startswith("file:")
    assert complaints(page) == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    headings = texts(page, "main h2")
    assert headings[:2] == ["Tables", "Paired differences"]
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
    references = texts(page, f"#table-1-{labelled} tbody.references tr[data-method] th")
    assert references == ["supervised_full"]


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
    assert page.find_element("css selector", header).get_attribute("aria-sort") == "ascending"
    # the header keeps the focus although its table was drawn anew: Enter turns the order round
    press(page, Keys.ENTER)
    assert page.find_element("css selector", header).get_attribute("aria-sort") == "descending"
    assert methods(page, "1-7") == by_distance[::-1]
    assert texts(page, "#table-1-7 tbody.references tr[data-method] th") == ["supervised_full"]


def test_a_hidden_method_leaves_every_section(page):
    for chip in page.find_elements("css selector", "#legend button"):
        if chip.text != "mc_net":
            chip.click()
    assert methods(page, "1-3") == ["mc_net"]
    assert texts(page, "#budget-body tbody th") == ["mc_net", "mc_net"]
    assert texts(page, "#pairs-body td") == []
    page.find_element("css selector", "#legend button[aria-pressed=true]").click()
    assert methods(page, "1-3") == []
    assert complaints(page) == []


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
    choose(page, "view-labelled", "1-7")
    assert texts(page, "#results-body caption") == ["7 labelled patients"]
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
            assert f"n = {pair['n_patients']}" in label
            assert f"{names[0]} {MINUS} {names[1]}" in label


def test_arrow_keys_walk_through_the_matrix(page):
    from selenium.webdriver.common.keys import Keys

    first = page.find_element("css selector", '.matrix[data-group="1-7"] td[tabindex="0"]')
    page.execute_script("arguments[0].focus()", first)
    readout = texts(page, "#pairs-body output")[1]
    press(page, Keys.ARROW_RIGHT)
    focused = page.execute_script("return document.activeElement.getAttribute('aria-label')")
    assert texts(page, "#pairs-body output")[1] == focused != readout


def test_the_curve_can_be_read_with_keys(page, board):
    from selenium.webdriver.common.keys import Keys

    chart = page.find_element("css selector", '#curves-body figure[data-group="1-7"] svg')
    assert "7 labelled patients" in chart.get_attribute("aria-label")
    page.execute_script("arguments[0].focus()", chart)
    curves = board.curves.query("labelled == 7")
    readout = texts(page, "#curves-body output")[1]
    for method, line in curves.groupby("entry"):
        last = line.iloc[-1]
        assert f"{method} {shown_number(last['validation_dice_mean'])} [" in readout
        unlabelled = f", on unlabelled images {shown_number(last['unlabelled_dice_mean'])}"
        assert (unlabelled in readout) == (method != "supervised_full"), "a fully supervised reference has none"
    press(page, Keys.ARROW_LEFT)
    assert texts(page, "#curves-body output")[1] != readout


def test_patients_are_sorted_by_the_chosen_difference(page, board):
    rows = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((g) => [g.dataset.patient, "
        "[...g.querySelectorAll('text')].map((t) => t.textContent)])",
        '#patients-body figure[data-group="1-3"] g.patient',
    )
    first, second = list(table_rows(board, 3)["entry"])[:2]
    cases = board.inputs.comparisons[0].cases.query("checkpoint == 'last'")
    means = cases.groupby(["cell", "patient"], observed=True)["dice"].mean()
    difference = (means[f"{first}@3"] - means[f"{second}@3"]).sort_values(ascending=False)
    assert [name for name, _ in rows] == list(difference.index)
    assert [written[1] for _, written in rows] == [numbers.points(v).replace("-", MINUS) for v in difference]


def test_the_theme_follows_the_system_and_the_button(browser, page_file):
    def background():
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    show(browser, page_file, scheme="dark")
    browser.execute_script("localStorage.clear()")
    show(browser, page_file, scheme="dark")
    button = browser.find_element("id", "theme")
    assert background() < 150
    button.click()
    assert (background(), button.get_attribute("aria-label")) == (3 * 255, "Colours: light")
    button.click()
    assert background() < 150
    assert button.get_attribute("aria-label") == "Colours: dark"
    show(browser, page_file, scheme="light")
    assert background() < 150, "the choice outlives the page"
    browser.find_element("id", "theme").click()
    assert background() == 3 * 255
    assert complaints(browser) == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_nothing_overflows(browser, page_file, size):
    show(browser, page_file, size)
    assert overflow(browser) == 0
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", details)
    choose(browser, "view-class", "RV")
    assert overflow(browser) == 0
    assert complaints(browser) == []
    too_wide = browser.execute_script("""
        return [...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll, pre, svg, nav")
            && one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.outerHTML.slice(0, 80))""")
    assert too_wide == []


def test_figures_are_drawn_again_for_another_width(browser, page_file):
    from selenium.webdriver.support.wait import WebDriverWait

    show(browser, page_file)
    width = "return document.querySelector('#curves-body svg').viewBox.baseVal.width"
    wide = browser.execute_script(width)
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    WebDriverWait(browser, LIMIT_SECONDS).until(lambda _: browser.execute_script(width) < wide)
    assert browser.execute_script(width) <= 400


def test_it_prints(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.find_element("css selector", ".top nav").is_displayed()
    assert not page.find_element("id", "theme").is_displayed()
    assert page.find_element("css selector", ".chip").is_displayed(), "the legend stays"
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000


def test_without_script_it_says_where_the_numbers_are(browser, page_file, board):
    show(browser, page_file, script=False)
    try:
        text = browser.find_element("tag name", "body").text
    finally:
        show(browser, page_file)
    assert "leaderboard.md" in text
    assert table_rows(board, 7).iloc[0]["entry"] in text
    assert "labelled: [3, 7]" in text or "name: phantom_mini" in text


def test_every_picture_has_words(page):
    silent = page.execute_script("""
        return [...document.querySelectorAll("main svg:not([aria-hidden])")]
            .filter((one) => !one.getAttribute("aria-label")).map((one) => one.outerHTML.slice(0, 80))""")
    assert silent == []
    unnamed = page.execute_script("""
        return [...document.querySelectorAll("button, select, input")]
            .filter((one) => !(one.innerText.trim() || one.getAttribute("aria-label") || one.labels?.length))
            .map((one) => one.outerHTML.slice(0, 80))""")
    assert unnamed == []


def test_colours_stand_out_in_both_schemes(browser, page_file):
    """Text on its ground by WCAG's contrast: 4.5 for words; 3 for marks, of which shape and label say the same."""
    for scheme in ("light", "dark"):
        show(browser, page_file, scheme=scheme)
        browser.execute_script("localStorage.clear()")
        show(browser, page_file, scheme=scheme)
        names = ("paper", "ink", "muted", "accent", "warn", "warn-paper")
        values = browser.execute_script(
            "return arguments[0].map((name) => { document.body.style.color = `var(--${name})`;"
            " return getComputedStyle(document.body).color; })",
            names,
        )
        colours = dict(zip(names, values, strict=True))
        for name in ("ink", "muted", "accent"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, (scheme, name)
        assert contrast(colours["warn"], colours["warn-paper"]) >= 4.5, scheme


def contrast(first, second):
    """WCAG 2's contrast ratio of two colours as in rgb(0, 114, 178)."""

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
