"""UniMatch from supervised weights, at equal compute: see unimatch.py and harness/api/warm_start.py.

A third of the budget trains the network on labelled images alone. Own reading, not of a paper.
"""

from harness.api.staged import rate, share
from harness.api.warm_start import WarmStart, WarmStartParams
from methods.unimatch import UniMatch, UniMatchParams


class UniMatchWarmParams(UniMatchParams, WarmStartParams):
    share_train: float = share(2 / 3, "UniMatch")
    rate_train: float = rate("UniMatch")


class UniMatchWarm(WarmStart, UniMatch):
    """Supervised training, then UniMatch."""

    name = "unimatch_warm"
    Params = UniMatchWarmParams
    params: UniMatchWarmParams
