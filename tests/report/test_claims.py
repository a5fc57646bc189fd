from scipy.stats import kendalltau

from harness.report.claims import NOT_MEASURED, claims_beside, read_claims
from harness.suite.registry import load_dataset, method_sources
from tests.synthetic import RunSpec, board_of, write_records

PICKED = {"last", "validation", "test list", "validation and test", "not stated"}


def test_every_claim_has_a_source_and_says_where_it_was_picked():
    claims = read_claims()
    assert len(set(claims)) == len(claims) > 0
    for claim in claims:
        assert 0.0 < float(claim.dice) < 100.0
        assert claim.source
        assert claim.picked in PICKED
        assert claim.labelled < len(load_dataset(claim.dataset).splits["train"])
        assert claim.entry in {"", "supervised_strong", *method_sources()}


def test_ours_stand_beside_the_published_ones(tmp_path):
    gone = {("mc_net", 3, 0, 0)}
    spec = RunSpec(
        methods={"ua_mt": 0.0, "mc_net": 0.1, "no_ramp": 0.2}, labelled=(3, 5), seeds=1, patients=4, missing=gone
    )
    board = board_of(write_records(tmp_path / "s", spec))
    (table,) = claims_beside(board, "acdc")  # nobody printed five labelled patients
    assert table.title.startswith("3 labelled patients; ours at ")
    by_entry = {row.entry: row for row in table.rows}
    assert set(by_entry) == {"ua_mt", "mc_net"}
    results = board.results.set_index(["labelled", "entry", "checkpoint"])["dice"]
    last, best = (100 * results[3, "ua_mt", name] for name in ("last", "best_val"))
    assert by_entry["ua_mt"].last == f"{last:.1f}"
    assert by_entry["ua_mt"].best_less_last.startswith(f"{best - last:+.1f} (")
    assert table.agreement == "", "one of two methods was measured"
    assert (by_entry["mc_net"].last, by_entry["mc_net"].best_less_last) == (NOT_MEASURED, NOT_MEASURED)
    assert [claim.dice for claim in by_entry["ua_mt"].published] == ["46.04", "48.3", "61.0"]
    assert claims_beside(board, "phantom") == claims_beside(board, "la_label_free") == []


def test_the_order_of_measured_methods_stands_beside_the_printed_one(tmp_path):
    """Spread far apart in an order of ours: printed on ACDC, 3 labelled, are 62.8, 56.9 and 48.3 at the median."""
    methods = {"mc_net": 0.0, "dtc": 0.1, "ua_mt": 0.2}
    board = board_of(write_records(tmp_path / "s", RunSpec(methods=methods, labelled=(3,), seeds=1, patients=8)))
    dice = board.results[board.results["checkpoint"] == "last"].set_index("entry")["dice"]
    tau = kendalltau([62.8, 56.9, 48.3], [dice[name] for name in methods]).statistic
    (table,) = claims_beside(board, "acdc")
    assert (
        f"these 3 methods as printed (the median of several numbers) against ours: Kendall's tau {tau:.2f}, "
        in table.agreement
    )
