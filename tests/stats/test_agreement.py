import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from harness.stats.agreement import rank_agreement

VALUES = st.lists(st.integers(0, 4).map(float), min_size=3, max_size=6)


@given(VALUES, st.integers(0, 2**32 - 1))
def test_tau_is_scipys(values, seed):
    by_patient = np.random.default_rng(seed).integers(0, 3, (5, len(values))).astype(float)
    expected = kendalltau(values, by_patient.mean(axis=0)).statistic
    assert rank_agreement(np.array(values), by_patient).tau == pytest.approx(expected, nan_ok=True)


def test_the_interval_is_that_of_resampled_patients():
    generator = np.random.default_rng(0)
    printed = np.array([50.0, 60.0, 70.0, 80.0])
    by_patient = 0.1 * np.arange(4.0) + generator.normal(0.0, 0.5, (20, 4))
    drawn = [
        kendalltau(printed, by_patient[generator.integers(0, 20, 20)].mean(axis=0)).statistic for _ in range(2_000)
    ]
    _, low, high = rank_agreement(printed, by_patient)
    assert (low, high) == pytest.approx(np.quantile(drawn, (0.025, 0.975)), abs=0.34)
    assert low < high


def test_equal_values_have_no_order():
    assert math.isnan(rank_agreement(np.ones(3), np.random.default_rng(0).normal(size=(20, 3))).tau)
