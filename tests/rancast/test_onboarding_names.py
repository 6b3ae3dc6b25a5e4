"""What raw columns are called with us, and what their names tell."""

import math

import pytest

from rancast.onboarding_names import (
    curated_names,
    is_identifier,
    is_network,
    is_person,
    is_time,
    unit_hint,
)


@pytest.mark.parametrize(
    ("raw", "ours"),
    [
        ("DL_bitrate", "dl_bitrate"),
        ("CellName", "cell_name"),
        ("RRCConnMax", "rrc_conn_max"),
        ("Speed(km/h)", "speed_kmh"),
        ("Util [%]", "util_percent"),
        ("latency_ms (ms)", "latency_ms"),
        ("Availability (yearly)", "availability_yearly"),
        ("Call  Failure", "call_failure"),
        ("5G users", "c_5g_users"),
        ("Fréquence", "frequence"),
        ("时间", "column_1"),
        ("time", "timestamp"),
        ("y", "y_value"),
        ("source_file", "source_file_value"),
        ("x" * 80, "x" * 63),
    ],
)
def test_names_are_in_snake_case_with_their_unit(raw: str, ours: str) -> None:
    """Words, a unit in brackets at the end, nothing that the training table uses."""
    assert curated_names([raw]) == {raw: ours}


def test_names_are_distinct() -> None:
    """Two raw names never become one, and none of ours is another column's raw name."""
    assert curated_names(["Cell Id", "cell_id", "CellID"]) == {
        "Cell Id": "cell_id_2",
        "cell_id": "cell_id",
        "CellID": "cell_id_3",
    }


@pytest.mark.parametrize(
    ("name", "low", "high", "hint"),
    [
        ("rsrp", -140, -44, "dBm"),
        ("snr", -20, 30, "dB?"),
        ("packet_loss", 0, 0.3, "a share of 1"),
        ("packet_loss", 0, 40, "per cent"),
        ("dl_bitrate", 0, 5e5, "kbit/s"),
        ("latency", 1, 900, "ms or s"),
        ("latency_ms", 1, 900, ""),
        ("users", 1, 900, ""),
        ("packet_loss", -1, math.inf, ""),
    ],
)
def test_units_are_asked_by_name_and_range(name: str, low: float, high: float, hint: str) -> None:
    """A question about the unit, none where the name says it."""
    found = unit_hint(name, low, high)
    assert hint in found and bool(hint) == bool(found)


def test_what_names_tell() -> None:
    """Cells, customers, times, and neither."""
    assert is_network("cell_id") and not is_network("cellular_plan")
    assert is_person("msisdn") and is_person("calling_party_number") and not is_person("customs")
    assert is_identifier("rawcellid") and is_identifier("call_id") and not is_identifier("paid")
    assert is_time("start_time") and is_time("thour") and not is_time("timeouts")
