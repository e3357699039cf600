"""A device that is not here is one sentence before any work; what ultralytics reads as one, we read the same way."""

from pathlib import Path

import pytest
import torch
from ultralytics.utils.torch_utils import select_device

from helpers.commands import command
from helpers.messages import like
from optimize.errors import InputError
from optimize.yolo.device import check_device, first_device

GIVEN = (
    *(
        None,
        "",
        "cpu",
        "CPU",
        "cpu:0",
        "0",
        "1",
        "2",
        "0,1",
        "0, 1",
        "[0,1]",
        "(0,1)",
        "[0]",
        "cuda",
        "cuda:0",
        "cuda:1",
    ),
    *("cuda:0,1", "cuda:0,cuda:1", "-1", "-1,-1", "01", "0,,1", "0,2", "gpu", "none", "xpu", "xpu:0", "npu", "npu:0,1"),
    *("-2", "1.5", "cuda:x", "nonsense", "0,cpu"),
)


@pytest.fixture(params=[0, 1, 2])
def gpus(request, monkeypatch):
    """As many CUDA GPUs as there are said to be."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr("ultralytics.utils.torch_utils.get_gpu_info", lambda index: "a GPU")
    return request.param


@pytest.mark.parametrize("device", GIVEN)
def test_it_is_read_as_ultralytics_reads_it(device, gpus):
    threads = torch.get_num_threads()
    try:
        select_device("" if device is None else device)
    except ValueError:
        with pytest.raises(InputError, match=like("device= ... can't be used ... give cpu, or leave device out")):
            check_device(device)
    else:
        check_device(device)
        assert first_device(device) == select_device("" if device is None else device)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("device", "count", "lacking"),
    [
        ("0", 0, "torch finds no CUDA GPU here"),
        ("1", 1, "torch finds 1 CUDA GPU here"),
        ("0,2", 2, "torch finds 2 CUDA GPUs here"),
        ("mps", 0, "torch finds no Apple GPU here"),
        ("xpu", 0, "torch finds no such XPU here"),
        ("gpu", 0, "there is no such device"),
        ("intel:gpu", 0, "there is no such device"),
        ("tpu", 0, "there is no such device"),
    ],
)
def test_the_sentence_tells_what_is_lacking(device, count, lacking, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=like(f"device={device} ... {lacking} ... give cpu, or leave device out")):
        check_device(device)


def test_an_apple_gpu_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    check_device("mps")


@pytest.mark.parametrize("device", ["mps", "[0,1]", "0,1"])
def test_a_run_says_so_before_any_work_also_where_nothing_is_trained(
    device, checkpoint, dataset, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    words = f"model={checkpoint}", f"data={dataset}", "prune=0", "epochs=0", f"device={device}"
    code, out, err = command(monkeypatch, capsys, *words)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"error: device={device} can't be used, since torch finds no ")
    assert not list(Path("runs").glob("store/*"))
