"""Contrastive distillation: the student is to find the teacher's neighbours in a bank (You et al., ACTION, IPMI 2023).

p(j) = softmax_j(cos(z, a_j) / tau) for student and teacher over the bank's anchors a_j; L = KL(p_t || p_s), as in the
release; the papers print the arguments in different orders.

Banks hold the newest rows that were put in, the oldest overwritten. Their state is in buffers on the device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.progress import Scalar
from methods.action_parts.arithmetic import NEVER, single, unrounded
from methods.action_parts.contrast_net import SIZES, window_layout


class Bank(nn.Module):
    """The last `size` entries of a given shape, in a ring.

    entries:  [size, *shape]; unfilled ones are 0 and `filled` is False.
    enqueued: rows ever put in, int64 scalar; the next row goes to slot enqueued mod size.

    Updates replace the buffers: a loss that was computed from the old entries can still be differentiated.
    """

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__()
        self.entries: Tensor = nn.Buffer(torch.zeros(size, *shape))
        self.enqueued: Tensor = nn.Buffer(torch.zeros((), dtype=torch.long))

    @property
    def filled(self) -> Tensor:
        """[size] bool."""
        return self._slots() < self.enqueued

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Put rows [R, *shape] in, in their order; of more than `size` the last ones stay."""
        self._write(rows, *self._landing(len(rows)))

    def _slots(self) -> Tensor:
        return torch.arange(len(self.entries), device=self.entries.device)

    def _landing(self, count: Tensor | int) -> tuple[Tensor, Tensor]:
        """For each slot the number of the newest of `count` rows that lands on it, and whether there is one."""
        size = len(self.entries)
        first = (self._slots() - self.enqueued) % size
        last = first + (count - 1 - first).div(size, rounding_mode="floor") * size
        self.enqueued = self.enqueued + count
        return last.clamp(min=0), first < count

    def _write(self, rows: Tensor, source: Tensor, replaced: Tensor) -> None:
        shape = (-1, *(1,) * (self.entries.ndim - 1))
        self.entries = torch.where(replaced.view(shape), rows[source].to(self.entries.dtype), self.entries)


class LabelledBank(Bank):
    """A bank whose rows carry a class; labels [size] int64, -1 where unfilled."""

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__(size, *shape)
        self.labels: Tensor = nn.Buffer(torch.full((size,), -1))

    @torch.no_grad()
    def enqueue_labelled(self, rows: Tensor, labels: Tensor) -> None:
        """Put in rows [R, *shape] whose label [R] is a class, in their order; rows labelled -1 are passed over."""
        counted = (labels >= 0).cumsum(0)
        number, replaced = self._landing(counted[-1])
        source = torch.searchsorted(counted, number + 1).clamp(max=len(rows) - 1)  # the number-th row that counts
        self._write(rows, source, replaced)
        self.labels = torch.where(replaced, labels[source], self.labels)


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
    ours, theirs = (F.normalize(_by_window(single(vector)), dim=-1) for vector in (vectors, anchors))
    cosines = ours @ theirs.transpose(1, 2)
    return (cosines / temperature).masked_fill(~filled, NEVER).log_softmax(-1)


def _by_window(vectors: Tensor) -> Tensor:
    """[N, D] -> [1, N, D]; [N, W, D] -> [W, N, D]."""
    return vectors.unsqueeze(0) if vectors.ndim == 2 else vectors.transpose(0, 1)


class Neighbours(nn.Module):
    """One distillation: the student's predictor and the bank of what the teacher said of earlier images.

    shape: of one image's vectors, (D,) or (W, D); predictor: from the student's projection to that shape.
    """

    def __init__(self, predictor: nn.Module, size: int, *shape: int) -> None:
        super().__init__()
        self.predictor = predictor
        self.bank = Bank(size, *shape)

    def forward(self, student: Tensor, teacher: Tensor, temperatures: tuple[Scalar, Scalar]) -> Tensor:
        """KL(teacher || student) over the bank's neighbours; then the teacher's vectors [N, *shape] enter the bank.

        temperatures: the student's, the teacher's.
        """
        predicted = self.predictor(student)
        loss = distillation_loss(predicted, teacher, self.bank.entries, self.bank.filled, *temperatures)
        self.bank.enqueue(teacher)
        return loss


def predictor(features: int) -> nn.Sequential:
    """The student's extra layers, on the last axis: [..., features] -> the same shape."""
    return nn.Sequential(nn.Linear(features, features), nn.Linear(features, features))


def global_neighbours(task: Task, bank: int) -> Neighbours:
    """Of whole images, one vector each, in a bank of that many."""
    width = SIZES[task.dimension].whole
    return Neighbours(predictor(width), bank, width)


def local_neighbours(task: Task, bank: int, window_border: bool) -> Neighbours:
    """Of the windows of images of the task's size, in a bank of that many images."""
    layout = zip(task.size, *window_layout(task.size), strict=True)
    count = math.prod((n - window) // stride + window_border for n, window, stride in layout)
    layers = nn.Sequential(predictor(task.n_classes), nn.Flatten(2))
    return Neighbours(layers, bank, count, SIZES[task.dimension].cells ** task.dimension * task.n_classes)
