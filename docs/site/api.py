"""The reference of Python names, from signatures and docstrings that are read and not run."""

import ast
import re
from collections.abc import Collection

from equipoise.catalogue import signatures
from equipoise.catalogue.docstring import items

_MARK = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_WIDEST = 100


def fill_in(text: str) -> str:
    """Return a page with every line `::: package.module.name` replaced by the description of that name."""
    return _MARK.sub(lambda match: described(match[1]), text)


def described(path: str) -> str:
    """Return the description of a function, a class or a module as Markdown.

    Raises LookupError for a name without a source, which fails the build.
    """
    module = signatures.module_named(path)
    if module is not None:
        public = [node for node in module.tree.body if _is_public(node)]
        return "\n\n".join(f"### `{node.name}`\n\n{_described(module, node)}" for node in public)
    owner, _, name = path.rpartition(".")
    place = signatures.definition(owner, name)
    if place is None:
        raise LookupError(f"the reference names {path}, which has no source")
    return _described(*place)


def _is_public(node: ast.stmt) -> bool:
    return isinstance(node, signatures.Definition) and not node.name.startswith("_")


def _described(module: signatures.Module, node: signatures.Definition) -> str:
    names = [one.name for one in signatures.parameters(node)]
    names += [one.name for one in signatures.fields(node)] if isinstance(node, ast.ClassDef) else []
    parts = [f"```python\n{_signature(node)}\n```", _as_markdown(signatures.doc(module, node), names)]
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                parts += [
                    f"**`{node.name}.{inner.name}`**",
                    f"```python\n{_signature(inner)}\n```",
                    _as_markdown(signatures.doc(module, inner), [one.name for one in signatures.parameters(inner)]),
                ]
    return "\n\n".join(part for part in parts if part)


def _signature(node: signatures.Definition) -> str:
    """Return a signature as it would be typed, one parameter a line where it is long."""
    decorators = [ast.unparse(one) for one in node.decorator_list if isinstance(node, ast.FunctionDef)]
    marks = "".join(f"@{one}\n" for one in decorators if one in ("property", "classmethod", "staticmethod"))
    if isinstance(node, ast.ClassDef):
        function = signatures.constructor(node)
        if function is None:
            return f"class {node.name}" + "".join(f"\n    {_field(one)}" for one in signatures.fields(node))
        head, ending = node.name, ""
    else:
        function, head = node, f"def {node.name}"
        ending = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    given = _without_self(function.args)
    line = f"{head}({ast.unparse(given)}){ending}"
    if len(line) <= _WIDEST:
        return marks + line
    return f"{marks}{head}(\n" + "".join(f"    {one},\n" for one in _each(given)) + f"){ending}"


def _field(one: signatures.Parameter) -> str:
    return f"{one.name}: {one.kind}" + (f" = {one.default}" if one.default else "")


def _without_self(given: ast.arguments) -> ast.arguments:
    """Return the arguments without the first one of a method."""
    plain = [one for one in given.args if one.arg not in ("self", "cls")]
    return ast.arguments(
        posonlyargs=given.posonlyargs, args=plain, vararg=given.vararg, kwonlyargs=given.kwonlyargs,
        kw_defaults=given.kw_defaults, kwarg=given.kwarg, defaults=given.defaults,
    )  # fmt: skip


def _each(given: ast.arguments) -> list[str]:
    """Return every argument as text, in order."""
    plain = [*given.posonlyargs, *given.args]
    missing = len(plain) - len(given.defaults)
    defaults = [None] * missing + list(given.defaults)
    lines = [_argument(one, default) for one, default in zip(plain, defaults, strict=True)]
    if given.vararg is not None:
        lines.append(f"*{_argument(given.vararg, None)}")
    elif given.kwonlyargs:
        lines.append("*")
    lines += [_argument(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return [*lines, f"**{_argument(given.kwarg, None)}"] if given.kwarg is not None else lines


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(one.annotation)}" if one.annotation is not None else ""
    return f"{one.arg}{kind}" + (f" = {ast.unparse(default)}" if default is not None else "")


def _as_markdown(doc: str, names: Collection[str] = ()) -> str:
    """Return a docstring as Markdown: the settings it explains as a list, examples as code."""
    blocks = []
    for block in re.sub(r"^(Args|Attributes|Raises|Errors|Returns):$", r"\n\1:\n", doc, flags=re.MULTILINE).split(
        "\n\n"
    ):
        if block.lstrip().startswith(">>>"):
            blocks.append(f"```python\n{block}\n```")
            continue
        lines = [
            f"- {', '.join(f'`{name}`' for name in known.split(', '))}: {_escaped(text)}"
            if known
            else f"\n{_escaped(text)}\n"
            for known, text in items(block, names)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _escaped(text: str) -> str:
    """Return text in which no sign outside code starts emphasis, a link or a tag."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_\[\]<>])", r"\\\1", part) for part in parts)
