"""`python -m optimize.sweep SWEEP [SWEEP ...]`: draw the summary of each sweep again, also while it goes on."""

from argparse import ArgumentParser
from pathlib import Path

from optimize.sentences import one_sentence
from optimize.sweep.summary import page
from optimize.sweep.sweep import read

parser = ArgumentParser("python -m optimize.sweep", description="Draw the summaries of sweeps again from their jobs.")
parser.add_argument("sweep", nargs="+", type=Path, help="folder of a sweep, e.g. runs/sweep_2026-11-22_12-00-00")
with one_sentence():
    for folder in parser.parse_args().sweep:
        page.write(read(folder), ended=True)
        print(folder / page.PAGE)
