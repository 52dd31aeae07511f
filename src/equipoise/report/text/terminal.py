"""What a command says of a trial's results on the terminal."""

from typing import Any

from equipoise.report.text.display_names import names_in
from equipoise.report.text.verdicts import answers


def sentences_of(results: dict[str, Any]) -> list[str]:
    """Return the cautions, then the answers: a verdict is read before what follows it, as on the page."""
    first = [f"Exploratory: {'; '.join(results['exploratory_reasons'])}."] if results["exploratory_reasons"] else []
    first += [f"Reuse of test cases, as the protocol states: {results['reuse']}"] if results.get("reuse") else []
    first += results.get("perfect") or []
    return [*first, *(verdict.whole for verdict in answers(results, names_in(results)))]
