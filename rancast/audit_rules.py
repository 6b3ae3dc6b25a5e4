"""What the leakage audit asks: its rules by name, which a use case may name to accept them."""

from typing import Literal

Rule = Literal[
    "dates",
    "duplicates",
    "contradictions",
    "linear_features",
    "single_feature",
    "target_of_row",
    "split",
    "future",
    "collapse",
]

# what each rule asks, in the order in which tables show them
QUESTIONS: dict[Rule, str] = {
    "dates": "does each row say when it was observed?",
    "duplicates": "is each row there once?",
    "contradictions": "have equal rows equal labels?",
    "linear_features": "is no feature another one in disguise?",
    "single_feature": "does no single feature tell the label?",
    "target_of_row": "is the label more than a function of its row?",
    "split": "do train and test share no row, and keep their distance in time?",
    "future": "do features stay when everything after them changes?",
    "collapse": "does the score stay when the split follows time, or entities?",
}
