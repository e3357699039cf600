"""What pruning must know of ultralytics' modules, all in this one file.

Most blocks are followed operator by operator. Here are the exceptions: attention, whose channels are coupled across
heads; blocks that keep their own width as an attribute; layers that exist only in training or that fusing folds away.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.nn.modules import C2, C2PSA, PSA, C2f, RepConv, RepNCSPELAN4, RepVGGDW
from ultralytics.nn.modules.block import AAttn, Attention

if TYPE_CHECKING:
    from optimize.pruner.tracker import Rule, Tracker

# These hold half the width of cv1 as `.c` and may split by it.
HALVING = (C2, C2f, C2PSA, PSA, RepNCSPELAN4)


def traceable(model: nn.Module) -> nn.Module:
    """A copy without values that runs every branch, those of training too (Pose26's sigma, Proto26's segmentation)."""
    copy = deepcopy(model).to("meta").float().train()
    for module in copy.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # it refuses to train on a single value per channel
    return copy


def predictions(result: object) -> list[Tensor]:
    """The tensors of a training output whose width the loss relies on: all but the features that the head was given."""
    if isinstance(result, dict):
        return [tensor for key, value in result.items() if key != "feats" for tensor in predictions(value)]
    if isinstance(result, (list, tuple)):
        return [tensor for value in result for tensor in predictions(value)]
    return [result] if isinstance(result, Tensor) else []


def attention(tracker: "Tracker", module: Attention, x: Tensor) -> Tensor:
    """Attention of YOLO10, 11 and 26: q, k, v interleaved per head; the values take the shape of the input."""
    qkv = tracker.ids(module.qkv(x)).reshape(module.num_heads, -1)
    q, k, v = np.split(qkv, [module.key_dim, 2 * module.key_dim], axis=1)
    tracker.tie(q[0], *q[1:], *k)
    tracker.tie(v[0], *v[1:])
    tracker.tie(v.ravel(), tracker.ids(x))
    positions = x.shape[2] * x.shape[3]
    return _attend(tracker, module, x, q, v, positions * positions)


def area_attention(tracker: "Tracker", module: AAttn, x: Tensor) -> Tensor:
    """Attention of YOLO12: q, k and v have one width, which does not depend on the input's."""
    qkv = tracker.ids(module.qkv(x)).reshape(module.num_heads, -1)
    q, k, v = np.split(qkv, 3, axis=1)
    tracker.tie(q[0], *q[1:], *k, *v)
    positions = x.shape[2] * x.shape[3]
    return _attend(tracker, module, x, q, v, positions * positions // module.area)


def _attend(
    tracker: "Tracker", module: Attention | AAttn, x: Tensor, q: np.ndarray, v: np.ndarray, pairs: int
) -> Tensor:
    tracker.product("qk", q.ravel(), pairs)
    tracker.product("av", v.ravel(), pairs)
    values = tracker.mark(torch.empty(x.shape[0], v.size, *x.shape[2:], device=x.device), v.ravel())
    return module.proj(values + module.pe(values))


RULES: dict[type, "Rule"] = {Attention: attention, AAttn: area_attention}


def unfused_names(model: nn.Module) -> dict[str, str]:
    """For convolutions that fusing renames: the name in the fused model, and the one here that has its widths.

    Fusing folds the branches of RepConv and RepVGGDW into one convolution `conv`.
    """
    names = {}
    for name, module in model.named_modules():
        if isinstance(module, RepConv):
            names[f"{name}.conv"] = f"{name}.conv1.conv"
        if isinstance(module, RepVGGDW):
            names[f"{name}.conv"] = f"{name}.conv.conv"
    return names


@torch.no_grad()
def refresh(model: nn.Module) -> None:
    """Set the attributes that follow from widths, in place, after channels were removed.

    Attention divides its logits by the root of the key width; the queries are rescaled so that the logits of the
    channels that stay do not change.
    """
    for module in model.modules():
        if isinstance(module, HALVING):
            module.c = module.cv1.conv.out_channels // 2
        elif isinstance(module, RepConv):
            module.c1, module.c2 = module.conv1.conv.in_channels, module.conv1.conv.out_channels
        elif isinstance(module, RepVGGDW):
            module.dim = module.conv.conv.out_channels
        elif type(module) is Attention:
            _refresh_attention(module)
        elif type(module) is AAttn:
            _refresh_area_attention(module)


def _refresh_attention(module: Attention) -> None:
    module.head_dim = module.pe.conv.out_channels // module.num_heads
    keys = module.qkv.conv.out_channels - module.pe.conv.out_channels
    _rescale_queries(module, module.key_dim, keys // (2 * module.num_heads))
    module.key_dim = keys // (2 * module.num_heads)
    module.scale = module.key_dim**-0.5


def _refresh_area_attention(module: AAttn) -> None:
    width = module.pe.conv.out_channels
    _rescale_queries(module, module.head_dim, width // module.num_heads)
    module.head_dim, module.all_head_dim = width // module.num_heads, width


def _rescale_queries(module: Attention | AAttn, before: int, after: int) -> None:
    for parameter in (module.qkv.bn.weight, module.qkv.bn.bias):
        parameter.view(module.num_heads, -1)[:, :after] *= (after / before) ** 0.5
