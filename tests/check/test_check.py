import re
import sys
from textwrap import indent

import pytest

from harness.api import UsageError
from harness.check.lines import LINES, check, try_line
from harness.check.outcome import Outcome
from harness.check.rig import training_images
from harness.check.subject import load
from harness.check.testing import MethodTests
from harness.suite.registry import load_method, method_sources
from tests.check.planted import SOUND, faults
from tests.support import run_cli
from tests.train.fixtures import one_thread

__all__ = ["one_thread"]

NAMES = [line.name for line in LINES]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    return tmp_path


def write(folder, body="pass", name="faulty"):
    file = folder / "faulty.py"
    text = indent(f"name = {name!r}\n{body}\n", "    ")
    file.write_text(f"{SOUND}\n\nclass Faulty(Sound):\n{text}", encoding="utf-8")
    return file


def tried(file, name):
    return try_line(LINES[NAMES.index(name)], load(f"{file}:Faulty"))


def marked(file):
    """The place that a file marks."""
    numbers = [k for k, row in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if row.endswith("#!")]
    return f"{file}:{numbers[0]}" if numbers else ""


def test_every_line_has_a_planted_fault():
    assert {fault.line for fault in faults()} == set(NAMES)


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: f"{fault.line}: {fault.text[:40]}")
def test_a_planted_fault_fails_its_line_at_its_place(fault, folder):
    file = write(folder, fault.body)
    outcome = tried(file, fault.line)
    assert outcome.state == "failed", outcome
    assert re.search(fault.text, outcome.text), outcome.text
    assert outcome.place.startswith(marked(file) or f"{file}:"), outcome


def test_an_error_of_every_step_is_told_once(folder):
    file = write(folder, "def training_loss(self, batch, stage, progress):\n    raise KeyError('x')")
    outcomes = {outcome.line: outcome for outcome in check(f"{file}:Faulty")}
    assert [name for name, outcome in outcomes.items() if outcome.state == "failed"] == ["loss"]
    assert outcomes["state"].text == "mend 'loss' first"


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_sound_method_passes(line, folder):
    outcome = tried(write(folder), line.name)
    assert (outcome.state, outcome.place) == ("passed", ""), outcome


def test_an_optimiser_of_torch_may_count_its_steps_on_the_host(folder):
    body = "def optimiser(self, stage, settings):\n    return torch.optim.AdamW(self.parameters(), lr=1e-3)"
    assert tried(write(folder, body), "host copies").state == "passed"


def test_a_package_may_have_a_module_called_benchmarks(folder):
    (folder / "mine").mkdir()
    for name in ("__init__", "benchmarks"):
        (folder / "mine" / f"{name}.py").touch()
    file = write(folder / "mine", "from . import benchmarks\nfrom .benchmarks import __name__ as where")
    assert tried(file, "test split").state == "passed"


def test_what_is_made_once_is_no_work_of_a_step(folder):
    training_images.cache_clear()
    assert tried(write(folder), "cost").state == "passed"


def test_a_method_may_serve_slices_alone_and_need_not_be_capturable(folder):
    body = (
        'capturable = False\ndef prepare(self):\n    if self.task.dimension == 3:\n        raise UsageError("2D only")'
    )
    file = write(folder, body)
    assert tried(file, "builds").text == "serves slices alone: 2D only"
    assert tried(file, "loss").state == "passed"
    assert tried(file, "capture") == Outcome("capture", "does not apply", "not declared capturable")


def test_a_file_that_cannot_be_loaded_fails_the_first_line(folder):
    file = folder / "faulty.py"
    file.write_text("def f(:\n", encoding="utf-8")
    outcome = next(iter(check(str(file))))
    assert (outcome.line, outcome.state, outcome.place) == ("definition", "failed", f"{file}:1")
    assert re.search("cannot be imported: SyntaxError: .*invalid", outcome.text), outcome


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("ua-mt", "no method, module or file 'ua-mt'; did you mean 'ua_mt'"),
        ("{file}", "several methods, Sound, Faulty; choose one with FILE:CLASS"),
        ("{file}:Fault", "no method class 'Fault'; did you mean 'Faulty'"),
    ],
)
def test_what_names_no_method_is_refused(target, why, folder):
    with pytest.raises(UsageError, match=why):
        load(target.format(file=write(folder)))


@pytest.mark.slow
class TestShipped(MethodTests):
    """The class that authors subclass, on the smallest shipped method."""

    method = load_method("supervised")


@pytest.mark.parametrize("name", sorted(method_sources()))
def test_every_shipped_method_declares_what_it_may(name):
    outcomes = [try_line(line, load_method(name)) for line in LINES[: NAMES.index("stages") + 1]]
    assert [outcome for outcome in outcomes if outcome.state != "passed"] == []


OF_A_METHOD = ("predictor", "loss", "host copies", "batch", "state", "augmentation", "capture", "budget", "cost")
"""Lines that say something else of each method; a state that is resumed to the bit draws from no other generator."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(method_sources().keys() - {"supervised", "supervised_full"}))
def test_every_shipped_method_passes_its_own_check(name):
    outcomes = [try_line(line, load_method(name), (2,)) for line in LINES if line.name in OF_A_METHOD]
    assert [outcome.line for outcome in outcomes if outcome.state == "passed"] == [*OF_A_METHOD], outcomes


@pytest.mark.slow
def test_the_command_line_says_what_failed_and_where(tmp_path):
    file = write(tmp_path, "def change(self, images):\n    return images * images.mean().item()  #!")
    done = run_cli("check", "faulty.py:Faulty", cwd=tmp_path, code=77)
    place = marked(file).removeprefix(f"{tmp_path}/")
    assert f"failed          host copies   {place}: training_loss waits for a value of the device" in done.stdout
    assert len(done.stdout.splitlines()) == len(LINES)
    assert "error: faulty.py:Faulty does not keep the contract: host copies" in done.stderr
