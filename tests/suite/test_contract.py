from typing import Any

import pytest
import torch
from torch import nn

from harness.api import BatchPlan, Loss, Method, MethodParams, Stage, Task
from harness.api.errors import UsageError
from harness.suite.contract import build_whole, refuse_broken_methods
from harness.suite.load import load_suite
from harness.suite.plan import make_plan, unprepared
from harness.suite.registry import load_dataset
from tests.search.suites import write
from tests.suite.test_plan import SUITE
from tests.train.tiny import write_metadata

TASK = Task("test", 2, 1, ("background", "RV", "Myo", "LV"), (32, 32))


class Sound(Method):
    """One convolution; the faults below replace a member each."""

    name = "sound"
    outputs = 4

    def __init__(self, task, params):
        super().__init__(task)
        self.net = nn.Conv2d(1, self.outputs, 3, padding=1)

    def training_loss(self, batch, stage, progress):
        return Loss(self.net(batch.images).mean())

    @property
    def predictor(self):
        return self.net


def leave(*_):
    raise SystemExit(3)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "alteration": ({"augmentation": ("mixed", "jitter")}, r"augmentation declares 'jitter'; there are: 'mixed', 'alt"),
    "labels": ({"labels": "full"}, r"labels is 'full'; it is 'subset' or 'all'"),
    "shares": (
        {"stages": (Stage("a", 0.5), Stage("b", 0.6))},
        r"stages has shares of 0\.5, 0\.6; each is above 0, and they add up",
    ),
    "no image": ({"batches": lambda *_: BatchPlan(0, 0)}, r"batches gives .* for stage 'train': no images, or no view"),
    "classes": (
        {"outputs": 5},
        r"predictor answers \[1, 5, 32, 32\] to images \[1, 1, 32, 32\]; logits are \[1, 4, 32",
    ),
    "absent": (
        {"predictor": property(lambda self: self.student)},
        r"predictor raises AttributeError: .*'student' in <lambda> \(test_contract\.py:\d+\)",
    ),
    "teacher": (
        {"pseudo_label_network": property(lambda self: nn.Flatten())},
        r"pseudo_label_network answers \[1, 1024",
    ),
    "exit": ({"batches": leave}, r"batches raises SystemExit: 3 in leave \(test_contract\.py:\d+\)"),
    "init": ({"__init__": lambda self, task, params: 1 / 0}, r"__init__ raises ZeroDivisionError: .*test_contract\.py"),
}


@pytest.fixture(autouse=True)
def _module_name(monkeypatch):
    monkeypatch.setitem(globals(), "__name__", "test_contract")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused_by_name(fault):
    changes, said = FAULTS[fault]
    kind = type("Faulty", (Sound,), {"__module__": "test_contract", **changes})
    with pytest.raises(UsageError, match=rf"Faulty\.{said}"):
        build_whole(kind, MethodParams(), TASK, 4)


def test_a_sound_method_passes_and_leaves_no_trace():
    before = torch.get_rng_state()
    method = build_whole(Sound, MethodParams(), TASK, 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert method.training


def test_a_suite_names_the_line_of_the_method(tmp_path, monkeypatch):
    text = "from harness.api import Method\nfrom methods.supervised import Supervised\nclass Loud(Supervised):\n"
    (tmp_path / "loud_plugin.py").write_text(
        f"{text}    name = 'loud'\n    unit = False\n    augmentation = ('noise',)\n"
    )
    write_metadata(tmp_path, "[harness.methods]\nloud = loud_plugin:Loud\n", "loud")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(tmp_path, {**SUITE, "methods": {"supervised": None, "loud": None}})
    plan = make_plan(load_suite(path), unprepared(load_dataset("phantom")))
    with pytest.raises(UsageError, match=r"small\.yaml:\d+: methods\.loud: Loud\.augmentation declares 'noise'"):
        refuse_broken_methods(plan)
