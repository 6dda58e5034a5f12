"""Settings of Sphinx: `make docs` builds the pages of this folder as a site in build/docs."""

project = "adscale"
author = "the authors of adscale"
extensions = ["myst_parser"]
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = "adscale"
html_copy_source = False

myst_heading_anchors = 3  # links to headings are those of GitHub, so that pages read well there too
nitpicky = True

# A link to a page of the web is fetched by `make docs-links` alone: a build needs no network.
linkcheck_timeout = 20
linkcheck_retries = 2
