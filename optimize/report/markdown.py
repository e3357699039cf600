"""report.md: the report for people, to read or to paste."""

import shlex
import sys
from pathlib import Path

from optimize.pipeline import Plan
from optimize.plan import versions
from optimize.report import int8, layers, pipes, words
from optimize.report.results import host
from optimize.result import Report


def write(report: Report, plan: Plan, path: Path) -> None:
    """Write headline, table, picture, and how everything was measured."""
    machine = host()
    lines = [
        "# Optimization report",
        "",
        words.headline(report),
        *(f"\n**{sentence}**" for sentence in report.missed),
        "",
        *pipes.table(words.columns(report), words.rows(report)),
        "",
        "![accuracy against FLOPs and latency](report.png)",
        "",
        "## How it was measured",
        "",
        *(f"- {note}" for note in words.notes(report, plan)),
        f"- Host: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, {' '.join(machine['cpu_flags'])}.",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in versions().items())}.",
        f"- Data: {plan.data.yaml} ({len(plan.data.train)} training pictures, fingerprint {plan.data.fingerprint}).",
        f"- Repeat: `{shlex.join(['python', '-m', 'optimize', *sys.argv[1:]])}`",
        "- Every figure, by layer and class, with the hash of each artefact: results.json.",
        "",
        *_stages(report),
        "",
        *int8.section(report),
        *layers.section(report.stages),
    ]
    path.write_text("\n".join(lines))


def _stages(report: Report) -> list[str]:
    return [f"- {', '.join(_settings(done))}" for done in report.stages]


def _settings(done: dict) -> list[str]:
    plain = {key: value for key, value in done.items() if isinstance(value, int | float | str)}
    return [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in plain.items()]
