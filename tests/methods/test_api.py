import inspect

import pytest

import harness.api
from harness.api.networks import backbone


def test_every_name_is_there_with_its_text_and_no_other():
    offered = {name: getattr(harness.api, name) for name in harness.api.__all__}
    assert offered["backbone"] is backbone
    texts = {name: inspect.getdoc(value) for name, value in offered.items() if inspect.isroutine(value)}
    assert {name for name, text in texts.items() if not text} == set()
    assert set(dir(harness.api)) == offered.keys()
    with pytest.raises(AttributeError, match="no attribute 'ema'"):
        _ = harness.api.ema
