"""What run.py leaves: detections.json, a line for each frame of a video, and copies with boxes."""

import colorsys
import json
import re
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from image import open_image
from letterbox import cv2
from PIL import Image, ImageDraw, ImageFont


def output_names(source, save):
    """The files that are written for a source: its detections, and with `save` its copy."""
    stem = re.sub(r"\W+", "_", source.name) if source.kind == "live" else Path(source.name).stem
    if source.kind == "image":
        return ["detections.json", f"{stem}.png"] if save else ["detections.json"]
    if source.kind == "live" and not save:
        return []  # it never ends
    return [f"{stem}.jsonl", f"{stem}.mp4"] if save else [f"{stem}.jsonl"]


def write_images(detections, out, save):
    """Write detections.json, objects by path of the image, and with `save` a copy of each image with its boxes."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "detections.json").write_text(json.dumps(detections, indent=1), encoding="utf-8")
    for path, objects in detections.items() if save else ():
        draw(open_image(path)[0], objects).save(out / f"{Path(path).stem}.png")


@contextmanager
def recording(sources, out, save):
    """A function that writes the objects of a frame of a video or camera, and with `save` the frame with its boxes."""
    by_name, recorders = {source.name: source for source in sources}, {}
    with ExitStack() as stack:

        def record(frame, objects):
            if frame.source not in recorders:
                recorders[frame.source] = stack.enter_context(recorder(by_name[frame.source], out, save))
            recorders[frame.source](frame, objects)

        yield record


@contextmanager
def recorder(source, out, save):
    """`recording` of one source."""
    names = output_names(source, save)
    if not names:
        yield lambda frame, objects: None
        return
    out.mkdir(parents=True, exist_ok=True)
    video, size = None, None

    def record(frame, objects):
        nonlocal video, size
        lines.write(json.dumps({"frame": frame.number, "objects": objects}) + "\n")
        if save:
            size = size or frame.size  # a camera may come back with another
            video = video or open_video(out / names[1], source.rate or 25, size)
            drawn = np.asarray(draw(Image.fromarray(frame.pixels[..., frame.planes]), objects))[..., ::-1]
            video.write(cv2.resize(np.ascontiguousarray(drawn), size))

    with (out / names[0]).open("x", encoding="utf-8") as lines:
        try:
            yield record
        finally:
            if video:
                video.release()


def open_video(path, rate, size):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
    if not video.isOpened():
        sys.exit(f"error: this OpenCV can't write {path.name}; leave --save out.")
    return video


def draw(image, objects):
    """A copy of `image` with a labelled box for each object, in a colour for each class."""
    copy, width = image.copy(), max(2, round(sum(image.size) / 600))
    pen, font = ImageDraw.Draw(copy), ImageFont.load_default(6 * width)
    for detection in reversed(objects):  # the most confident on top
        colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(0.618 * detection["class"] % 1, 0.9, 0.9))
        (left, right), (top, bottom) = sorted(detection["box"][::2]), sorted(detection["box"][1::2])
        text = f"{detection['label']} {detection['confidence']:.2f}"
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        pen.rectangle(pen.textbbox((left, top), text, font), fill=colour)
        pen.text((left, top), text, "white", font)
    return copy
