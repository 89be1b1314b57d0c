"""Objects whose plain attributes are all there is to them, so that they can be written as data.

Modules, passes, optimizers and supports are structures. Defining a subclass registers its name;
a file refers to that name and never holds code, so loading runs none but aeframe's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, ClassVar, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

CLASSES: dict[str, type[Structure]] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def qualified_name(thing: Any) -> str:
    """``module:qualname`` of a class or a function."""
    return f"{thing.__module__}:{thing.__qualname__}"


def import_own(name: str) -> None:
    """Import the module of a class or function of aeframe itself, ``module:qualname``; no other."""
    module = name.partition(":")[0]
    if re.fullmatch(r"aeframe(\.[a-z]\w*)+", module):
        with suppress(ModuleNotFoundError):
            import_module(module)


class Structure:
    """Base of everything that files and reports can describe by its attributes.

    Attributes whose name starts with an underscore are working memory: no file holds them.
    """

    saved_as: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.saved_as = qualified_name(cls)
        CLASSES[cls.saved_as] = cls

    def fields(self) -> dict[str, Any]:
        """The attributes that make up this object, by name."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


def register(function: F) -> F:
    """Let files refer to a function by name, such as an activation kept as an attribute.

    >>> @register
    ... def swish(x):
    ...     return x
    >>> FUNCTIONS[qualified_name(swish)] is swish
    True
    """
    FUNCTIONS[qualified_name(function)] = function
    return function


def branches(value: Any) -> Iterator[tuple[str, Any]]:
    """The named parts of a structure or container: ``.name``, ``[index]`` or ``[key]``."""
    if isinstance(value, Structure):
        for name, part in value.fields().items():
            yield f".{name}", part
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield f"[{i}]", part
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"[{key}]", part


def walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Every part of ``root`` with its path, each object once, in the order of attributes.

    The path of the root is ``""``; a shared object has the path where it is met first.
    """
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        path, value = todo.pop()
        inner = list(branches(value))
        if inner or isinstance(value, Structure):
            if id(value) in seen:
                continue
            seen.add(id(value))
        yield path.removeprefix("."), value
        todo.extend((path + name, part) for name, part in reversed(inner))


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern, in which ``*`` is any text and ``?`` any one character.

    >>> matches("*[0].w", "parts[0].w"), matches("*[0].w", "parts[10].w")
    (True, False)
    """
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, path) is not None
