"""How much room a sweep takes."""

from pathlib import Path

from optimize.inside import content
from optimize.store.contents import MOST, size, used
from optimize.store.held import NOTES
from optimize.sweep.sweep import Sweep


def own(sweep: Sweep) -> int:
    """Bytes of its own folder."""
    return size(sweep.folder)


def stored(sweep: Sweep) -> int | None:
    """Bytes of what its jobs use of their store, which other runs may use too; None where no store is seen here."""
    stores = {Path(str(report.provenance.config.get("store", ""))) for report in sweep.reports.values()}
    notes = [content(file, MOST) or b"" for file in sweep.folder.glob(f"*/{NOTES}")]
    names = {name for text in notes for name in text.decode("utf-8", "replace").splitlines() if name}
    if not stores or not all(store.is_dir() for store in stores):
        return None
    return sum(used(store, names) for store in stores)
