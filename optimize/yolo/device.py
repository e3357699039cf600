"""Where a training or a scan of layers can run, as ultralytics reads `device`."""

import torch
from ultralytics.utils.torch_utils import parse_device, select_device

from optimize.errors import InputError


def check_device(device: str | None) -> None:
    """Only cpu and what torch finds here: ultralytics would say so when training starts, and take the CPU for `mps`.

    Args:
        device: as in ultralytics, e.g. `cpu`, `0`, `0,1`, `[0,1]`, `cuda:0`, `-1` for an idle GPU, `mps`; None for the
            first GPU, or the CPU where there is none.

    Raises:
        InputError: nothing can be trained there.
    """
    if lacking := _lacking(parse_device(device)):
        raise InputError(
            f"device={device} can't be used, since {lacking}; give cpu, or leave device out for the first GPU, else "
            "the CPU."
        )


def first_device(device: str | None) -> torch.device:
    """Where work runs that takes one device: on the first of `device`, which `check_device` let pass."""
    name = parse_device(device).split(",")[0]
    if not name:
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    return torch.device(f"cuda:{name}" if name.isdigit() else name)


def _lacking(device: str) -> str | None:
    """What torch doesn't have that a parsed `device` needs."""
    if device in ("", "cpu"):
        return None
    if device in ("mps", "mps:0"):
        return None if torch.backends.mps.is_available() else "torch finds no Apple GPU here"
    if device.startswith(("npu", "xpu")):
        try:
            select_device(device, verbose=False)
        except ValueError:
            return f"torch finds no such {device[:3].upper()} here"
        return None
    if not all(index.isdigit() for index in device.split(",")):
        return "there is no such device"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if all(int(index) < count for index in device.split(",")):
        return None
    return f"torch finds {count or 'no'} CUDA GPU{'s' if count > 1 else ''} here"
