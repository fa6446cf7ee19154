"""Configuration of the site: README.md and the notebooks as they are, with their stored outputs."""

project = "Bayesian Personalized Ranking"
author = "the BPR course authors"
copyright = "the BPR course authors, CC BY 4.0"
extensions = ["myst_nb"]
root_doc = "docs/index"
include_patterns = ["docs/index.md", "notebooks/*.ipynb"]
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
