"""A report with something in each of its fields, made up: two models and a rival in torch and two runtimes."""

from dataclasses import replace
from pathlib import Path

from helpers.runtimes import ALL, PRECISIONS
from optimize.input_size import square
from optimize.latency_work import TimeTarget
from optimize.limits import Limits
from optimize.measure.accuracy import Accuracy
from optimize.measure.cost import Cost, Layer
from optimize.measure.disagreement import Box, ComparedImage, Disagreement
from optimize.measure.frames import FrameTime, Quartiles
from optimize.measure.graph_cost import GraphCost
from optimize.measure.latency import Latency
from optimize.measure.profile import LayerTime, Profile
from optimize.measure.roofline import Machine
from optimize.measure.start_up import StartUp
from optimize.measurement import Measurement
from optimize.provenance import Host, Provenance
from optimize.result import Report, Result
from optimize.variant import Variant
from optimize.work import LayerChange, Pruned

CLASSES = ("dark", "bright")
BLOCKS = {"model.0": "Conv", "model.1": "C2f", "model.2": "Detect"}
OPS = {"model.0.conv": 1e8, "model.1.cv1.conv": 6e8, "model.1.cv2.conv": 2e8, "model.2.cv3.0.2": 1e8}


def report(**changes) -> Report:
    """The made-up report with `changes` to its fields."""
    names = (("original", 1.0, 0.60), ("pruned", 0.7, 0.59), ("64px", 0.72, 0.55))
    rows = [row(name, "torch", "fp32", ops, score, 20 * ops) for name, ops, score in names]
    for runtime, time in (("onnxruntime", 10.0), ("openvino", 8.0)):
        for name, ops, score in names:
            float_time = time * (0.1 + 0.9 * ops)
            rows.append(row(name, runtime, "fp32", ops, score, float_time, reference=time))
            rows.append(row(name, runtime, "int8", ops, score - 0.004, 0.6 * float_time, reference=time))
    whole = Report(
        results=tuple(rows),
        alone=True,
        noise=0.01,
        noise_spread=0.03,
        stages=(pruned(),),
        quant="int8",
        provenance=provenance(),
        limits=Limits(),
        blocks=BLOCKS,
        machine=Machine(
            {"onnxruntime": {"fp32": 200.0, "int8": 700.0}, "openvino": {"fp32": 250.0, "bf16": 500.0, "int8": 900.0}},
            {"onnxruntime": 20.0, "openvino": 22.0},
            {"onnxruntime": 60.0, "openvino": 66.0},
        ),
        disagreement=Disagreement("original on torch", "pruned+int8 on openvino", 0.25, 8, 7, (_image(),)),
    )
    return replace(whole, **changes)


def measurement(**changes) -> Measurement:
    """Made up, of the `pruned+int8` row in OpenVINO of `report()`."""
    made = Measurement(
        schema=2,
        run="a_run",
        sha256="0123456789abcdef" * 4,
        runtime="openvino",
        precision="int8",
        imgsz=square(96),
        device="Raspberry Pi 5",
        cpu="Cortex-A76",
        system="Linux",
        cores=4,
        threads=4,
        arithmetic="int8+fp32",
        median_ms=31.25,
        q1_ms=30.5,
        q3_ms=32.0,
        runs=90,
        noise=0.004,
        noise_spread=0.02,
        clock_mhz=(2400.0, 2200.0),
        temperature_c=(61.0, None),
        began="2026-11-22T12:00:00+00:00",
        versions={"python": "3.11", "numpy": "2", "openvino": "2026.4"},
        p90_ms=34.5,
    )
    return replace(made, **changes)


def row(name, runtime, precision, ops, score, milliseconds, reference=20.0) -> Result:
    """One row: `ops` is the share of the original's operations, `reference` the original's time in milliseconds."""
    tags = tuple(part for part in (name, precision) if part not in ("original", "fp32"))
    flops, int8 = round(1e9 * ops), precision == "int8"
    layers = {layer: round(own * ops) for layer, own in OPS.items()}
    graph = GraphCost(0 if int8 else flops, flops if int8 else 0, 4000, 16_000, ("Concat",))
    times = [
        LayerTime(layer, 0.9 * milliseconds * OPS[layer] / 1e9, left, 100_000, precision)
        for layer, left in layers.items()
    ]
    profile = Profile((LayerTime("", 0.1 * milliseconds, 0, 10_000, precision), *times), calls=20)
    speedup = reference / milliseconds
    path = Path(f"artefacts/{runtime}/{name}{'_openvino_model' if runtime == 'openvino' else ''}")
    return Result(
        variant=Variant(path, runtime, precision, square(64 if name == "64px" else 96), tags),
        runtime=ALL[runtime].info,
        precision=PRECISIONS[precision],
        sha256="0123456789abcdef" * 4,
        size_bytes=round(4e6 * (ops if name == "pruned" else 1) * (0.26 if int8 else 1)),
        cost=Cost(
            layers=tuple(Layer(layer, "Conv2d", left, 1000, 4000, 40_000) for layer, left in layers.items()),
            uncounted=("aten.silu_",),
        ),
        graph=None if runtime == "torch" else graph,
        accuracy=Accuracy(
            metrics={"mAP50-95": score, "mAP50": score + 0.2},
            images=8,
            classes={"dark": score + 0.05, "bright": score - 0.05},
            objects={"dark": 4, "bright": 4},
            folds=tuple(score + 0.002 * (i - 3.5) + (0.001 * (-1) ** i if name != "original" else 0) for i in range(8)),
        ),
        latency=Latency(
            median_ms=milliseconds,
            q1_ms=0.97 * milliseconds,
            q3_ms=1.04 * milliseconds,
            runs=90,
            threads=2,
            batch=1,
            device="cpu",
            arithmetic="int8+fp32" if int8 else precision,
            int8_ops=flops if int8 else 0,
            speedup=speedup,
            speedup_low=0.97 * speedup,
            speedup_high=1.03 * speedup,
            p90_ms=1.2 * milliseconds,
        ),
        profile=None if runtime == "torch" else profile,
        rival=name == "64px",
        frame=frame(milliseconds),
        start_up=None if runtime == "torch" else StartUp(120.0, 30.5, 95_000_000, 60_000_000),
    )


def frame(milliseconds: float) -> FrameTime:
    """Decode 3, letterbox 1 and post-processing 0.5 ms beside the graph; 0.1 ms of the whole is in no stage."""
    stages = (3.0, 1.0, 1.1 * milliseconds, 0.5)
    return FrameTime(*(Quartiles(ms, 0.9 * ms, 1.2 * ms) for ms in (sum(stages) + 0.1, *stages)), 90, 1920, 1080)


def provenance(**changes) -> Provenance:
    """What the made-up report depends on, with `changes`."""
    made = Provenance(
        began="2026-11-22T12:00:00+00:00",
        command="python -m optimize prune=0.3 quant=int8",
        config={"prune": 0.3, "seed": 0, "quant": {"calibration_images": 4}},
        task="detect",
        data="data.yaml",
        fingerprint="0123456789abcdef",
        train_images=8,
        val_images=8,
        imgsz=square(96),
        threads=2,
        host=Host("Linux", "x86_64", "a CPU", ("avx2",), 2, 0.5),
        versions={"python": "3.11", "torch": "2.14"},
        remarks=("These images are made, not photographed.",),
    )
    return replace(made, **changes)


def pruned(**changes) -> Pruned:
    """What pruning says, made up."""
    layers = (LayerChange(name, (64, 48), (int(own), round(0.7 * own)), (1000, 700), "") for name, own in OPS.items())
    made = Pruned(
        target="flops",
        asked=0.3,
        reached=0.3,
        flops=(10**9, 7 * 10**8),
        parameters=(4000, 2800),
        ratio=None,
        seconds=1.0,
        imgsz=square(96),
        criterion="L2()",
        scope="local",
        round_to=16,
        max_ratio=0.75,
        min_width=8,
        protect=(),
        layers=tuple(layers),
    )
    return replace(made, **changes)


def time_target(**changes) -> TimeTarget:
    """How a cut of 30 % of the time met its target, made up."""
    made = TimeTarget(
        deployment="openvino-int8",
        cpu="a CPU",
        threads=2,
        networks=16,
        noise=0.01,
        error=0.02,
        worst=0.05,
        steps={"16": 3},
        rest_ms=-0.1,
        profiling=1.1,
        predicted=0.31,
        milliseconds=(4.8, 3.4),
        attempts=2,
        by_blocks=0.0,
    )
    return replace(made, **changes)


def _image() -> ComparedImage:
    def box(label: str, score: float | None, x: float) -> Box:
        return Box(label, score, ((x, 10.0), (x + 20, 10.0), (x + 20, 40.0), (x, 40.0)))

    return ComparedImage(
        path=Path("images/0.jpg"),
        name="0.png",
        width=96,
        height=64,
        truth=(box("dark", None, 10), box("bright", None, 50)),
        before=(box("dark", 0.9, 11), box("bright", 0.8, 51)),
        after=(box("dark", 0.85, 10),),
        disagreement=1 / 3,
    )
