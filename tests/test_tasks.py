"""Every task end to end: made and measured by the pipeline, then measured and loaded again by stock ultralytics."""

import json
from pathlib import Path

import pytest
from commands import command
from lively import lively
from tiny_tasks import CLASSES, SIDE, TASKS, write_dataset
from ultralytics import RTDETR, YOLO

from optimize.yolo.metrics import METRICS


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_every_task_is_pruned_exported_and_measured(task, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "data", task)
    model = lively(TASKS[task], tmp_path / "tiny.pt", classes=CLASSES[task])
    given = f"model={model}", f"data={data}", "rounds=12", "threads=1", "epochs=0", "runtime=[onnxruntime]"
    code, out, err = command(monkeypatch, capsys, *given, "prune=0.3", "quant=none")
    assert code == 0, err
    rows = json.loads((Path(out.splitlines()[-1]) / "results.json").read_text())["variants"]
    rows = {(row["runtime"], row["name"]): row for row in rows}
    original, pruned = rows["onnxruntime", "original"], rows["onnxruntime", "pruned"]
    assert 0.28 <= 1 - pruned["flops"] / original["flops"] <= 0.32
    main = next(iter(METRICS[task]))
    assert f"│ {main}" in out or f" {main} " in out
    for row in rows.values():
        assert (row["metric"], row["accuracy"]) == (main, row["accuracy_all"][main])
    stock = RTDETR if task == "rtdetr" else YOLO
    for row in (original, pruned):
        found = stock(row["path"]).val(
            data=str(data), imgsz=SIDE, device="cpu", plots=False, save_dir=tmp_path / "stock"
        )
        assert {name: found.results_dict[key] for name, key in METRICS[task].items()} == row["accuracy_all"]
    assert original["accuracy"] > 0  # else the comparison above says nothing
    loaded = stock(rows["torch", "pruned"]["path"])
    assert loaded.names == {i: f"class{i}" for i in range(CLASSES[task])}
    assert sum(p.numel() for p in loaded.model.parameters()) < sum(p.numel() for p in stock(model).model.parameters())
    loaded.predict(next(tmp_path.glob("data/**/*.png")), imgsz=SIDE, verbose=False)
