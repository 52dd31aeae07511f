"""Verdicts in plain sentences that a radiologist can quote: one per question."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equipoise.report.results.gradient_evaluations import counts_of, unequal_evaluations
from equipoise.report.results.interim_analysis import DECIDED
from equipoise.report.results.recommendation import QUALITY, UNJUDGED, best_baseline
from equipoise.report.text import audit
from equipoise.report.text.amounts import about
from equipoise.report.text.budget_reasons import evaluations_in_words
from equipoise.report.text.omissions import omission_in_words
from equipoise.report.text.tied_arms import verdicts_of_pairs
from equipoise.report.text.truth import truth_in_words
from equipoise.report.text.unfinished import so_far
from equipoise.report.text.words import (
    decisive,
    exceeds_margin,
    interval,
    label_of,
    listed,
    number,
    p_value,
    plural,
    typographic,
)

__all__ = ["Answer", "about", "answers", "of_networks", "pair_sentence", "why"]

Entry = Mapping[str, Any]
_USE = "Which one should be used?"


@dataclass(frozen=True)
class Answer:
    """A question, its answer in one sentence, and the details.

    more: the rest of a long answer, which a page prints in plain type, below the answer.
    """

    question: str
    answer: str
    detail: str = ""
    more: str = ""

    @property
    def whole(self) -> str:
        """The answer with its rest, as terminals print it."""
        return f"{self.answer} {self.more}".strip()


_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")
_NON_INFERIOR = " is non-inferior to "
_MOST_TOLD = 3
"""Arms that are better than others, and are named one by one in the first answer."""


def answers(results: Entry, names: Mapping[str, str]) -> list[Answer]:
    """Return the first answers of the page: the best arm, the trivial rule, the recommendation."""
    label = label_of(results, results["endpoints"]["primary"])
    if results.get("unfinished"):
        answer, detail = so_far(results)
        return [Answer("How far has this trial progressed?", answer, detail)]
    first = [_with_budgets(_with_omission(_of_methods(_best(results, names, label), results), results), results)]
    rule = None if results.get("audit") else _rule(results, names, label)
    poor = audit.beside_chance(results, names) if results.get("audit") else ""
    first = [replace(one, answer=f"{one.answer} {poor}") for one in first] if poor else first
    use = Answer(_USE, audit.use(results, names)) if results.get("audit") else _use(results, names)
    # Beside the recommendation, which is worth what the labels are worth; after it, because it answers the question.
    use = replace(use, answer=f"{use.answer} {truth_in_words(results)}")
    return [*first, *([rule] if rule else []), use]


def _of_methods(answer: Answer, results: Entry) -> Answer:
    """Add to a claim on methods what an audit cannot check."""
    claims = [pair for pair in results["comparisons"] if pair["verdict"] in DECIDED and pair.get("about") != "networks"]
    if not (results.get("audit") and claims):
        return answer
    return replace(answer, answer=f"{answer.answer} {audit.UNPROVEN_RUNS}")


def _with_omission(answer: Answer, results: Entry) -> Answer:
    """Add to the first answer that cases were left out: the arm that lacks them may be the one that wins for it."""
    omission = results.get("left_out")
    return replace(answer, answer=f"{answer.answer} {omission_in_words(omission)}.") if omission else answer


def _with_budgets(answer: Answer, results: Entry) -> Answer:
    """Add to the first answer that the arms were trained on unequal budgets, where gradients were counted so."""
    uneven = unequal_evaluations(counts_of(results["arms"]))
    if not uneven:
        return answer
    counts = evaluations_in_words(uneven[0].facts["evaluations"])
    return replace(answer, answer=f"{answer.answer} The budgets were unequal: {counts}.")


def pair_sentence(pair: Entry) -> str:
    """Return the verdict on one pair with its numbers: the sentence of results.json, as a page prints it."""
    return typographic(str(pair["reason"]))


def why(pair: Entry) -> str:
    """Return the reason of a refusal without the beginning "No verdict on", for a text that states that already.

    >>> why({"reason": "No verdict on AUC: only 4 test patients belong to the rarer class."})
    'Only 4 test patients belong to the rarer class.'
    """
    reason = str(pair["reason"] or "")
    text = reason.partition(": ")[2] if reason.startswith("No verdict on ") else reason
    return typographic(text[:1].upper() + text[1:])


def _best(results: Entry, names: Mapping[str, str], label: str) -> Answer:
    question = "Which arm is best?"
    pairs, arms = results["comparisons"], [arm["name"] for arm in results["arms"]]
    patients = max((_value(arm, results).get("n_patients") or 0 for arm in results["arms"]), default=0)
    if len(arms) < 2:
        return Answer(question, f"There is only one arm, {names[arms[0]]}, so there is nothing to compare.")
    if not pairs or all(pair["verdict"] in UNJUDGED for pair in pairs):
        reasons = list(dict.fromkeys(why(pair) for pair in pairs if pair["reason"]))
        cause = reasons[0] if reasons else "No arm has test predictions."
        lacking = results.get("audit") and ("has no prediction for" in cause or "is missing or no number" in cause)
        # In the answer, which the terminal prints too.
        remedy = " Add what is lacking, or leave such cases out for every arm (--common-cases)." if lacking else ""
        return Answer(question, f"Inconclusive: no comparison reached a verdict. {cause}{remedy}")
    if len(pairs) == 1:
        answer, more = _of_one_pair(pairs[0])
        return Answer(question, answer, more=more)
    won = {arm: [_loser(p) for p in pairs if _winner(p) == arm] for arm in arms}
    winner = next((arm for arm in arms if len(won[arm]) == len(arms) - 1), None)
    # Only an arm that beats every other is called the best: the first in a ranking may owe that to chance.
    if winner:
        side = "higher" if results["endpoints"]["higher_is_better"] else "lower"
        among = "Of these trained networks, " if of_networks(pairs) else ""
        text = f"{among}{names[winner]} is best: its {label} is {side} than that of every other arm."
        return Answer(question, text, _widest(pairs))
    return _undecided(question, pairs, won, names, label, patients)


def _undecided(
    question: str,
    pairs: Sequence[Entry],
    won: Mapping[str, list[str]],
    names: Mapping[str, str],
    label: str,
    patients: int,
) -> Answer:
    detail = _widest(pairs)
    decided = [(names[arm], listed([names[one] for one in losers])) for arm, losers in won.items() if losers]
    equal = sum(pair["verdict"] == "equivalent" for pair in pairs)
    if equal == len(pairs):
        margin = number(pairs[0]["margin"], 3)
        text = f"All arms are equivalent: every difference in {label} was shown to be smaller than {margin}."
        return Answer(question, text, detail)
    if not decided:
        return Answer(question, _none_better(pairs, names, label, patients), detail)
    verdicts = "; ".join(f"{winner} is better than {losers}" for winner, losers in decided)
    shown = sum(len(losers) for losers in won.values())
    if len(decided) > _MOST_TOLD:  # a sentence of ten winners is read by nobody; the table has them all
        lost = {one for losers in won.values() for one in losers}
        arms = dict.fromkeys(pair[side] for pair in pairs for side in ("a", "b"))
        unbeaten = listed([names[arm] for arm in arms if arm not in lost])
        text = f"No single arm is best: no arm was shown to be better than {unbeaten}"
        return Answer(question, f"{text}; {shown} of {len(pairs)} differences were shown.", detail)
    shown_equal = verdicts_of_pairs(_equivalent(pairs, names), ())
    return Answer(
        question,
        f"No single arm is best, but {'; '.join(filter(None, [verdicts, shown_equal]))}.",
        f"{shown} of {len(pairs)} differences {'was' if shown == 1 else 'were'} shown. {detail}",
    )


def _of_one_pair(pair: Entry) -> tuple[str, str]:
    """Return the sentence of a pair's verdict, with that on failures where these decided it; and the others."""
    sentences = pair_sentence(pair)
    for side in ("a", "b"):  # a name may hold what ends a sentence
        sentences = sentences.replace(str(pair[side]), str(pair[side]).replace(". ", ".\0"))
    parts = [part.replace("\0", " ") for part in _SENTENCES.split(sentences)]
    decisive_count = 2 if pair.get("withheld") else 1
    first = [part for at, part in enumerate(parts) if at < decisive_count or _NON_INFERIOR in part]
    return " ".join(first), " ".join(part for part in parts if part not in first)


def _none_better(pairs: Sequence[Entry], names: Mapping[str, str], label: str, patients: int) -> str:
    """Say that no arm was shown to be better than another; pairs that were shown to be equivalent come first."""
    nobody = f"o arm can be called best with these {plural(patients, 'patient')}"
    equivalent = _equivalent(pairs, names)
    unjudged = sum(pair["verdict"] in UNJUDGED for pair in pairs)
    judged = len(pairs) - unjudged
    unsaid = f"{plural(unjudged, 'comparison')} allow{'s' * (unjudged == 1)} no verdict" if unjudged else ""
    if equivalent:
        rest = judged - len(equivalent)
        undecided = f"{plural(rest, 'other pair')} {'is' if rest == 1 else 'are'} undecided" if rest else ""
        shown = verdicts_of_pairs(equivalent, (), f" in {label}")
        return f"{shown}; {' and '.join(filter(None, [undecided, unsaid]))}, so n{nobody}."
    text = "no difference is distinguishable from chance"
    if any(pair.get("withheld") for pair in pairs):
        text = "failures that nobody saw could undo every difference that the tests alone find"
    elif judged > 1:
        text = f"none of the {judged} differences is distinguishable from chance"
    return f"N{nobody}: {', and '.join(filter(None, [text, unsaid]))}."


def _equivalent(pairs: Sequence[Entry], names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(names[pair["a"]], names[pair["b"]]) for pair in pairs if pair["verdict"] == "equivalent"]


def of_networks(pairs: Sequence[Entry]) -> bool:
    """Return whether the verdicts are about single trained networks."""
    return any(pair.get("about") == "networks" for pair in pairs)


def _widest(pairs: Sequence[Entry]) -> str:
    """Return the sentence of the largest observed difference."""
    # Readers see the largest difference in the figure and believe in it, so its verdict is stated.
    known = [pair for pair in pairs if pair["difference"] is not None]
    if not known:
        return ""
    widest = max(known, key=lambda pair: abs(pair["difference"]))
    return f"The largest observed difference: {pair_sentence(widest)}"


def _rule(results: Entry, names: Mapping[str, str], label: str) -> Answer | None:
    # The trivial rule stands among the first answers because it is often strong: on LIDC-IDRI the diameter alone
    # reaches an AUC of about 0.9 for malignancy, and without it beside them networks of 0.92 look like an achievement.
    sign = 1 if results["endpoints"]["higher_is_better"] else -1
    best = best_baseline(results["baselines"], results["endpoints"]["primary"], sign)
    pairs = [] if best is None else [p for p in results["baseline_comparisons"] if p["b"] == best["name"]]
    if best is None or not pairs:
        return None
    rule, winners = names[best["name"]], [names[pair["a"]] for pair in pairs if pair["verdict"] == "a_better"]
    losers = [names[pair["a"]] for pair in pairs if pair["verdict"] == "b_better"]
    question = f"Is any network better than the {rule}?"
    numbers = "; ".join(
        f"{names[p['a']]} {number(p['difference'], 3, signed=True)} ({interval(*decisive(p))})"
        for p in pairs
        if p["low"] is not None
    )
    value = _value(best, results)
    detail = f"The {rule} alone reaches {label} {number(value['estimate'])} ({interval(value['low'], value['high'])})"
    detail += f"; differences from it, with the intervals used for the verdict: {numbers}." if numbers else "."
    near = [names[p["a"]] for p in pairs if p["verdict"] == "a_better" and not exceeds_margin(p)]
    if near and pairs[0]["margin"] is not None:
        detail += (
            f" {listed(near)} {_is(near)} better, but the difference may be smaller than the margin "
            f"({number(pairs[0]['margin'])})."
        )
    # The order of these cases matters: a network that is worse than a trivial rule is reported even if another is
    # better.
    if all(pair["verdict"] in UNJUDGED for pair in pairs):
        return Answer(question, f"Inconclusive: no comparison with the {rule} reached a verdict.", detail)
    open_pairs = [_not_shown(pair, names) for pair in pairs if pair["verdict"] not in ("a_better", "b_better")]
    others = f"; not shown to be better: {'; '.join(open_pairs)}" if winners and open_pairs else ""
    if losers:
        text = f"{listed(losers)} {_is(losers)} worse than the {rule}; {_beat(winners)}{others}."
        return Answer(question, text, detail)
    if all(pair["verdict"] == "equivalent" for pair in pairs):
        margin = number(pairs[0]["margin"], 3)
        return Answer(question, f"No: every network is equivalent to the {rule}, within {margin} {label}.", detail)
    if not winners:
        return Answer(question, f"No network was shown to be better than the {rule}.", detail)
    if len(winners) == len(pairs):
        return Answer(question, f"Yes, every network is better than the {rule}.", detail)
    return Answer(question, f"{listed(winners)} {_is(winners)} better than the {rule}{others}.", detail)


def _not_shown(pair: Entry, names: Mapping[str, str]) -> str:
    """Name an arm that was not shown to be better than a rule, with the numbers of its comparison."""
    low, high = decisive(pair)
    if low is None or high is None:
        return names[pair["a"]]
    gap, p = number(pair["difference"], 3, signed=True), pair.get("p_adjusted")
    adjusted = "" if p is None else f", adjusted p {p_value(p)}"
    return f"{names[pair['a']]} ({gap}, interval {interval(low, high)}{adjusted})"


def _use(results: Entry, names: Mapping[str, str]) -> Answer:
    question, advice = _USE, results["recommendation"]
    chosen = {need: value["arm"] for need, value in advice.items()}
    if chosen[QUALITY] is None:
        reason = advice[QUALITY]["reason"]
        if any(_value(arm, results).get("estimate") is not None for arm in results["arms"]):
            needs = [need for need in chosen if chosen[need] is not None]
            cheaper = " ".join(f"{need.capitalize()}: {_for_one(advice[need], names)}" for need in needs)
            detail = " ".join(filter(None, [cheaper, *_left_out(advice)]))
            return Answer(question, f"No recommendation can be given. {typographic(reason)}", typographic(detail))
        return Answer(question, "None: no arm finished with a result.")
    if advice[QUALITY]["beats_baseline"] is False:
        rule = names[chosen[QUALITY]]
        text = f"No network was shown to be better than the {rule}, which costs nothing."
        return Answer(
            question, text, "The result compares predictions with this truth; it is not advice for any patient."
        )
    reasons, others = " ".join(_reasons(advice)), "".join(f" {one}" for one in _left_out(advice))
    if len(set(chosen.values())) == 1:
        text = f"{names[chosen[QUALITY]]} for accuracy, for speed and for a balance of both."
    else:
        each = {need: names[arm] if arm is not None else "no arm" for need, arm in chosen.items()}
        text = f"{each[QUALITY]} for accuracy, {each['speed']} for speed, {each['balanced']} for a balance of both."
    return Answer(question, text + typographic(others), typographic(reasons))


def _reasons(advice: Mapping[str, Entry]) -> list[str]:
    """Return the reason of each need; one that all share once."""
    reasons = list(dict.fromkeys(one["reason"] for one in advice.values()))
    return reasons if len(reasons) == 1 else [f"{need.capitalize()}: {one['reason']}" for need, one in advice.items()]


def _left_out(advice: Mapping[str, Entry]) -> list[str]:
    """Return why arms are no candidates, each sentence once."""
    every = (one["reason"] for value in advice.values() for one in value.get("left_out") or ())
    return list(dict.fromkeys(every))


def _for_one(value: Entry, names: Mapping[str, str]) -> str:
    return f"{names[value['arm']]}. {value['reason']}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _beat(winners: Sequence[str]) -> str:
    return f"{listed(list(winners))} {_is(winners)} better than it" if winners else "no network was shown to be better"


def _value(entry: Entry, results: Entry) -> Entry:
    value: Entry = entry["endpoints"].get(results["endpoints"]["primary"]) or {}
    return value


def _winner(pair: Entry) -> str | None:
    return {"a_better": pair["a"], "b_better": pair["b"]}.get(pair["verdict"])


def _loser(pair: Entry) -> str:
    return str(pair["b"] if pair["verdict"] == "a_better" else pair["a"])
