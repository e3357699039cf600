"""Frames become the network's input as in ultralytics, with OpenCV and without, to the last bit."""

import cv2
import numpy as np
import pytest
import torch
from ultralytics.data.augment import LetterBox

from optimize.frame import letterbox

FRAMES = (2304, 1296), (1600, 1200), (1920, 1080), (1280, 720)  # the last is halved, for which OpenCV has a formula
GREY = {"grey": 114}


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_images_are_resized_as_opencv_does_it_to_the_last_bit():
    shrink, rng = letterbox.shrink, np.random.default_rng(0)
    for _ in range(200):
        (width, height), side = rng.integers(1, 400, 2).tolist(), int(rng.choice([64, 160, 320]))
        pixels, scale = noise(width, height), side / max(width, height)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        if size != (width, height):
            assert (shrink(pixels, *size) == cv2.resize(pixels, size)).all(), (width, height, size)


@pytest.mark.parametrize("width, height", FRAMES)
def test_frames_of_cameras_are_resized_as_opencv_does_it_to_the_last_bit(width, height):
    pixels, size = noise(width, height), (640, 640 * height // width)
    assert (letterbox.shrink(pixels, *size) == cv2.resize(pixels, size)).all()


@pytest.mark.parametrize("opencv", [True, False])
def test_the_input_is_ultralytics_own_whatever_the_buffer_held(monkeypatch, opencv):
    monkeypatch.setattr(letterbox, "cv2", cv2 if opencv else None)
    inputs = np.full((1, 3, 96, 160), np.nan, np.float32)
    for width, height in ((320, 180), (90, 200), (160, 96), (33, 7), (1, 1), (1000, 3)):
        bgr = noise(width, height)
        fitted, (left, top) = letterbox.fit(bgr, (2, 1, 0), GREY, inputs)
        theirs = LetterBox((96, 160), auto=False)(image=bgr)[..., ::-1].transpose(2, 0, 1)
        assert (inputs[0] == (torch.from_numpy(theirs.copy()).float() / 255).numpy()).all(), (width, height)
        assert min(left, top) >= 0 and left + fitted[0] <= 160 and top + fitted[1] <= 96
        rgb = np.ascontiguousarray(bgr[..., ::-1])
        again = np.empty_like(inputs)
        letterbox.fit(rgb, (0, 1, 2), GREY, again)
        assert (again == inputs).all()


def test_pixels_that_the_graph_converts_are_the_same_ones():
    planes, pixels = np.empty((1, 3, 96, 160), np.float32), np.full((1, 96, 160, 3), 7, np.uint8)
    for width, height in ((320, 180), (90, 200), (160, 96), (33, 7), (1000, 3)):
        bgr = noise(width, height)
        for frame, order in ((bgr, (2, 1, 0)), (np.ascontiguousarray(bgr[..., ::-1]), (0, 1, 2))):
            for grey in (GREY, None):
                place = letterbox.fit(frame, order, grey, planes)
                assert letterbox.fit(frame, order, grey, pixels) == place
                assert (pixels[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255) == planes).all(), (width, height)


def test_without_letterbox_the_frame_is_stretched():
    inputs, pixels = np.empty((1, 3, 64, 64), np.float32), noise(100, 30)
    assert letterbox.fit(pixels, (0, 1, 2), None, inputs) == ((64, 64), (0, 0))
    expected = cv2.resize(pixels, (64, 64)).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    assert (inputs[0] == expected).all()
