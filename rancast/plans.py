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
    """Name the keys that differ, one level down where both are mappings: 'view.features'."""
    names = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            parts = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            names += [f"{name}.{part}" for part in parts]
        elif isinstance(old, list) and isinstance(new, list) and len(new) > 1:
            count = sum(item not in old for item in new)
            names.append(f"{name}: {count} of {len(new)} differ, {len(old)} before")
        else:
            names.append(name)
    return names


def _digests(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [one["digest"] for one in value] if isinstance(value, list) else value["digest"]
        for name, value in inputs.items()
    }
