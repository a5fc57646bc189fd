import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.budget import Budget
from harness.records.schema import Failure
from harness.search.proposals import DONE, MOST_BARREN, TOLERANCE, WAIT, Proposal
from tests.search.simulation import SPACE, Driver, FakeStore

EVENTS = st.lists(st.sampled_from(["turn"] * 4 + ["save", "retire", "crash"]), max_size=120)
POINTS = st.lists(st.integers(0, SPACE), min_size=1, max_size=40)
COSTS = st.lists(st.floats(0.2, 3.0), min_size=1, max_size=12)


def in_steps(total, workers, script):
    """A search of so many steps, 10 a trial."""
    store = FakeStore(Budget(steps=10), [1.0])
    return store, Driver(store, total, workers, script)


def play(driver, events):
    """Drive a search through events, then to its end; what it may have spent is checked at every turn."""
    for event in events:
        if not driver.fill():
            break
        running = [run for run in driver.running.values() if not run.done]
        if event == "crash":
            driver.crash()
            driver = driver.again()
        elif running and event == "save":
            running[0].save()
        elif running and event == "retire":
            running[-1].end("ended_early")
        driver.turn()
        check(driver)
    driver.finish()
    check(driver)
    return driver


def check(driver):
    """Spent so far, and what whole trials that run have reserved, lie within the budget and a step of each worker."""
    assert driver.store.spent <= driver.total + slack(driver)


def proposed(driver, name):
    proposal = driver.adaptive.next(name)
    assert isinstance(proposal, Proposal), proposal
    return proposal


def slack(driver):
    return 1e-9 if driver.store.budget.steps else driver.workers * max(driver.store.costs) + 1e-6


@given(amount=st.integers(2, 12), trials=st.integers(1, 6), workers=st.integers(1, 3), points=POINTS, events=EVENTS)
def test_steps_are_spent_to_the_last_one_and_no_more(amount, trials, workers, points, events):
    store = FakeStore(Budget(steps=amount), [1.0])
    driver = play(Driver(store, amount * trials, workers, points), events)
    assert driver.last == DONE
    if driver.adaptive._barren < MOST_BARREN:
        assert store.spent == amount * trials


@given(
    amount=st.floats(4.0, 20.0),
    trials=st.integers(1, 6),
    workers=st.integers(1, 3),
    points=POINTS,
    costs=COSTS,
    events=EVENTS,
)
def test_seconds_end_within_the_tolerance_and_a_step_of_each_worker(amount, trials, workers, points, costs, events):
    store = FakeStore(Budget(device_seconds=amount), costs)
    total = amount * trials
    driver = play(Driver(store, total, workers, points), events)
    assert driver.last == DONE
    if driver.adaptive._barren < MOST_BARREN:
        assert store.spent >= total - TOLERANCE * total - 1e-9


def test_lost_steps_are_charged_by_hand():
    """3 x 10 steps. The first trial is killed after 8, of which 5 are saved; it goes on to 10: 13 are spent. The second
    takes 10, and 7 are left for the third."""
    store, driver = in_steps(30, 1, [1, 2, 3])
    driver.fill()
    (first,) = driver.running.values()
    for _ in range(5):
        driver.turn()
    first.save()
    for _ in range(3):
        driver.turn()
    driver.crash()
    assert not driver.again().adaptive.over
    driver = driver.again().finish()
    assert driver.again().adaptive.over
    steps = [store.by_id(run).spent() for run in driver.order]
    assert [(one.useful_steps, one.lost_steps) for one in steps] == [(10, 3), (10, 0), (7, 0)]
    assert [store.by_id(run).status for run in driver.order] == ["ok", "ok", "ended_early"]
    assert store.spent == 30


def test_a_retired_trial_keeps_its_reserve_until_its_process_is_gone():
    store, driver = in_steps(20, 2, [1, 2])
    for name in ("a", "b"):
        proposal = proposed(driver, name)
        store.by_id(proposal.planned.run.id).start(proposal.allowance)
    retired = store.by_id(store.named[1].run.id)
    retired.step()
    driver.adaptive.ended("b", 0.1, False)
    assert driver.adaptive.next("c") == WAIT
    retired.step()
    retired.end("ended_early")
    assert proposed(driver, "c").allowance == 8.0


@pytest.mark.parametrize("kind", ["nan", "oom"])
def test_a_trial_that_diverged_has_a_dice_of_0_and_other_failures_have_none(kind):
    failures = {1: Failure(kind=kind, reason="made up")}
    store = FakeStore(Budget(steps=10), [1.0], failures=failures)
    driver = Driver(store, 20, 1, [1, 1, 2]).finish()
    for sampler in (driver.sampler, driver.again().finish().sampler):
        scores = [(dice, failed) for dice, failed in sampler.told.values() if dice != 0.5]
        assert set(scores) == {(0.0, False) if kind == "nan" else (None, True)}


def test_the_sampler_learns_the_score_on_record_where_asha_ends_what_a_driver_shows_of_it():
    _, driver = in_steps(20, 1, [1])
    again = driver.finish().again()
    again.fill()
    again.adaptive.ended("0", 0.1, False)
    assert again.sampler.told == {"0": (0.5, False)}


@pytest.mark.parametrize("script", [[], [0, 1]], ids=["no dimension", "two points"])
def test_an_exhausted_space_ends_the_study(script):
    """Nothing to vary: the default alone, as in a headline search, and not the same trial for ever."""
    store, driver = in_steps(100, 2, script)
    driver.finish()
    assert driver.last == DONE
    assert len(store.named) == len(set(script) | {0})
    assert store.spent == 10 * len(store.named)
    assert driver.sampler.asked <= (len(store.named) + 1) * (MOST_BARREN + 1), "it may ask after each trial"


def test_trials_that_fail_before_their_first_step_end_the_study_too():
    """They cost nothing, so the budget would never end. Half of them fail while the default still trains."""
    store = FakeStore(Budget(steps=10), [1.0], barren_points=range(1, 1000))
    driver = Driver(store, 100, 2, range(1, 1000)).finish()
    assert driver.last == DONE
    assert MOST_BARREN <= len(store.named) - 1 <= MOST_BARREN + 12
    assert store.spent == 10
