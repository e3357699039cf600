"""README.md of a run with `card=true`: a model card of the row to deploy, with its figures for Hugging Face.

The format: https://huggingface.co/docs/hub/model-cards. The card claims no licence, since only the user knows that of
the checkpoint; paths are shortened to their last part, since a card is made to be published.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from optimize.dataset import ImageSet
from optimize.report import markdown, pipes
from optimize.report.sections.section import DASH
from optimize.result import Report, Result
from optimize.texts import code, mapped
from optimize.texts import markdown as escaped
from optimize.verdict import gates, verdict
from optimize.verdict.plain import called, change, nothing, original, points
from optimize.yolo.tasks import BY_NAME

LICENCE = """\
This card states no licence: in your copy of it, add `license:` to its first lines when you know yours. The model is
derived from the checkpoint above, whose licence goes on to apply, and from the images it was trained on. ultralytics'
own checkpoints are AGPL-3.0, and ultralytics says the same of models that were trained with its software; it sells
other terms. Who publishes the model decides, and must ask whoever made the checkpoint and the images. yolo-optimize,
which made this file, is AGPL-3.0-or-later."""


def write(report: Report, path: Path) -> None:
    """Write the card of the verdict's choice, of the original where nothing was made.

    Args:
        report: of a run that ended, without control characters in its texts.
        path: the file.
    """
    report = _published(report)
    data = yaml.safe_dump(metadata(report), sort_keys=False, allow_unicode=True, width=10**6)
    command, report = report.provenance.command, mapped(report, escaped)
    path.write_text(f"---\n{data}---\n\n{_text(report, command)}\n", encoding="utf-8")


def metadata(report: Report) -> dict[str, Any]:
    """The card's data: tags, and every figure of the row under `model-index`."""
    row, made = _row(report), report.provenance
    pipeline = BY_NAME[made.task].pipeline
    images = _images(report)
    data = {
        "name": made.data,
        "type": Path(made.data).stem,
        **({"split": images.split} if images else {}),
        "args": {"images": row.accuracy.images, "fingerprint": images.fingerprint if images else made.fingerprint},
    }
    result = {"task": {"type": pipeline}, "dataset": data, "metrics": _metrics(row, report)}
    tags = ["yolo", made.task, *row.variant.tags, row.variant.runtime, row.variant.precision]
    return {
        "pipeline_tag": pipeline,
        "tags": list(dict.fromkeys(tags)),
        "model-index": [{"name": _name(report), "results": [result]}],
    }


def _published(report: Report) -> Report:
    """`report` without the folders of model and data on the user's machine."""
    made = report.provenance
    model, data = Path(str(made.config["model"])).name, Path(made.data)
    name = data.parent.name if data.stem == "data" else data.name  # the yaml of most data sets is called data.yaml
    return replace(report, provenance=replace(made, data=name, config=made.config | {"model": model}))


def _row(report: Report) -> Result:
    """The row that the card is about, with its accuracy on all images where it was validated on all."""
    final = report.concluded
    unchanged = [row for row in final.results if not row.rival]
    return verdict.chosen(final) or verdict.decide(final, unchanged).choice or final.results[0]


def _images(report: Report) -> ImageSet | None:
    """The images that the row's accuracy is of; None in reports of versions up to 0.3."""
    made = report.provenance
    return made.accuracy_on if report.concluded is report else made.whole


def _name(report: Report) -> str:
    """E.g. `best-pruned-int8`."""
    name = _row(report).variant.name.replace("+", "-")
    return f"{Path(str(report.provenance.config['model'])).stem}-{name}"


def _metrics(row: Result, report: Report) -> list[dict[str, Any]]:
    """Type, value and name of each figure; what was not measured is left out."""
    accuracy, time = row.accuracy, row.latency
    metrics = [_metric(name, value) for name, value in accuracy.metrics.items()]
    if accuracy.error is not None:
        metrics.append(_metric("standard_error", accuracy.error, f"standard error of {accuracy.metric}"))
    metrics.append(_metric("flops", row.flops, "FLOPs of one image, 2 per multiply-add"))
    metrics.append(_metric("parameters", row.cost.parameters))
    metrics.append(_metric("size_bytes", row.size_bytes, "bytes of the file"))
    if time:
        metrics.append(_metric("latency_ms", time.median_ms, f"median ms of one call, {_where(row, report)}"))
    return metrics


def _metric(kind: str, value: float, name: str = "") -> dict[str, Any]:
    return {"type": kind, "value": value, "name": name or kind}


def _where(row: Result, report: Report) -> str:
    """What a time was measured in and on."""
    made, time = report.provenance, row.time
    package = row.runtime.package
    version = f" {made.versions[package]}" if package in made.versions else ""
    return f"{row.runtime.title}{version}, {time.arithmetic}, {time.threads} threads, {made.host.name}"


def _text(report: Report, command: str) -> str:
    row, made = _row(report), report.provenance
    missed = [miss.reason for _, misses in verdict.decide(report.concluded, [row]).failing for miss in misses]
    program = f"yolo-optimize {made.versions.get('yolo-optimize', '')}".strip()
    lines = [
        f"# {_name(report)}",
        "",
        f"{called(row)}, made by {program} from {made.config['model']} for the task {made.task}, input "
        f"{row.variant.imgsz} px. The verdict of the run: {verdict.headline(report)}",
        *(f"\n**{name}: {sentence}**" for name, sentence in gates.fired(report)),
        "",
        *_table(row, report),
        "",
        *_done(row, report),
        "## Data and accuracy",
        "",
        f"- Data: {made.data}, {made.train_images} training images, fingerprint {made.fingerprint}.",
        f"- Accuracy is of {_described(report)}; +- is one standard error over the choice of images"
        f"{'' if row.accuracy.error is not None else ', which takes more images than there are'}.",
        "",
        "## Times",
        "",
        f"- {_times(row, report)}",
        "- A time is of one call with one image, without reading it, preprocessing and NMS. Elsewhere it differs.",
        "",
        "## Limits",
        "",
        *([f"- Limits that it misses: {', '.join(missed)}."] if missed else []),
        "- It was validated on the images above and no others; on images from elsewhere its accuracy is not known.",
        "- Pruning and 8 bits can harm rare classes more than others; results.json has the accuracy of each class.",
        *(f"- {remark}" for remark in made.remarks),
        "",
        "## Licence",
        "",
        LICENCE.replace("\n", " "),
        "",
        "## Repeat",
        "",
        f"- {code(command)}",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in made.versions.items())}.",
        f"- File: {row.variant.path.name}, SHA-256 {row.sha256}.",
    ]
    return "\n".join(lines)


def _done(row: Result, report: Report) -> list[str]:
    """The records of the stages that made the row, with their settings."""
    stages = [
        *(report.stages if "pruned" in row.variant.tags else ()),
        *([row.quantization] if row.quantization else []),
    ]
    lines = [f"- {', '.join(markdown.settings(work))}" for work in stages]
    return ["## What was done", "", *lines, ""] if lines else []


def _described(report: Report) -> str:
    images = _images(report)
    return images.described if images else f"{report.results[0].accuracy.images} images"


def _table(row: Result, report: Report) -> list[str]:
    """The row beside the original: in torch, for the time in the runtime of the row."""
    final = report.concluded
    first, there = final.results[0], original(final, row.variant.runtime)
    score = [f"{_score(one)}" for one in (first, row)]
    time = [f"{one.time.median_ms:.2f}" if one and one.latency else DASH for one in (there, row)]
    rows = [
        (row.accuracy.metric, *score, f"{change(points(row, final))} points"),
        ("GFLOPs", *(f"{one.flops / 1e9:.3f}" for one in (first, row)), f"{_percent(row.flops, first.flops)}"),
        ("parameters, millions", *(f"{one.cost.parameters / 1e6:.2f}" for one in (first, row)), ""),
        ("file, MB", *(f"{one.size_bytes / 1e6:.2f}" for one in (there or first, row)), ""),
        (f"median ms, {row.runtime.title}", *time, f"{row.time.speedup:.2f}x as fast" if there and row.latency else ""),
    ]
    return pipes.table(("", "original", "this model", ""), rows)


def _score(row: Result) -> str:
    error = row.accuracy.error
    return f"{row.accuracy.score:.4f}" + (f" +- {error:.4f}" if error is not None else "")


def _percent(value: float, reference: float) -> str:
    return change(100 * (value / reference - 1), " %")


def _times(row: Result, report: Report) -> str:
    time = row.latency
    if time is None:
        return "It was not timed."
    return (
        f"Median {time.median_ms:.2f} ms, quartiles {time.q1_ms:.2f} to {time.q3_ms:.2f} ms: {_where(row, report)}, "
        f"{report.provenance.host.cores} cores, {report.provenance.host.system}. Differences below "
        f"{nothing(report):.0%} mean nothing."
    )
