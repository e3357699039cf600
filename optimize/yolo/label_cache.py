"""Read ultralytics' label caches without running what they hold.

ultralytics keeps what it found in the labels as `labels/train.cache`, a pickle inside a numpy file, and loads the one
that comes with a data set. Ours holds plain values and arrays; one that names anything else isn't read, and ultralytics
then makes it anew.
"""

import pickle
from pathlib import Path

import numpy as np
from ultralytics.data import dataset

ARRAYS = {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")}
KNOWN = {(f"numpy.{core}.{module}", name) for core in ("core", "_core") for module, name in ARRAYS} | {
    *(("numpy", "ndarray"), ("numpy", "dtype"))
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a label cache")
        return super().find_class(module, name)


def load(path: Path) -> dict:
    """The dictionary in a label cache.

    Raises:
        UnpicklingError: it holds more than plain values and arrays.
    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return _Plain(file).load().item()


dataset.load_dataset_cache_file = load
