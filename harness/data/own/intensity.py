"""Grey values by the name of a channel, as nnU-Net has them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import DataError
from harness.records.manifest import Channel

RULES: dict[str, Literal["ct", "none", "unit", "zscore"]] = {
    "ct": "ct",
    "nonorm": "none",
    "rescale_0_1": "unit",
}
"""Names of channels, in any case, that say how their grey values are brought to a scale; others are z-scored."""

PERCENTILES = (0.5, 99.5)
MOST_SAMPLES = 100_000
"""Grey values of a scan's foreground, evenly spread, that the percentiles and moments of CT are made of."""


def _rule_of(name: str) -> Literal["ct", "none", "unit", "zscore"]:
    if name.lower() == "rgb_to_0_1":
        raise DataError(f"channel_names: {name}: colour images are not supported; scans have grey values")
    return RULES.get(name.lower(), "zscore")


def foreground_sample(grey: NDArray[np.float32], label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey values where a label marks any class."""
    values = grey[label > 0]
    return values[:: max(1, len(values) // MOST_SAMPLES)]


def fit_channel(name: str, samples: Sequence[NDArray[np.float32]]) -> Channel:
    """The numbers of a channel's rule; samples: of the training scans' foreground, for CT. Raises `DataError`."""
    rule = _rule_of(name)
    if rule != "ct":
        return Channel(name=name, rule=rule)
    values = np.concatenate([np.zeros(0, np.float32), *samples]).astype(np.float64)
    if len(values) == 0 or values.std() == 0:
        raise DataError(f"channel {name}: the labels of the training scans mark no voxels with different grey values")
    low, high = np.percentile(values, PERCENTILES)
    return Channel(name=name, rule=rule, low=low, high=high, mean=values.mean(), deviation=values.std())


def normalise(channel: Channel, grey: NDArray[Any]) -> NDArray[np.float32]:
    """The grey values of one channel of one scan by its rule, float32.

    Raises `DataError` for a scan without contrast.
    """
    values = np.asarray(grey, np.float64)
    if channel.rule == "ct":
        low, high, mean, deviation = channel.low, channel.high, channel.mean, channel.deviation
        if low is None or high is None or mean is None or deviation is None:
            raise DataError(f"channel {channel.name}: the manifest lacks the numbers of its rule; prepare it again")
        return np.asarray((values.clip(low, high) - mean) / deviation, np.float32)
    if channel.rule == "none":
        return np.asarray(grey, np.float32)
    low, high = values.min(), values.max()
    if not low < high:  # nan too
        raise DataError(f"channel {channel.name}: every voxel is {low:g}; replace the file")
    if channel.rule == "unit":
        return np.asarray((values - low) / (high - low), np.float32)
    return np.asarray((values - values.mean()) / values.std(), np.float32)
