"""The site: ``python -m sphinx -W --keep-going docs docs/_build/html``. Neither build nor pages fetch anything."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import covdist

project = "covdist"
author = "covdist contributors"
project_copyright = author
version = release = covdist.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "made_pages",
]
exclude_patterns = ["_build", "gallery", "made/gallery/*.ipynb", "made/gallery/*.py*"]
suppress_warnings = ["toc.multiple_toc_parents"]
# A section lists its pages in their order, and behind them all others, where there are any.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(lambda record: "didn't match any" not in str(record.msg))
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!covdist\.).*"), ("py:.*", r"covdist\.\w+\..*"), ("py:mod", "covdist")]

nb_execution_mode = "off"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
templates_path = ["templates"]
autodoc_typehints = "none"
autodoc_member_order = "alphabetical"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "made/gallery",
    "filename_pattern": r"\.py$",
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": (),
    "show_signature": False,
    "min_reported_time": 3600,
    "write_computation_times": False,
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": "",
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
    "plot_gallery": "True",
    "reference_url": {},
}

html_theme = "pydata_sphinx_theme"
html_title = "covdist"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "start/why": [], "search": []}
html_context = {"default_mode": "auto"}  # light or dark as the system is
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "search_as_you_type": True,
}
