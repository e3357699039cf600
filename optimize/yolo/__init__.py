"""The only folder that knows ultralytics' inside: load, check, validate, train without un-pruning, save.

Four habits of ultralytics are decided here, before anything imports it: it sets OMP_NUM_THREADS=1 where it is unset
(torch then runs at 0.66x), its exporters install packages at run time, it runs whatever code a pickle holds (unless
`checkpoint.trusted`), and it draws its progress on stdout.
"""

import os
import sys

from optimize.host.resources import cores

os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
if "ultralytics" not in sys.modules:  # else it prints already, in a program of the user's
    os.environ.setdefault("YOLO_VERBOSE", "false")
