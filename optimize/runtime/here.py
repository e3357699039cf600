"""This machine, as far as the outputs of a model, and all that was chosen by them, depend on it.

The kernels that a runtime takes, and so the order in which it adds up, follow from the CPU's model and instructions:
int8 without VNNI even saturates where it has it. Two machines with equal ones share what they measure.
"""

from hashlib import sha256

import torch

from optimize.host import cpu


def here() -> str:
    """The CPU by name with 8 hex digits over its instructions, and the GPU, if there is one."""
    instructions = sha256(" ".join(sorted(cpu.flags())).encode()).hexdigest()[:8]
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return " and ".join([f"{cpu.name()} ({instructions})", *gpu])
