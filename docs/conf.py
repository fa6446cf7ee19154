"""Configuration of the site: README.md, the notebooks with their stored outputs, and the exercises."""

import json

project = "Bayesian Personalized Ranking"
author = "the BPR course authors"
copyright = "the BPR course authors, CC BY 4.0"
extensions = ["myst_nb"]
root_doc = "docs/index"
include_patterns = ["docs/index.md", "docs/teaching.md", "notebooks/*.ipynb", "notebooks/exercises/*.ipynb"]
exclude_patterns = ["docs/_build", "**/.ipynb_checkpoints"]
nb_execution_mode = "off"
nb_ipywidgets_js: dict = {}  # the site works from a folder, without any network
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_build/static"]
mathjax_path = "tex-svg.js"


def adapt(app, name, source):
    """Hand the texts that figures carry in a notebook to its page, and write anchors as the page does."""
    if app.env.doc2path(name).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    source[0] = json.dumps(notebook)


def setup(app):
    """Register it."""
    app.connect("source-read", adapt)
