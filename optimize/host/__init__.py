"""Describes this machine and its operating system; no other package depends on the operating system.

Importing these modules doesn't import torch. A value that the system doesn't report is None, never a guess.
`tests/lint_portable.py` refuses code for single operating systems in all other folders.
"""
