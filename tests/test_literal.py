"""A path on the command line is what was typed, whatever characters it holds: in a run, a sweep, flops and bound."""

import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from helpers.commands import command
from helpers.messages import is_error
from optimize.bound import __main__ as bound
from optimize.config import CONF
from optimize.flops.__main__ import parse
from optimize.literal import hydra_word, hydra_words, sweeps, typed
from optimize.prepare import settings_of

NAMES = (
    *("jörg.pt", "模型.pt", "модель.pt", "דגם.pt", "مثال.pt", "日本語 フォルダ/best.pt", "best (1).pt", "epoch=10.pt"),
    *("[1].pt", "a[b.pt", "]x.pt", "{a}.pt", "{a.pt", "#1.pt", "a #b.pt", "&.pt", "c++.pt", "@home.pt", "a,b.pt"),
    *(
        "$HOME.pt",
        "${x}.pt",
        "a\\${x}.pt",
        "${now:%Y}.pt",
        "~",
        "~/a.pt",
        "100%.pt",
        "it's.pt",
        'say "a".pt',
        "trailing.",
    ),
    *(
        "C:\\Users\\x",
        "\\\\server\\share\\",
        "-x.pt",
        "--help",
        "a\nb.pt",
        " a.pt ",
        "a\tb.pt",
        "a: b.pt",
        "a:b",
        "*.pt",
        "a?",
    ),
    *(
        "123",
        "1e3",
        "true",
        "None",
        "nan",
        "0x10",
        "1_000",
        "a;b|c.pt",
        "`a`.pt",
        "!a.pt",
        "<a>.pt",
        "choice(a).pt",
        "é" * 60,
    ),
)
KEYS = "model", "data", "store", "device_profile"


@pytest.fixture(autouse=True)
def hydra():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def jobs(*words: str) -> list[list[str]]:
    """What Hydra's sweeper gives to each job, in Hydra's grammar."""
    parsed = OverridesParser.create().parse_overrides(hydra_words(["-m", *words], CONF)[1:])
    return BasicSweeper.split_arguments(parsed, None)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_reads_what_was_typed_and_says_it_again(name):
    words = [f"{key}={name}" for key in KEYS]
    config = compose("config", hydra_words(words, CONF))
    read = settings_of(config)
    assert [str(getattr(read, key)) for key in KEYS] == [name, name, str(Path(name)), name]
    assert OmegaConf.to_container(config, resolve=True)["data"] == name
    assert [typed(word) for word in hydra_words(words, CONF)] == words


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_gives_every_job_what_was_typed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "," in name:  # a comma separates jobs, unless there is such a file
        Path(name).touch()
    given = jobs(f"model={name}", f"data={name}", "prune=0,0.3")
    config = compose("config", given[1])
    assert (config.model, config.data, config.prune) == (name, name, 0.3)
    assert [[typed(word) for word in job] for job in given] == [
        [f"model={name}", f"data={name}", f"prune={share}"] for share in ("0", "0.3")
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if "," not in name])
def test_a_comma_separates_jobs(name):
    several = f"model=a.pt,{name.strip()},b.pt"
    first, middle, last = jobs(several)
    assert (first, compose("config", middle).model, last) == (["model=a.pt"], name.strip(), ["model=b.pt"])
    (word,) = hydra_words(["-m", several], CONF)[1:]
    assert typed(word, sweep=True) == several


@pytest.mark.parametrize("name", [name for name in NAMES if "," not in name])
def test_elements_of_a_list_are_literal(name):
    words = [f"rivals=[a.pt,{name.strip()}]"]
    assert settings_of(compose("config", hydra_words(words, CONF))).rivals == ("a.pt", name.strip())
    assert [typed(word) for word in hydra_words(words, CONF)] == words


@pytest.mark.parametrize("name", NAMES)
def test_flops_and_bound_read_what_was_typed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "," in name:
        Path(name).touch()
    flops = parse([f"model={name}", f"out={name}"])
    settings, _ = bound._parsed([f"model={name}", f"runs={name}", f"device_profile={name}"])
    assert (flops.model, flops.out, settings.model, settings.runs) == ((name,),) * 4
    assert settings.device_profile == name
    if "," not in name:  # around the commas of a list, spaces say nothing
        assert parse([f"model=[{name},b.pt]"]).model == parse([f"model={name},b.pt"]).model == (name.strip(), "b.pt")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model='a,b.pt'"], "a,b.pt"),
        (['model="best (1).pt"'], "best (1).pt"),
        (["model=a,b.pt"], "a,b.pt"),
        (["++model=best (1).pt"], "best (1).pt"),
        (["model=digits"], "digits"),
    ],
)
def test_quotes_are_hydras_and_without_a_sweep_a_comma_is_a_letter(words, expected):
    assert compose("config", hydra_words(words, CONF)).model == expected


def test_what_is_no_path_is_left_alone():
    words = ["prune=0.1,0.3", "runtime=[openvino]", "-m", "--config-dir", "a b", "~recover", "quant.max_drop=1", "x"]
    assert hydra_words(words, CONF) == words == [typed(word) for word in words]
    for word in ("device_profile=null", "rivals=none", "rivals=[]", "model=", "data=null", "model=choice(a.pt,b.pt)"):
        assert hydra_word(word) == word == typed(word)


def test_a_sweep_over_lists_of_rivals():
    given = jobs("rivals=none,[a.pt,b (1).pt],[]")
    assert [settings_of(compose("config", job)).rivals for job in given] == [None, ("a.pt", "b (1).pt"), ()]


def test_hydras_functions_still_sweep():
    assert [compose("config", job).model for job in jobs("model=choice(a.pt,b.pt)")] == ["a.pt", "b.pt"]


@pytest.mark.parametrize("given", ["0,1", "[0,1]", "[0, 1]", "cuda:0", "0", "-1", "cpu"])
def test_a_device_is_one_value(given):
    assert settings_of(compose("config", hydra_words([f"device={given}"], CONF))).device == given
    assert typed(hydra_word(f"device={given}")) == f"device={given}"


def test_in_a_sweep_a_comma_separates_devices():
    given = ["device=cpu,0,[0,1],null"]
    assert [compose("config", job).device for job in jobs(*given)] == ["cpu", "0", "[0,1]", None]
    assert [typed(word, sweep=True) for word in hydra_words(["-m", *given], CONF)[1:]] == given


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_for_output_is_literal_but_knows_the_time(key):
    for name in NAMES:
        if "${" not in name:
            word = hydra_word(f"{key}={name}", sweep=True)
            assert OverridesParser.create().parse_override(word).value() == name
            assert typed(word, sweep=True) == f"{key}={name}"
    dated = f"{key}=läufe/${{now:%Y-%m-%d}}"
    read = compose("config", [hydra_word(dated)], return_hydra_config=True)
    assert str(OmegaConf.select(read, key)).startswith("läufe/2")
    assert typed(hydra_word(dated)) == dated


@pytest.mark.parametrize(
    ("words", "sweep"),
    [
        ("-m", True),
        ("--multirun prune=0,1", True),
        ("hydra.mode=MULTIRUN", True),
        ("experiment=search", True),
        ("experiment=search hydra.mode=RUN", False),
        ("experiment=mine --config-dir conf", True),
        ("experiment=none", False),
        ("prune=0.3", False),
    ],
)
def test_a_sweep_is_known_by_its_words(words, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text("# @package _global_\nhydra:\n  mode: MULTIRUN\n")
    assert sweeps(shlex.split(words), CONF) is sweep


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("prune=0.3#", "prune=0.3# can't be parsed ... key=value ... [a,b]"),
        ("prune=a(b", "prune=a(b can't be parsed ... key=value"),
        ("model='abc", "model='abc can't be parsed ... key=value"),
        ("prune", "prune can't be parsed ... key=value"),
        ("prune=0.1,0.3", "prune=0.1,0.3 holds several values ... -m"),
        ("hydra.run.dir=a${x}", "hydra.run.dir can't be read ... key 'x' not found ... ${...}"),
        ("model=a,b.pt", "model=a,b.pt does not exist ... -m ... comma ... give the path"),
        ("model=~/b.pt", "model=~/b.pt does not exist ... shell ... ~ ... give the path"),
        ("model=", "model= does not exist ... give the path"),
    ],
)
def test_a_word_that_cannot_be_read_is_one_sentence(word, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    code, out, err = command(monkeypatch, capsys, word)
    assert (code, out) == (1, "")
    assert is_error(err, said) and err.startswith(f"error: {said.split(' ... ')[0]}")
