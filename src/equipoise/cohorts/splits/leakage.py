"""Search for leaks by which a model could recognise a test case, and for copies that would count as patients.

Leaks are shared patients, equal pixels and near-duplicates in different parts. Copies are equal pixels under several
patients in one part, and near-duplicates under several patients among the test cases.

Near-duplicates are found by their likeness (see `similarity.py`): copies with another window, mirrored, turned by
90°, recompressed or slightly shifted, and neighbouring slices that are as similar as such copies. Candidate pairs
come from `neighbours.py`, so 100,000 images are searched without comparing all pairs.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from equipoise.cohorts.case_cards import CaseCard, CaseCards
from equipoise.cohorts.case_pictures import Bytes
from equipoise.cohorts.cohort import Case, Cohort
from equipoise.cohorts.detail import EQUAL_BYTES, NEAR_BYTES, NEAR_VALUES, detail_of
from equipoise.cohorts.splits.neighbours import Allowed, Floats, Ints, nearest
from equipoise.cohorts.splits.shared_channels import channel_pairs, common_channels, shared_by
from equipoise.cohorts.splits.similarity import Whitening, likeness, signatures, turned
from equipoise.cohorts.splits.split import PARTS, Fold
from equipoise.cohorts.store import code_of_readers, content_key, load, save

_ROUNDS = 3  # of joining groups that are alike
KEPT = 4  # candidates compared in full for each image
DIMENSIONS = 24
SAMPLE, SPECTRA = 4000, 1000  # pictures from which the common axes and the common spectrum are learnt
VARIANTS = 4
SURE, LEAST = 0.90, 0.80  # bounds of the threshold, which depends on how similar different patients of the cohort are


@dataclass(frozen=True)
class Leak:
    """Two related cases.

    kind: in different parts of a fold "patient", "study", "equal" or "near"; of different patients in one part "copy"
    (equal pixels) or "near copy" (near-duplicates, of test cases alone).
    shared: what alone is equal of "equal" or "copy", such as "the channel t1 of one file"; empty for whole images.
    """

    a: str
    b: str
    kind: str
    shared: str = ""

    @property
    def in_words(self) -> str:
        """The kind, with what is shared, such as "equal: the channel t1"."""
        return f"{self.kind}: {self.shared}" if self.shared else self.kind


OF_PIXELS = ("equal", "near", "copy", "near copy")
IN_ONE_PART = ("copy", "near copy")
LIKENESS = ("near", "near copy")
Pairs = list[tuple[int, int]]


def find_leaks(cohort: Cohort, folds: Fold | Sequence[Fold], cards: CaseCards | None = None) -> list[Leak]:
    """Find leaks across the parts of any fold, the most certain kind first, then copies; a valid trial has none.

    "patient", "study": one pair per patient or study that lies in two parts, by the source (attribute `study`) and by
    the files' own headers (`Case.owners`), which may contradict it. "equal": equal pixels.
    "near": near-duplicates. "copy", "near copy": the same of different patients in one part. Pairs of one patient
    appear as "patient" only, unless the patient was guessed and the pixels are equal, which is certain. Cases
    whose pictures have hardly any detail (masks, outlines) are not compared by likeness, and the simplest not by pixels
    either: different patients may share a shape. A channel that two images share counts as equal pixels do, unless it
    is the same for all (`shared_channels`). cards: of the cohort; without them every image is read.
    """
    parts = _parts(cohort, [folds] if isinstance(folds, Fold) else folds)
    person = np.unique(cohort.patients, return_inverse=True)[1]

    cards = cards or CaseCards(cohort)
    pairs = _pairs(cohort, parts, person, cards)
    proven = {int(person[index]) for pair in pairs["equal"] for index in pair} if cohort.patients_guessed else set()
    owners = ["" if owner in proven else str(owner) for owner in person]
    leaks = _shared(cohort, parts, owners, "patient")
    leaks += _shared(cohort, parts, [case.owners.get("patient", "") for case in cohort.cases], "patient")
    leaks += _shared(cohort, parts, [_study(case) for case in cohort.cases], "study")
    leaks = list(dict.fromkeys(leaks))
    # Each pair once, by its most certain kind.
    named = {pair: kind for kind in reversed(OF_PIXELS) for pair in pairs[kind]}
    ordered = [(pair, kind) for kind in OF_PIXELS for pair in pairs[kind] if named[pair] == kind]
    known = {frozenset((leak.a, leak.b)) for leak in leaks}
    pixel_leaks = [Leak(cohort.cases[a].id, cohort.cases[b].id, kind) for (a, b), kind in ordered]
    leaks += [leak for leak in pixel_leaks if frozenset((leak.a, leak.b)) not in known]
    return _with_channels(leaks, cohort, parts, person, cards.all())


def _with_channels(
    leaks: list[Leak], cohort: Cohort, parts: NDArray[np.int8], person: Ints, cards: Sequence[CaseCard]
) -> list[Leak]:
    """Return the leaks and the pairs of different patients that share a channel, before those that are only alike."""
    common = common_channels(cohort, cards)
    known = {frozenset((leak.a, leak.b)) for leak in leaks if leak.kind not in LIKENESS}
    new = []
    for kind, allowed in (("equal", partial(_apart, parts, person)), ("copy", partial(_together, parts, None, person))):
        for a, b in channel_pairs(cards, common, allowed):
            pair = frozenset((cohort.cases[a].id, cohort.cases[b].id))
            if pair not in known:
                shared = shared_by(cohort, cards, a, b, common)
                new.append(Leak(cohort.cases[a].id, cohort.cases[b].id, kind, shared))
                known.add(pair)
    alike = [leak for leak in leaks if leak.kind in LIKENESS and frozenset((leak.a, leak.b)) not in known]
    kinds = ("patient", "study", *OF_PIXELS)
    sure = [leak for leak in leaks if leak.kind not in LIKENESS]
    return sorted([*sure, *new, *alike], key=lambda leak: kinds.index(leak.kind)) if new else leaks


def _pairs(cohort: Cohort, parts: NDArray[np.int8], person: Ints, cards: CaseCards) -> dict[str, Pairs]:
    """Return the pairs of each kind of likeness; kept in the user's cache.

    The search of 100,000 images takes minutes, and a trial makes it when it is checked, run, and resumed.
    """
    # The pixels' digests stand for the pictures, which are made of the pixels.
    digests = b"".join(card.digest for card in cards.all())
    state = hashlib.sha256(digests + parts.tobytes() + person.astype(np.int64).tobytes()).hexdigest()
    key = content_key(
        kind="leaks", code=code_of_readers(), state=state, shape=list(parts.shape), guessed=cohort.patients_guessed
    )
    kept = load(key, cards.folder)
    if kept is None or not set(OF_PIXELS) <= kept.keys():
        crossing, together = partial(_apart, parts, person), partial(_together, parts, None, person)
        pixels, detailed = _look(cards)
        equal = _equal_pairs(pixels, partial(_apart, parts, None) if cohort.patients_guessed else crossing)
        near, near_copies = _alike_pairs(cohort, cards.pictures(), detailed, parts, person)
        # Of several equal images each is paired with the first; the others' likeness says nothing more.
        near_copies = [(a, b) for a, b in near_copies if pixels[a] != pixels[b]]
        every = (equal, near, _equal_pairs(pixels, together), near_copies)
        kept = {kind: _table(one) for kind, one in zip(OF_PIXELS, every, strict=True)}
        # Where the cache cannot be written the cards could not be kept either, and their remark says so.
        save(key, kept, cards.folder)
    return {kind: _as_pairs(kept[kind]) for kind in OF_PIXELS}


def _table(pairs: Sequence[tuple[int, int]]) -> Ints:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _as_pairs(table: NDArray[Any]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in table.tolist()]


def _alike_pairs(
    cohort: Cohort, pictures: Bytes, detailed: Ints, parts: NDArray[np.int8], person: Ints
) -> tuple[Pairs, Pairs]:
    """Return near-duplicates across the parts, and those of different patients among the test cases of a fold."""
    crossing = partial(_apart, parts, person)
    # Of the test cases alone, whose number of patients makes the intervals: a second search of all would double
    # the minutes. And it is a second one, because copies in one part would take the places of candidates in another.
    tested = partial(_together, parts, PARTS.index("test"), person)
    if not cohort.patients_guessed:
        among = detailed[(parts[:, detailed] == PARTS.index("test")).any(axis=0)]
        return _near_pairs(pictures, detailed, crossing), _near_pairs(pictures, among, tested)
    # The very search by which patients were guessed: another set of candidates has another threshold, and would name
    # pairs that the guess had compared and left apart.
    pairs = _table(_near_pairs(pictures, detailed, partial(_differ, person)))
    a, b = pairs[:, 0], pairs[:, 1]
    return _as_pairs(pairs[crossing(a, b)]), _as_pairs(pairs[tested(a, b)])


def _study(case: Case) -> str:
    return str(case.attributes.get("study", "") or case.owners.get("study", ""))


def _apart(parts: NDArray[np.int8], person: Ints | None, a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Return which pairs lie in different parts of some fold and, if `person` is given, belong to different persons."""
    used = np.zeros(a.shape, dtype=bool)
    for row in parts:
        used |= (row[a] != row[b]) & (row[a] >= 0) & (row[b] >= 0)
    return used if person is None else np.asarray(used & (person[a] != person[b]))


def _together(parts: NDArray[np.int8], part: int | None, person: Ints, a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Return which pairs of different persons lie in one part of some fold; of this part, where one is given."""
    used = np.zeros(a.shape, dtype=bool)
    for row in parts:
        used |= (row[a] == row[b]) & ((row[a] >= 0) if part is None else (row[a] == part))
    return np.asarray(used & (person[a] != person[b]))


def _differ(owner: Ints, a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Return which pairs belong to different owners."""
    return np.asarray(owner[a] != owner[b])


def propose_groups(cohort: Cohort, cards: CaseCards | None = None) -> NDArray[np.str_]:
    """Guess a group for every case, (cases,): equal and near-duplicate images, and chains of them, share a group.

    Cases that follow each other in the source are joined at a lower likeness, above 95 % of random pairs, because
    slices of one volume are stored in sequence. Groups guessed by the source itself (`patients_guessed`) are kept and
    joined further. For sources without patient ids; a patient whose images look different falls into several groups,
    so the report must call the groups guesses.
    """
    cards = cards or CaseCards(cohort)
    pixels, detailed = _look(cards)
    pictures = cards.pictures()
    anyone: Allowed = np.not_equal
    pairs = [
        *_equal_pairs(pixels, anyone), *_near_pairs(pictures, detailed, anyone), *_runs(pictures, detailed, cohort),
        *channel_pairs(cards.all(), common_channels(cohort, cards.all()), anyone),
    ]  # fmt: skip
    if cohort.patients_guessed:
        order = np.argsort(cohort.patients, kind="stable")
        same = np.flatnonzero(cohort.patients[order[1:]] == cohort.patients[order[:-1]])
        pairs += zip(order[same].tolist(), order[same + 1].tolist(), strict=True)
    label = _joined(pairs, len(cohort))
    # Again between the groups, until no pair is left: the search for leaks compares different patients alone, and so
    # sees candidates that a patient's own images had displaced.
    for _ in range(_ROUNDS):
        further = _near_pairs(pictures, detailed, partial(_differ, label))
        if not further:
            break
        pairs += further
        label = _joined(pairs, len(cohort))
    return np.array([f"guess-{value:05d}" for value in label])


def _joined(pairs: Sequence[tuple[int, int]], cases: int) -> Ints:
    """Return the number of the group of every case, (cases,): pairs, and chains of pairs, share one."""
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(table)), (table[:, 0], table[:, 1])), shape=(cases, cases))
    label: Ints = connected_components(graph, directed=False)[1]
    return label


def _parts(cohort: Cohort, folds: Iterable[Fold]) -> NDArray[np.int8]:
    """Return the part number of every case in every fold, (folds, cases); −1 where a fold leaves a case out."""
    table = []
    for fold in folds:
        row = np.full(len(cohort), -1, dtype=np.int8)
        for number, name in enumerate(PARTS):
            row[fold.part(name)] = number
        table.append(row)
    return np.array(table, dtype=np.int8).reshape(-1, len(cohort))


def _shared(cohort: Cohort, parts: NDArray[np.int8], owners: Sequence[str], kind: str) -> list[Leak]:
    """Return one pair per owner whose cases lie in different parts of some fold; empty names are ignored."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, owner in enumerate(owners):
        if owner:
            members[owner].append(index)
    leaks = []
    for cases in members.values():
        for row in parts:
            placed = [index for index in cases if row[index] >= 0]
            other = [index for index in placed if row[index] != row[placed[0]]]
            if other:
                leaks.append(Leak(cohort.cases[placed[0]].id, cohort.cases[other[0]].id, kind))
                break
    return leaks


def _look(cards: CaseCards) -> tuple[list[bytes], Ints]:
    """Return a digest of every case's pixels, empty where it has too little detail, and which pictures have enough."""
    digests, detailed = [], []
    for index, card in enumerate(cards.all()):
        detail = detail_of(card.picture)
        digests.append(card.digest if detail >= EQUAL_BYTES else b"")
        if detail >= NEAR_BYTES and card.values >= NEAR_VALUES:
            detailed.append(index)
    return digests, np.array(detailed, dtype=np.int64)


def _equal_pairs(digests: Sequence[bytes], allowed: Allowed) -> list[tuple[int, int]]:
    """Return, for every case that equals an earlier one, the first such pair that is allowed."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    pairs = []
    for index, digest in enumerate(digests):
        if not digest:
            continue
        earlier = np.array(seen[digest], dtype=np.int64)
        fits = earlier[allowed(earlier, np.full(len(earlier), index))] if len(earlier) else earlier
        if len(fits):
            pairs.append((int(fits[0]), index))
        seen[digest].append(index)
    return pairs


def _near_pairs(pictures: Bytes, detailed: Ints, allowed: Allowed) -> list[tuple[int, int]]:
    """Return allowed pairs of detailed pictures that are near-duplicates, each once with the lower index first."""
    if len(detailed) < 2:
        return []
    # No copy where all have detail: of 100,000 pictures it takes 400 MB.
    shown = pictures if len(detailed) == len(pictures) else pictures[detailed]
    points, queries = _signature_space(shown)
    if points.shape[1] == 0:
        # No picture differs from another: each is a near-duplicate of the next, and a tree of nothing cannot be built.
        near = allowed(detailed[:-1], detailed[1:])
        return list(zip(detailed[:-1][near].tolist(), detailed[1:][near].tolist(), strict=True))
    row, column, variant = nearest(points, queries, KEPT, lambda a, b: allowed(detailed[a], detailed[b]))
    whitening = Whitening.of(shown[_sample(len(shown), SPECTRA)])
    score = np.zeros(len(row), dtype=np.float32)
    for number in range(VARIANTS):
        chosen = np.flatnonzero(variant == number)
        # In parts, because the spectra of all candidate pairs together would not fit into memory.
        for part in np.array_split(chosen, len(chosen) // 2048 + 1):
            score[part] = likeness(turned(shown[row[part]], number), shown[column[part]], whitening)
    alike = score >= threshold(_second_best(row, score, len(shown)))
    low, high = np.minimum(row, column)[alike], np.maximum(row, column)[alike]
    return sorted({(int(detailed[a]), int(detailed[b])) for a, b in zip(low, high, strict=True)})


def _runs(pictures: Bytes, detailed: Ints, cohort: Cohort) -> list[tuple[int, int]]:
    """Return pairs of successive detailed pictures whose likeness exceeds that of 95 % of random pairs of the cohort.

    The last case of one official part and the first of the next are not joined: no volume continues between them.
    """
    if len(detailed) < 20:
        return []
    whitening = Whitening.of(pictures[detailed[_sample(len(detailed), SPECTRA)]])
    a, b = np.random.default_rng(0).permutation(detailed)[: 2 * (min(len(detailed), SAMPLE) // 2)].reshape(2, -1)
    strangers = likeness(pictures[a], pictures[b], whitening)
    follows = likeness(pictures[detailed[:-1]], pictures[detailed[1:]], whitening) > np.quantile(strangers, 0.95)
    parts = np.array([str(cohort.cases[index].part) for index in detailed])
    joined = follows & (np.diff(detailed) == 1) & (parts[1:] == parts[:-1])
    return [(int(detailed[k]), int(detailed[k + 1])) for k in np.flatnonzero(joined)]


def _sample(n: int, most: int) -> Ints:
    """Return at most `most` evenly spaced indices below n."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _signature_space(pictures: Bytes) -> tuple[Floats, list[Floats]]:
    """Project signatures on whitened principal axes: as points, and as queries in four symmetries."""
    made = signatures(pictures)
    sample = made[_sample(len(made), SAMPLE)]
    centre = sample.mean(axis=0)
    _, spread, axes = np.linalg.svd(sample - centre, full_matrices=False)
    useful = spread[:DIMENSIONS] > 1e-6 * max(float(spread[0]), 1e-9)
    basis = axes[:DIMENSIONS][useful].T / spread[:DIMENSIONS][useful] * np.sqrt(len(sample))
    made -= centre
    # The queries are turned and not the points, so that one tree serves all symmetries.
    queries = [made @ basis]
    for variant in range(1, VARIANTS):
        for k in range(0, len(pictures), 4096):
            # In the same place: of 100,000 pictures the signatures have 120 MB, which three such arrays would treble.
            made[k : k + 4096] = signatures(turned(pictures[k : k + 4096], variant))
        made -= centre
        queries.append(made @ basis)
    return queries[0], queries


def _second_best(row: Ints, score: Floats, rows: int) -> Floats:
    """Return each picture's second best score with a candidate, which a single copy of the picture does not affect."""
    table = np.full((rows, 2), -1, dtype=np.float32)
    order = np.lexsort((-score, row))
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    few = place < 2
    table[row[order][few], place[few]] = score[order][few]
    second: Floats = table[:, 1]
    return second[second > -1]


def threshold(strangers: Floats) -> float:
    """Return the likeness from which two pictures are near-duplicates, given each picture's second best match.

    Most of these matches are different patients: median and third quartile, on Fisher's scale, measure how similar
    different patients are in this cohort. The bounds keep a cohort full of duplicates from raising it out of reach.
    """
    if not len(strangers):
        return SURE
    middle, high = np.arctanh(np.clip(np.quantile(strangers, [0.5, 0.75]), 0, 0.999))
    return float(np.clip(np.tanh(middle + 5.0 * (high - middle)), LEAST, SURE))
