"""What several tests make, run and compare."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
