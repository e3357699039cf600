"""`python -m optimize.bound model=yolo26n.pt device_profile=raspberry-pi-5`: will it run on that device?"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields

from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from optimize.bound import document, earlier
from optimize.bound.pick import Candidate, explain, verdict
from optimize.config import of_words, typed
from optimize.device import bound
from optimize.device.device import Device, known, load
from optimize.errors import InputError, LimitMissed
from optimize.flops import modules
from optimize.input_size import size
from optimize.json_document import MEANING, OPTION, json_document
from optimize.keys import listed, meaning
from optimize.limits import Limits
from optimize.report import table as terminal_table
from optimize.report.sections import bounds as shown
from optimize.report.sections import section
from optimize.sentences import one_sentence
from optimize.store.apply import digest
from optimize.terminal import terminal
from optimize.verdict.plain import change
from optimize.yolo import checkpoint

PROFILES = f"{', '.join(known())}, or the path of a yaml of your own (`python -m optimize.profile_device` writes one)."
KEYS = {
    "model": f"{meaning('model')} Or the .yaml of a model, with a default imgsz of 640; several as `[a.pt,b.yaml]`.",
    "device_profile": PROFILES,
    "imgsz": meaning("imgsz"),
    "runs": "Folders of runs on that device, e.g. `[runs/pi]`: their measurements replace the bounds.",
    **{name: meaning(name) for name in ("limits.latency_ms", "limits.flops", "limits.size_mb", "trust")},
}
HELP = f"""\
Lower bounds of the latency of models on a device, by layer and in total, whether the models fit its memory, and which
of them can meet limits. Bounds are computed, not measured; they can only rule models out.

  python -m optimize.bound model=yolo26n.pt device_profile=raspberry-pi-5 imgsz=640
  python -m optimize.bound model=[yolo26n.pt,yolo26s.pt] device_profile=raspberry-pi-5 limits.latency_ms=50

{listed({**KEYS, OPTION: f"{MEANING}."}.items(), 120)}"""


@dataclass(frozen=True)
class Settings:
    """The keys of the command line beside `limits`, as HELP explains them."""

    model: tuple[str, ...]
    device_profile: str | None = None
    imgsz: int | tuple[int, ...] | None = None
    runs: tuple[str, ...] = ()
    trust: bool = False


def main(words: Sequence[str]) -> None:
    """Print bounds, measurements and the verdict.

    Raises:
        InputError: an input can't be used.
        LimitMissed: no model can meet the limits.
    """
    if not words or {"-h", "--help"} & set(words):
        print(HELP)
        return
    settings, limits = _parsed([word for word in words if word != OPTION])
    device = load(settings.device_profile) if settings.device_profile else None
    _check(settings, limits)
    as_json = OPTION in words
    with json_document(as_json) as write:
        with checkpoint.trusted(settings.trust):
            candidates = [_candidate(model, settings, device) for model in settings.model]
        where = f" on {device.name}" if device else ""
        sentences = verdict(candidates, limits, where) if limits != Limits() else []
        bounding = [*shown.notes(device), *shown.sources(device)] if device else []
        notes = [*_notes(candidates, settings.runs), *bounding]
        if as_json:
            write(document.content(candidates, device, limits, notes, sentences))
        else:
            _show(candidates, device, limits, notes, sentences)
    if limits != Limits() and not sentences:
        raise LimitMissed(f"no model can meet the limits{where}; give smaller models, a smaller imgsz or other limits.")


def _show(
    candidates: Sequence[Candidate], device: Device | None, limits: Limits, notes: list[str], sentences: list[str]
) -> None:
    console = terminal()
    if device:
        if len(candidates) == 1:
            console.print(_layers(candidates[0], device))
        console.print(_totals(candidates, device, limits))
    if any(candidate.measured for candidate in candidates):
        console.print(_measurements(candidates, limits))
    for note in notes:
        console.print(f"- {note}")
    for sentence in sentences:
        console.print(sentence, style="bold")


def _parsed(words: Sequence[str]) -> tuple[Settings, Limits]:
    keys = [field.name for field in fields(Settings)]
    given = of_words(words, [*keys, "limits"], ("model", "runs"))
    if given.get("model") in (None, "", []):
        raise InputError("model is missing; give one, e.g. model=yolo26n.pt, or several, model=[a.pt,b.pt].")
    limits = given.pop("limits", OmegaConf.create())
    if not isinstance(limits, DictConfig):
        raise InputError(f"limits={limits} is not allowed; give limits.latency_ms=, limits.flops= or limits.size_mb=.")
    return typed(Settings, given, ""), typed(Limits, limits, "limits")


def _check(settings: Settings, limits: Limits) -> None:
    if asked := [name for name in ("max_drop", "max_class_drop") if getattr(limits, name) is not None]:
        raise InputError(
            f"limits.{asked[0]} needs labelled images; give it to `python -m optimize`, and here latency_ms, flops or "
            "size_mb."
        )
    if limits.frame_ms is not None:
        raise InputError(
            "limits.frame_ms needs whole frames, and a bound is of the graph alone; give it to `python -m optimize`, "
            "and here latency_ms, flops or size_mb."
        )
    if settings.device_profile is None and limits == Limits():
        raise InputError("neither a device nor a limit is given; give device_profile= or e.g. limits.flops=4e9.")
    if settings.device_profile is None and limits.latency_ms is not None and not settings.runs:
        raise InputError("limits.latency_ms needs device_profile= for a bound, or runs= for measurements.")


def _candidate(model: str, settings: Settings, device: Device | None) -> Candidate:
    counted, imgsz, path = modules.counted(model, None if settings.imgsz is None else size(settings.imgsz))
    sha256 = digest(path) if path else None  # a yaml has no weights to measure
    measured = [row for run in settings.runs for row in earlier.rows(run, sha256, imgsz, device)]
    return Candidate(model, imgsz, counted, bound.bounds(counted, device) if device else (), tuple(measured))


def _layers(candidate: Candidate, device: Device) -> Table:
    """The bound of every layer, with a star where memory and not compute sets it."""
    table = Table(
        title=f"{candidate.name} at {candidate.imgsz} px by layer. {shown.title(device)}; * bound by memory",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("layer", no_wrap=True)
    known = {f"{b.unit} {b.arithmetic}, ms": b.layers for b in candidate.bounds if b.layers is not None}
    for name in ("MFLOPs", *known):
        table.add_column(name, justify="right", no_wrap=True)
    counted = [layer for layer in candidate.cost.layers if layer.flops]
    for i, layer in enumerate(counted):
        limits = [layers[i] for layers in known.values()]
        times = (f"{limit.bound_ms:.4f}{'*' if limit.bound == 'memory' else ''}" for limit in limits)
        table.add_row(layer.name, f"{layer.flops / 1e6:.3f}", *times)
    return table


def _totals(candidates: Sequence[Candidate], device: Device, limits: Limits) -> Table:
    rows = [
        (*row, explain(candidate.cost, own, limits))
        for candidate in candidates
        for row, own in zip(
            shown.of_model(candidate.name, candidate.imgsz, candidate.cost, device), candidate.bounds, strict=True
        )
    ]
    head = (*shown.HEAD, "limits")
    width = len(head) if limits != Limits() else len(shown.HEAD)
    told = section.Table(head[:width], tuple(row[:width] for row in rows), (*shown.WORDS, "limits"))
    return terminal_table.grid(shown.title(device), told)


def _measurements(candidates: Sequence[Candidate], limits: Limits) -> Table:
    table = Table(title="Measured in runs, not bounds", title_justify="left", title_style="bold")
    for name in ("model", "run", "host", "row", "runtime", "arithmetic", "median ms", "MB", "points", "limits"):
        table.add_column(name, justify="right" if name in ("median ms", "MB", "points") else "left")
    for candidate in candidates:
        for m in candidate.measured:
            figures = f"{m.latency_ms:.2f}", f"{m.size_mb:.2f}", change(m.points)
            outcome = "left out" if m.doubts else "met" if m.meets(limits) else "missed"
            table.add_row(candidate.name, m.run, m.host, m.name, m.runtime, m.arithmetic, *figures, outcome)
    return table


def _notes(candidates: Sequence[Candidate], runs: Sequence[str]) -> list[str]:
    """Notes on what of `runs` is not used: runs without a measurement of a model, and rows with alarms."""
    nothing = [
        f"{run} has no measurement of {candidate.name} at {candidate.imgsz} px."
        for candidate in candidates
        for run in runs
        if run not in {row.run for row in candidate.measured}
    ]
    doubts = [f"Left out of {m.run}: {doubt}" for c in candidates for m in c.measured for doubt in m.doubts]
    return [*nothing, *dict.fromkeys(doubts)]


if __name__ == "__main__":
    with one_sentence():
        main(sys.argv[1:])
