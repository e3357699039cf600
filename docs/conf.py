"""Builds the site: `make site`, then open docs/_build/index.html, which needs no network."""

import sphinx.application

project = "yolo-optimize"
author = "yolo-optimize developers"
extensions = ["myst_parser", "sphinx_design", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3  # so that links to headings lead where they lead on GitHub

default_role = "code"  # of `words` in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"  # the attributes say what a record holds
python_use_unqualified_type_names = True


def setup(app: sphinx.application.Sphinx) -> None:
    app.connect("autodoc-process-docstring", _leave_out_keys)


def _leave_out_keys(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """The docstring of `optimize` ends with all keys, for help(); here they have a page of their own."""
    if "Keys:" in lines:
        lines[lines.index("Keys:") :] = [":doc:`keys` explains every key.", ""]
