"""Shows the progress of a sweep on the terminal and in its summary, both updated from the jobs' folders.

Jobs may run in other processes and on other machines, so files in a folder that all share are all that is needed.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from time import time

from filelock import FileLock
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from optimize.errors import InputError
from optimize.progress import CONSOLE
from optimize.sweep import job
from optimize.sweep.alive import settle
from optimize.sweep.job import Job
from optimize.sweep.sweep import Sweep, jobs, read

SECONDS = 1.0  # between two looks


class Watch:
    """Looks at the sweep's folder in a thread of its own until it is stopped."""

    def __init__(self, sweep: Sweep, target: Path, lock: FileLock, new: Sequence[Path]) -> None:
        """Look at what happens from now on.

        Args:
            sweep: what to look at.
            target: where its folder lies when it has ended.
            lock: of the sweep's folder; released at the end.
            new: folders that did not exist before.
        """
        settle(sweep.folder)
        self.sweep, self.target, self.lock, self.new = sweep, target, lock, new
        self._stopped, self._begun, self._before = Event(), time(), jobs(sweep.folder)
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look once more, and no more after that."""
        self._stopped.set()
        self._thread.join()

    def seen(self) -> list[Job]:
        """The jobs that have begun since."""
        return [found for found in jobs(self.sweep.folder) if found not in self._before]

    def _look(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        with Progress(*columns, console=CONSOLE, transient=True, disable=not sys.stderr.isatty()) as progress:
            bar, told, going = progress.add_task("jobs", total=self.sweep.total, left=""), set(), True
            while going:
                going = not self._stopped.wait(SECONDS)
                known = self.seen()
                states: Counter[job.State] = Counter(found.state for found in known)
                left = self._left(known)
                said = f"{states[job.RUNNING]} running, {states[job.FAILED]} failed{left}"
                progress.update(bar, completed=states[job.BUILT] + states[job.FAILED], left=said)
                ended = [(found, found.ended) for found in known if found.ended and found.number not in told]
                for found, end in ended:
                    told.add(found.number)
                    total = f" of {self.sweep.total}" if self.sweep.total else ""
                    CONSOLE.print(f"{len(told)}{total}: {self._said(found, end)} ({said})", highlight=False)
                if ended:
                    from optimize.sweep.summary import page

                    try:
                        page.write(read(self.sweep.folder))
                    except InputError as error:  # the end of the sweep says it again
                        CONSOLE.print(str(error), highlight=False)

    def _left(self, known: list[Job]) -> str:
        """Jobs that ended here tell how long one takes, however many run at once."""
        ended = sum(1 for found in known if found.ended)
        if not ended or self.sweep.total is None or ended >= self.sweep.total:
            return ""
        minutes = (time() - self._begun) / ended * (self.sweep.total - ended) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"

    def _said(self, found: Job, ended: float) -> str:
        own = [override for override in found.overrides if override not in self.sweep.overrides]
        how = f"failed: {found.sentence}" if found.sentence else f"built in {ended - found.began:.0f} s"
        return " ".join((str(found.number), *own, how))
