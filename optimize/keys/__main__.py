"""`python -m optimize.keys`, in a checkout (`make docs`): write --help, docs/keys.md and the JSON schema from conf/."""

import json
from collections.abc import Iterable
from pathlib import Path
from textwrap import indent

from optimize.conf_folder import CONF
from optimize.keys import Choice, Key, choices, listed, meaning, root, wrapped
from optimize.keys.schema import schema

SETTINGS_OF, OF_HYDRA = ("pruner", "recover", "quant", "runtime"), ("hydra/launcher", "hydra/sweeper")
GROUPS = (*SETTINGS_OF, "experiment")  # which has keys of the others only

COMMANDS = """\
Make a YOLO model cheaper to run, and measure the effect.

  python -m optimize model=best.pt data=my.yaml prune=0.3 quant=int8     one run
  python -m optimize -m prune=0.1,0.3,0.5 quant=none,int8                a sweep: every combination
  python -m optimize experiment=search limits.max_drop=1                 a search for the best variant under the limits
"""
KEYS = "name=value; a path is taken literally, and a comma in it separates only in lists and with -m"
CHOICES = "group=choice; recover and runtime take a list, e.g. runtime=[openvino]"
SWEEPS = "hydra/launcher=choice selects where the jobs run, hydra/sweeper=search chooses the jobs"
EXIT_CODE = (
    "The exit code is 0 if everything was made and measured, 3 if the results miss the limits or quant.max_drop, 1 if "
    "anything failed or can't be used, 130 after Ctrl-C; the last line says why."
)


def texts() -> dict[Path, str]:
    """What is written, by file."""
    return {
        CONF.parent / "docs" / "keys.md": page(),
        CONF / "hydra" / "help" / "optimize.yaml": help_yaml(),
        CONF / "schema.json": json.dumps(schema(SETTINGS_OF, OF_HYDRA), indent=1, ensure_ascii=False) + "\n",
    }


def help_yaml() -> str:
    """The yaml whose template Hydra prints as --help."""
    limits = meaning("limits")
    template = "\n".join(
        [
            COMMANDS,
            f"Keys ({KEYS}):\n{_listed(_plain())}\n",
            f"{wrapped(f'Limits: {limits}')}\n{_listed(_limits())}\n",
            f"Choices ({CHOICES}):\n{_groups()}\n",
            f"Settings of a choice (group.name=value):\n{_listed(_settings(GROUPS))}\n",
            f"Sweeps, with -m, and searches ({SWEEPS}):\n{_of_hydra()}\n",
            f"Settings of sweeps and searches:\n{_listed(_settings(OF_HYDRA))}\n",
            f"{wrapped(EXIT_CODE)}\n",
            "Hydra offers these files:\n$APP_CONFIG_GROUPS\nThe current configuration:\n$CONFIG\n",
        ]
    )
    return (
        "# python -m optimize hydra/help=optimize --help     (the default)\n"
        "# Written by `make docs` from the comments in conf/; change those.\n"
        f"app_name: optimize\ntemplate: |\n{indent(template, '  ')}"
    )


def _listed(keys: Iterable[Key]) -> str:
    return listed((key.name, key.meaning) for key in keys)


def _groups() -> str:
    return "\n".join(f"{_listed([root()[group]])}\n{_choices(group)}" for group in GROUPS)


def _choices(group: str) -> str:
    return indent(listed((choice.name, choice.meaning) for choice in choices(group)), "  ")


def _of_hydra() -> str:
    return listed((f"{group}={choice.name}", choice.meaning) for group in OF_HYDRA for choice in choices(group))


def page() -> str:
    """docs/keys.md."""
    return "\n".join(
        [
            "# Keys\n",
            "<!-- Written by `make docs` from the comments in conf/; change those. -->\n",
            f"What `python -m optimize --help` prints, and the defaults. A key is given as {KEYS}.\n",
            _table(_plain()),
            f"## Limits\n\n{meaning('limits')}\n",
            _table(_limits()),
            f"{EXIT_CODE}\n",
            f"## Choices\n\nA choice is given as {CHOICES}.\n",
            *(f"{_headed(root()[group])}\n{_choice_table(group)}" for group in GROUPS),
            "## Settings of a choice\n\nA setting of a choice is given as group.name=value.\n",
            _table(_settings(GROUPS), _offered(GROUPS)),
            f"## Sweeps and searches\n\nWith `-m`, or `experiment=search`: {SWEEPS}.",
            "[sweeps.md](sweeps.md) and [searching.md](searching.md) say more.\n",
            *(f"### {group}\n\n{_choice_table(group)}" for group in OF_HYDRA),
            "### Settings of sweeps and searches\n",
            _table(_settings(OF_HYDRA), _offered(OF_HYDRA)),
        ]
    )


def _table(keys: Iterable[Key], offered: Iterable[Choice] = ()) -> str:
    """Keys with their defaults; where other choices of `offered` have another default, theirs as well."""
    by_choice = [(choice.name, key) for choice in offered for key in choice.keys]
    rows = []
    for key in keys:
        others = [f"`{own.default}` for {name}" for name, own in by_choice if own.name == key.name and own != key]
        rows.append(f"| `{key.name}` | {', '.join([f'`{key.default}`', *others])} | {key.meaning} |\n")
    return "".join(["| key | default | meaning |\n|---|---|---|\n", *rows])


def _headed(group: Key) -> str:
    return f"### {group.name}\n\n{group.meaning} Default: `{group.default}`.\n"


def _choice_table(group: str) -> str:
    rows = [f"| `{choice.name}` | {choice.meaning} |\n" for choice in choices(group)]
    return "".join(["| choice | meaning |\n|---|---|\n", *rows])


def _plain() -> list[Key]:
    """The keys of conf/config.yaml that are neither limits nor groups."""
    return [key for key in root().values() if key.name not in GROUPS and key.name.partition(".")[0] != "limits"]


def _limits() -> list[Key]:
    return [key for key in root().values() if key.name.startswith("limits.")]


def _settings(groups: Iterable[str]) -> list[Key]:
    """The explained keys of the choices of `groups`."""
    return [key for choice in _offered(groups) for key in choice.keys if key.meaning]


def _offered(groups: Iterable[str]) -> list[Choice]:
    return [choice for group in groups for choice in choices(group)]


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(path)
