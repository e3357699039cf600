"""report.html of a sweep, and the same as a CSV."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from optimize.limits import Limits
from optimize.report import frame, words
from optimize.report.charts import front
from optimize.store.manifest import placing
from optimize.sweep import disk
from optimize.sweep.summary import sheet, summary, table
from optimize.sweep.summary.artefacts import copied
from optimize.sweep.summary.rows import Row, groups
from optimize.sweep.summary.summary import Summary, alarms, not_begun, summarize
from optimize.sweep.sweep import Sweep
from optimize.texts import mapped, shown
from optimize.verdict import plain

PAGE, SHEET = "report.html", "results.csv"
TEMPLATE = Path(__file__).parent / "sweep.html.j2"
AGAIN = 20  # seconds after which a page of a sweep that goes on is loaded again
OPEN = 8  # alarms that are seen at once
LINKED = 4  # jobs of a row that are linked one by one


def write(sweep: Sweep, ended: bool = False) -> None:
    """Write report.html and results.csv into the sweep's folder, of what is known by now, both or none.

    Args:
        sweep: how far it is.
        ended: no more will come; before that the page loads itself again from time to time.

    Raises:
        InputError: one of them was changed since it was written.
    """
    sweep = replace(sweep, jobs=mapped(sweep.jobs, shown), reports=mapped(sweep.reports, shown))
    found = summarize(sweep)
    with placing(sweep.folder) as partial:
        (partial / SHEET).write_text(sheet.text(found), encoding="utf-8")
        (partial / PAGE).write_text(frame.render(TEMPLATE, _content(found, ended)), encoding="utf-8")


def _content(found: Summary, ended: bool) -> dict[str, Any]:
    sweep, worth = found.sweep, found.worth
    return {
        "sweep": sweep,
        "again": None if ended else AGAIN,
        "began": datetime.fromtimestamp(sweep.began).strftime("%d %B %Y, %H:%M").lstrip("0"),
        "headline": found.headline,
        "progress": summary.progress(sweep),
        "findings": found.findings,
        "alarms": _alarms(found),
        "open": OPEN,
        "linked": LINKED,
        "not_begun": not_begun(sweep),
        "keys": found.keys,
        "head": table.columns(found),
        "words": (*table.WORDS, *found.keys),
        "rows": [(row, table.cells(row, found), _data(row, found)) for row in _worth_first(found)],
        "is_best": found.is_best,
        "failures": [(failed, _choices(failed.jobs, found)) for failed in table.failures(found)],
        "choices": _filters(found),
        "fronts": found.fronts,
        "reasons": _reasons(found),
        "charts": _charts(found.rows),
        "grounds": {group[0].peers: group[0].report.provenance for group in groups(found.rows)},
        "precisions": {name: name for name in ("all", *(row.result.variant.precision for row in found.rows))},
        "worth": worth,
        "copies": copied(worth, sweep.folder),
        "work": sorted(sweep.made.keys() | sweep.found.keys()),
        "own": disk.folder_bytes(sweep),
        "stored": disk.store_bytes(sweep),
        "notes": [*_notes(sweep), *_optimism(found)],
        "made": next((report.provenance for report in sweep.reports.values()), None),
    }


def _alarms(found: Summary) -> list[tuple[str, str, str]]:
    """Name, sentence, and the jobs; what failed as a whole comes first."""
    sweep = found.sweep
    jobs = [("failed", f"{one.called}: {one.sentence}", "") for one in table.failures(found) if not one.runtime]
    return jobs + [(*gate, f"jobs: {table.jobs(numbers, sweep)}") for gate, numbers in alarms(sweep).items()]


def _charts(rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Vega-Lite by the id of its place in the page; rows that can't be compared have charts of their own."""
    charts = {}
    for i, group in enumerate(groups(rows)):
        points = [_point(row) for row in group]
        charts[f"flops{i}"] = front.against_flops(points)
        if any(row.result.latency for row in group):
            charts[f"latency{i}"] = front.against_latency(points)
        if any(row.result.frame for row in group):
            charts[f"frame{i}"] = front.against_frame(points)
        charts[f"size{i}"] = front.against_size(points)
    return charts


def _worth_first(found: Summary) -> list[Row]:
    worth = found.worth
    return sorted(found.rows, key=lambda row: (not found.is_best(row), row not in worth))


def _point(row: Row) -> dict[str, Any]:
    name = row.result.variant.name
    told = {"variant": f"{name}{row.added}", "short": row.short(name), "model": row.short(plain.model(row.result))}
    return front.point(row.result, row.report) | told


def _filters(found: Summary) -> dict[str, tuple[str, list[str]]]:
    """By the name of its data attribute: what the table can be narrowed to, and the choices."""
    variants = dict.fromkeys(row.result.variant.name for row in found.rows)
    runtimes = dict.fromkeys(row.result.variant.runtime for row in found.rows)
    told = [one for own in found.told.values() for one in own.items()]
    own = {
        f"set{i}": (key, list(dict.fromkeys(value for other, value in told if other == key)))
        for i, key in enumerate(found.keys)
    }
    costs = [cost for cost, best in found.fronts.items() if best]
    return (
        {"variant": ("variant", list(variants)), "runtime": ("runtime", list(runtimes))}
        | own
        | {"front": ("front", costs)}
    )


def _data(row: Row, found: Summary) -> dict[str, str]:
    variant = row.result.variant
    own = {"variant": variant.name, "runtime": variant.runtime, "front": "\t".join(found.fronts_of(row))}
    return own | _choices(row.jobs, found)


def _choices(jobs: tuple[int, ...], found: Summary) -> dict[str, str]:
    """What a row is found by: all values that its jobs were given, by the name of the data attribute."""
    return {
        f"set{i}": "\t".join(dict.fromkeys(found.told[number].get(key, "") for number in jobs))
        for i, key in enumerate(found.keys)
    }


def _reasons(found: Summary) -> list[str]:
    """Why rows miss the limits; of several verdicts, of the first."""
    named = {id(row.result): row.called for row in found.rows}
    for finding in found.findings[:1]:
        if finding.asked != Limits():
            return [
                f"{named[id(row)]}: {', '.join(miss.reason for miss in missed)}."
                for row, missed in finding.verdict.failing
            ]
    return []


def _optimism(found: Summary) -> list[str]:
    """Of each verdict, with the limits where there are several."""
    several = len(found.findings) > 1
    return [
        f"{finding.parts[0].partition(':')[0]}: {finding.optimism.sentence}" if several else finding.optimism.sentence
        for finding in found.findings
        if finding.optimism
    ]


def _notes(sweep: Sweep) -> list[str]:
    """Those of all jobs, with the noise of the noisiest."""
    reports = list(sweep.reports.values())
    if not reports:
        return []
    noise = max((report.noise for report in reports if report.noise is not None), default=None)
    spread = max((report.noise_spread for report in reports if report.noise_spread is not None), default=None)
    every = [words.method(replace(report, noise=noise, noise_spread=spread)) for report in reports]
    return list(dict.fromkeys(note for notes in every for note in notes))
