"""`python -m optimize.report RUN [RUN ...]`: draw the report of each run again from its results.json."""

from argparse import ArgumentParser
from pathlib import Path

from optimize.report import draw, results
from optimize.sentences import one_sentence

parser = ArgumentParser("python -m optimize.report", description="Draw reports again from their results.json.")
parser.add_argument("run", nargs="+", type=Path, help="folder of a run that has ended, e.g. runs/2026-11-22_12-00-00")
with one_sentence():
    for folder in parser.parse_args().run:
        draw(results.read(folder / "results.json"), folder)
        print(folder / "report.html")
