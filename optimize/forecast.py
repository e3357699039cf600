"""What a run will do, and how long that took on this machine before; told before any work starts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from optimize import rivals
from optimize.identity import identity
from optimize.latency_work import Mixed
from optimize.measure.operations import count
from optimize.mix.mix import Mix
from optimize.plan import Plan
from optimize.precision import FP32
from optimize.pruner.latency import make as latency_table
from optimize.pruner.prune import Prune
from optimize.runtime.here import machine_name
from optimize.stage import Stage
from optimize.store import apply, durations
from optimize.store.durations import Load
from optimize.terminal import Terminal
from optimize.variant import Variant
from optimize.yolo.checkpoint import deployed, load

DASH = "-"
HEAD = "stage", "times", "found", "time", "MB"
RIVALS, OF_ROWS = (
    "rivals",
    ("timing", "start-up", "profile"),
)  # what pipeline.py records besides stages: of a run, and of each row


@dataclass(frozen=True)
class Expected:
    """One stage of a run.

    Attributes:
        stage: its name.
        times: how often it is needed.
        found: how often it lies in the store already.
        seconds, size: of what is left; None where no earlier run on this machine did it, and size where it leaves none.
    """

    stage: str
    times: int
    found: int
    seconds: float | None
    size: int | None


@dataclass(frozen=True)
class Needed:
    """Something that a run needs once, and whether it lies in the store."""

    stage: str
    found: bool


def load_of(plan: Plan) -> Load:
    """What the times of the stages of `plan` grow with."""
    training = [stage.epochs for stage in plan.shrink if hasattr(stage, "epochs")]
    return Load(
        flops=count(deployed(load(plan.original.path)), plan.original.imgsz).flops,
        train_images=len(plan.data.train),
        choice_images=len(plan.data.choice_images.files),
        report_images=len(plan.data.report_images.files),
        epochs=max(training, default=0),
    )


def remember(plan: Plan, folder: Path) -> None:
    """Keep in the store what the stages of the run in `folder` took."""
    durations.record(plan.store, machine(plan), load_of(plan), folder)


def machine(plan: Plan) -> str:
    return f"{machine_name()}, {plan.judge.threads} threads"


def forecast(plan: Plan, known: list[durations.Durations]) -> list[Expected]:
    """Every stage of `plan`, in order, with what it is expected to take by the `known` runs."""
    work = load_of(plan)
    needed = list(_needed(plan))
    rows = sum(one.stage == "validation" for one in needed)
    found = []
    for stage in dict.fromkeys(one.stage for one in needed):
        of_stage = [one.found for one in needed if one.stage == stage]
        found.append(_expected(known, stage, work, len(of_stage), sum(of_stage)))
    if plan.rivals is not None and plan.runtimes:
        found.append(_expected(known, RIVALS, work, 1, 0))
    return [*found, *(_expected(known, name, work, rows, 0) for name in OF_ROWS)]


def _expected(known: list[durations.Durations], stage: str, work: Load, times: int, there: int) -> Expected:
    once = durations.expected(known, stage, work)
    left = times - there
    if once is None:
        return Expected(stage, times, there, 0.0 if not left else None, 0 if not left else None)
    return Expected(stage, times, there, left * once[0], left * once[1])


def _needed(plan: Plan) -> Iterator[Needed]:
    """What is applied and validated; rivals at equal time, which are sought by timing, are not among it."""
    if plan.mix:
        yield _in_store(plan, plan.mix, plan.original.after(identity(plan.mix)))
    variant, stages = _chosen(plan, plan.mix) if plan.mix else (plan.original, _working(plan.shrink))
    for stage in stages:
        if isinstance(stage, Prune) and (deployment := stage.settings.deployment) and not deployment.samples:
            table = latency_table.place(load(plan.original.path), plan.original.imgsz, deployment)
            yield Needed(latency_table.STAGE, table.is_file())
        variant = variant.after(identity(stage))
        yield _in_store(plan, stage, variant)
    models = _models(plan, variant)
    yield from (_validated(plan, model) for model in models)
    for runtime in plan.runtimes:
        for model in models:
            exported = model.after(identity(runtime.export))
            yield _in_store(plan, runtime.export, exported)
            yield _validated(plan, exported)
            for stage in plan.precisions:
                if stage.precision != FP32 and stage.why_not(runtime) is None:
                    made = exported.after(identity(stage))
                    yield _in_store(plan, stage, made)
                    yield _validated(plan, made)


def _models(plan: Plan, made: Variant) -> list[Variant]:
    """The original, the model that was made of it, and the rivals."""
    models = [plan.original]
    if made != plan.original:
        models.append(made)
        if plan.rivals is not None:
            models.append(made.after("the smaller input of equal FLOPs, which is not known yet"))
    if plan.nms_free:
        models += [model.after(identity(plan.nms_free)) for model in dict.fromkeys((plan.original, made))]
    if plan.rivals is not None:
        filled = rivals.rectangle(plan.original, plan.data.shape)
        models += [*([filled] if filled else []), *plan.rivals]
    return models


def _chosen(plan: Plan, mix: Mix) -> tuple[Variant, tuple[Stage, ...]]:
    """Where the model begins that is made for a limit of time, and its stages, as far as that is chosen already."""
    there = apply.read(plan.store / plan.original.after(identity(mix)).key)
    mixed = apply.report_of(there) if there else None
    if not isinstance(mixed, Mixed):
        return plan.original.after("what will be chosen"), ()
    chosen = mix.stages(mixed.deployment, mixed.share, mixed.trained, plan.original.imgsz)
    return mix.start(plan.original, mixed.imgsz), chosen


def _working(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages that do something: nothing is recovered where nothing was pruned, and 0 epochs train nothing."""
    pruned = any(stage.settings.share > 0 for stage in stages if hasattr(stage, "settings"))
    return tuple(stage for stage in stages if getattr(stage, "epochs", 1)) if pruned else ()


def _in_store(plan: Plan, stage: Stage, made: Variant) -> Needed:
    return Needed(apply.name(stage), (plan.store / made.key).is_dir())


def _validated(plan: Plan, made: Variant) -> Needed:
    there = made if made == plan.original else apply.read(plan.store / made.key)
    return Needed("validation", there is not None and plan.judge.is_scored(there))


def show(plan: Plan, console: Terminal) -> None:
    """Print the forecast with a total, and what it is made from."""
    known = durations.read(plan.store, machine(plan))
    found = forecast(plan, known)
    table = Table(title="What this run will do", title_justify="left")
    for name in HEAD:
        table.add_column(name, justify="left" if name == HEAD[0] else "right")
    for one in found:
        table.add_row(one.stage, str(one.times), str(one.found), time_in_words(one.seconds), _megabytes(one.size))
    seconds = [one.seconds for one in found if one.seconds is not None]
    more = " and more" if len(seconds) < len(found) else ""
    table.add_section()
    if any(seconds):
        size = sum(one.size or 0 for one in found)
        table.add_row("all", "", "", f"{time_in_words(sum(seconds))}{more}", f"{_megabytes(size)}{more}")
    console.print(table)
    console.print(
        f"Time and disk are medians over {len(known)} earlier runs on this machine."
        if known
        else "The store has no record yet of a run on this machine, so time and disk are not known."
    )


def time_in_words(seconds: float | None) -> str:
    if seconds is None:
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _megabytes(size: int | None) -> str:
    return DASH if size is None else f"{size / 1e6:.1f}"
