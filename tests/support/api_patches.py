"""How an object changes: merge patch, JSON patch, server-side apply. None of these changes what it is given."""

from __future__ import annotations

import copy
from typing import Any


class TestFailed(Exception):
    """A JSON patch's `test` does not hold, or it names what is not there."""

    __test__ = False  # no test of pytest's


def merge_patch(target: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: dict, operations: list[dict]) -> dict:
    """RFC 6902: test, add, replace, remove. Raises TestFailed."""
    result = copy.deepcopy(target)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        try:
            place = result
            for part in parents:
                place = place[int(part) if isinstance(place, list) else part]
            one(place, last, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise TestFailed(operation["path"]) from error
    return result


def one(place: Any, last: str, operation: dict) -> None:
    key = (len(place) if last == "-" else int(last)) if isinstance(place, list) else last
    match operation["op"]:
        case "test":
            if place[key] != operation["value"]:
                raise TestFailed(operation["path"])
        case "add" if isinstance(place, list):
            place.insert(key, operation["value"])
        case "add":
            place[key] = operation["value"]
        case "replace":
            place[key]  # it must be there
            place[key] = operation["value"]
        case "remove":
            del place[key]
        case other:
            raise ValueError(other)


def apply(live: Any, wanted: Any, last: Any) -> Any:
    """Server-side apply of one owner who forces conflicts. last: what this owner applied before.

    What is in `last` and not in `wanted` goes; what others have set stays. Items of a list are merged by their names, as the API's
    associative lists are; a list of anything else is one value.
    """
    if isinstance(wanted, dict):
        live, last = (item if isinstance(item, dict) else {} for item in (live, last))
        kept = {key: value for key, value in live.items() if key in wanted or key not in last}
        return kept | {key: apply(live.get(key), value, last.get(key)) for key, value in wanted.items()}
    if named(wanted) and (not live or named(live)):
        by_name = [{item["name"]: item for item in items or () if "name" in item} for items in (live, wanted, last)]
        merged = apply(*by_name)
        return list(merged.values())
    return copy.deepcopy(wanted)


def named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)
