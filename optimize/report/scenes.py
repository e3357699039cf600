"""Validation images with the detections of both models, ready to be drawn as SVG over one copy of each image."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from optimize.inside import content, inside
from optimize.measure.disagreement import Box, ComparedImage, find_unmatched
from optimize.report import labels
from optimize.result import Report

MOST = 3_000_000  # bytes of images in the page, which stays under 5 MB
KINDS: dict[bytes, tuple[str, type[ImageFile]]] = {  # first bytes of a file: its type and its reader
    b"\x89PNG\r\n\x1a\n": ("png", PngImageFile),
    b"\xff\xd8\xff": ("jpeg", JpegImageFile),
}
PIXELS = 50_000_000
SHARE = 42  # the height of a label is the image's width over this


@dataclass(frozen=True)
class Mark:
    """One object: its outline, its colour, and its label.

    Attributes:
        points: of the outline, as SVG writes them; empty for `classify`.
        colour: number of the colour of its class.
        text: label and confidence.
        at: left, top, right, bottom of the label's plate; None where there is no room for it.
        alone: whether the other model does not detect the object.
    """

    points: str
    colour: int
    text: str
    at: labels.Rectangle | None
    alone: bool


@dataclass(frozen=True)
class Scene:
    """One image: its data URI, and the marks of labels, original and optimized model."""

    image: ComparedImage
    uri: str
    size: float
    truth: tuple[Mark, ...]
    before: tuple[Mark, ...]
    after: tuple[Mark, ...]


def scenes(report: Report, folder: Path) -> tuple[list[Scene], list[str]]:
    """The images to draw, the worst disagreement first; and the names of images that are missing or too large.

    Raises:
        InputError: an image's path leads out of `folder`.
    """
    if report.disagreement is None:
        return [], []
    drawn, missing, used = [], [], 0
    colours = _colours(report.disagreement.worst)
    for image in report.disagreement.worst:
        uri = _uri(content(inside(folder, image.path), MOST) or b"")
        used += len(uri or "")
        if uri is None or used > MOST:
            missing.append(image.name)
            continue
        size = max(image.width, image.height * 0.75) / SHARE
        only_before, only_after = find_unmatched(image.before, image.after)
        truth = [(box, False) for box in image.truth]
        before = zip(image.before, only_before, strict=True)
        after = zip(image.after, only_after, strict=True)
        drawn.append(
            Scene(
                image=image,
                uri=uri,
                size=size,
                truth=_marks(truth, image, colours, size),
                before=_marks(before, image, colours, size),
                after=_marks(after, image, colours, size),
            )
        )
    return drawn, missing


def _uri(found: bytes) -> str | None:
    """The data URI of a PNG or JPEG with this content; None for other files, and for images with too many pixels."""
    kind = next((kind for begin, kind in KINDS.items() if found.startswith(begin)), None)
    if kind is None:
        return None
    name, reader = kind
    try:
        image = reader(BytesIO(found))  # reads no pixels; Image.open is ultralytics' own, which installs packages
    except (OSError, ValueError, SyntaxError):
        return None
    if image.width * image.height > PIXELS:
        return None
    return f"data:image/{name};base64,{base64.b64encode(found).decode()}"


def _colours(images: tuple[ComparedImage, ...]) -> dict[str, int]:
    boxes = [box for p in images for side in (p.truth, p.before, p.after) for box in side]
    return {label: i for i, label in enumerate(dict.fromkeys(box.label for box in boxes))}


def _marks(
    boxes: Iterable[tuple[Box, bool]], image: ComparedImage, colours: dict[str, int], size: float
) -> tuple[Mark, ...]:
    """Marks of objects, each given with whether it is alone. Labels are placed in the order of what they tell."""
    taken: list[labels.Rectangle] = []
    marks = []
    for box, lonely in sorted(boxes, key=_by_what_it_tells):
        text = box.label if box.score is None else f"{box.label} {box.score:.2f}"
        options = _plates(box, labels.length(text, size) + 0.6 * size, 1.35 * size)
        place = labels.first_free(options, taken, (0, 0, image.width, image.height))
        at = None if place is None else options[place]
        if at is not None:
            taken.append(at)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in box.corners)
        marks.append(Mark(points, colours[box.label], text, at, lonely))
    return tuple(marks)


def _by_what_it_tells(marked: tuple[Box, bool]) -> tuple[bool, float]:
    """To sort by: what only one model finds, and where, comes first, then the surest."""
    box, lonely = marked
    tells = lonely and bool(box.corners)
    return not tells, -(box.score or 0)


def _plates(box: Box, width: float, height: float) -> list[labels.Rectangle]:
    """Where a label may lie: above the object, in its corners, below it."""
    if not box.corners:
        return []
    left, right = (end(x for x, _ in box.corners) for end in (min, max))
    top, bottom = (end(y for _, y in box.corners) for end in (min, max))
    corners = [(left, top - height), (left, top), (right - width, top - height), (right - width, bottom - height)]
    corners += [(left, bottom - height), (left, bottom), (right - width, bottom)]
    return [(x, y, x + width, y + height) for x, y in corners]
