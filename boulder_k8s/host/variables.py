"""The variables of the environment that take one of a few words: another word, or a name of ours that nobody reads, is said."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from .errors import Problem
from .progress import note

PREFIX = "BOULDER_K8S_"
BOOLEAN = ("true", "false")
# What each may be; () for what is checked where it is read. WRAPPER is tk8s.sh's own.
OURS: dict[str, tuple[str, ...]] = {
    "BOULDER_K8S_DRIFT": ("note",),
    "BOULDER_K8S_OFFLINE": (),
    "BOULDER_K8S_STANDBY": BOOLEAN,
    "BOULDER_K8S_TIMEOUT": (),
    "BOULDER_K8S_WRAPPER": (),
}
CHECKOUTS = {"USE_VITESS": BOOLEAN}  # test.sh decides what another word means, so it is passed on as it is


def check(environ: Mapping[str, str]) -> None:
    """Raises Problem for a variable of ours with a name or a word that means nothing; tells it of the checkout's variables."""
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in OURS:
            known = [other for other in OURS if other != "BOULDER_K8S_WRAPPER"]
            nearest = get_close_matches(name, known, 1, 0) or known
            raise Problem(
                f"{name} is no variable of this project.",
                f"Unset it, or write {nearest[0]}; there are {', '.join(known)}.",
            )
        value = environ[name]
        if value and OURS.get(name) and value not in OURS[name]:
            raise Problem(
                f"{name}={value} means nothing: it may be {' or '.join(OURS[name])}.",
                f"Write {name}={OURS[name][0]}, or unset it.",
            )
        if value and name in CHECKOUTS and value not in CHECKOUTS[name]:
            note(f"{name}={value} is passed on; Boulder's test.sh takes it for {name}=false unless it is true")
            note(f"Write {name}={' or '.join(CHECKOUTS[name])}, or unset it.")
