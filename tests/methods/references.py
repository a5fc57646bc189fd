"""The contrastive parts once more, slowly and plainly: loops over pixels, keys and windows, dense feature maps."""

import math

import torch
import torch.nn.functional as F

from methods.action_parts.representation import SampledFeatures


def conv_weight(head, widths, dimension):
    """The wide layer as a convolution's weight [hidden, sum(widths), 3, 3(, 3)]."""
    pieces, start = [], 0
    for width in widths:
        piece = head.wide.weight[:, start : start + 3**dimension * width]
        pieces.append(piece.reshape(-1, *(3,) * dimension, width).movedim(-1, 1))
        start += 3**dimension * width
    assert start == head.wide.in_features
    return torch.cat(pieces, dim=1)


def dense_features(head, maps):
    """Every map upsampled, concatenated, convolved twice: -> [N pixels, features]."""
    size = maps[-1].shape[2:]
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    full = torch.cat([F.interpolate(m, size=size, mode=mode, align_corners=True) for m in maps], dim=1)
    weight = conv_weight(head, [m.shape[1] for m in maps], len(size))
    convolve = {2: F.conv2d, 3: F.conv3d}[len(size)]
    wide = convolve(full, weight, padding=1)
    narrow = convolve(wide, head.narrow.weight.reshape(*head.narrow.weight.shape, *(1,) * len(size)))
    return narrow.movedim(1, -1).reshape(-1, narrow.shape[1])


class DenseFeatures(SampledFeatures):
    """Features of all pixels in a table [N pixels, features]."""

    def __init__(self, table):
        self.table = table

    def at(self, positions):
        return self.table[positions]

    def means(self, masks):
        table = self.table.detach()
        return torch.stack([table[m].mean(0) if m.any() else torch.zeros_like(table[0]) for m in masks])


def cosine(a, b):
    return a @ b / (a.norm() * b.norm())


def logarithm_of_share(logit, logits):
    top = torch.stack(list(logits)).max().detach()
    return logit - top - torch.stack([(one - top).exp() for one in logits]).sum().log()


def distillation(student, teacher, entries, tau_s, tau_t):
    """KL(p_t || p_s) of [N, W, D] against a list of [W, D], one image, one window, one anchor at a time."""
    if len(entries) < 2:
        return 0.0 * student.sum()
    terms = []
    for n in range(student.shape[0]):
        for w in range(student.shape[1]):
            for_student = [cosine(student[n, w], entry[w]) / tau_s for entry in entries]
            for_teacher = [cosine(teacher[n, w].detach(), entry[w]) / tau_t for entry in entries]
            term = torch.zeros((), dtype=student.dtype)
            for s, t in zip(for_student, for_teacher, strict=True):
                log_p = logarithm_of_share(t, for_teacher)
                term = term + log_p.exp() * (log_p - logarithm_of_share(s, for_student))
            terms.append(term)
    return torch.stack(terms).mean()


def anatomical(table, masks, hard, queries, keys, tau):
    """L_anco over a dense table [P, D]; queries [K, Q], keys [K, M] or [K, Q, M]."""
    present = [k for k in range(len(masks)) if masks[k].any()]
    if len(present) < 2:
        return 0.0 * table.sum()
    total = 0.0 * table.sum()
    for k in present:
        if not hard[k].any():
            continue
        target = torch.stack([table[p] for p in range(len(table)) if masks[k, p]]).mean(0).detach()
        terms = []
        for q, pixel in enumerate(queries[k].tolist()):
            own_keys = (keys[k] if keys.ndim == 2 else keys[k, q]).tolist()
            positive = cosine(table[pixel], target) / tau
            negative = [cosine(table[pixel], table[key].detach()) / tau for key in own_keys]
            terms.append(-logarithm_of_share(positive, [positive, *negative]))
        total = total + torch.stack(terms).mean()
    return total / len(present)


def supervised_contrast(student, teacher, labels, queue, centres, chosen, masked, positives, tau, weight):
    """L_aaco of the used anchors; `queue` holds filled entries alone, `positives` numbers into it, None for all."""
    total = 0.0 * student.sum()
    for i, label in enumerate(labels):
        entries = [student[i] @ entry / tau for entry, _ in queue]
        twin = student[i] @ teacher[i].detach() / tau
        nu = [student[i] @ centre / tau for centre in centres]
        logits = [twin, *entries, *(one for one, out in zip(nu, masked[i], strict=True) if not out)]
        members = [j for j, (_, other) in enumerate(queue) if other == label]
        own = members if positives is None else positives[i]
        attract = [logarithm_of_share(one, logits) for one in (twin, *(entries[j] for j in own))]
        centre = weight * logarithm_of_share(nu[chosen[i]], logits)
        if positives is None:
            total = total + (torch.stack(attract).sum() + centre) / (len(attract) + 1)
        else:
            total = total + torch.stack(attract).mean() + centre
    return -total / max(len(labels), 1)


def window_starts(size, window, stride):
    return [stride * i for i in range(math.floor((size - window) / stride) + 1)]
