"""Find objects: python run.py street.jpg, a folder, clip.mp4, 0 (a camera) or rtsp://...; several but for the last two.

Prints what is found, and writes found/detections.json (boxes are left, top, right, bottom in pixels of the upright
image) or, for a video, found/clip.jsonl, a line for each frame; --save adds copies with the boxes. The results equal
those of ultralytics' `predict` with this model. Videos, cameras and streams need OpenCV; nothing needs a display.
"""

import argparse
import os
import sys
from collections import deque
from pathlib import Path
from statistics import median
from time import perf_counter

from boxes import objects
from frames import Failure, open_sources, reading
from image import keep_memory
from letterbox import cv2, fit
from model import checked, cores, empty_input, open_model, read_bundle, unused
from writing import output_names, recording, write_images

from device import SHARES

STAGES = "letterbox", "graph", "post-processing"
RECENT = 1000  # frames that the printed times are of


def main():
    options = parse_arguments()
    bundle = read_bundle()
    bundle["classes"] = class_numbers(options.classes, bundle["names"])
    check(options, bundle)
    if options.confidence is not None:
        bundle["nms"]["confidence"] = options.confidence
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal can't show must not end the work
        stream.reconfigure(errors="replace")
    if cv2:
        cv2.setNumThreads(options.threads)
    keep_memory()
    size = bundle["imgsz"]["height"], bundle["imgsz"]["width"]
    sources = open_sources(options.source, size if options.fast_decode else None)
    out = output_folder(options, sources)
    run, _ = open_model(bundle, options.threads)
    detections, failed = detect_all(run, sources, bundle, out, options.save)
    if detections:  # written only now, so that an error above leaves no half of the files
        write_images(detections, out, options.save)
    if any((out / name).exists() for source in sources for name in output_names(source, options.save)):
        print(f"written: {out}")
    sys.exit(failed)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Find objects in images, videos and what cameras see.")
    parser.add_argument("source", nargs="+", help="image, folder, video, number of a camera, address of a stream")
    parser.add_argument("--confidence", type=float, help="least confidence of what is shown, 0 to 1")
    parser.add_argument("--classes", help="only these: names or numbers of labels.txt from 0, e.g. car,bus or 2,5")
    parser.add_argument("--save", action="store_true", help="write copies with boxes too")
    parser.add_argument("--fast-decode", action="store_true", help="read JPEGs at a part of their size: other boxes")
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads; all by default")
    parser.add_argument("--out", type=Path, help="folder to write to; found, found-2 ... by default")
    return parser.parse_args()


def class_numbers(words, names):
    """The classes that `--classes` names, None for all; exits with one sentence if there is none of a name."""
    if words is None:
        return None
    numbers = {str(number): number for number in range(len(names))} | {name: i for i, name in enumerate(names)}
    words = [word.strip() for word in words.split(",")]
    if unknown := [word for word in words if word not in numbers]:
        sys.exit(f"error: --classes {unknown[0]} is none of {', '.join(names[:20])}; give names or numbers of these.")
    return [numbers[word] for word in words]


def check(options, bundle):
    """Exit with one sentence if the confidence or the threads are out of range, or the model can't have an option."""
    if options.confidence is not None and not 0 <= options.confidence <= 1:
        sys.exit(f"error: --confidence {options.confidence} is not allowed; give 0 to 1.")
    if options.threads < 1:
        sys.exit(f"error: --threads {options.threads} is not allowed; give 1 or more.")
    if options.fast_decode and not bundle["letterbox"]:
        sys.exit("error: --fast-decode is for models whose images keep their proportions; leave it out.")


def output_folder(options, sources):
    """The folder to write to; exits with one sentence if it is not writable or holds a file that is to be written."""
    names = [name for source in sources for name in output_names(source, options.save) if name != "detections.json"]
    if len({*names}) < len(names) or len({source.name for source in sources}) < len(sources):
        sys.exit("error: two of the images have the same name, and so would their copies; give them one by one.")
    out = options.out or unused(Path("found"))
    nearest = next(place for place in (out, *out.parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        sys.exit(f"error: --out {out} can't be a folder to write to; give another.")
    for name in ("detections.json", *names):
        if os.path.lexists(out / name):
            sys.exit(f"error: --out {out} holds {name}, and nothing is overwritten; give another.")
    return out


def detect_all(run, sources, bundle, out, save):
    """Objects by image path, printed after each frame, and the exit code: 1 if something could not be read.

    Ctrl-C ends it early, which is how a camera is left.
    """
    detections, code, times, count, frame = {}, 0, deque(maxlen=RECENT), 0, None
    live = any(source.kind == "live" for source in sources)
    inputs = empty_input(bundle)
    began = perf_counter()
    with recording(sources, out, save) as record, reading(sources) as frames:
        try:
            for read in frames:
                if isinstance(read, Failure):
                    print(read.sentence, file=sys.stderr)
                    code = 1
                    continue
                frame = read
                seen, seconds = detect(run, frame, bundle, inputs)
                count += 1
                times.append((frame.seconds, *seconds))
                if frame.number is None:
                    detections[frame.source] = seen
                else:
                    record(frame, seen)
                print(describe(frame, seen), flush=live)
        except KeyboardInterrupt:
            code = code if live else 130
    if count:
        print(summarize(count, perf_counter() - began, times, frame.number + 1 - count if live else None))
    return detections, code


def detect(run, frame, bundle, inputs):
    """The objects that `run` finds in a frame, the most confident first, and the seconds of each of STAGES.

    `inputs`, the network's input, is written to.
    """
    began = perf_counter()
    fitted, corner = fit(frame.pixels, frame.planes, bundle["letterbox"], inputs)
    ready = perf_counter()
    outputs = run(inputs)
    computed = perf_counter()
    seen = objects(checked(outputs, bundle), bundle, fitted, corner, frame.size, SHARES)
    return seen, (ready - began, computed - ready, perf_counter() - computed)


def describe(frame, seen):
    """What is in a frame, as one line."""
    labels = [detection["label"] for detection in seen]
    counts = ", ".join(f"{labels.count(label)} {label}" for label in dict.fromkeys(labels)) or "nothing"
    return f"{frame.source}{'' if frame.number is None else f' {frame.number}'}: {counts}"


def summarize(count, seconds, times, stale):
    """Frames per second, of all and of each stage; `stale` frames of a live source were dropped, None for others."""
    middle = [median(stage) for stage in zip(*times, strict=True)]
    first = "decode, meanwhile," if stale is None else "wait for the camera, meanwhile,"
    stages = (
        f"{name} {1 / max(taken, 1e-9):.0f} ({1e3 * taken:.1f} ms)"
        for name, taken in zip((first, *STAGES), middle, strict=True)
    )
    dropped = "" if stale is None else f", {stale} stale dropped"
    return f"{count} frames{dropped}, {count / seconds:.1f} per second; each stage alone: {', '.join(stages)}"


if __name__ == "__main__":
    main()
