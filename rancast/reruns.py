"""From which step on a rerun computes again although nothing changed, as an operator asks for."""

from typing import Literal, get_args

Stage = Literal["pull", "validate", "features", "table", "audit", "fit", "evaluate"]
STAGES: tuple[Stage, ...] = get_args(Stage)


def is_forced(stage: Stage, rerun_from: Stage | None) -> bool:
    """Tell whether `stage` is computed again where a rerun starts from `rerun_from`."""
    return rerun_from is not None and STAGES.index(stage) >= STAGES.index(rerun_from)
