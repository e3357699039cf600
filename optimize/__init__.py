"""Make YOLO models cheaper to run, and measure what that did. Start at `cli.py`; the story is in `pipeline.py`."""

__version__ = "0.2.0"
