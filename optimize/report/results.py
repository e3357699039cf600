"""results.json: every figure of a run, for programs and for drawing the report again."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from optimize.errors import InputError
from optimize.host.files import write_text
from optimize.inside import content as bytes_of
from optimize.report import checked
from optimize.result import Report
from optimize.verdict import gates, verdict
from optimize.verdict.optimism import of_report

SCHEMA, EARLIER = 5, (3, 4)
REPORT = TypeAdapter(Report)
MOST = 2**28  # bytes; the file of a run with twenty rows has about a hundredth of it
DERIVED = ("flops", "macs", "float_ops", "int_ops", "int8_share")  # of every row, for readers without this package


def write(report: Report, path: Path) -> None:
    """Write the report; what was not measured is null."""
    content = {"schema": SCHEMA, **REPORT.dump_python(report, mode="json")}
    for row, result in zip(content["results"], report.results, strict=True):
        row |= {"name": result.variant.name} | {name: getattr(result, name) for name in DERIVED}
        row |= {"missed": result.missed}
    content["verdict"] = verdict.headline(report)
    content["optimism"] = asdict(optimism) if (optimism := of_report(report)) else None
    content["alarms"] = [gate._asdict() for gate in gates.fired(report)]
    write_text(path, json.dumps(content, indent=2))


def read(path: Path) -> Report:
    """Read the report that `write` wrote.

    Raises:
        InputError: there is no such file, it has another schema, or its content is invalid.
    """
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; give the folder of a run that has ended, e.g. runs/2026-11-22_12-00-00."
        )
    try:
        content = from_json(bytes_of(path.resolve(), MOST) or b"")  # bounds how deep brackets go
        schema = content.get("schema")
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a results.json of this program; give the folder of a run.") from error
    if schema not in (*EARLIER, SCHEMA):
        raise InputError(
            f"{path} has schema {schema!s:.40}, this version reads {EARLIER[0]} to {SCHEMA}; run the command "
            "in it again."
        )
    if schema == 3:
        from optimize.report import schema3  # it imports every runtime

        content = schema3.translated(content)
    try:
        report = REPORT.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is damaged at {where}: {first['msg']}; run the command in it again.") from error
    if mistake := next(checked.wrong(report), None):
        raise InputError(f"{path} is damaged at {mistake}; run the command in it again.")
    return report
