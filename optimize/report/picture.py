"""report.png: accuracy against FLOPs and against latency, since the two often disagree."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from optimize.result import Report

LEAST_SPAN = 0.05  # of the accuracy axis: a finer scale makes noise look like a result

MARKERS = {"torch": "o", "onnxruntime": "s", "openvino": "^", "tensorrt": "D"}


def write(report: Report, path: Path) -> None:
    """Draw every row of the report twice; the arrow of progress points to the upper left in both."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.5), sharey=True, layout="constrained")
    names = list(dict.fromkeys(result.variant.name for result in report.results))
    colours = {name: plt.get_cmap("tab10")(i) for i, name in enumerate(names)}
    for result in report.results:
        variant, score, time = result.variant, result.accuracy.score, result.latency
        style = {
            "color": colours[variant.name],
            "marker": MARKERS[variant.runtime],
            "markersize": 9,
            "linestyle": "none",
        }
        left.plot(result.flops / 1e9, score, **style)
        if time:
            spread = [[time.median_ms - time.q1_ms], [time.q3_ms - time.median_ms]]
            right.errorbar(time.median_ms, score, xerr=spread, capsize=3, **style)
    left.set(xlabel="GFLOPs, 2 per multiply-add (float and integer)", ylabel=report.results[0].accuracy.metric)
    right.set(xlabel="latency in ms, median and quartiles")
    scores = [result.accuracy.score for result in report.results]
    margin = max(0.1 * (max(scores) - min(scores)), (LEAST_SPAN - max(scores) + min(scores)) / 2)
    left.set_ylim(min(scores) - margin, max(scores) + margin)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    runtimes = list(dict.fromkeys(result.variant.runtime for result in report.results))
    handles = [plt.Line2D([], [], color=colours[n], marker="o", linestyle="none", label=n) for n in names]
    handles += [plt.Line2D([], [], color="grey", marker=MARKERS[r], linestyle="none", label=r) for r in runtimes]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.savefig(path, dpi=120)
    plt.close(figure)
