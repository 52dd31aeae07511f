"""Networks of other packages as models of a protocol: `equipoise.zoo:timm`, `equipoise.zoo:monai`, `equipoise.zoo:smp`.

    model = {name = "equipoise.zoo:timm", network = "resnet18"}
    model = {name = "equipoise.zoo:monai", network = "SwinUNETR", feature_size = 24}
    model = {name = "equipoise.zoo:smp", network = "Unet", encoder_name = "resnet18"}

`network` is the package's own name of it; further settings are passed on. Weights are random: a trial that needs
initial weights names a file with `pretrained`, which the lock records. The packages come with the extra `[zoo]`.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from equipoise.child_process import PYTHON
from equipoise.errors import ProtocolError
from equipoise.lookup import nearest

__all__ = ["monai", "smp", "timm"]


def timm(in_channels: int, out_channels: int, spatial_dims: int, *, network: str, **settings: Any) -> Any:
    """Return a classifier of timm: (n, in_channels, y, x) to logits (n, out_channels).

    network: timm's name of it, such as "resnet18"; further settings are those of `timm.create_model`, such as
    `img_size` of a vision transformer.

    Raises ProtocolError where timm is missing, has no such network, or images are volumes.
    """
    package = _package("timm", "timm")
    _plane("timm", spatial_dims, network)
    if not package.is_model(network):
        raise ProtocolError(f"timm has no network {network!r}; {near(network, package.list_models(), 'timm')}")
    _no_download("timm", settings)
    _not_given("timm", settings, "in_chans", "num_classes", "model_name")
    return package.create_model(network, in_chans=in_channels, num_classes=out_channels, **settings)


def monai(
    in_channels: int, out_channels: int, spatial_dims: int, *, network: str, task: str = "", **settings: Any
) -> Any:
    """Return a network of `monai.networks.nets`, in 2D or 3D, as that class takes its arguments.

    network: the class's name, such as "SwinUNETR"; further settings are its arguments, a list for a tuple.

    task: accepted and not needed; whether it answers cases or voxels is the class's own. Raises ProtocolError where
    MONAI is missing, has no such network, or the class takes neither channels nor dimensions under a known name.
    """
    del task
    nets = _package("monai.networks.nets", "monai")
    classes = [name for name in dir(nets) if inspect.isclass(getattr(nets, name)) and name[0].isupper()]
    if network not in classes:
        raise ProtocolError(f"monai.networks.nets has no network {network!r}; {near(network, classes, 'monai')}")
    _no_download("monai", settings)
    return _called(getattr(nets, network), f"monai's {network}", in_channels, out_channels, spatial_dims, settings)


def smp(in_channels: int, out_channels: int, spatial_dims: int, *, network: str, **settings: Any) -> Any:
    """Return a segmenter of segmentation_models_pytorch: (n, in_channels, y, x) to logits of the same size.

    network: the class's name, such as "Unet"; further settings are its arguments, as `encoder_name`.

    `encoder_weights` is none unless stated otherwise, because a trial downloads nothing. Raises ProtocolError where
    the package is missing, has no such network, or images are volumes.
    """
    package = _package("segmentation_models_pytorch", "segmentation-models-pytorch")
    _plane("segmentation_models_pytorch", spatial_dims, network)
    base = package.base.SegmentationModel
    names = [name for name in dir(package) if _is_class(getattr(package, name), base) and name != base.__name__]
    if network not in names:
        raise ProtocolError(f"segmentation_models_pytorch has no network {network!r}; {near(network, names, 'smp')}")
    if settings.get("encoder_weights") == "none":
        del settings["encoder_weights"]
    _no_download("segmentation_models_pytorch", settings)
    settings["encoder_weights"] = None
    _not_given("segmentation_models_pytorch", settings, "in_channels", "classes")
    return getattr(package, network)(in_channels=in_channels, classes=out_channels, **settings)


ADAPTERS: Mapping[str, tuple[str, str]] = {
    "timm": ("timm", "resnet10t"),
    "monai": ("monai", "SwinUNETR"),
    "smp": ("smp", "Unet"),
    "segmentation_models_pytorch": ("smp", "Unet"),
}
"""Packages by the names that people give them: the adapter, and one of the networks."""
_TAKEN_DIRECTLY = "monai.networks.nets"
"""Its classes take the three arguments of a trial by their names."""


def refuse_without_adapter(name: str, settings: Mapping[str, Any], folder: Path | None) -> None:
    """Raise ProtocolError for a model that names a package of networks itself, with the adapter to name in its place.

    folder: where the protocol lies; a module of that name beside it is the user's own, and may be named.
    """
    module, colon, attribute = name.partition(":")
    root = module.partition(".")[0].replace("-", "_")
    if root.lower() not in ADAPTERS or (colon and module.startswith(_TAKEN_DIRECTLY)):
        return
    if colon and folder is not None and ((folder / f"{root}.py").is_file() or (folder / root).is_dir()):
        return
    adapter, example = ADAPTERS[root.lower()]
    named = next((settings[key] for key in ("network", "model_name", "arch") if key in settings), None)
    network = str(named or (attribute if attribute not in ("", "create_model") else example))
    raise ProtocolError(
        f"model {name!r}: networks of {root} take other arguments than a trial gives, so name the adapter and the "
        f'network: model = {{name = "equipoise.zoo:{adapter}", network = "{network}"}}; channels and classes are '
        f"filled in (`equipoise list models {adapter}`)"
    )


_WEIGHTS = (
    "{package} would load weights for {key}, and a trial opens no connection and no pickle; save them as safetensors "
    "and name the file with the arm's `pretrained`"
)


def _package(module: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ProtocolError(not_installed(name, str(error))) from error


def not_installed(name: str, reason: str = "") -> str:
    """Say that a package of networks is missing, and how it is installed for this very Python."""
    why = f" ({reason})" if reason else ""
    return f"the package {name} is not installed{why}; install it with `{PYTHON[0]} -m pip install 'equipoise[zoo]'`"


def _plane(package: str, spatial_dims: int, network: str) -> None:
    if spatial_dims != 2:
        raise ProtocolError(
            f"{network!r} of {package} takes images in two dimensions, and these have {spatial_dims}; use "
            'equipoise.zoo:monai or a built-in network such as "unet"'
        )


def _no_download(package: str, settings: dict[str, Any]) -> None:
    """Refuse every setting that loads weights: from an address, or from a file that may be a pickle."""
    for key, value in settings.items():
        if value and any(word in key for word in ("pretrained", "checkpoint_path", "weights")):
            raise ProtocolError(_WEIGHTS.format(package=package, key=key))


def _not_given(package: str, settings: Mapping[str, Any], *filled_in: str) -> None:
    given = next((key for key in filled_in if key in settings), None)
    if given is not None:
        raise ProtocolError(
            f"leave out {given!r}: channels, classes and network of {package} are filled in by the trial"
        )


def _is_class(value: Any, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base)


def near(name: str, names: Iterable[str], adapter: str) -> str:
    """Return the nearest of a package's networks, and how all are listed: some packages have a thousand."""
    choices = {one.casefold(): one for one in names}
    small = name.casefold()
    close = [one for one in choices if len(small) > 2 and one.startswith(small)][:_SHOWN]
    close += [one for one in difflib.get_close_matches(small, choices, n=_SHOWN, cutoff=0.5) if one not in close]
    shown = [choices[one] for one in close[:_SHOWN]]
    first = f"did you mean {shown[0]!r}? " if shown else ""
    others = f"near are {', '.join(shown[1:])}; " if len(shown) > 1 else ""
    return f"{first}{others}`equipoise list models {adapter}:WORD` lists the networks with a word in their names"


_SHOWN = 6
"""Names that a refusal shows."""


_CHANNELS, _CLASSES, _DIMENSIONS = (
    ("in_channels",),
    ("out_channels", "num_classes", "classes"),
    ("spatial_dims", "dimensions"),
)
"""What classes of MONAI call the three arguments of the contract."""


def _called(
    made: Callable[..., Any],
    what: str,
    in_channels: int,
    out_channels: int,
    spatial_dims: int,
    settings: dict[str, Any],
) -> Any:
    parameters = inspect.signature(made).parameters
    _not_given(what, settings, *_CHANNELS, *_CLASSES, *_DIMENSIONS)
    given: dict[str, Any] = {}
    for names, value in ((_CHANNELS, in_channels), (_CLASSES, out_channels), (_DIMENSIONS, spatial_dims)):
        name = next((name for name in names if name in parameters), None)
        if name is None:
            raise ProtocolError(
                f"{what} takes no {names[0]}, so a trial cannot build it; wrap it in a function of your own, "
                "(in_channels, out_channels, spatial_dims, **settings), beside the protocol"
            )
        given[name] = value
    unknown = next((key for key in settings if key not in parameters), None)
    if unknown is not None and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        raise ProtocolError(f"{what} has no setting {unknown!r}; {nearest(unknown, parameters)}")
    return made(**given, **{key: tuple(one) if isinstance(one, list) else one for key, one in settings.items()})
