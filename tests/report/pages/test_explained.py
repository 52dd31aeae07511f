"""Words are explained where they first stand, and a page's one script is named by its hash."""

import base64
import hashlib

from markupsafe import Markup

from equipoise.report.pages.explained import Explained, script_hash, template_text


def test_the_first_occurrence_is_marked_and_text_is_escaped():
    explained = Explained()
    first = explained("<b> the margin & the margin")
    assert first.startswith("&lt;b&gt; the <abbr title=")
    assert first.count("<abbr") == 1
    assert first.endswith(">margin</abbr> &amp; the margin")
    assert explained("margin, AUC").count("<abbr") == 1, "of a page, once"
    assert [one.name for one in explained.terms()] == ["AUC", "margin"]
    assert isinstance(first, Markup)
    assert explained(0.5) == "0.5"


def test_the_hash_is_that_of_the_script():
    digest = hashlib.sha256(template_text("page.js").encode()).digest()
    assert script_hash() == f"sha256-{base64.b64encode(digest).decode()}"


def test_the_script_opens_no_connection_and_can_stand_inside_a_page():
    script = template_text("page.js")
    assert "</" not in script
    for forbidden in ("http", "fetch(", "XMLHttpRequest", "innerHTML", "eval(", "import(", "localStorage"):
        assert forbidden not in script, forbidden
