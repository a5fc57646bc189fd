"""The fully supervised reference: `supervised` with every training label. It is shown and never ranked."""

from methods.supervised import Supervised


class SupervisedFull(Supervised):
    """Fully supervised training on all labels of the training split; does not depend on the labelled count."""

    name = "supervised_full"
    unit = False
    labels = "all"
    ranked = False
