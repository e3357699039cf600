"""Where the yamls of the configuration lie; without Hydra, which takes a while to import."""

from pathlib import Path

CONF = next(p for p in (Path(__file__).parent / "conf", Path(__file__).parent.parent / "conf") if p.is_dir())
