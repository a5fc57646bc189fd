"""Contrastive distillation: the student is to find the teacher's neighbours in a bank (You et al., ACTION, IPMI 2023).

p(j) = softmax_j(cos(z, a_j) / tau) for student and teacher over the bank's anchors a_j; L = KL(p_t || p_s), as in the
release; the papers print the arguments in different orders.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from harness.api.progress import Scalar
from methods.action_parts.precision import single, unrounded
from methods.action_parts.sampling import NEVER


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    anchors: Tensor,
    filled: Tensor,
    student_temperature: Scalar,
    teacher_temperature: Scalar,
) -> Tensor:
    """KL(p_t || p_s), mean over images and windows; gradients reach the student alone.

    student, teacher: [N, D] or [N, W, D]; anchors: [A, D] or [A, W, D], filled: [A] bool. With windows, those of the
    same number are compared. An empty bank and a bank of one entry, whose softmax is 1 on both sides, give exactly 0.
    """
    with unrounded(student):
        log_p = _log_similarities(teacher.detach(), anchors, filled, teacher_temperature)
        log_q = _log_similarities(student, anchors, filled, student_temperature)
        return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _log_similarities(vectors: Tensor, anchors: Tensor, filled: Tensor, temperature: Scalar) -> Tensor:
    """log softmax over anchors of cosines: [W, N, A], W = 1 without windows."""
    ours, theirs = (F.normalize(_by_window(single(one)), dim=-1) for one in (vectors, anchors))
    cosines = ours @ theirs.transpose(1, 2)
    return (cosines / temperature).masked_fill(~filled, NEVER).log_softmax(-1)


def _by_window(vectors: Tensor) -> Tensor:
    """[N, D] -> [1, N, D]; [N, W, D] -> [W, N, D]."""
    return vectors.unsqueeze(0) if vectors.ndim == 2 else vectors.transpose(0, 1)
