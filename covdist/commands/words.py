"""Words of the command line as the arguments and options of a Python function."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import click

from covdist.errors import shown


def call_of(
    name: str, function: Callable[..., Any], words: Sequence[str], given: int = 1
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments and options, behind ``given`` ones; a usage error where the function has no such ones."""
    known = inspect.signature(function)
    arguments, options, left = [], {}, list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            arguments.append(value_of(word))
            continue
        key, sign, value = word.removeprefix("--").partition("=")
        key = key.replace("-", "_")
        plain = key.removeprefix("no_")
        if not sign and _is_flag(known, plain):
            options[plain] = plain == key
        else:
            options[key] = value_of(value if sign or not left else left.pop(0))
    try:
        known.bind(*[None] * given, *arguments, **options)
    except TypeError:
        takes, found = ", ".join(list(known.parameters)[given:]) or "no options", shown(" ".join(words)) or "none"
        raise click.UsageError(f"{name} takes {takes}, found {found}: pass those, with -- and their value") from None
    return arguments, options


def _is_flag(known: inspect.Signature, name: str) -> bool:
    return name in known.parameters and isinstance(known.parameters[name].default, bool)


def value_of(word: str) -> Any:
    """Return the number, or what else Python reads, that a word stands for; else the word."""
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
