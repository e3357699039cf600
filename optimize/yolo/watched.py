"""See every call of torch, to end work that a stranger's file makes endless."""

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode


class Watched(TorchFunctionMode):
    """Inside its `with`, shows `look` each function of torch called, with its result; what it raises ends it."""

    def __init__(self, look: Callable[[Callable, Any], None]):
        super().__init__()
        self.look = look

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.look(func, result)
        return result
