"""From the time that a run may take to how much it trains, by what earlier runs on this machine took."""

from collections.abc import Mapping
from typing import Any

from optimize.forecast import forecast, load_of, machine, time_in_words
from optimize.init.checks import plan_of
from optimize.plan import Plan
from optimize.store import durations
from optimize.yolo.checkpoint import load

SHARE = 0.3  # of the FLOPs to remove, where no milliseconds are asked for
TRAINING, CHOICE = "Finetune", "Mix"  # stages: what the epochs decide, and the choice for milliseconds, which trains
TRAININGS = 3  # that such a choice takes at most (docs/latency.md)
MINUTES = 5  # that an epoch is taken for where no run has trained here
MOST = 50  # epochs, where the checkpoint doesn't say how long it was trained


def choose_work(minutes: float, keys: Mapping[str, Any], first: Plan) -> tuple[dict[str, Any], str]:
    """`prune` and `epochs` for a run of about `minutes`, and a sentence that says why.

    Args:
        minutes: that the run may take.
        keys: all others of the run.
        first: the plan of any run of this model and data.

    Raises:
        OptimizeError: what was answered can't be run.
    """
    aims = "latency_ms" in keys.get("limits", {})
    trainings, share = (TRAININGS, None) if aims else (1, SHARE)
    known = durations.read(first.store, machine(first))
    if any(TRAINING in earlier.stages for earlier in known):
        plan = plan_of({**keys, "prune": share, "epochs": 1})
        fitting, reason = _by_records(minutes, plan, known, trainings)
    else:
        fitting = int(minutes / MINUTES / trainings)
        reason = f"no run in {first.store} has trained on this machine, so an epoch is simply taken for {MINUTES} min"
    if not fitting:
        return {"prune": 0, "epochs": 0}, f"prune=0, since {reason}: too long to train, and a cut needs training."
    epochs = min(fitting, _enough(first))
    several = f", and choosing for milliseconds trains up to {TRAININGS} times" if aims else ""
    half = ", and more than half of the original's training is not needed" if epochs < fitting else ""
    return {"prune": share, "epochs": epochs}, f"epochs={epochs}, since {reason}{several}{half}."


def _by_records(minutes: float, plan: Plan, known: list[durations.Durations], trainings: int) -> tuple[int, str]:
    """How many epochs fit into `minutes`, and why; `plan` is of a run with one epoch."""
    expected = durations.expected(known, TRAINING, load_of(plan))
    assert expected is not None  # some run has trained
    epoch = expected[0]
    others = [stage.seconds for stage in forecast(plan, known) if stage.stage not in (TRAINING, CHOICE)]
    rest = sum(seconds for seconds in others if seconds is not None)
    more = " and more" if None in others else ""
    reason = (
        f"by {len(known)} earlier runs on this machine an epoch takes about {time_in_words(epoch)}, all else "
        f"{time_in_words(rest)}{more}"
    )
    return int(max(0.0, minutes * 60 - rest) / max(epoch, 1e-3) / trainings), reason


def _enough(plan: Plan) -> int:
    """Half of the epochs that the original was trained for (docs/setup.md)."""
    args: Any = load(plan.original.path).args  # to torch, any attribute of a module may be a tensor
    trained = args.get("epochs")
    return max(1, trained // 2) if type(trained) is int and trained > 0 else MOST
