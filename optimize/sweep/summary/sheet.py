"""results.csv: a line for each row of a sweep, for spreadsheets and programs."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

from optimize.sweep.summary import artefacts, rows, table
from optimize.sweep.summary.rows import Row
from optimize.sweep.summary.summary import Summary
from optimize.verdict.plain import original, points


def text(summary: Summary) -> str:
    """The CSV: what was measured, then what failed; empty where nothing was measured.

    Numbers of jobs, and metrics, that a row has stand in it as they are in results.json; an override is empty where the
    jobs of a row don't share it.
    """
    copies = artefacts.copied(summary.worth, summary.sweep.folder)
    given = {one.number: rows.settings(one) for one in summary.sweep.jobs}
    lines = [_overrides(given, row.jobs) | _line(row, summary, copies) for row in summary.rows]
    for failed in table.failures(summary):
        error = {"jobs": _joined(failed.jobs), "runtime": failed.runtime}
        if failed.runtime:
            error["variant"] = failed.name
        lines.append(_overrides(given, failed.jobs) | error | {"error": failed.sentence})
    asked = [f"override.{key}" for own in given.values() for key in own]
    first = ("jobs", "variant", "runtime", *asked)
    columns = dict.fromkeys((*first, *(key for line in lines for key in line if key != "error"), "error"))
    sheet = StringIO()
    writer = csv.DictWriter(sheet, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return sheet.getvalue()


def _overrides(given: dict[int, dict[str, str]], jobs: tuple[int, ...]) -> dict[str, str]:
    return {f"override.{key}": value for key, value in rows.shared([given[number] for number in jobs]).items()}


def _line(row: Row, summary: Summary, copies: dict[Row, Path]) -> dict[str, Any]:
    result, report, time = row.result, row.report, row.result.latency
    told = {
        "jobs": _joined(row.jobs),
        "variant": result.variant.name,
        "runtime": result.variant.runtime,
        "precision": result.variant.precision,
        "imgsz_px": str(result.variant.imgsz),
        "rival": int(result.rival),
        "best": int(summary.is_best(row)) if summary.findings else None,
    }
    told |= {
        f"front_{cost.lower()}": int(row in best) if best or cost != "latency" else None
        for cost, best in summary.fronts.items()
    }
    told |= {
        "flops": result.flops,
        "macs": result.macs,
        "int_ops": result.int_ops,
        "int8_share": result.int8_share,
        "parameters": result.cost.parameters,
        "size_bytes": result.size_bytes,
        "metric": result.accuracy.metric,
        "score": result.accuracy.score,
        "score_standard_error": result.accuracy.error,
        "points": points(result, report),
        **{f"accuracy.{name}": value for name, value in result.accuracy.metrics.items()},
        "images": result.accuracy.images,
    }
    timed = ("median_ms", "q1_ms", "q3_ms", "p90_ms", "p99_ms", "arithmetic", "threads")
    told |= {name: getattr(time, name) if time else None for name in timed}
    frame = result.frame
    told |= {"frame_ms": frame.total.median_ms if frame else None}
    told |= {f"frame.{name}_ms": stage.median_ms for name, stage in (frame.stages if frame else {}).items()}
    paired = original(report, result.variant.runtime) if time else None
    told |= {name: getattr(time, name) if paired else None for name in ("speedup", "speedup_low", "speedup_high")}
    files = {"sha256": result.sha256, "artefact": result.variant.path, "copy": copies.get(row)}
    return told | files | {"data": report.provenance.data}


def _joined(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
