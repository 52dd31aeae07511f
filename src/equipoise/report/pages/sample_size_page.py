"""A sample size as a page of its own, to be copied into a form."""

from jinja2 import Environment

from equipoise.report.text.sample_size import GrantText

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ text.title }}</title>
<style>
body { font: 1rem/1.5 serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem; border-bottom: 1px solid #999; }
</style>
</head>
<body>
<h1>{{ text.title }}</h1>
{% for paragraph in text.paragraphs %}
<p>{{ paragraph }}</p>
{% endfor %}
<table>
<thead><tr>{% for head in text.heads %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in text.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
<ol>
{% for reference in text.references %}
<li>{{ reference }}</li>
{% endfor %}
</ol>
</body>
</html>
"""


def grant_page(text: GrantText) -> str:
    """Return the self-contained page."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.from_string(_PAGE).render(text=text)
