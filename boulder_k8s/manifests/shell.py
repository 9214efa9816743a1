"""Reads as much of a shell script as it takes to see its `docker compose` commands. Nothing is run; what is not simple is Unclear."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ARGUMENTS = ("$@", "${@}")  # the script's own arguments, whose quotation marks shlex has taken away
COMPOSE = re.compile(r"\bdocker[- ]compose\b")
OPENING, CLOSING = {"if", "while", "until", "for", "case", "select", "{"}, {"fi", "done", "esac", "}"}
LEADING = {"exec", "command", "then", "do", "else", "!"}  # a command may follow
OPERATORS = {"&&", "||", ";", "|", "&", ";;"}
# $NAME, ${NAME} and ${NAME:-else}
VARIABLE = re.compile(
    r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<colon>:)?[-=](?P<other>[^}$`]*))?\})"
)
EXPORT = re.compile(r"export\s+(?P<name>[A-Za-z_]\w*)=(?P<value>.*)")


class Unclear(Exception):
    """Why a command cannot be understood."""


@dataclass(frozen=True)
class Line:
    """A line of a script that uses Compose. words: of its command, after `docker compose`. unclear: why there are none, or ""."""

    number: int
    text: str
    words: tuple[str, ...] = ()
    unclear: str = ""


def read(text: str) -> tuple[list[Line], dict[str, str]]:
    """Returns the lines of a script that use Compose, and the variables that it exports, each with a value for `expanded`."""
    lines, exported, depth = [], {}, 0
    for number, line in logical(text):
        uses = COMPOSE.search(line)
        try:
            commands = split(line)
        except ValueError as error:  # a quotation mark whose other one is on another line
            if uses:
                lines.append(Line(number, line, unclear=str(error).lower()))
            continue
        inside = depth + sum(command[0] in OPENING or command[-1] in OPENING for _, command in commands)
        depth = inside - sum(word in CLOSING for _, command in commands for word in {command[0], command[-1]})
        if uses and commands and commands[0][1][0] not in ("echo", "printf"):
            lines.append(of_compose(number, line, commands, inside))
        elif (match := EXPORT.fullmatch(line)) and not inside and len(commands) == 1 and "'" not in line:
            value = commands[0][1][1].partition("=")[2] if len(commands[0][1]) == 2 else "$("
            exported[match["name"]] = value
    return lines, exported


def logical(text: str) -> Iterator[tuple[int, str]]:
    """Each line that is not empty and no comment, with its number; one that ends with a backslash goes on."""
    begun, kept = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if kept else number
        kept += line.strip()
        if kept.endswith("\\"):
            kept = kept[:-1].rstrip() + " "
            continue
        if kept and not kept.startswith("#"):
            yield begun, kept
        kept = ""
    if kept:
        yield begun, kept.strip()


def split(line: str) -> list[tuple[str, list[str]]]:
    """The commands of a line, each with the operator before it. Raises ValueError if a quotation mark is missing."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[tuple[str, list[str]]] = [("", [])]
    for word in lexer:
        if word.startswith("#"):
            break
        if word in OPERATORS:
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return [(operator, command) for operator, command in found if command]


def of_compose(number: int, text: str, commands: list[tuple[str, list[str]]], depth: int) -> Line:
    """Returns a line that uses Compose."""

    def unclear(why: str) -> Line:
        return Line(number, text, unclear=why)

    if depth > 0:
        return unclear("it depends on a condition")
    first = commands[0][1]
    while first and first[0] in LEADING:
        first = first[1:]
    rest = first[1:] if first[:1] == ["docker-compose"] else first[2:] if first[:2] == ["docker", "compose"] else None
    if rest is None:
        return unclear("it does not begin with docker compose")
    # `|| exit 1` and the like are about a failure, which ends our command in any case.
    if any(operator != "||" for operator, _ in commands[1:]):
        return unclear("it is part of a longer command")
    for word in rest:
        if re.fullmatch(r"[()<>&|;]+", word):
            return unclear(f"it has {word}")
        if "`" in word or "$(" in word or ("$" in word and word not in ARGUMENTS and "'" in text):
            return unclear(f"{word} is more than a variable")
    return Line(number, text, tuple(rest))


def options(words: tuple[str, ...], known: tuple[str, ...]) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Returns the options at the beginning, each with its value, and the rest.

    known: each as "s long" or "long", with = behind it if it takes a value. An option without a value has "true". Raises Unclear.
    """
    names = {
        name.rstrip("="): (entry.split()[-1].rstrip("="), "=" in entry) for entry in known for name in entry.split()
    }
    found, rest = [], list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        short = not word.startswith("--")
        given, equals, value = (word[1], "", word[2:]) if short else word[2:].partition("=")
        name, takes = names.get(given, ("", False))
        if not name:
            raise Unclear(f"option {word}")
        if short and value and not takes:  # -it
            rest.insert(0, f"-{value}")
            value = ""
        if takes and not value and not equals:
            if not rest:
                raise Unclear(f"{word} without a value")
            value = rest.pop(0)
        found.append((name, value.removeprefix("=") if short else value if takes or equals else "true"))
    return found, tuple(rest)


def is_simple(value: str) -> bool:
    """Returns whether `expanded` can tell what a shell makes of a value."""
    return not re.search(r"[$`]", VARIABLE.sub("", value))


def expanded(value: str, known: Mapping[str, str]) -> str:
    """Returns a value with the variables in it replaced; one that is not known is empty, or what stands behind :- for it."""

    def of(match: re.Match[str]) -> str:
        name = match["bare"] or match["name"]
        if match["other"] is not None and (name not in known or (match["colon"] and not known[name])):
            return match["other"]
        return known.get(name, "")

    return VARIABLE.sub(of, value)
