"""Decoding: memory is used again for the next image."""

import subprocess
import sys

import pytest
from PIL import Image

from helpers import ROOT
from helpers.commands import python_path

FAULTS = """
import resource, sys
import numpy as np
from optimize.frame.image import keep_memory, open_image
keep_memory()
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.asarray(open_image(sys.argv[1])[0])
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone is told to keep memory")
def test_a_further_image_takes_no_new_memory(tmp_path):
    """Without `keep_memory` each image takes 600 to 3,000 page faults, by what else the process has allocated."""
    Image.new("RGB", (1920, 1080)).save(tmp_path / "a.jpg")
    command = [sys.executable, "-c", FAULTS, tmp_path / "a.jpg"]
    done = subprocess.run(command, env={"PYTHONPATH": python_path(ROOT)}, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100
