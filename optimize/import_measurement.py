"""`python -m optimize.import_measurement RUN FILE`: bring what a bundle's bench.py measured into the run's report."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from optimize.bundle import measurement
from optimize.errors import InputError
from optimize.measurement import Measurement
from optimize.report import results, write
from optimize.result import Report
from optimize.sentences import one_sentence


def main() -> None:
    parser = ArgumentParser("python -m optimize.import_measurement", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run that made the bundle")
    parser.add_argument("measurement", type=Path, help="measurement.json, as bench.py wrote it on the device")
    with one_sentence():
        given = parser.parse_args()
        report = results.read(given.run / "results.json")
        write(added(report, measurement.read(given.measurement)), given.run)
        print(given.run)


def added(report: Report, new: Measurement) -> Report:
    """`report` with `new`, in place of an earlier measurement of the same artefact on that device and its threads.

    Raises:
        InputError: it is of an artefact that this run did not make.
    """
    made = {(row.sha256, row.variant.runtime, row.variant.precision) for row in report.results}
    if new.artefact not in made:
        raise InputError(
            f"the measurement is of another model's bundle: its {new.precision} artefact for {new.runtime} (SHA-256 "
            f"{new.sha256[:12]}...) is none of this run's; give the folder of the run that made it, {new.run}."
        )
    kept = [one for one in report.measurements if one.place != new.place]
    return replace(report, measurements=(*kept, new))


if __name__ == "__main__":
    main()
