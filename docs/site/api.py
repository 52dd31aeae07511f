"""The reference of Python names, from signatures and docstrings that are read and not run."""

import ast
import re

from equipoise.catalogue import signatures

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
    parts = [f"```python\n{_signature(node)}\n```", _as_markdown(signatures.doc(module, node))]
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                parts += [
                    f"**`{node.name}.{inner.name}`**",
                    f"```python\n{_signature(inner)}\n```",
                    _as_markdown(signatures.doc(module, inner)),
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


_ITEM = re.compile(r"^( *)(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): ", re.MULTILINE)


def _as_markdown(doc: str) -> str:
    """Return a docstring as Markdown: lines that begin with a name are items, examples are code."""
    blocks = []
    for block in doc.split("\n\n"):
        if block.lstrip().startswith(">>>"):
            blocks.append(f"```python\n{block}\n```")
            continue
        text = re.sub(r"^(Args|Attributes|Raises|Errors|Returns):", r"**\1**\n", block, flags=re.MULTILINE)
        # A star that multiplies would start emphasis, and a bracket a link.
        text = text.replace("*", "\\*").replace("\\*\\*", "**") if "**" in text else text.replace("*", "\\*")
        text = _ITEM.sub(lambda match: f"\n- `{match[2]}`: ", text)
        blocks.append(re.sub(r"^ {4,}", "  ", text, flags=re.MULTILINE))
    return "\n\n".join(blocks)
