"""BCP from supervised weights, at equal compute: see bcp.py and harness/api/warm_start.py.

Supervised training stands in the place and with the share of the first stage, copy-paste of labelled images. Own
reading, not of a paper.
"""

from harness.api.staged import share
from harness.api.warm_start import WarmStart, WarmStartParams
from methods.bcp import BCP, BCPParams


class BCPWarmParams(BCPParams, WarmStartParams):
    share_warm_up: float = share(0.25, "supervised training")
    share_labelled: float = share(0.0, "the paper's first stage")


class BCPWarm(WarmStart, BCP):
    """Supervised training, then self-training."""

    name = "bcp_warm"
    Params = BCPWarmParams
    params: BCPWarmParams
