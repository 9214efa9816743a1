"""Takes flags apart as Docker Compose does, and says what each is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ..host.errors import Problem
from ..host.progress import note
from .verbs import GLOBAL, Meaning, Noted, On, Refused

Given = list[tuple[str, str]]  # flags of invoke's and their values, "" for one without
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")  # as Go reads them


def apart(words: Iterable[str], flags: Mapping[str, Meaning], name: str, stops: bool) -> tuple[Given, list[str]]:
    """Divides words as Compose does into flags, as they are called here, and the rest. stops: whether the first other word ends the flags.
    Says what a flag does not change. Raises Problem for a flag that does not exist, has no counterpart or lacks its value.
    """
    known = {flag.rstrip("="): (flag.endswith("="), here) for group, here in flags.items() for flag in group.split()}
    left, given, rest = [*words], [], []
    while left:
        word = left.pop(0)
        if word == "--":
            return given, rest + left
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if stops:
                return given, rest + left
            continue
        flag, equals, value = word.partition("=")
        if not word.startswith("--") and len(flag) > 2:  # -sfv, -n20
            first = word[:2]
            if first in known and known[first][0]:
                flag, equals, value = first, "=", word[2:].removeprefix("=")
            else:
                flag, equals, value = first, "", ""
                left.insert(0, f"-{word[2:]}")
        if flag not in known:
            raise unknown(flag, known, flags is GLOBAL, name)
        takes, here = known[flag]
        if takes and not equals and left:
            value = left.pop(0)
        if takes and not value:
            raise Problem(f"{name} {flag} lacks its value.", f"Write it behind: `{name} {flag} VALUE`.")
        if (meant := meaning(f"{name} {flag}", here, "true" if takes or not equals else value)) != "":
            given.append((meant, value if takes else ""))
    return given, rest


def meaning(typed: str, here: Meaning, value: str) -> str:
    """Returns the flag of invoke's that a flag is, or "" for none. typed: it, as it was typed. value: of one that is on or off. Raises Problem
    if it has no counterpart, or is neither.
    """
    if value.lower() not in TRUE + FALSE:
        raise Problem(f"{typed} is true or false, not {value}.", f"Write {typed.split()[-1]}, or leave it out.")
    off = value.lower() in FALSE  # Compose takes --detach=false
    if isinstance(here, On):
        return meaning(typed, here.off, "true") if off else ""
    if off:
        return ""
    if isinstance(here, Refused):
        raise Problem(f"{typed} has no counterpart on Kubernetes.", here.advice)
    if isinstance(here, Noted):
        note(f"{typed} changes nothing here: {here.why}")
        return ""
    return here


def unknown(flag: str, known: Iterable[str], of_compose: bool, name: str) -> Problem:
    """Returns the Problem of a flag that Compose does not have. of_compose: whether it stood before the verb. name: the verb."""
    meant = get_close_matches(flag, known, 1)
    command = "docker compose" if of_compose else f"docker compose {name}"
    all_of_them = f"`{command} --help` shows what Compose takes."
    return Problem(f"{name} has no flag {flag}.", f"Did you mean `{meant[0]}`? {all_of_them}" if meant else all_of_them)
