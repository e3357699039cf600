"""A model that is the same in float and bad in int8."""

import torch
from torch import Tensor, nn
from ultralytics.nn.modules import Bottleneck


def harden(model: nn.Module, times: float) -> None:
    """Give every bottleneck one more hidden channel: always zero, and with weights `times` as large as the largest.

    Weights on zeros add nothing, so the outputs stay as they are. But the 8 bits of each row of weights now span
    `times` its range, so that 127 / `times` steps on either side of zero are left for all the others, however the
    ranges are calibrated. Nothing is lost where these convolutions stay in float. Training leaves such weights on
    channels that died.
    """
    for block in [module for module in model.modules() if isinstance(module, Bottleneck)]:
        first, second = block.cv1, block.cv2
        first.conv.weight, second.conv.weight = _more(first.conv.weight, 0), _more(second.conv.weight, 1)
        second.conv.weight.data[:, -1, 1, 1] = times * second.conv.weight.data[:, :-1].abs().amax((1, 2, 3))
        first.bn.weight, first.bn.bias = _more(first.bn.weight, 0), _more(first.bn.bias, 0)
        first.bn.weight.data[-1] = first.bn.bias.data[-1] = 0
        first.bn.running_mean, first.bn.running_var = (
            torch.cat([statistic, statistic[-1:]]) for statistic in (first.bn.running_mean, first.bn.running_var)
        )
        first.conv.out_channels = second.conv.in_channels = first.bn.num_features = first.conv.out_channels + 1


def _more(tensor: Tensor, dim: int) -> nn.Parameter:
    """One more channel, a copy of the last."""
    last = tensor.narrow(dim, tensor.shape[dim] - 1, 1)
    return nn.Parameter(torch.cat([tensor, last], dim).detach())
