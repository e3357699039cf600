"""Read 200 mutated files of one format: `python fuzz.py FORMAT FOLDER`, in a process of its own, which may be killed.

FOLDER holds the honest files. Prints one JSON object: what became of each file, the growth of memory in bytes, and what
was written outside FOLDER. A file that is read for ever ends the process.
"""

import io
import json
import os
import random
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from helpers.hangs import ends
from optimize.flops.openvino_graph import READ

COUNT, SEED = 200, 15
TRIED = "-P", READ  # OpenVINO reads a file in a process of its own first
BYTES = b"\x00", b"\xff", b"\xff\xff\xff\x7f", b"\x80", b"\n", b"\x1b[31m", b"../../", b"\xff" * 8
WORDS = (
    *("1e400", "-1", "nan", "inf", "null", "true", "[]", "{}", "[[[[[[[[", "9" * 40, "1e10", "../../x", "/etc/passwd"),
    *("&a [*a]", "*a", "\x00", "\x1b]0;x\x07", "</script><b>", "\u2028", "!!python/object:os.system", "\ud83d\ude00"),
    *("-9223372036854775809", "0", "''", "x" * 5000, "\t", "---", "?", ": :"),
)


def in_bytes(data: bytes, draw: random.Random) -> bytes:
    """A few bytes are replaced, repeated, or lost."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 6)):
        at, length = draw.randrange(max(len(data), 1)), draw.choice((1, 2, 4, 16, 200))
        match draw.randrange(6):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data[at : at + length] = draw.choice(BYTES)
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                del data[at : at + length]
            case 4:
                other = draw.randrange(max(len(data), 1))
                data[at : at + length] = data[other : other + length]
            case 5 if draw.random() < 0.3:
                del data[at:]
    return bytes(data)


def in_text(data: bytes, draw: random.Random) -> bytes:
    """Words are replaced by odd ones, lines swapped, or bytes changed."""
    if draw.random() < 0.3:
        return in_bytes(data, draw)
    words = data.decode().split(" ")
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(words))
        match draw.randrange(4):
            case 0:
                words[at] = draw.choice(WORDS)
            case 1:
                words[at] += draw.choice(WORDS)
            case 2:
                words[at] = words[draw.randrange(len(words))]
            case 3:
                del words[at]
                words = words or [""]
    return " ".join(words).encode(errors="surrogatepass")


def in_archive(data: bytes, draw: random.Random) -> bytes:
    """The pickle inside is changed, since the archive knows the sums of its entries; now and then the archive."""
    if draw.random() < 0.2:
        return in_bytes(data, draw)
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(written, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(".pkl"):
                content = in_bytes(content, draw)
            new.writestr(entry.filename, content)
    return written.getvalue()


def of_checkpoint(folder: Path) -> tuple[Path, Callable, Callable]:
    from optimize.yolo.usable import open_model

    return folder / "model.pt", in_archive, lambda path: open_model(str(path))


def of_graph(name: str, mutate: Callable) -> Callable:
    def format_(folder: Path) -> tuple[Path, Callable, Callable]:
        from optimize.flops import count

        return folder / name, mutate, lambda path: count(str(path))

    return format_


def of_results(folder: Path) -> tuple[Path, Callable, Callable]:
    from optimize import report
    from optimize.report import results

    def draw(path: Path) -> None:
        report.draw(results.read(path), path.parent)

    return folder / "results.json", in_text, draw


def of_measurement(folder: Path) -> tuple[Path, Callable, Callable]:
    from optimize.bundle import measurement

    return folder / "measurement.json", in_text, measurement.read


def of_data(name: str, mutate: Callable) -> Callable:
    def format_(folder: Path) -> tuple[Path, Callable, Callable]:
        from optimize.yolo.cache_folder import keep_in
        from optimize.yolo.dataset import resolve

        keep_in(folder / "store")
        return folder / name, mutate, lambda path: resolve(str(folder / "data.yaml"))

    return format_


def of_cache(folder: Path) -> tuple[Path, Callable, Callable]:
    from optimize.yolo.cache_folder import keep_in
    from optimize.yolo.dataset import resolve

    keep_in(folder / "store")
    resolve(str(folder / "data.yaml"))
    cache = next((folder / "store").glob("*.labels"))
    return cache, in_text, lambda path: resolve(str(folder / "data.yaml"))


FORMATS = {
    "pt": of_checkpoint,
    "onnx": of_graph("model.onnx", in_bytes),
    "xml": of_graph("model.xml", in_text),
    "json": of_results,
    "measurement": of_measurement,
    "yaml": of_data("data.yaml", in_text),
    "txt": of_data("labels/train/0.txt", in_text),
    "png": of_data("images/train/0.png", in_bytes),
    "cache": of_cache,
}


def main(name: str, folder: Path) -> None:
    import optimize.yolo  # noqa: F401  first, since it decides ultralytics' threads and output
    from optimize.errors import OptimizeError

    path, mutate, read = FORMATS[name](folder)
    honest, outside, became = path.read_bytes(), set(), Counter()
    read(path)
    allowed = str(folder), "/dev/", "/proc/", str(Path(sys.prefix))

    def watch(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            if not os.path.abspath(arguments[0]).startswith(allowed):
                outside.add(arguments[0])
        elif event in ("os.system", "socket.connect") or (
            event == "subprocess.Popen" and tuple(arguments[1])[1:4:2] != TRIED
        ):
            outside.add(f"{event} {arguments[:2]}")

    sys.addaudithook(watch)
    before = psutil.Process().memory_info().rss
    most = before
    for number in range(COUNT):
        path.write_bytes(mutate(honest, random.Random(f"{SEED} {name} {number}")))
        try:
            with ends():
                read(path)
            became["read"] += 1
        except OptimizeError as error:
            one_line = str(error).isprintable() and str(error).endswith(".")
            became["sentence" if one_line else f"{number}: {error!s}"] += 1
        except Exception as error:
            became[f"{number}: {type(error).__name__}: {error}"] += 1
        most = max(most, psutil.Process().memory_info().rss)
    path.write_bytes(honest)
    read(path)  # nothing of it is kept in this process
    print(json.dumps({"became": became, "memory": most - before, "outside": sorted(outside)}))


if __name__ == "__main__":
    given = Path(sys.argv[2])
    shutil.copytree(given, given.with_name("work"))
    main(sys.argv[1], given.with_name("work").resolve())
