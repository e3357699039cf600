"""Checks that an exported graph takes one image of a known size."""

from optimize.errors import InputError
from optimize.input_size import Size

ONE_IMAGE = "give a graph with one input (1, channels, height, width)"


def check(model: str, inputs: list[tuple[int | str, ...]], imgsz: Size | None) -> Size:
    """Return the size of the image that a graph with the input shapes `inputs` takes; a text is a dynamic dimension.

    Raises:
        InputError: the graph takes anything but one image, or none of `imgsz`.
    """
    texts = ", ".join(f"({', '.join(map(str, shape))})" for shape in inputs) or "nothing"
    if [len(shape) for shape in inputs] != [4]:
        raise InputError(f"model={model} takes {texts}, so it is no detector; {ONE_IMAGE}.")
    static = [dimension for dimension in inputs[0] if isinstance(dimension, int)]
    if len(static) != 4:
        raise InputError(
            f"model={model} has the dynamic input {texts}, so its operations can't be counted; export it again with "
            "dynamic=False."
        )
    batch, channels, height, width = static
    if channels > min(height, width):
        raise InputError(f"model={model} takes {texts}, which is no image; {ONE_IMAGE}.")
    if batch != 1:
        raise InputError(f"model={model} takes {batch} images at once; export it again with batch=1.")
    if imgsz is not None and imgsz != Size(height, width):
        raise InputError(
            f"model={model} takes images of {height}x{width}, not of imgsz={imgsz}; leave imgsz out, or export it "
            "again."
        )
    return Size(height, width)
