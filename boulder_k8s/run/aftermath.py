"""What a run says at its end besides its result: what it wrote to Boulder's configuration. The exit code stays the tests'."""

from __future__ import annotations

from ..host import state
from ..host.progress import note
from .directory import Run

PATIENCE = 2.0  # seconds in which the supervisor of a pod that is being deleted brings the rest

WHY = {"kept": "not overwritten", "failed": "not written"}  # what of config.json is told, and how


def configuration(run: Run) -> None:
    """Puts into run.json what the tests wrote to test/config; names on stderr what the checkout did not take, and says
    if all of it is lost because the pod was killed.

    The supervisor has brought it into the checkout before it recorded the exit code (pod/supervisor.py).
    """
    recorded, failure = run.exit_code() is not None, run.record.get("failure", "")
    if not recorded and not failure:
        return  # the user ended it at once
    if not recorded and failure.startswith("deleted"):
        run.wait_for_file("config.json", seconds=PATIENCE)
    directory = "test/config-next" if run.record.get("config_next") else "test/config"
    found = state.read_object(run.path / "config.json")
    if not is_complete(found):
        note(
            f"it is not known whether what the tests wrote to {directory} is in the checkout: config.json is missing or damaged"
            if recorded
            else f"what the tests wrote to {directory} is lost: it was not brought into the checkout"
        )
        return
    run.record["config"] = found
    for kind, verb in WHY.items():
        if found[kind]:
            names = "; ".join(f"{directory}/{path} ({reason})" for path, reason in sorted(found[kind].items()))
            note(f"{verb} in the checkout: {names}. {run.path / 'config'} has what the tests wrote")


def is_complete(found: dict) -> bool:
    """Returns whether this is what the supervisor writes to config.json; half a file is not."""
    parts = {"written": list, "kept": dict, "failed": dict}
    return all(isinstance(found.get(name), kind) for name, kind in parts.items())
