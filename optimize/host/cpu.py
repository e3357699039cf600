"""What this CPU is, and what it has instructions for."""

import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

X86 = ("avx", "amx", "fma", "sse4")  # how the flags begin that name vector instructions
ARM = ("asimd", "sve", "sme", "i8mm", "bf16")
INT8 = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dot", "i8mm")  # x86, then ARM
# where Windows' registry describes the machine, below HKEY_LOCAL_MACHINE
PROCESSOR, FIRMWARE = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0", r"HARDWARE\DESCRIPTION\System\BIOS"


def computes_int8() -> bool | None:
    """Whether it multiplies and adds 8-bit integers in one instruction: VNNI or AMX on x86, dot product on ARM.

    None where that is unknown: torch is too old to tell, or the CPU is neither x86 nor ARM.
    """
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):
        return None
    found = torch.cpu.get_capabilities()
    known = [found[name] for name in INT8 if name in found]
    return any(known) if known else None


def name() -> str | None:
    """What the processor calls itself, e.g. `Apple M2`."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    if sys.platform == "win32":
        return _registry(PROCESSOR, "ProcessorNameString")
    return _cpuinfo().get("model name", platform.processor()) or None


def board() -> str | None:
    """What the machine around it calls itself: a board in its device tree, a PC in its firmware; None where neither."""
    if sys.platform == "darwin":
        return _sysctl("hw.model")
    if sys.platform == "win32":
        return _registry(FIRMWARE, "SystemProductName")
    for file in map(Path, ("/proc/device-tree/model", "/sys/devices/virtual/dmi/id/product_name")):
        if file.is_file() and (found := file.read_text(encoding="utf-8", errors="replace").strip("\0 \n")):
            return found
    return None


def flags() -> list[str]:
    """Its vector instructions, by Linux' names; none where the system does not list them."""
    found = _cpuinfo()
    return [
        flag
        for kind, beginnings in (("flags", X86), ("Features", ARM))
        for flag in found.get(kind, "").split()
        if flag.startswith(beginnings)
    ]


def caches() -> int | None:
    """Bytes of all its data caches together, those of all cores and levels; None where the system doesn't tell."""
    sizes = {}
    for index in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cache/index*"):
        files = [index / name for name in ("level", "type", "shared_cpu_list", "size")]
        level, kind, shared, size = (f.read_text(encoding="utf-8").strip() if f.is_file() else "" for f in files)
        if size and kind != "Instruction":
            sizes[level, kind, shared] = int(size.removesuffix("K")) * 1024
    return sum(sizes.values()) or None


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of Linux' /proc/cpuinfo."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if file.is_file() else []
    return {key.strip(): value for key, value in (line.split("\t: ") for line in lines if "\t: " in line)}


def _sysctl(key: str) -> str | None:
    """What macOS says of itself under `key`."""
    try:
        asked = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, encoding="utf-8")
    except OSError:  # the command is not there
        return None
    return asked.stdout.strip() or None


def _registry(key: str, value: str) -> str | None:
    """What Windows' registry holds as `value` of `key`; None on another system."""
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # there may be none
            return str(winreg.QueryValueEx(opened, value)[0]).strip() or None
    return None
