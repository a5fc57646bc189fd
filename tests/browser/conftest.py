"""A real headless Chromium, and one page that all tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import chromium
from tests.services import require_chromium

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """One browser for all tests of a session; each opens its page anew."""
    with chromium(require_chromium(), tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(browser: WebDriver, page_file: Path) -> WebDriver:
    """The browser, freshly on the page at desktop width in light colours."""
    from tests.browser.chromium import show

    show(browser, page_file)
    return browser
