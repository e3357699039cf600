"""No test of this folder that uses `fetched` asks the network for anything."""

from pathlib import Path

import pytest
import torch
import torchvision
from ultralytics.utils import downloads


@pytest.fixture
def fetched(monkeypatch) -> list[str]:
    """What was to be fetched; every way to do it is replaced, since no test asks for anything."""
    asked: list[str] = []

    def ask(*arguments, **named):
        asked.append(str(arguments or named))
        raise ConnectionError("no test fetches")

    monkeypatch.setattr(downloads, "safe_download", ask)
    monkeypatch.setattr("ultralytics.utils.checks.downloads.safe_download", ask)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", ask)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", ask)
    monkeypatch.setattr("socket.create_connection", ask)
    monkeypatch.setattr("socket.socket.connect", ask)
    return asked


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
