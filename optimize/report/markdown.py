"""report.md: the report as markdown, to read or to paste."""

from pathlib import Path

from optimize.report import pipes, words
from optimize.report.sections import sections
from optimize.report.sections.section import Section
from optimize.result import Report
from optimize.texts import code, mapped
from optimize.texts import markdown as escaped
from optimize.verdict import gates, verdict
from optimize.work import Work


def write(report: Report, path: Path) -> None:
    """Write headline, alarms, table, image, and how everything was measured.

    Texts of the report are escaped here, once; the markup between them is not.
    """
    command, report = report.provenance.command, mapped(report, escaped)
    made = report.provenance
    lines = [
        "# Optimization report",
        "",
        verdict.headline(report),
        *(f"\n**{name}: {sentence}**" for name, sentence in gates.fired(report)),
        "",
        *pipes.table(words.columns(report), words.marked(report)),
        "",
        *_limits(report),
        "![accuracy against FLOPs and latency](report.png)",
        "",
        "## How it was measured",
        "",
        *(f"- {note}" for note in words.notes(report)),
        f"- Host: {made.host.name}, {made.host.cores} cores, {made.host.system}, {' '.join(made.host.cpu_flags)}"
        f"{_state(report)}.",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in made.versions.items())}.",
        f"- Data: {made.data} ({made.train_images} training images, fingerprint {made.fingerprint}).",
        f"- Repeat: {code(command)}",
        "- Every figure, by layer and class, with the hash of each artefact: results.json.",
        "",
        *_stages(report),
        "",
        *(line for section in sections(report) for line in _lines(section)),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _state(report: Report) -> str:
    state = words.host_state(report)
    return f"; {state}" if state else ""


def _limits(report: Report) -> list[str]:
    missed = verdict.reasons(report)
    return ["Rows that miss the limits:", "", *(f"- {reason}" for reason in missed), ""] if missed else []


def _stages(report: Report) -> list[str]:
    return [f"- {', '.join(settings(work))}" for work in report.stages]


def _lines(section: Section) -> list[str]:
    tables = [
        line
        for table in section.tables
        for line in (*([f"{table.title}:", ""] if table.title else []), *pipes.table(table.head, table.rows), "")
    ]
    notes = [f"- {sentence}" for sentence in (*section.notes, *section.sources)]
    return [f"## {section.title}", "", section.lead, "", *tables, *notes, *([""] if notes else [])]


def settings(work: Work) -> list[str]:
    """Name and plain settings of a stage."""
    plain = {key: value for key, value in vars(work).items() if isinstance(value, int | float | str)}
    plain = {"stage": work.stage, **plain}
    return [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in plain.items()]
