"""Each cluster in words and numbers, by hand; the trivial groupings beside it."""

import pandas as pd
import pytest

from rancast.cluster_pages import clusters_page, whose_letters
from rancast.cluster_profiles import MEMBERS, Clusters, describe, letter
from rancast.groupings import groupings

DAY = pd.Timestamp("2024-03-04", tz="UTC")
EVENING = "traffic_mb_profile_7d_12_24"
CELLS = ["A", "B", "C", "D"]


def table() -> pd.DataFrame:
    """Return four cells on a training day and a day of the holdout."""
    day = pd.DataFrame(
        {
            "entity": pd.Series(CELLS, dtype="str"),
            "latency_ms_mean_7d_any_hour": [20.0, 22.0, 60.0, 64.0],
            "traffic_data_used_mb_sum_7d": [900.0, 900.0, 4000.0, 3000.0],
            "traffic_mb_profile_7d_00_12": [1.5, 1.3, 0.5, 0.7],
            EVENING: [0.5, 0.7, 1.5, 1.3],
            "band": pd.Series(["5G", "5G", "4G", "5G"], dtype="str"),
            "y": 0.0,
        }
    )
    parts = [
        day.assign(time=DAY + pd.Timedelta(f"{after}D"), split=part)
        for after, part in enumerate(["train", "holdout"])
    ]
    return pd.concat(parts, ignore_index=True)


def described() -> Clusters:
    """Return the clusters {A, B} and {C, D}."""
    predictions = pd.DataFrame(
        {
            "entity": CELLS,
            "time": DAY + pd.Timedelta("1D"),
            "prediction": [0.0, 0.0, 1.0, 1.0],
            "silhouette": [0.5, 0.7, 0.4, 0.2],
        }
    )
    return describe(table(), predictions, {0: 1.0, 1: 0.75})


def test_a_cluster_in_numbers() -> None:
    """Size, members, scores, shares, and its day as multiples of all hours."""
    _, second = described().clusters
    assert (second.rows, second.entities, second.members) == (2, 2, ("C", "D"))
    assert (second.silhouette, second.jaccard) == (pytest.approx(0.3), 0.75)
    assert second.categories == {"band": {"4G": 0.5, "5G": 0.5}}
    assert second.days == {"traffic_mb": (pytest.approx(0.6), pytest.approx(1.4))}


def test_a_cluster_in_words() -> None:
    """What is typical is said with units and with what all cells have; the furthest comes first."""
    _, second = described().clusters
    assert second.words == (
        "2 of 4 entities. band 4G 50%, 5G 50%. Traffic data used 3,500 MB in 7 days (all: 1,950 MB)"
        "; traffic from 0 to 12 h 0.60 times its day (all: 1.00); traffic from 12 to 24 h 1.40 "
        "times its day (all: 1.00); latency 62 ms (all: 41 ms)."
    )
    assert [trait.feature for trait in second.traits] == [
        "traffic_data_used_mb_sum_7d",
        "traffic_mb_profile_7d_00_12",
        EVENING,
        "latency_ms_mean_7d_any_hour",
    ]


def test_a_large_cluster_names_its_first_members_and_counts_all() -> None:
    """Of fifteen cells twelve are named, in order, and the size is still fifteen."""
    cells = [f"C{number:02}" for number in range(15)]
    holdout = pd.DataFrame({"entity": cells[::-1], "time": DAY, "load": 1.0, "split": "holdout"})
    rows = pd.concat([holdout, holdout.assign(time=DAY - pd.Timedelta("1D"), split="train")])
    predictions = holdout[["entity", "time"]].assign(prediction=0.0, silhouette=0.0)
    (only,) = describe(rows, predictions).clusters
    assert MEMBERS == 12 and only.members == tuple(cells[:12])
    assert only.entities == 15 and only.words.startswith("15 of 15 entities.")


def test_numbers_of_the_champion_are_put_in_place_of_labels() -> None:
    """The same clusters under the numbers that people know, in their order."""
    found = described().numbered({0: 7, 1: 3})
    assert [(one.label, one.members) for one in found.clusters] == [
        (3, ("C", "D")),
        (7, ("A", "B")),
    ]


def test_own_labels_are_letters_and_kept_numbers_are_numbers() -> None:
    """A page never shows a number that is not the one that people know; it says where that is."""
    assert [letter(label) for label in (0, 1, 25, 26, 27, 52)] == "A B Z AA AB BA".split()
    own, whose = described(), whose_letters("k_means", "groups")
    page = clusters_page("k_means", own, whose, None)
    assert "| **A** |" in page and "- cluster B: `C`, `D`" in page and "**0**" not in page
    assert "clusters-groups" in page and "label_map" in page
    kept = clusters_page("k_means", own.numbered({0: 7, 1: 3}), "By kept numbers.", None)
    assert "| **3** |" in kept and "- cluster 7: `A`, `B`" in kept and "**A**" not in kept


def test_trivial_groupings() -> None:
    """By the first category, by thirds of the first number, by chance; each with silhouettes."""
    found = groupings(table(), (), "entity")
    assert list(found) == ["category", "chance", "thirds"]
    assert found["category"]["prediction"].tolist() == [1.0, 1.0, 0.0, 1.0]
    assert found["thirds"]["prediction"].tolist() == [0.0, 0.0, 1.0, 2.0]
    assert sorted(found["chance"]["prediction"]) == [0.0, 0.0, 1.0, 2.0]
    assert all("silhouette" in frame for frame in found.values())
    assert list(groupings(table().drop(columns="band"), (), "entity")) == ["chance", "thirds"]
