import pytest
import torch

from harness.api import UsageError
from harness.records.schema import Engine
from harness.train import environment
from harness.train.environment import has_native_bfloat16, prepare_device
from harness.train.replay import replay
from harness.train.stop import StopFlag
from tests.train.test_run import assert_same_numbers, result_of
from tests.train.tiny import interrupt, train

CPU = torch.device("cpu")
PLANNED_RUN = "ua_mt/2/0/0"


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
    ],
)
def test_bfloat16_is_refused_where_the_cpu_has_no_instructions_for_it(capabilities, native, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert has_native_bfloat16() == native
    prepare_device(CPU, Engine(precision="float32"))
    if native:
        prepare_device(CPU, Engine(precision="bfloat16"))
    else:
        with pytest.raises(UsageError, match=r"engine\.precision: bfloat16 needs a CPU"):
            prepare_device(CPU, Engine(precision="bfloat16"))


@pytest.mark.slow
def test_a_run_in_bfloat16_resumes_and_replays_to_the_bit(make_tiny, monkeypatch):
    monkeypatch.setattr(environment, "has_native_bfloat16", lambda: True)  # emulated it is slow, and no other
    engine = {"validations": 1, "warmup_steps": 1, "precision": "bfloat16", "channels_last": True}
    whole, cut = (make_tiny({"ua_mt": {}}, budget={"steps": 4}, engine=engine) for _ in range(2))

    train(whole, PLANNED_RUN)
    interrupt(cut, PLANNED_RUN, 2)
    train(cut, PLANNED_RUN)

    assert_same_numbers(whole.folder(PLANNED_RUN), cut.folder(PLANNED_RUN))
    replayed = replay(whole.folder(PLANNED_RUN), whole.session().cache, StopFlag())
    assert replayed == result_of(whole.folder(PLANNED_RUN)).weights_sha256
