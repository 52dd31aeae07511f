"""The kinds of things that `equipoise list` knows, each read from the registry that protocols are resolved by."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from equipoise.catalogue import signatures
from equipoise.catalogue.docstring import first_sentence, meanings
from equipoise.catalogue.entry import Entry, Listing, Setting
from equipoise.catalogue.foreign import where_listed
from equipoise.catalogue.keys import as_toml, default, protocol_keys, values
from equipoise.cohorts import sources as source_registry
from equipoise.cohorts.public.catalogue import entries as public_entries
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest, spelled
from equipoise.protocol.nnunet_section import NNUNET, NNUNetSection
from equipoise.tasks import LOSSES, TASKS

FIXED = ("in_channels", "out_channels", "spatial_dims", "task", "params", "unknown")
"""Parameters that the program itself fills in, so that no protocol states them."""
_ZOO = "equipoise.zoo"
_AUGMENTATION = "equipoise.training.augmentation.settings"


def models() -> Iterator[Entry]:
    """Yield the networks: their settings from the constructors, their presets from PRESETS beside them."""
    for name in _public("equipoise.models"):
        module, node = _definition("equipoise.models", name)
        yield Entry(spelled(name), *_explained(module, node, only_keywords=True), presets=_presets(module))
    yield _nnunet()
    # Spelled as they are imported: these names have a colon, and `spelled` is for built-in ones.
    for name in _public(_ZOO):
        entry = Entry(f"{_ZOO}:{name}", *_explained(*_definition(_ZOO, name), only_keywords=True))
        yield replace(entry, further=where_listed(name))


def _nnunet() -> Entry:
    """Return the entry of the model that is trained by nnU-Net's own command."""
    explained = meanings(NNUNetSection.__doc__ or "", list(NNUNetSection.model_fields))
    settings = (
        Setting(name, default(field), values(field.annotation, field), explained.get(name, ""))
        for name, field in NNUNetSection.model_fields.items()
    )
    return Entry(NNUNET, "nnU-Net, trained by its own command on the trial's own split.", tuple(settings))


def optimizers() -> Iterator[Entry]:
    """Yield the optimizers, those of torch and of other packages too."""
    for name in sorted(_public("equipoise.optimizers"), key=str.lower):
        place = signatures.definition("equipoise.optimizers", name)
        if place is None:  # its package is not installed
            yield Entry(spelled(name), "its package is not installed")
            continue
        package = place[0].name.partition(".")[0]
        facts = (("from", "" if package == "equipoise" else package),)
        yield Entry(spelled(name), *_explained(*place), facts=facts)


def losses() -> Iterator[Entry]:
    """Yield the losses, with the tasks that may use them."""
    module, node = _definition("equipoise.training.learner.losses", "build")
    explained = meanings(signatures.doc(module, node), LOSSES)
    for name in LOSSES:
        tasks = ", ".join(task.name for task in TASKS.values() if name in task.losses)
        yield Entry(name, explained.get(name, ""), facts=(("tasks", tasks),))


def augmentations() -> Iterator[Entry]:
    """Yield the steps of [augmentation] in their order, with what values they take."""
    module, node = _definition(_AUGMENTATION, "Augmentation")
    declared = signatures.fields(node) if isinstance(node, ast.ClassDef) else ()
    explained = meanings(signatures.doc(module, node), [one.name for one in declared])
    highest, ranges = module.constant("_NUMBERS"), module.constant("_RANGES")
    for one in declared:
        allowed = f"0 to {highest[one.name]:g}" if one.name in highest else "two factors" if one.name in ranges else ""
        if one.name == "flip":
            allowed = "list of " + ", ".join(module.constant("AXES"))
        elif not allowed:
            allowed = "0 to 1, or a table by step"
        yield Entry(one.name, explained.get(one.name, ""), facts=(("values", allowed),))


def endpoints() -> Iterator[Entry]:
    """Yield the endpoints, whose records hold everything."""
    # Here and not above: the records import scipy, which no other list needs.
    from equipoise.statistics.endpoints import KNOWN, described

    for one in KNOWN:
        low, high = (f"{bound:g}".replace("inf", "∞").replace("-", "−") for bound in (one.low, one.high))
        better = "higher" if one.higher_is_better else "lower"
        shown = one.heading if one.display else described(one.name).heading
        facts = (("called", shown), ("values", f"{low} to {high}"), ("better", better))
        yield Entry(one.name, one.summary, facts=facts)


def sources() -> Iterator[Entry]:
    """Yield the sources of cohorts with their keys."""
    for name, module_name in source_registry.MODULES.items():
        yield Entry(spelled(name), *_explained(*_definition(module_name, name), leave=("path", *FIXED)))


def public_data() -> Iterator[Entry]:
    """Yield the public data sets that `equipoise fetch` brings or says where to ask for."""
    for entry in public_entries().values():
        size = "on request" if entry.ask else f"{entry.about_mb:,} MB" if entry.about_mb else ""
        facts = (("read as", entry.reader), ("licence", entry.licence), ("download", size))
        yield Entry(f"{source_registry.PUBLIC}{entry.name}", entry.page or entry.ask, facts=facts)


Read = Callable[[], Iterable[Entry]]
KINDS: Mapping[str, tuple[str, str, Read]] = {
    "models": ("Networks", 'model = {name = "NAME", SETTING = …} in [[arms]]', models),
    "optimizers": ("Optimizers", 'optimizer = {name = "NAME", SETTING = …} in [[arms]]', optimizers),
    "losses": ("Losses", 'loss = "NAME" in [training]', losses),
    "augmentations": ("Augmentation", "KEY = VALUE in [augmentation]", augmentations),
    "endpoints": ("Endpoints", 'primary = "NAME" or secondary = ["NAME", …] in [endpoints]', endpoints),
    "sources": ("Sources of data", 'source = "NAME" in [cohort], with the keys of the source', sources),
    "data": (
        "Public data sets",
        'source = "NAME" in [cohort], after `equipoise fetch` of the part behind the colon',
        public_data,
    ),
    "keys": ("Protocol keys", "KEY = VALUE in the table before its last dot", protocol_keys),
}
"""Every kind: its title, the place of such a name in a protocol, and the function that reads its entries."""


def listing(kind: str) -> Listing:
    """Return all entries of a kind; EquipoiseError names the nearest spelling of an unknown one."""
    if kind not in KINDS:
        raise EquipoiseError(f"there is no list of {kind!r}; {nearest(kind, KINDS)}")
    title, where, read = KINDS[kind]
    return Listing(kind, title, where, tuple(read()))


def _public(package: str) -> list[str]:
    """Return the names in a package's `__all__`, which `resolve` matches a protocol's names against."""
    module = signatures.module_named(package)
    if module is None:
        raise EquipoiseError(f"{package} has no source file here, so its names cannot be listed; reinstall equipoise")
    return list(module.constant("__all__"))


def _definition(module: str, name: str) -> tuple[signatures.Module, signatures.Definition]:
    place = signatures.definition(module, name)
    if place is None:
        raise EquipoiseError(f"{module} has no source of {name} here, so it cannot be listed; reinstall equipoise")
    return place


def _explained(
    module: signatures.Module,
    node: signatures.Definition,
    *,
    leave: Iterable[str] = FIXED,
    only_keywords: bool = False,
) -> tuple[str, tuple[Setting, ...]]:
    """Return the meaning of a definition and its settings."""
    text = signatures.doc(module, node)
    listed = [
        one
        for one in signatures.parameters(node)
        if one.name not in set(leave) and (one.keyword_only or not only_keywords)
    ]
    explained = meanings(text, [one.name for one in listed])
    settings = tuple(Setting(one.name, _as_toml(one.default), one.kind, explained.get(one.name, "")) for one in listed)
    return first_sentence(text), settings


def _as_toml(source: str) -> str:
    """Return a default of a source file as a protocol would state it; what is no literal stays as it is."""
    try:
        return as_toml(ast.literal_eval(source)) if source else ""
    except ValueError:
        return source


def _presets(module: signatures.Module) -> tuple[str, ...]:
    """Return the keys of the module's PRESETS; the values need not be literals."""
    try:
        table = module.assigned("PRESETS")
    except LookupError:
        return ()
    keys = table.keys if isinstance(table, ast.Dict) else []
    return tuple(str(ast.literal_eval(key)) for key in keys if key is not None)
