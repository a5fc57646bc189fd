import json
import re
from dataclasses import dataclass

import pytest

from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.report.content import content
from harness.report.page import write_page
from tests.report.trials import searched
from tests.synthetic import RunSpec, board_of, write_records

FAILED, INTERRUPTED, MISSING = ("ua_mt", 3, 0, 1), ("mc_net", 3, 0, 0), ("mc_net", 7, 0, 1)


@dataclass(frozen=True)
class Written:
    store: SuiteFolder
    board: Leaderboard
    html: str

    @property
    def data(self):
        match = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.html, re.DOTALL)
        assert match is not None
        return json.loads(match[1])


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    spec = RunSpec(
        seeds=2, patients=8, spacing_mm=1.5, failed={FAILED}, interrupted={INTERRUPTED},
        missing={MISSING},
    )  # fmt: skip
    store = write_records(tmp_path_factory.mktemp("runs") / "phantom_mini", spec)
    board = searched(board_of(store))
    page = write_page(SuiteRecords(store), board)
    return Written(store, board, page.read_text())


def unpacked(columns):
    plain = {k: v if isinstance(v, list) else [v["of"][i] for i in v["at"]] for k, v in columns.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


@pytest.fixture(scope="session")
def shown(written):
    return content(written.board)
