"""Where frames come from: images, folders of them, videos and cameras, read in a thread of their own.

Images are read by Pillow; videos, cameras and streams need OpenCV.
"""

import re
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from time import perf_counter

import numpy as np
from image import UNREADABLE, open_image
from letterbox import cv2

IMAGES = {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
VIDEOS = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
AHEAD = 3  # frames that wait for the network: each may take 10 MB
PAUSE = 1.0  # seconds before a broken stream is asked again


@dataclass(frozen=True)
class Frame:
    """An image of a source.

    source: its file, or the camera, as it was named.
    number: its place in a video, from 0; None for an image.
    pixels: (height, width, 3) uint8.
    planes: the places of red, green and blue in `pixels`.
    size: width and height of the whole image; `pixels` has fewer after a fast decode.
    seconds: what it took to read.
    """

    source: str
    number: int | None
    pixels: np.ndarray
    planes: tuple
    size: tuple
    seconds: float


@dataclass(frozen=True)
class Failure:
    """What could not be read, as one sentence; what comes after it is read all the same."""

    sentence: str


@dataclass(frozen=True)
class Source:
    """What gives frames: `read(stop)` iterates over its frames and failures, until the event `stop` is set."""

    name: str
    kind: str  # image, video or live: a camera or stream, of which only the newest frame counts
    rate: float | None  # frames per second of a video
    read: Callable


def open_sources(words, fast=None):
    """The sources that `words` name, opened; exits with one sentence if one can't be.

    `fast` is None, or the (height, width) of the network: JPEGs are then decoded at a half, a quarter or an eighth of
    their size, if that is no smaller than what the network gets.
    """
    sources = [source for word in words for source in open_source(word, fast)]
    if len(sources) > 1 and any(source.kind == "live" for source in sources):
        sys.exit("error: a camera or stream never ends, so what comes after it is never read; give it alone.")
    return sources


def open_source(word, fast):
    path = Path(word)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES | VIDEOS)
        if not files:
            sys.exit(f"error: {word} holds no images and no videos; give a folder that does.")
        return [source for file in files for source in open_source(str(file), fast)]
    live = "://" in word or (word.isdecimal() and not path.exists())
    if not live and path.suffix.lower() not in VIDEOS:
        return [Source(word, "image", None, lambda stop: read_image(word, fast))]
    kind, name = "camera or stream" if live else "video", hide_password(word) if live else word
    if cv2 is None:
        sys.exit(f"error: {name} is a {kind}, which needs OpenCV; pip install opencv-python-headless brings it.")
    capture = connect(word)
    if capture is None:
        check = "is it there, and is no other program using it?" if live else "is it a video that OpenCV reads?"
        sys.exit(f"error: the {kind} {name} can't be opened; {check}")
    rate = capture.get(cv2.CAP_PROP_FPS)
    reader = read_live if live else read_video
    return [
        Source(
            name,
            "live" if live else "video",
            rate if 0 < rate <= 1000 else None,
            lambda stop: reader(word, capture, stop),
        )
    ]


def read_image(word, fast=None):
    """The frame of an image file, or the failure to read it."""
    began = perf_counter()
    try:
        image, size = open_image(word, fast)
        yield Frame(word, None, np.asarray(image), (0, 1, 2), size, perf_counter() - began)
    except UNREADABLE as error:
        yield Failure(f"error: {word} can't be read as an image ({error}), so it is skipped.")


def connect(word):
    """An opened `cv2.VideoCapture`, or None."""
    capture = cv2.VideoCapture(int(word) if word.isdecimal() else word)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver can: the newest frame and no queue
    return capture if capture.isOpened() else None


def read_video(word, capture, stop):
    """The frames of a video; a failure where it breaks off."""
    number, whole = 0, capture.get(cv2.CAP_PROP_FRAME_COUNT)
    try:
        while not stop.is_set() and (frame := grab(word, number, capture)):
            yield frame
            number += 1
    finally:
        capture.release()
    if not stop.is_set() and (number == 0 or number < 0.95 * whole):  # containers count wrongly by a frame or two
        yield Failure(f"error: {word} breaks off after {number} of {whole:.0f} frames; what was read counts.")


def read_live(word, capture, stop, connect=connect, pause=PAUSE):
    """The frames of a camera or stream for as long as it is wanted; connects again where it breaks off."""
    number, name = 0, hide_password(word)
    try:
        while not stop.is_set():
            if frame := grab(name, number, capture):
                yield frame
                number += 1
                continue
            capture.release()
            print(f"{name} broke off after {number} frames; connecting again.", file=sys.stderr, flush=True)
            while not stop.wait(pause) and not (again := connect(word)):
                pass
            capture = capture if stop.is_set() else again
    finally:
        capture.release()


def hide_password(word):
    """`word` without the user and password of an address, to be shown."""
    return re.sub("//[^/]*@", "//", word)


def grab(word, number, capture):
    """The next frame, None where there is none."""
    began = perf_counter()
    there, pixels = capture.read()
    if not there or not pixels.size:
        return None
    return Frame(word, number, pixels, (2, 1, 0), pixels.shape[1::-1], perf_counter() - began)


@contextmanager
def reading(sources):
    """An iterator over the frames and failures of `sources`, which a thread reads ahead.

    Of a live source only the newest frame waits: the numbers of the others, which are dropped, are missing.
    The thread has ended after the block, unless a camera's driver holds it.
    """
    live = any(source.kind == "live" for source in sources)
    waiting, stop, end = Queue(1 if live else AHEAD), Event(), object()

    def work():
        try:
            for source in sources:
                for frame in source.read(stop):
                    if live:
                        discard(waiting)
                    waiting.put(frame)
                    if stop.is_set():
                        return
            waiting.put(end)
        except BaseException as error:  # raised where the frames are used
            waiting.put(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield frames_of(waiting, end)
    finally:
        stop.set()
        for _ in range(40):  # two seconds; it may be waiting for a place in the queue
            discard(waiting)
            thread.join(0.05)
            if not thread.is_alive():
                break


def frames_of(waiting, end):
    while True:
        try:
            frame = waiting.get(timeout=0.5)  # on Windows, Ctrl-C doesn't reach one that waits forever
        except Empty:
            continue
        if frame is end:
            return
        if isinstance(frame, BaseException):
            raise frame
        yield frame


def discard(waiting):
    """Take one frame out of the queue, if there is one."""
    with suppress(Empty):
        waiting.get_nowait()
