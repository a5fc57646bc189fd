"""A real headless Chromium, and one page that all tests look at."""

import pytest

from tests.browser.chromium import chromium, show
from tests.services import require_chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with chromium(require_chromium(), tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(browser, page_file):
    """The browser, freshly on the page at desktop width."""
    show(browser, page_file)
    return browser
