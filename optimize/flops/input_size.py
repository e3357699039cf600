"""What an exported graph takes must be one image of a known size."""

from optimize.errors import InputError
from optimize.input_size import Size

ONE_IMAGE = "give a graph with one input (1, channels, height, width)"


def check(model: str, inputs: list[tuple[int | str, ...]], imgsz: int | None) -> Size:
    """The one image that a graph with these input shapes takes; a text is an open dimension.

    Raises:
        InputError: it takes anything else, or not an image of `imgsz`.
    """
    texts = ", ".join(f"({', '.join(map(str, shape))})" for shape in inputs) or "nothing"
    if [len(shape) for shape in inputs] != [4]:
        raise InputError(f"model={model} takes {texts}, so it is no detector; {ONE_IMAGE}.")
    known = [dimension for dimension in inputs[0] if isinstance(dimension, int)]
    if len(known) != 4:
        raise InputError(
            f"model={model} has the dynamic input {texts}, so its operations can't be counted; export it again with "
            "dynamic=False."
        )
    batch, channels, height, width = known
    if channels > min(height, width):
        raise InputError(f"model={model} takes {texts}, which is no image; {ONE_IMAGE}.")
    if batch != 1:
        raise InputError(f"model={model} takes {batch} images at once; export it again with batch=1.")
    if imgsz is not None and (height, width) != (imgsz, imgsz):
        raise InputError(
            f"model={model} takes images of {height}x{width}, not of imgsz={imgsz}; leave imgsz out, or export it "
            "again."
        )
    return Size(height, width)
