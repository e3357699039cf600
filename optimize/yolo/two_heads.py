"""Models with two heads: one-to-many, whose boxes NMS thins out, and one-to-one, which needs no NMS.

YOLOv10 (arXiv:2405.14458) introduced training both together; YOLO26 has both as well. In ultralytics 8.4 the branches
of the one-to-one head are those of the other with `one2one_` before their name, and a head that has lost the others
is run end to end.
"""

from ultralytics.nn.tasks import BaseModel

PREFIX = "one2one_"


def has_two_heads(model: BaseModel) -> bool:
    """Whether the model has a one-to-one head beside the one-to-many head."""
    return any(getattr(model.model[-1], name, None) is not None for name in _one_to_many(model))


def is_end_to_end(model: BaseModel) -> bool:
    """Whether the model has only the one-to-one head, so that its outputs need no NMS."""
    names = _one_to_many(model)
    return bool(names) and not has_two_heads(model)


def keep_one_to_one(model: BaseModel) -> None:
    """Remove the one-to-many head of a model with two, in place."""
    for name in _one_to_many(model):
        setattr(model.model[-1], name, None)


def _one_to_many(model: BaseModel) -> list[str]:
    """Names of the branches of the one-to-many head in a model that has a one-to-one head; empty for others."""
    names = [name for name, part in model.model[-1].named_children() if name.startswith(PREFIX)]
    return [name.removeprefix(PREFIX) for name in names]
