"""Cores, memory and load of this machine."""

import os

import psutil


def cores() -> int:
    """CPU cores that this process may use; where the system has no core affinity (macOS), all cores."""
    process = psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1


def memory() -> int:
    """Bytes of main memory."""
    return psutil.virtual_memory().total


def free_memory() -> int:
    """Bytes of main memory that new processes can take without swapping."""
    return psutil.virtual_memory().available


def load_average() -> float | None:
    """Processes that ran or waited to run, on average over the last minute; None where the system reports none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
