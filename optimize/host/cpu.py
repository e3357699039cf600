"""Name, instructions and caches of this CPU."""

import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from optimize.int8_cpu import Int8Cpu, kind_of

X86 = ("avx", "amx", "fma", "sse4")  # prefixes of the flags that stand for vector instructions
ARM = ("asimd", "sve", "sme", "i8mm", "bf16")
# Linux' names of what torch calls otherwise
TORCH = {"avx512_f": "avx512f", "fma3": "fma", "neon": "asimd", "dot": "asimddp"}
# where Windows' registry describes the machine, below HKEY_LOCAL_MACHINE
PROCESSOR, FIRMWARE = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0", r"HARDWARE\DESCRIPTION\System\BIOS"


def int8_cpu() -> Int8Cpu:
    """How this machine's CPU computes in 8 bits."""
    return Int8Cpu(kind_of(flags()), name())


def name() -> str | None:
    """The processor's model name, e.g. `Apple M2`."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    if sys.platform == "win32":
        return _registry(PROCESSOR, "ProcessorNameString")
    return _cpuinfo().get("model name", platform.processor()) or None


def board() -> str | None:
    """Model name of the board or computer, from its device tree or firmware; None where neither holds one."""
    if sys.platform == "darwin":
        return _sysctl("hw.model")
    if sys.platform == "win32":
        return _registry(FIRMWARE, "SystemProductName")
    for file in map(Path, ("/proc/device-tree/model", "/sys/devices/virtual/dmi/id/product_name")):
        if file.is_file() and (model := file.read_text(encoding="utf-8", errors="replace").strip("\0 \n")):
            return model
    return None


def flags() -> list[str]:
    """The CPU's vector instructions, by Linux' names; empty where neither the system nor torch lists them."""
    cpuinfo = _cpuinfo()
    return [
        flag
        for kind, beginnings in (("flags", X86), ("Features", ARM))
        for flag in cpuinfo.get(kind, "").split()
        if flag.startswith(beginnings)
    ] or _torch_flags()


def _torch_flags() -> list[str]:
    """As `flags`, what torch tells on systems without /proc/cpuinfo (Windows, macOS); older ones tell nothing."""
    import torch

    if not hasattr(torch.cpu, "get_capabilities"):
        return []
    names = [TORCH.get(name, name) for name, has in torch.cpu.get_capabilities().items() if has is True]
    return [name for name in names if name.startswith((*X86, *ARM))]


def caches() -> int | None:
    """Total bytes of all data caches, over all cores and levels; None where the system doesn't report them."""
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
    """The value that macOS reports for `key`."""
    try:
        completed = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, encoding="utf-8")
    except OSError:  # the command is missing
        return None
    return completed.stdout.strip() or None


def _registry(key: str, value: str) -> str | None:
    """The `value` of `key` in Windows' registry; None on another system."""
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # the key may be missing
            return str(winreg.QueryValueEx(opened, value)[0]).strip() or None
    return None
