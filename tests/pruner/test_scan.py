"""What is measured of each block, that it is measured once, and that an interrupted scan goes on."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.messages import like
from optimize.data.digits import SIDE
from optimize.data.digits import compose as compose_digits
from optimize.dataset import Dataset
from optimize.errors import MeasurementError
from optimize.identity import identity
from optimize.input_size import square
from optimize.prepare import shrink
from optimize.pruner.blocks import blocks
from optimize.pruner.l2 import L2
from optimize.pruner.prune import Prune, prune
from optimize.pruner.scan import BEGUN, NAME, Scan, _kept, _row, read, scan
from optimize.pruner.sensitivity import Meter, Sensitivity, Trial, bypassed, measuring, narrowed
from optimize.pruner.settings import Pruning
from optimize.pruner.tracker import trace
from optimize.store.apply import apply, digest, report_of
from optimize.variant import Variant
from optimize.work import Scanned
from optimize.yolo import coupling
from optimize.yolo.checkpoint import load
from optimize.yolo.dataset import resolve
from optimize.yolo.depth import removable
from optimize.yolo.find import DIGITS
from optimize.yolo.loss import batches, losing, loss

IMGSZ = square(64)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Dataset:
    """What the shipped model was trained on, since only trained weights are sensitive."""
    return resolve(str(compose_digits(tmp_path_factory.mktemp("digits"), train=64, val=4)))


@pytest.fixture
def original() -> Variant:
    return Variant(DIGITS, "torch", "fp32", IMGSZ, steps=(digest(DIGITS),))


@pytest.fixture(scope="module")
def followed():
    """The trace of the shipped model, and the block of its second convolution."""
    traced = trace(coupling.traceable(load(DIGITS)), IMGSZ, coupling.RULES, coupling.HALVING, coupling.predictions)
    found = blocks(traced)
    return traced, next(b for b in found if [traced.uses[p.use].layer for p in b.parts][:1] == ["model.1.conv"])


def test_the_rise_of_a_trial_is_that_of_the_loss_less_its_linear_part(digits, followed):
    model, (batch,) = load(DIGITS), batches(digits, 8, 16, 0, IMGSZ)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    trial = narrowed(*followed, np.arange(16))
    with losing(model, digits):
        with measuring(model, batch, 0) as meter:
            rises = [meter.rise(trial), meter.rise(narrowed(*followed, np.array([], int))), meter.rise(trial)]
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
        outputs = {key: value.detach().requires_grad_() for key, value in model(batch["img"]).items() if key != "feats"}
        whole = model.loss(batch, {**model(batch["img"]), **outputs})[0].sum()
        slopes = torch.autograd.grad(whole, list(outputs.values()))
        with torch.no_grad():
            for weights in (model.model[1].conv.weight, model.model[1].bn.weight, model.model[1].bn.bias):
                weights[:16] = 0
            narrow = model(batch["img"])
            linear = sum(((narrow[key] - outputs[key]) * g).sum() for key, g in zip(outputs, slopes, strict=True))
            expected = float(model.loss(batch, narrow)[0].sum() - whole - linear)
    assert meter.whole == pytest.approx(float(whole.detach()), rel=1e-6)
    assert rises == pytest.approx([expected, 0, expected], rel=1e-3, abs=1e-5 * meter.whole)
    assert abs(expected) > 0.001 * meter.whole


def test_the_rise_without_a_branch_is_that_of_the_bypassed_model(digits):
    """A branch whose weights are zero costs nothing, another one does; afterwards the model is as it was."""
    model, (batch,) = load(DIGITS), batches(digits, 8, 16, 0, IMGSZ)
    first, *_ = [branch for branch in removable(model) if branch.leaves == "input"]
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    with losing(model, digits), measuring(model, batch, 0) as meter:
        costs = meter.rise(bypassed(first))
    assert costs > 1e-4 * meter.whole
    last = model.get_submodule(first.name).cv2.bn
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    with losing(model, digits), measuring(model, batch, 0) as meter:
        assert meter.rise(bypassed(first)) == pytest.approx(0, abs=1e-5 * meter.whole)
    assert {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])} <= {
        f"{first.name}.cv2.bn.weight",
        f"{first.name}.cv2.bn.bias",
    }


def test_the_rise_follows_a_power_between_trials_and_the_square_beyond():
    measured = Sensitivity((1.0,) * 16, (4, 12), (0.81, 0.01))  # 3 times as many units raise the loss 81 times
    options = np.arange(1, 17)
    removed = 16 - options[:-1]
    expected = np.where(removed < 4, 0.01 * (removed / 4) ** 2, 0.01 * (removed / 4) ** 4)
    expected = np.where(removed > 12, 0.81 * (removed / 12) ** 2, expected)
    assert measured.at(options) == pytest.approx([*expected, 0], rel=1e-12)


def test_a_rise_is_never_negative_and_never_falls_as_a_block_narrows():
    assert Sensitivity((1.0,) * 8, (2, 6), (-0.1, -0.2)).at(np.arange(1, 9)).tolist() == [0] * 8
    assert Sensitivity((1.0,) * 8, (2, 6), (0.1, 0.2)).at(np.array([2, 4, 6, 8])) == pytest.approx([0.2, 0.2, 0.2, 0])
    assert Sensitivity((1.0,) * 8, (2,), (0.36,)).at(np.array([4, 7, 8])) == pytest.approx([0.16, 0.01, 0])
    assert Sensitivity(None, (), ()).at(np.array([8])).tolist() == [0]


def test_every_block_that_can_shrink_is_tried():
    assert [_kept((1.0,) * units) for units in (2, 3, 4, 16)] == [(1,), (1, 2), (1, 3), (4, 12)]
    assert _kept((1.0,)) == _kept(None) == ()


def test_a_wider_trial_is_left_out_where_a_narrower_one_hardly_raises_the_loss():
    rises, tried = {1: 5.0, 2: 0.4, 3: 0.1}, []
    trials = [Trial((str(kept),), lambda model: nullcontext()) for kept in rises]

    def rise(trial: Trial) -> float:
        tried.append(int(trial.layers[0]))
        return rises[tried[-1]]

    meter = Meter(50.0, rise)
    assert _row(meter, trials, None) == (5.0, 0.4) and tried == [1, 2]  # 0.4 is less than 1 % of 50
    assert _row(meter, trials, (9.0,)) == (5.0,)  # what the first batch measured
    assert _row(meter, trials, (9.0, 8.0, 7.0)) == (5.0, 0.4, 0.1)


def test_a_scan_does_not_depend_on_what_it_is_made_for(digits):
    pruning = Pruning(0.3, L2(), scope="measured", data=digits)
    other = replace(pruning, share=0.6, round_to=8, max_ratio=0.5, min_width=1, protect=("model.0.*",), target="params")
    assert identity(shrink(pruning, [])[0]) == identity(shrink(replace(other, device="cpu"), [])[0])
    assert identity(shrink(replace(pruning, images=8), [])[0]) != identity(shrink(pruning, [])[0])
    assert [type(stage) for stage in shrink(replace(pruning, steps=2), [])] == [Scan, Prune, Scan, Prune]
    assert [type(stage) for stage in shrink(replace(pruning, share=0), [])] == [Prune]
    assert [type(stage) for stage in shrink(replace(pruning, scope="global"), [])] == [Prune]


def test_two_shares_are_cut_after_one_scan(digits, original, tmp_path, monkeypatch):
    pruning = Pruning(0.3, L2(), scope="measured", data=digits, images=4, round_to=8, device="cpu")
    first, cut = shrink(pruning, [])
    scanned = apply(first, original, tmp_path)
    assert digest(scanned.path) == digest(DIGITS) and scanned.tags == () and scanned.name == "original"
    report, measured = report_of(scanned), read(scanned)
    assert isinstance(report, Scanned)
    assert set(measured.branches) == {branch.name for branch in removable(load(DIGITS))}
    trials = sum(len(block.kept) for block in measured.blocks) + len(measured.branches)
    assert (report.images, report.trials) == (4, trials)
    assert {block.kept for block in measured.blocks if len(block.scores or ()) == 32} <= {(8,), (8, 24)}
    monkeypatch.setattr("optimize.pruner.scan.scan", None)  # nothing may be measured again
    for share in (0.3, 0.5):
        again, cut = shrink(replace(pruning, share=share), [])
        made = apply(cut, apply(again, original, tmp_path), tmp_path)
        assert made.tags == ("pruned",) and report_of(made).reached == pytest.approx(share, abs=0.01)


def test_an_interrupted_scan_goes_on_where_it_was(digits, original, tmp_path, monkeypatch):
    monkeypatch.setattr("optimize.pruner.scan.BATCH", 2)
    monkeypatch.setattr("optimize.pruner.scan.SHARES", (0.5,))
    model = load(DIGITS).to(memory_format=torch.channels_last)
    whole = scan(model, IMGSZ, stage := Scan(L2(), digits, images=4, device="cpu"))
    blocks, calls = len(whole.blocks) + len(whole.branches), []

    def killed(*given):
        calls.append(given)
        if len(calls) == blocks + 9:  # in the second batch
            raise KeyboardInterrupt
        return _row(*given)

    monkeypatch.setattr("optimize.pruner.scan._row", killed)
    with pytest.raises(KeyboardInterrupt):
        apply(stage, original, tmp_path)
    monkeypatch.setattr("optimize.pruner.scan.rank", None)  # the scores were kept, too
    made = apply(stage, original, tmp_path)
    assert read(made) == whole and len(calls) == 2 * blocks + 1
    assert {path.name for path in made.path.parent.iterdir()} >= {"report.json", "scan.json", "scanned.pt"}
    assert not (made.path.parent / BEGUN).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"blocks": [], "branches": {}}', "The scan of layers is of another model; delete its folder"),
        ('{"blocks": [{}], "branches": {}}', "scan.json is no scan of layers; delete its folder"),
        (None, "scan.json is no scan of layers; delete its folder"),
        (
            '{"blocks": [{"scores": [1.0, 2.0], "kept": [1], "rises": [NaN]}], "branches": {}}',
            "scan.json is no scan of layers; delete its folder",
        ),
        (
            '{"blocks": [{"scores": [1.0, 2.0], "kept": [2], "rises": [0.1]}], "branches": {}}',
            "scan.json is no scan of layers; delete its folder",
        ),
        (
            '{"blocks": [{"scores": [1.0, 2.0], "kept": [1], "rises": []}], "branches": {}}',
            "scan.json is no scan of layers; delete its folder",
        ),
    ],
)
def test_a_scan_that_is_damaged_is_not_used(content, message, digits, original, tmp_path):
    pruning = Pruning(0.3, L2(), scope="measured", data=digits)
    (tmp_path / "model.pt").write_bytes(DIGITS.read_bytes())
    if content is not None:
        (tmp_path / NAME).write_text(content)
    with pytest.raises(MeasurementError, match=like(message)):
        Prune(pruning)(replace(original, path=tmp_path / "model.pt"), tmp_path)


@pytest.mark.command
def test_measured_layers_meet_the_share_and_spare_the_sensitive(digits):
    left, imgsz = {}, square(SIDE)
    scanned = scan(load(DIGITS), imgsz, Scan(L2(), digits, images=16))
    for scope in ("local", "measured"):
        model = load(DIGITS)
        pruning = Pruning(0.4, L2(), scope=scope, data=digits)
        report = prune(model, imgsz, pruning, scanned if scope == "measured" else None)
        assert report.reached == pytest.approx(0.4, abs=0.01)
        left[scope] = model
    (batch,) = batches(digits, 16, 16, 1, imgsz)  # other images than those that were measured on
    losses = {}
    for scope, model in left.items():
        with torch.no_grad(), losing(model, digits):
            losses[scope] = float(loss(model, batch, 0))
    assert losses["measured"] < losses["local"]


def test_a_loss_that_fails_leaves_the_model_as_it_was(digits):
    model = load(DIGITS)
    args, criterion = model.args, model.criterion
    with pytest.raises(ZeroDivisionError), losing(model, digits):
        raise ZeroDivisionError
    assert not model.training and model.args is args and model.criterion is criterion
