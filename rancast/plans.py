"""What a run will reuse and what it will compute again, and why, before it does."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from rancast.documents import Document
from rancast.steps import StepEntry


class PlanRow(Document):
    """One step of a run: what it is about, what will become of it, and the key it will have.

    `key` is None where it depends on a step that is computed again.
    """

    step: str
    about: str
    verdict: Literal["reuse", "recompute"]
    why: str
    key: str | None = None

    @property
    def slot(self) -> str:
        """The same step of an earlier run has the same slot."""
        return f"{self.step} {self.about}".rstrip()


def why_again(before: StepEntry | None, now: StepEntry) -> str:
    """Say why a step whose key is not known is computed, by what it was computed from before.

    Of `now` only code, inputs and config are looked at.
    """
    if before is None:
        return "it was not computed before"
    reasons = []
    if before.code != now.code:
        reasons.append("its code or a library changed")
    if changed := _changed(before.config, now.config):
        reasons.append(f"its configuration changed ({', '.join(changed)})")
    if changed := _changed(_digests(before.inputs), _digests(now.inputs)):
        reasons.append(f"its data changed ({', '.join(changed)})")
    return " and ".join(reasons) or "the ledger does not have it any more"


def plan_rows(rows: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Return the plan as a table, equal days of a step in one row, what is recomputed first."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row.verdict, row.step, row.why), []).append(row.about)
    order = sorted(groups.items(), key=lambda item: item[0][0] == "reuse")
    return [
        {"step": step, "for": _span(about), "verdict": verdict, "why": why}
        for (verdict, step, why), about in order
    ]


def _span(about: Sequence[str]) -> str:
    """Name what a row is about: one thing, several, or many days by the first and the last."""
    if len(about) < 4:
        return ", ".join(about)
    if all(_is_day(one) for one in about):
        return f"{len(about)} days, {min(about)} to {max(about)}"
    return ", ".join(about)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name the keys that differ, one level down where both are mappings: 'view.features'.

    Of lists it counts the items, also one level down: 'joined.calls: 1 of 9 differ, 9 before'.
    """
    names = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            parts = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            names += [_named(f"{name}.{part}", old.get(part), new.get(part)) for part in parts]
        else:
            names.append(_named(name, old, new))
    return names


def _named(name: str, old: Any, new: Any) -> str:
    if not (isinstance(old, list) and isinstance(new, list) and len(new) > 1):
        return name
    count = sum(item not in old for item in new)
    return f"{name}: {count} of {len(new)} differ, {len(old)} before"


def _digests(value: Any) -> Any:
    """Return references, and lists and mappings of them, as the digests of their content."""
    if isinstance(value, list):
        return [_digests(item) for item in value]
    if "digest" in value and "uri" in value:
        return value["digest"]
    return {name: _digests(item) for name, item in value.items()}
