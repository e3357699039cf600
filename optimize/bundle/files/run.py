"""Find objects in images: python run.py street.jpg [more.jpg ...].

Prints what is found, and writes found/detections.json (boxes are left, top, right, bottom in pixels of the upright
image) and a copy of each image with its boxes. The results equal those of ultralytics' `predict` with this model.
"""

import argparse
import colorsys
import json
import os
import sys
from pathlib import Path

import numpy as np
from model import checked, cores, open_model, read_bundle, unused
from PIL import Image, ImageDraw, ImageFont, ImageOps

from device import SHARES


def main():
    options = parse_arguments()
    bundle = read_bundle()
    check(options)
    if options.confidence is not None:
        bundle["nms"]["confidence"] = options.confidence
    out = output_folder(options)
    if options.threads < 1:
        sys.exit(f"error: --threads {options.threads} is not allowed; give 1 or more.")
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal can't show must not end the work
        stream.reconfigure(errors="replace")
    run, _ = open_model(bundle, options.threads)
    detections = detect_all(run, options.image, bundle)
    if detections:  # written only now, so that an error above leaves no half of the files
        write(detections, out)
        print(f"boxes and images: {out}")
    if len(detections) < len(options.image):
        sys.exit(1)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Find objects in images.")
    parser.add_argument("image", nargs="+", type=Path)
    parser.add_argument("--confidence", type=float, help="least confidence of what is shown, 0 to 1")
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads; all by default")
    parser.add_argument("--out", type=Path, help="folder to write to; found, found-2 ... by default")
    return parser.parse_args()


def check(options):
    """Exit with one sentence if the confidence is out of range, or two images would be written under one name."""
    if options.confidence is not None and not 0 <= options.confidence <= 1:
        sys.exit(f"error: --confidence {options.confidence} is not allowed; give 0 to 1.")
    if len({path.stem for path in options.image}) < len(options.image):
        sys.exit("error: two of the images have the same name, and so would their copies; give them one by one.")


def output_folder(options):
    """The folder to write to; exits with one sentence if it is not writable or holds a file that is to be written."""
    out = options.out or unused(Path("found"))
    nearest = next(place for place in (out, *out.parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        sys.exit(f"error: --out {out} can't be a folder to write to; give another.")
    for name in ("detections.json", *(f"{path.stem}.png" for path in options.image)):
        if os.path.lexists(out / name):
            sys.exit(f"error: --out {out} holds {name}, and nothing is overwritten; give another.")
    return out


def detect_all(run, paths, bundle):
    """Objects by image path, printed after each image; an image that can't be read is skipped."""
    detections = {}
    for path in paths:
        try:
            image = read(path)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises
            print(f"error: {path} can't be read as an image ({error}), so it is skipped.", file=sys.stderr)
            continue
        detections[path] = detect(run, np.asarray(image), bundle)
        labels = [detection["label"] for detection in detections[path]]
        counts = [f"{labels.count(label)} {label}" for label in dict.fromkeys(labels)]
        print(f"{path}: {', '.join(counts) or 'nothing'}")
    return detections


def write(detections, out):
    """Write detections.json, and a copy of each image with its boxes."""
    out.mkdir(parents=True, exist_ok=True)
    by_name = {str(path): objects for path, objects in detections.items()}
    (out / "detections.json").write_text(json.dumps(by_name, indent=1), encoding="utf-8")
    for path, objects in detections.items():
        draw(read(path), objects).save(out / f"{path.stem}.png")


def read(path):
    """Read an image upright and in RGB; 16-bit images keep their upper 8 bits."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def detect(run, image, bundle):
    """The objects that `run` finds in `image`, (height, width, 3) uint8 RGB, the most confident first."""
    size = bundle["imgsz"]["height"], bundle["imgsz"]["width"]
    inputs, scale, corner = fit(image, size, bundle["letterbox"])
    boxes, scores, classes = decode(checked(run(inputs), bundle), bundle)
    boxes = (boxes - [*corner, *corner]) / [*scale, *scale]
    if bundle["letterbox"]:
        height, width = image.shape[:2]
        boxes = boxes.clip(0, [width, height, width, height])
    return [
        {
            "label": bundle["names"][label],
            "class": label,
            "confidence": round(score, 5),
            "box": [round(side, 3) for side in box],
        }
        for box, score, label in zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True)
    ]


def fit(image, size, letterbox):
    """The network's input, (1, 3, *size), and the scale (x, y) and corner (x, y) of the image in it.

    `size` is (height, width). With `letterbox` the image keeps its proportions and grey fills the rest; without, it is
    stretched.
    """
    height, width = image.shape[:2]
    gain = min(size[0] / height, size[1] / width)
    fitted = (max(round(width * gain), 1), max(round(height * gain), 1)) if letterbox else size[::-1]
    left, top = round((size[1] - fitted[0]) / 2 - 0.1), round((size[0] - fitted[1]) / 2 - 0.1)
    canvas = np.full((*size, 3), letterbox["grey"] if letterbox else 0, np.uint8)
    canvas[top : top + fitted[1], left : left + fitted[0]] = resize(image, *fitted)
    inputs = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    return inputs, (fitted[0] / width, fitted[1] / height), (left, top)


def resize(image, width, height):
    """Resize bilinearly as OpenCV does, equal to the last bit: weights in steps of 1/2048, rounded down twice."""
    if image.shape[:2] == (height, width):
        return image
    pixels = image.astype(np.int32)
    if image.shape[:2] == (2 * height, 2 * width):
        rows = pixels[::2] + pixels[1::2]
        return ((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)
    left, right, near, far = taps(image.shape[1], width)
    above, below, over, under = (tap[..., None, None] for tap in taps(image.shape[0], height))
    rows = (pixels[:, left] * near[:, None] + pixels[:, right] * far[:, None]) >> 4
    rows = (rows[above.ravel()] * over >> 16) + (rows[below.ravel()] * under >> 16)
    return ((rows + 2) >> 2).astype(np.uint8)


def taps(old, new):
    """For each of `new` pixels the two of `old` that it lies between, and the weight of each, 0 to 2048."""
    position = ((np.arange(new) + 0.5) * (1 / (new / old)) - 0.5).astype(np.float32)
    first = np.floor(position).astype(int)
    fraction = position - first.astype(np.float32)
    weights = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (1 - fraction, fraction))
    return (*(index.clip(0, old - 1) for index in (first, first + 1)), *weights)


def decode(output, bundle):
    """Corners (N, 4) in pixels of the network's input, confidences (N,) and classes (N,), the most confident first.

    The head decides what `output` is:
    - one2many: (1, 4 + classes, anchors), boxes as centre and size, in pixels or, with SHARES, as shares of the image;
    - end2end, which needs no NMS: (1, N, 6), corners in pixels, confidence, class;
    - rtdetr, which needs no NMS: (1, N, 6), centre and size as shares of the image, confidence, class.
    """
    head, settings = bundle["head"], bundle["nms"]
    rows, most = output[0], settings["max_detections"]
    if head == "one2many":
        rows = rows[:, rows[4:].max(0) > settings["confidence"]].T
        unit = sides(bundle) if SHARES else 1
        boxes, scores, classes = corners(rows[:, :4] * unit), rows[:, 4:].max(1), rows[:, 4:].argmax(1)
        kept = suppress(boxes, scores, classes, settings["iou"])[:most]
        return boxes[kept], scores[kept], classes[kept]
    rows = rows[rows[:, 4] > settings["confidence"]][:most]
    boxes = corners(rows[:, :4] * sides(bundle)) if head == "rtdetr" else rows[:, :4]
    return boxes, rows[:, 4], rows[:, 5].astype(int)


def sides(bundle):
    """Width and height of the input, twice: they turn x, y, width and height from shares of the image into pixels."""
    width, height = bundle["imgsz"]["width"], bundle["imgsz"]["height"]
    return np.array([width, height, width, height], np.float32)


def corners(boxes):
    """Turn centre and size into left, top, right, bottom."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], 1)


def suppress(boxes, scores, classes, iou):
    """Non-maximum suppression within each class: the indices of the boxes that stay, the most confident first."""
    boxes = boxes + classes[:, None].astype(np.float32) * 7680  # boxes of different classes can't overlap
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order, kept = np.argsort(-scores, kind="stable"), []
    while order.size:
        first, order = order[0], order[1:]
        kept.append(first)
        shared = np.minimum(boxes[first, 2:], boxes[order, 2:]) - np.maximum(boxes[first, :2], boxes[order, :2])
        shared = shared.clip(0).prod(1)
        with np.errstate(invalid="ignore"):  # 0 / 0 where both boxes are empty: they don't overlap
            order = order[~(shared / (areas[first] + areas[order] - shared) > iou)]
    return np.array(kept, int)


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


if __name__ == "__main__":
    main()
