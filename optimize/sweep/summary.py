"""What a sweep found, over all of its jobs."""

from optimize.sweep.sweep import Sweep


def headline(sweep: Sweep) -> str:
    """What to take of everything that the sweep made, in one sentence."""
    raise NotImplementedError
