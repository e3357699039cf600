"""Main memory that this process takes."""

from pathlib import Path

STATUS = Path("/proc/self/status")


def resident() -> tuple[int, int]:
    """Bytes of main memory that this process takes now, and the most that it took so far.

    On Linux the kernel's own high-water mark of this program: getrusage also counts the process that started it.
    """
    if STATUS.exists():
        lines = (line.split() for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines if words[0] in ("VmRSS:", "VmHWM:")}
        return 1024 * kilobytes["VmRSS:"], 1024 * kilobytes["VmHWM:"]
    import psutil

    now = psutil.Process().memory_info()
    if hasattr(now, "peak_wset"):  # Windows
        return now.rss, now.peak_wset
    import resource

    return now.rss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
