"""Inputs that may be chosen for a limit of time, and what lies on the lines between those that were measured."""

import pytest

from optimize.input_size import Size, square
from optimize.mix.sizes import around, between, family, fitting, nearest, spread

SIDES = [320, 288, 256, 224, 192, 160, 128, 96, 64, 32]
SIZES = [square(side) for side in SIDES]


def test_inputs_have_the_shape_of_the_original_or_of_the_images():
    assert family(square(320), None, 32) == SIZES
    assert family(square(320), Size(256, 320), 32)[:3] == [Size(256, 320), Size(224, 288), Size(192, 256)]


@pytest.mark.parametrize(
    ("limit", "pixels"),
    [
        (16.0, 320**2),
        (20.0, 320**2),  # of more nothing is known
        (8.5, (320**2 + 160**2) / 2),  # 1 ms whatever the size, and 15 ms for 320 px
        (4.75, 160**2),
        (2.375, 160**2 / 2),  # proportional below the smallest
    ],
)
def test_the_pixels_at_a_limit_lie_between_the_sizes_that_were_timed(limit, pixels):
    times = {square(320): 16.0, square(160): 1 + 15 / 4, square(240): 1 + 15 * 9 / 16}
    if limit == 8.5:
        limit = 1 + 15 * (1 + 1 / 4) / 2
    assert fitting(times, limit) == pytest.approx(pixels)


def test_a_smaller_input_that_seems_slower_is_noise():
    assert fitting({square(320): 10.0, square(288): 10.2, square(160): 4.0}, 10.2) == 320**2
    assert 160**2 < fitting({square(320): 10.0, square(288): 10.2, square(160): 4.0}, 9.9) < 288**2


def test_a_limit_lies_between_two_sizes():
    assert around(SIZES, 256**2) == [square(256), square(288)]
    assert around(SIZES, 257**2) == [square(256), square(288)]
    assert around(SIZES, 31**2) == [square(32)]
    assert around(SIZES, 320**2) == [square(320)]
    assert nearest(SIZES, 250**2) == square(256)
    assert between({square(320): 0.6, square(160): 0.2}, (320**2 + 160**2) / 2) == pytest.approx(0.4)


def test_few_inputs_are_spread_over_many():
    assert spread(SIZES, 3) == [square(320), square(192), square(32)]
    assert spread(SIZES[:2], 3) == SIZES[:2]
    assert spread([], 3) == []
