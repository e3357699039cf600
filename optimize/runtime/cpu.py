"""What this CPU has instructions for."""

import torch

INT8 = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dot", "i8mm")  # x86, then ARM


def computes_int8() -> bool | None:
    """Whether it multiplies and adds 8-bit integers in one instruction: VNNI or AMX on x86, dot product on ARM.

    None where that is unknown: torch is too old to tell, or the CPU is neither x86 nor ARM.
    """
    if not hasattr(torch.cpu, "get_capabilities"):
        return None
    found = torch.cpu.get_capabilities()
    known = [found[name] for name in INT8 if name in found]
    return any(known) if known else None
