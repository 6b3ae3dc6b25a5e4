"""All features of a use case together: their names, in the order of the columns of X."""

from tests.rancast.cases import spec, use_case


def test_names_of_features_are_readable() -> None:
    """Feature names say column, statistic and time, numbers first, then categories."""
    features = {
        "current": ["load"],
        "categories": ["band"],
        "lags": [{"columns": ["load"], "periods": [1]}],
        "windows": [{"columns": ["load"], "over": ["30min", "2h"], "statistics": ["max"]}],
        "history": [{"columns": ["load"], "days": 7, "at": "same_hour"}],
        "calendar": ["hour"],
        "missing": ["2h"],
    }
    assert use_case(spec(features=features)).features.names() == (
        "load",
        "load_lag_1",
        "load_max_30min",
        "load_max_2h",
        "load_mean_7d_same_hour",
        "hour",
        "missing_share_2h",
        "minutes_since_seen",
        "band",
    )
