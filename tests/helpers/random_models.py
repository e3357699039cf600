"""Models of every family with random weights in which every channel and every attention logit matters."""

import torch
from torch import nn
from ultralytics import RTDETR, YOLO
from ultralytics.cfg import get_cfg
from ultralytics.nn.modules.block import AAttn, Attention

DETECT = (
    "yolov3-tiny",
    "yolov5n",
    "yolov6n",
    "yolov8n",
    "yolov9t",
    "yolov9c",
    "yolov10n",
    "yolo11n",
    "yolo12n",
    "yolo26n",
)
TRANSFORMERS = ("yolov8n-rtdetr",)
TASKS = tuple(f"{name}-{task}" for name in ("yolov8n", "yolo11n", "yolo26n") for task in ("seg", "pose", "cls", "obb"))


def build(name: str) -> nn.Module:
    """A float64 model in eval mode; BatchNorm is not the identity, attention is not flat."""
    torch.manual_seed(0)
    model = (RTDETR if "rtdetr" in name else YOLO)(f"{name}.yaml").model.double().eval()
    model.args, model.nc = get_cfg(), len(model.names)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    for module in model.modules():
        if isinstance(module, (Attention, AAttn)):
            module.qkv.bn.weight.data *= 4
    return model


def batch(name: str, imgsz: int = 64) -> dict[str, torch.Tensor]:
    """Two images with one object each, with the labels of the model's task."""
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.5], [0.4, 0.6, 0.6, 0.3]])
    labels = {"img": torch.rand(2, 3, imgsz, imgsz), "cls": torch.zeros(2, 1)}
    labels |= {"batch_idx": torch.arange(2.0), "bboxes": boxes}
    if "-cls" in name:
        labels["cls"] = torch.tensor([1, 2])
    if name.endswith("-obb"):
        labels["bboxes"] = torch.cat([boxes, torch.tensor([[0.3], [0.1]])], dim=1)
    if name.endswith("-pose"):
        labels["keypoints"] = torch.cat([torch.rand(2, 17, 2), torch.full((2, 17, 1), 2.0)], dim=2)
    if name.endswith("-seg"):
        labels["masks"] = torch.zeros(2, imgsz // 4, imgsz // 4)
        labels["masks"][:, 4:12, 4:12] = 1
        labels["sem_masks"] = labels["masks"]
    return labels
