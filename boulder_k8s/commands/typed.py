"""`invoke` as .venv/bin/invoke starts it: with this project's tasks.py, wherever it is typed, and none of the user's
configuration of invoke. What is mistyped is two lines and exit code 2.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import util
from types import ModuleType

from invoke import CollectionNotFound, Config, Exit, ParseError, Program, __version__
from invoke.parser import ParserContext

from ..host.settings import ROOT
from .cli import told

# Tasks that take words without a flag, behind which nobody has to type `--`. "names": flags may stand among them. "words": from the
# first one on they are somebody else's. "flags": so is a first one with a dash. "a service": the first one names it, the others are somebody
# else's.
TAKES = {
    "exec": "a service",
    "images": "words",
    "kubectl": "flags",
    "logs": "names",
    "port": "words",
    "port-forward": "names",
    "restart": "names",
    "rm": "names",
    "run": "words",
    "shell": "a service",
    "sql": "flags",
    "start": "names",
    "status": "names",
    "stop": "names",
    "test": "flags",
    "top": "names",
    "trace": "names",
    "up": "names",
}


def main(words: list[str]) -> int:
    """Runs what is typed behind `invoke`; returns its exit code."""
    sys.argv = ["invoke", *words]  # tasks.py reads it
    program = Typed(
        name="Invoke",
        binary="inv[oke]",
        binary_names=["invoke", "inv"],
        version=__version__,
        config_class=Unconfigured,
        loader_class=Loader,
    )
    try:
        program.run(["invoke", *words])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    return 0


class Loader:
    """Loads this project's tasks.py, and adds nothing to sys.path, as invoke's own would do."""

    def __init__(self, config: Config, start: str | None = None) -> None:
        pass

    def load(self, name: str | None = None) -> tuple[ModuleType, str]:
        """Returns the module and its directory. Raises CollectionNotFound for another name."""
        if name not in (None, "tasks"):
            raise CollectionNotFound(name, str(ROOT))
        spec = util.spec_from_file_location("tasks", ROOT / "tasks.py")
        module = util.module_from_spec(spec)
        sys.modules["tasks"] = module
        spec.loader.exec_module(module)
        return module, str(ROOT)


class Unconfigured(Config):
    """Reads no file and no variable that was written for another project's tasks."""

    prefix = "boulder-k8s-invoke"


class Typed(Program):
    """Says what is mistyped as this project does; the names are invoke's own steps."""

    def parse_core(self, argv: list[str]) -> None:
        self.step(super().parse_core, argv)

    def parse_collection(self) -> None:
        self.step(super().parse_collection)

    def parse_tasks(self) -> None:
        words = self.core.unparsed
        if words and words[0] in TAKES:
            contexts = self.collection.to_contexts(self.config.tasks.ignore_unknown_help)
            context = next(item for item in contexts if item.name == words[0])
            explicit = sys.argv[sys.argv.index("--") :] if "--" in sys.argv else []
            flags, rest = apart(words[1:], context)
            words[1:] = flags
            if rest:
                # Behind words that are somebody else's, the dashes are too: kubectl exec POD -- ls
                sys.argv = ["invoke", *words, "--", *rest, *explicit[TAKES[words[0]] == "names" :]]
        self.step(super().parse_tasks)

    def parse_cleanup(self) -> None:
        self.step(super().parse_cleanup)

    def step(self, step: Callable, *arguments: object) -> None:
        """Takes one step. Raises SystemExit with 2 if it finds a mistake, and Exit after `--list` and `--help`."""
        try:
            step(*arguments)
        except ParseError as error:
            sys.exit(self.mistake(str(error), error.context and error.context.name))
        except Exit as end:
            if not end.message:
                raise
            sys.exit(told(end.message, "`invoke --list` shows the tasks, `invoke --help` the flags."))

    def mistake(self, message: str, task: str | None) -> int:
        """Says what is wrong with what was typed for a task, or before any, and what may be meant; returns 2."""
        where = f"`invoke --help {task}`" if task else "`invoke --help`"
        unknown = re.fullmatch(r"No idea what '(.*)' is!", message, re.DOTALL)
        if not unknown:  # such as a flag without its value; invoke shows flags as <Argument: NAME ...>
            message = re.sub(r"<Argument: ([\w-]+)[^>]*>", r"--\1", message).rstrip(".!")
            return told(f"{message}.", f"{where} shows what it takes.")
        word = unknown[1]
        if not word.startswith("-") and task:
            return told(f"{task} takes no word such as {word}.", f"Leave it out; {where} shows what it takes.")
        if not word.startswith("-"):
            meant = closest(word, self.parser.contexts)
            return told(
                f"There is no task {word}.",
                f"Did you mean `invoke {meant}`? `invoke --list` shows all." if meant else "`invoke --list` shows all.",
            )
        context = self.parser.contexts[task] if task else self.initial_context
        meant = closest(word, context.flags)
        return told(
            f"{task or 'invoke'} has no flag {word}.",
            f"Did you mean `{meant}`? {where} shows all." if meant else f"{where} shows all.",
        )


def apart(words: Iterable[str], context: ParserContext) -> tuple[list[str], list[str]]:
    """Divides what is typed behind a task of TAKES: its flags with their values, and the words that it takes. context: the task's.

    Of invoke's own flags it knows --help alone: test.sh and the client of a database have a -p and a -e of theirs.
    """
    takes, left = TAKES[context.name], [*words]
    flags: list[str] = []
    rest: list[str] = []
    while left:
        word = left.pop(0)
        name = word.partition("=")[0] if word.startswith("--") else word
        if name == "--help" or name in context.flags or name in context.inverse_flags:
            flags.append(word)
            if name in context.flags and context.flags[name].takes_value and name == word and left:
                flags.append(left.pop(0))
        elif word.startswith("-") and takes != "flags":
            flags.append(word)  # a mistake, which invoke names
        elif takes == "a service" and not rest:
            flags += ["--service", word]
            return flags, rest + left
        else:
            rest.append(word)
            if takes != "names":
                return flags, rest + left
    return flags, rest


def closest(word: str, known: Iterable[str]) -> str:
    """Returns the name that `word` is probably meant to be, or ""."""
    return next(iter(get_close_matches(word, known, 1)), "")
