"""Identifies this machine as far as a model's outputs depend on it.

A runtime chooses its kernels, and so the order of additions, by the CPU's model and instructions; int8 kernels without
VNNI can even saturate. Machines with the same CPU model and instructions share stored accuracies.
"""

from hashlib import sha256

import torch

from optimize.host import cpu


def machine_name() -> str:
    """The CPU's name with 8 hex digits of the hash of its instructions, and the GPU's name if there is one."""
    instructions = sha256(" ".join(sorted(cpu.flags())).encode()).hexdigest()[:8]
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return " and ".join([f"{cpu.name()} ({instructions})", *gpu])
