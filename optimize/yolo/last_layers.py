"""New last layers for another number of classes, initialized as ultralytics does; a function for each kind of head.

They also initialize other layers anew, so the weights must be loaded afterwards.
"""

from torch import nn
from ultralytics.nn.tasks import BaseModel


def of_branches(model: BaseModel, classes: int) -> None:
    """A head that finds boxes by branches of convolutions, one for each scale."""
    head = model.model[-1]
    if head.nc == classes:
        return
    head.nc, head.no = classes, classes + 4 * head.reg_max
    semantic = getattr(getattr(head, "proto", None), "semseg", None)
    for branch in (*head.cv3, *(getattr(head, "one2one_cv3", None) or ()), *([semantic] if semantic else [])):
        branch[-1] = nn.Conv2d(branch[-1].in_channels, classes, 1)
    head.bias_init()


def of_transformer(model: BaseModel, classes: int) -> None:
    """RT-DETR's decoder."""
    head = model.model[-1]
    if head.nc == classes:
        return
    head.nc = classes
    head.denoising_class_embed = nn.Embedding(classes, head.denoising_class_embed.embedding_dim)
    head.enc_score_head = nn.Linear(head.enc_score_head.in_features, classes)
    head.dec_score_head = nn.ModuleList(nn.Linear(layer.in_features, classes) for layer in head.dec_score_head)
    head._reset_parameters()
