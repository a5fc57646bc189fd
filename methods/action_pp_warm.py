"""ACTION++ from supervised weights, at equal compute: see action_pp.py and harness/api/warm_start.py.

Supervised training stands in the place and with the shares of both distillation stages. Own reading, not of a paper.
"""

from harness.api.staged import share
from harness.api.warm_start import WarmStart, WarmStartParams
from methods.action_pp import ACTIONPP, ActionPPParams


class ActionPPWarmParams(ActionPPParams, WarmStartParams):
    share_global: float = share(0.0, "stage i")
    share_local: float = share(0.0, "stage ii")


class ActionPPWarm(WarmStart, ACTIONPP):
    """Supervised training, then the last stage of ACTION++."""

    name = "action_pp_warm"
    Params = ActionPPWarmParams
    params: ActionPPWarmParams
