"""The section on accuracies of all images, where every row was validated on a part of them (`val_images`)."""

from optimize.report.sections.section import DASH, Section, Table
from optimize.result import Report, Result
from optimize.verdict.plain import change, points


def section(report: Report) -> Section | None:
    """A row for each that was validated on all images; None where every row was."""
    whole, final = report.provenance.whole, report.concluded
    if whole is None or final is report:
        return None
    metric = final.results[0].accuracy.metric
    lead = (
        f"Every row was validated on a part of the images, these also on {whole.described}: the original, the rows "
        "whose accuracy differs by at most two standard errors from that of the row to deploy, and rivals that beat "
        "it. `points` is the change against the original on the same images, `+-` its standard error."
    )
    table = Table(
        ("variant", "runtime", metric, "points", "+-"),
        tuple(_cells(row, final) for row in final.results),
        words=("variant", "runtime"),
    )
    return Section("all-images", "On all images", lead, (table,), terminal=True)


def _cells(row: Result, final: Report) -> tuple[str, ...]:
    first = final.results[0]
    error = row.accuracy.error_of_difference(first.accuracy)
    same = row is first
    return (
        row.variant.name,
        row.runtime.title,
        f"{row.accuracy.score:.4f}",
        DASH if same else change(points(row, final)),
        DASH if same or error is None else f"{100 * error:.1f}",
    )
