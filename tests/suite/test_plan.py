import pytest

from harness.api.errors import UsageError
from harness.records.schema import Run
from harness.suite.load import SUITES, load_suite
from harness.suite.plan import make_plan, unprepared
from harness.suite.registry import load_dataset
from tests.search import suites

SUITE = {name: value for name, value in suites.SUITE.items() if name not in ("engine", "search")}
SUITE["methods"] = {"supervised": None, "supervised_full": None, "ua_mt": {"params": {"consistency": 0.2}}}


def plan_of(folder, changes=None):
    return make_plan(load_suite(suites.write(folder, {**SUITE, **(changes or {})})), suites.DATA)


def ua_mt(name, value):
    return {"methods": {"ua_mt": {"params": {name: value}}}}


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.yaml")))
def test_every_shipped_suite_can_be_planned(name):
    loaded = load_suite(name)
    dataset = load_dataset(loaded.suite.dataset)
    assert make_plan(loaded, unprepared(dataset)).trainings()
    if loaded.suite.search is not None:
        assert dataset.splits["val"]


def ids(plan):
    return {run.id for run in plan.runs}


def test_every_planned_run_once_seeds_outermost_and_the_fully_supervised_reference_once_a_seed(tmp_path):
    planned_runs = [
        (p.planned_run.seed, p.planned_run.subset, p.planned_run.labelled, p.planned_run.entry)
        for p in plan_of(tmp_path).finals
    ]
    expected: list[tuple[int, int, int | None, str]] = []
    for seed in (0, 1):
        expected.append((seed, 0, None, "supervised_full"))
        for subset in (0, 2):
            for labelled in (3, 7):
                expected += [(seed, subset, labelled, "supervised"), (seed, subset, labelled, "ua_mt")]
    assert planned_runs == expected


def golden():
    return Run.model_validate(
        {
            "method": "ua_mt",
            "method_version": 1,
            "params": {"consistency": 0.1, "passes": 8, "stairs": None, "scale": "binary"},
            "dataset": {"name": "acdc", "version": 1, "checksum": "0123456789abcdef" * 4},
            "preprocessing": {"size": [96, 96], "resize": "area"},
            "labelled": 7,
            "subset": 0,
            "seed": 3,
            "engine": {"batch_size": 8, "optimiser": {"learning_rate": 0.03}},
            "budget": {"device_seconds": 300},
        }
    )


def test_the_id_of_a_known_run_never_changes():
    """If this fails, every record that anybody has is orphaned: raise a version instead."""
    assert golden().id == "9e0f9fb0fc6e7563c90f1cc1edd135239650e009c0e05506075da73394b51574"


def test_a_parameter_that_is_added_later_leaves_ids_alone():
    """Its default is None, "as before it existed"."""
    run = golden()
    later = run.model_copy(update={"params": run.params | {"strong": None}})
    assert later.id == run.id
    assert later.model_copy(update={"params": run.params | {"strong": True}}).id != run.id


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [0, 1, 5]},
        {"labelled": [14, 3, 7]},
        {"methods": {"mc_net": None, **SUITE["methods"]}},
        {"description": "with a description", "name": "other"},
    ],
    ids=str,
)
def test_asking_for_more_leaves_what_there_is_alone(changes, tmp_path):
    before = ids(plan_of(tmp_path))
    assert ids(plan_of(tmp_path, changes)) >= before


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": {"device_seconds": 100}},
        {"preprocessing": {"size": [48, 32]}},
        {"engine": {"batch_size": 12}},
        {"seeds": [8]},
    ],
    ids=str,
)
def test_what_determines_numbers_makes_another_run(changes, tmp_path):
    assert not ids(plan_of(tmp_path, changes)) & ids(plan_of(tmp_path))


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"params": {"consistency": 0.3}}, False),
        ({"params": {"consistency": 0.2, "ema_decay": 0.99}}, True),  # the default, written out
        ({"params": {"consistency": 0.2}, "engine": {"batch_size": 24}}, True),
        ({"params": {"consistency": 0.2}, "engine": {"optimiser": {"nesterov": True}}}, False),
    ],
)
def test_settings_of_one_method_change_that_method_alone(settings, same, tmp_path):
    before = plan_of(tmp_path)
    after = plan_of(tmp_path, {"methods": {**SUITE["methods"], "ua_mt": settings}})

    def of(plan, chosen):
        return [run.id for run in plan.runs if chosen(run.method)]

    assert of(after, lambda name: name != "ua_mt") == of(before, lambda name: name != "ua_mt")
    assert (of(after, lambda name: name == "ua_mt") == of(before, lambda name: name == "ua_mt")) is same


@pytest.mark.parametrize(
    ("changes", "field", "text", "words"),
    [
        ({"labelled": [3, 24]}, "labelled.1", "- 24", "24 labelled patients leave no unlabelled ones"),
        ({"preprocessing": {"size": [32, 32, 32]}}, "preprocessing.size", "size:", "2D, so size has 2 numbers"),
        (
            {"engine": {"window_stride": [9, 9, 2]}},
            "engine.window_stride",
            "window_stride:",
            "phantom is 2D: slices are",
        ),
        (ua_mt("passes", 7), "methods.ua_mt.params.passes", "passes:", "multiple of 2"),
        ({"methods": {"bcp": {"engine": {"loss": "nnunet"}}}}, "methods.bcp.engine.loss", "loss:", "a loss of its own"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refusals_name_line_and_field(changes, field, text, words, tmp_path):
    with pytest.raises(UsageError) as caught:
        plan_of(tmp_path, changes)
    assert words in suites.line_about(str(caught.value), tmp_path / "small.yaml", field, text)
