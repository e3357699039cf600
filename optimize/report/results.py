"""results.json: every figure of a run, for machines."""

import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from optimize.pipeline import Plan
from optimize.plan import versions
from optimize.result import Report, Result
from optimize.runtime import cpu

SCHEMA = 2


def write(report: Report, plan: Plan, config: DictConfig, path: Path) -> None:
    """Write the report; what was not measured is null."""
    content = {
        "schema": SCHEMA,
        "host": host(),
        "versions": versions(),
        "command": sys.argv,
        "config": OmegaConf.to_container(config, resolve=True),
        "data": {
            "task": plan.data.task,
            "yaml": str(plan.data.yaml),
            "fingerprint": plan.data.fingerprint,
            "train_images": len(plan.data.train),
        },
        "noise": {"a_a_difference": report.noise, "a_a_spread": report.noise_spread},
        "remarks": plan.remarks,
        "missed": report.missed,
        "stages": report.stages,
        "variants": [_variant(result) for result in report.results],
        "layers": {
            r.variant.name: [asdict(x) for x in r.cost.layers] for r in report.results if r.variant.runtime == "torch"
        },
        "uncounted_operators": list(report.results[0].cost.uncounted),
    }
    path.write_text(json.dumps(content, indent=2))


def _variant(result: Result) -> dict:
    variant, cost, accuracy, time = result.variant, result.cost, result.accuracy, result.latency
    return {
        "name": variant.name,
        "runtime": variant.runtime,
        "precision": variant.precision,
        "path": str(variant.path),
        "sha256": result.sha256,
        "imgsz": variant.imgsz,
        "flops": result.flops,
        "macs": result.flops // 2,
        "float_ops": result.float_ops,
        "int_ops": result.int_ops,
        "parameters": cost.parameters,
        "size_bytes": result.size_bytes,
        "weight_bytes": result.graph.weight_bytes if result.graph else cost.weight_bytes,
        "activation_bytes_fp32": cost.activation_bytes,
        "metric": accuracy.metric,
        "accuracy": accuracy.score,
        "accuracy_all": accuracy.metrics,
        "accuracy_per_class": accuracy.classes,
        "images": accuracy.images,
        "latency_median_ms": time and time.median_ms,
        "latency_p95_ms": time and time.p95_ms,
        "latency_quartiles_ms": time and [time.q1_ms, time.q3_ms],
        "latency_runs": time and time.runs,
        "speedup": time and time.speedup,
        "speedup_quartiles": time and [time.speedup_low, time.speedup_high],
        "threads": time and time.threads,
        "batch": time and time.batch,
        "device": time and time.device,
        "arithmetic": time and time.arithmetic,
        "int8_ops_executed": time and time.int8_ops,
        "int8_share": result.int8_share,
        "quantization": result.quantization,
    }


def host() -> dict:
    """The machine, as far as it decides over the numbers."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu.name(),
        "cpu_flags": cpu.flags(),
        "cores": os.cpu_count(),
        "load_average_before_report": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
