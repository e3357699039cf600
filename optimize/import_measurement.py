"""`python -m optimize.import_measurement RUN FILE`: add a measurement of a bundle's bench.py to the run's report."""

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
        arguments = parser.parse_args()
        report = results.read(arguments.run / "results.json")
        write(added(report, measurement.read(arguments.measurement)), arguments.run)
        print(arguments.run)


def added(report: Report, new: Measurement) -> Report:
    """`report` with `new`, which replaces an earlier measurement of the same artefact, device and number of threads.

    Raises:
        InputError: `new` is of an artefact that is not in the report.
    """
    if new.artefact not in {row.artefact for row in report.results}:
        raise InputError(
            f"the measurement is of the bundle of another run: its {new.precision} artefact for {new.runtime} (SHA-256 "
            f"{new.sha256[:12]}...) is not in this run's report; give the folder of the run that made it, {new.run}."
        )
    kept = [measurement for measurement in report.measurements if measurement.place != new.place]
    return replace(report, measurements=(*kept, new))


if __name__ == "__main__":
    main()
