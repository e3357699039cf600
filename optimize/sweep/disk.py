"""How much room a sweep takes."""

from pathlib import Path

from optimize.store.contents import size, used
from optimize.store.held import NOTES
from optimize.sweep.sweep import Sweep


def own(sweep: Sweep) -> int:
    """Bytes of its own folder."""
    return size(sweep.folder)


def stored(sweep: Sweep) -> int | None:
    """Bytes of what its jobs use of their store, which other runs may use too; None where no store is seen here."""
    stores = {Path(report.provenance.config["store"]) for report in sweep.reports.values()}
    notes = [file.read_text(encoding="utf-8") for file in sweep.folder.glob(f"*/{NOTES}")]
    names = {name for text in notes for name in text.splitlines() if name}
    there = stores and all(store.is_dir() for store in stores)
    return sum(used(store, names) for store in stores) if there else None
