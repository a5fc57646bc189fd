"""MC-Net from supervised weights, at equal compute: see mc_net.py and harness/api/warm_start.py.

A third of the budget trains encoder and all decoders on labelled images alone. Own reading, not of a paper.
"""

from torch import nn

from harness.api.staged import rate, share
from harness.api.warm_start import WarmStart, WarmStartParams
from methods.mc_net import MCNet, MCNetParams


class MCNetWarmParams(MCNetParams, WarmStartParams):
    share_train: float = share(2 / 3, "MC-Net")
    rate_train: float = rate("MC-Net")


class MCNetWarm(WarmStart, MCNet):
    """Supervised training of all decoders, then MC-Net."""

    name = "mc_net_warm"
    Params = MCNetWarmParams
    params: MCNetWarmParams

    def warm_up_network(self) -> nn.Module:
        return self.net
