"""What this machine is and can: the only place that knows operating systems. Nothing here needs torch to be imported.

Where a system doesn't tell something it is None, never a guess. `tests/lint_portable.py` keeps what only some systems
have out of all other folders.
"""
