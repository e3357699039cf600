"""The only folder that knows ultralytics' inside: load, check, validate, train without un-pruning, save.

Three habits of ultralytics are decided here, before anything imports it: it sets OMP_NUM_THREADS=1 where it is unset
(torch then runs at 0.66x), its exporters install packages at run time, and it runs whatever code a pickle holds.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
