"""Settings of Sphinx for the site; `build.py` puts the sources together and calls it."""

project = "Equipoise"
author = "The Equipoise maintainers"
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
root_doc = "index"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # links to headings are checked, as links to pages are

smartquotes = False  # quotes in tables are those of TOML

html_theme = "furo"  # it brings its fonts, styles and scripts itself, so no page asks another host
html_title = "Equipoise"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e69", "color-brand-content": "#0b6e69"},
    "dark_css_variables": {"color-brand-primary": "#5fd0c5", "color-brand-content": "#5fd0c5"},
}
copybutton_prompt_text = "$ "
pygments_style = "a11y-high-contrast-light"  # comes with the theme; others are too pale to read on grey
pygments_dark_style = "a11y-high-contrast-dark"
