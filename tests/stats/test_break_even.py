from hypothesis import given
from hypothesis import strategies as st

from harness.stats.break_even import NOT_DETERMINED, NOT_WITHIN, WITHIN, break_even

AHEAD = st.dictionaries(st.integers(1, 50), st.sampled_from([True, False, None]))


@given(AHEAD)
def test_it_is_the_smallest_rung_from_which_on_no_rung_is_behind(ahead):
    judged = {rung: lead for rung, lead in ahead.items() if lead is not None}
    lasting = [rung for rung in judged if all(lead for other, lead in judged.items() if other >= rung)]
    smallest, verdict = break_even(ahead)
    assert smallest == min(lasting, default=None)
    assert verdict == (NOT_DETERMINED if not judged else WITHIN if lasting else NOT_WITHIN)
