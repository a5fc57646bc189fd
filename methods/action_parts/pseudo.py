"""Pseudo labels and the loss on them, weighted by the share of confident pixels (ReCo: Liu et al., ICLR 2022).

    label       yhat = argmax_c p'_c, confidence = max_c p'_c, p' = softmax(teacher)
    share       eta_b = share of the pixels of image b with confidence >= theta
    L_unsup     sum_b eta_b sum_i CE(b, i) / #{(b, i): CE(b, i) > 0}

The count is the release's: pixels whose cross-entropy is exactly 0 in the arithmetic at hand (in float32 a margin of
about 17 between the logits) leave the mean. No pixel is masked by its confidence: a doubtful one counts too, by eta_b.
Where nothing is left the release divides by zero; here the loss is 0.
"""

import torch.nn.functional as F
from torch import Tensor


def unsupervised_loss(logits: Tensor, labels: Tensor, confidence: Tensor, threshold: float) -> Tensor:
    """L_unsup of a student's logits [U, n_classes, *size], labels and confidence [U, *size] -> scalar.

    Labels and confidence are those of the images the student saw: the mixed ones where images were mixed.
    """
    ce = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    counted = (ce > 0).sum().clamp(min=1)
    share = (confidence >= threshold).flatten(1).to(confidence.dtype).mean(dim=1)
    return (share * ce.sum(dim=1)).sum() / counted
