"""report.html of a sweep, and the same as a CSV."""

from optimize.sweep.sweep import Sweep


def write(sweep: Sweep) -> None:
    """Write report.html and results.csv into the sweep's folder, of what is known by now."""
