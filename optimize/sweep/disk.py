"""Disk space that a sweep takes."""

from pathlib import Path

from optimize.inside import content
from optimize.store.contents import MOST, size, used
from optimize.store.held import NOTES
from optimize.sweep.sweep import Sweep


def folder_bytes(sweep: Sweep) -> int:
    """Bytes of the sweep's folder."""
    return size(sweep.folder)


def store_bytes(sweep: Sweep) -> int | None:
    """Bytes of the store's entries that its jobs use, which other runs may share; None where no store is accessible."""
    stores = {Path(str(report.provenance.config.get("store", ""))) for report in sweep.reports.values()}
    notes = [content(file, MOST) or b"" for file in sweep.folder.glob(f"*/{NOTES}")]
    names = {name for text in notes for name in text.decode("utf-8", "replace").splitlines() if name}
    if not stores or not all(store.is_dir() for store in stores):
        return None
    return sum(used(store, names) for store in stores)
