"""Controls of the harness itself: what helps on the phantoms is seen to help, and what cannot help is not."""

import os

import pandas as pd
import pytest
import yaml

import harness
from harness.suite.load import SUITES
from tests.support import REPO
from tests.train.tiny import write_metadata

SEEDS, STEPS = 10, 160
DICE = 0.01
NULL = '''
import torch
from harness.api import BatchPlan, Loss
from methods.supervised import Supervised


class Null(Supervised):
    """Supervised training, and agreement on images of noise in place of unlabelled ones."""

    name = "null"
    unit = False

    def batches(self, stage, batch_size):
        return BatchPlan(labelled=batch_size, unlabelled=2)

    def training_loss(self, batch, stage, progress):
        supervised = super().training_loss(batch, stage, progress)
        noise = torch.rand_like(batch.unlabelled[0])
        self.net.eval()  # so that noise does not count in the normalisation
        first, second = self.net(torch.cat((noise, noise.flip(0)))).softmax(dim=1).chunk(2)
        self.net.train()
        agreement = (first - second.detach()).square().mean()
        return Loss(supervised.total + 0.1 * agreement, {**supervised.terms, "agreement": agreement})
'''


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, session_cache):
    """Differences in Dice between all pairs of entries: the demo's settings, fixed steps, ten seeds."""
    root = tmp_path_factory.mktemp("controls")
    (root / "null_plugin.py").write_text(NULL, encoding="utf-8")
    write_metadata(root, "[harness.methods]\nnull = null_plugin:Null\n", "null-plugin")
    suite = yaml.safe_load((SUITES / "demo.yaml").read_text(encoding="utf-8"))
    del suite["calibration"]
    suite |= {"name": "controls", "seeds": list(range(SEEDS)), "budget": {"steps": STEPS}}
    suite |= {"methods": dict.fromkeys(("supervised", "bcp", "null"))}
    suite["engine"]["validations"] = 1
    (root / "controls.yaml").write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(session_cache))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(root), str(REPO)]))
        patch.syspath_prepend(str(root))
        board = harness.run_suite(root / "controls.yaml", runs=root / "runs", panels=False, track=False)
    paired = board.paired.query("checkpoint == 'last' and metric == 'dice'")
    assert list(board.results["n_ok"]) == [SEEDS] * len(board.results)
    turned = paired.assign(
        entry_a=paired["entry_b"],
        entry_b=paired["entry_a"],
        simultaneous_low=-paired["simultaneous_high"],
        simultaneous_high=-paired["simultaneous_low"],
    )
    return pd.concat([paired, turned]).set_index(["entry_a", "entry_b"])


@pytest.mark.slow
def test_bcp_is_ahead_of_labelled_only_training_by_at_least_five_dice(pairs):
    pair = pairs.loc[("bcp", "supervised"), :].to_dict()
    assert pair["significant"]
    assert pair["simultaneous_low"] > 5 * DICE


@pytest.mark.slow
def test_a_method_that_learns_from_noise_is_level_with_labelled_only_training(pairs):
    pair = pairs.loc[("null", "supervised"), :].to_dict()
    assert -3 * DICE < pair["simultaneous_low"] < pair["simultaneous_high"] < 3 * DICE
