"""Makes and measures the rows of one case of `milliseconds.py`."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from milliseconds_rows import Case, Row
from milliseconds_stages import CutToTime, StockInt8, predicted, table
from pruning import Baseline

from optimize import rivals
from optimize.config import CONF
from optimize.equal_time import Target, bracket, search_judge
from optimize.host.cpu import name as cpu_name
from optimize.input_size import Size, square
from optimize.measure.accuracy import Accuracy
from optimize.measure.latency import ALIKE
from optimize.pipeline import measure_subject
from optimize.plan import Plan
from optimize.precision import FP32
from optimize.prepare import prepare, start
from optimize.pruner.latency import timing
from optimize.pruner.latency.timing import Timed
from optimize.pruner.prune import Prune
from optimize.recover.finetune import Finetune
from optimize.recover.rival import TrainRival
from optimize.result import Result
from optimize.stage import Stage
from optimize.store.apply import apply, report_of
from optimize.store.contents import begin_store
from optimize.variant import Variant
from optimize.variants import deployed_rival as as_deployed
from optimize.work import Pruned, TimeTarget, Trained
from optimize.yolo.checkpoint import load
from optimize.yolo.dataset import resolve

log = logging.getLogger(__name__)

EPOCHS = {"bccd": 30, "deeppcb": 20}  # of the originals, as data/README.md says
OPENED, ROUNDS, SECONDS, TIMINGS = 3, 20, 4.0, 3  # processes of a file, the clock's work on each, tries


@dataclass(frozen=True)
class Made:
    """A file of a case, validated.

    Attributes:
        what: as in `Row`.
        model: the checkpoint.
        file: as it is deployed.
        fp32: accuracy of the model's float32 file; None for `ultralytics`.
        predicted: as in `Row`.
    """

    what: str
    model: Variant
    file: Result
    fp32: Accuracy | None
    predicted: float | None = None


def make(case: Case, shared: Path, work: Path) -> list[Row]:
    """All rows of a case.

    Args:
        case: what is asked for.
        shared: holds data sets and weights.
        work: keeps what was made.
    """
    log.info("CASE %s", case)
    weights = _weights(case, shared, work)
    depth = [] if case.depth else ["pruner.depth=false"]
    target = ["pruner.target=latency", f"pruner.deploy={case.deployment}", *depth]
    plan = _plan(case, weights, shared, work, target)
    files = list(_made(case, plan, _plan(case, weights, shared, work, [])))
    if case.every_precision:
        names = [stage.precision.name for stage in plan.precisions if stage.why_not(plan.runtimes[0]) is None]
        others = [name for name in (FP32.name, *names) if name != case.precision]
        files += [_deployed(case, plan, one.what, one.model, name) for name in others for one in files if one.fp32]
    timed = _timed(plan, [one.file.variant for one in files])
    shares = np.exp(np.log(timed.shares).reshape(-1, OPENED).mean(axis=1)).tolist()
    return [_row(case, plan, one, share, timed) for one, share in zip(files, (1.0, *shares), strict=True)]


def _weights(case: Case, shared: Path, work: Path) -> Path:
    """The original: as it is shared, else trained as those were."""
    weights = shared / "weights" / f"{case.data}-{case.model}-320.pt"
    if weights.exists():
        return weights
    begin_store(work / "store")
    untrained = start(shared / "weights" / f"{case.model}-coco-rebuilt.pt", square(320))
    return apply(Baseline(resolve(_yaml(case, shared)), EPOCHS[case.data]), untrained, work / "store").path


def _yaml(case: Case, shared: Path) -> str:
    return str(shared / "data" / case.data / "data.yaml")


def _plan(case: Case, weights: Path, shared: Path, work: Path, words: list[str]) -> Plan:
    """The plan of a run with this target."""
    given = {
        "model": weights,
        "data": _yaml(case, shared),
        "store": work / "store",
        "imgsz": case.imgsz,
        "prune": case.asked,
        "epochs": case.epochs,
        "seed": case.seed,
        "runtime": f"[{case.runtime}]",
        "quant": case.precision,
        "device": "cpu",
    }
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        config = compose("config", [*(f"{key}={value}" for key, value in given.items()), *words])
    begin_store(work / "store")
    return prepare(config)


def _made(case: Case, plan: Plan, by_flops: Plan) -> Iterator[Made]:
    """Every file of a case in its precision, the original first."""
    deployed = partial(_deployed, case, plan)
    original = deployed("original", plan.original)
    yield original
    yield _stock(case, plan, original)
    scan, prune, *recovery = plan.shrink
    scanned = apply(scan, plan.original, plan.store)
    cut, record = _pruned(plan, prune, scanned)
    ours = deployed("latency", _recovered(plan, recovery, cut), predicted=1 - _time(record).predicted)
    yield ours
    for size in _bracket(plan, original.file, ours.file):
        smaller = rivals.at_size(plan.original, size)
        yield deployed("smaller", smaller)
        trained = TrainRival.like([stage for stage in recovery if isinstance(stage, Finetune)])
        yield deployed("smaller trained", apply(trained, smaller, plan.store))
    assert isinstance(prune, Prune) and prune.settings.deployment and isinstance(by_flops.shrink[1], Prune)
    where = prune.settings.deployment
    stage = CutToTime(by_flops.shrink[1].settings, where, left=round(1 - record.reached, 4))
    cut, _ = _pruned(plan, stage, scanned)
    network, whole, full = load(cut.path), load(plan.original.path), plan.original.imgsz
    fitted = table(whole, full, where)
    share = predicted(fitted, network, full) / predicted(fitted, whole, full)
    yield deployed("flops", _recovered(plan, recovery, cut), predicted=share)


def _pruned(plan: Plan, stage: Stage, scanned: Variant) -> tuple[Variant, Pruned]:
    cut = apply(stage, scanned, plan.store)
    record = report_of(cut)
    assert isinstance(record, Pruned)
    return cut, record


def _time(record: Pruned) -> TimeTarget:
    assert record.time
    return record.time


def _recovered(plan: Plan, recovery: list[Stage], variant: Variant) -> Variant:
    for stage in recovery:
        variant = apply(stage, variant, plan.store)
    return variant


def _deployed(
    case: Case, plan: Plan, what: str, model: Variant, precision: str = "", predicted: float | None = None
) -> Made:
    file = as_deployed(plan, case.runtime, precision or case.precision, model)
    fp32 = as_deployed(plan, case.runtime, FP32.name, model)
    return Made(what, model, measure_subject(plan.judge, file, None), plan.judge.score(fp32.variant), predicted)


def _stock(case: Case, plan: Plan, original: Made) -> Made:
    """Ultralytics' own int8 export of the original."""
    float32 = as_deployed(plan, case.runtime, FP32.name, plan.original)
    file = plan.judge.built(apply(StockInt8(plan.data, plan.original), float32.variant, plan.store))
    measured = replace(original.file, variant=file, accuracy=plan.judge.score(file))
    return Made("ultralytics", plan.original, measured, fp32=None)


def _bracket(plan: Plan, original: Result, ours: Result) -> list[Size]:
    """The largest smaller input that is not slower than `ours`, and the next larger one."""
    judge = search_judge(plan)
    times = judge.time([original.variant, ours.variant]).latencies
    whole, row = (replace(one, latency=time) for one, time in zip((original, ours), times, strict=True))
    known = {original.variant.imgsz.pixels: whole.time.median_ms}
    sizes = bracket(Target(row, ours.variant.precision, known), plan, judge)
    return sizes if len(sizes) > 1 else [*sizes, original.variant.imgsz]


def _timed(plan: Plan, variants: list[Variant]) -> Timed:
    """All files in turns with the first, each in several processes; the least noisy of some tries."""
    original, *others = variants
    opened = [original, *(variant for variant in others for _ in range(OPENED))]
    tries = list[Timed]()
    while len(tries) < TIMINGS and not any(one.noise <= ALIKE for one in tries):
        tries.append(timing.timed(plan.runtimes[0], opened, plan.judge.threads, len(tries), ROUNDS, SECONDS))
    return min(tries, key=lambda one: one.noise)


def _row(case: Case, plan: Plan, made: Made, share: float, timed: Timed) -> Row:
    training = report_of(made.model)
    return Row(
        case=case,
        cpu=cpu_name() or "",
        threads=plan.judge.threads,
        what=made.what,
        size=made.file.variant.imgsz.height,
        precision=made.file.variant.precision,
        flops=made.file.cost.flops,
        share=round(share, 4),
        milliseconds=round(timed.milliseconds, 4),
        noise=round(timed.noise, 4),
        predicted=None if made.predicted is None else round(made.predicted, 4),
        score=made.file.accuracy.score,
        folds=made.file.accuracy.folds,
        fp32=made.fp32.score if made.fp32 else None,
        fp32_folds=made.fp32.folds if made.fp32 else (),
        train_s=training.seconds if isinstance(training, Trained) else 0.0,
    )
