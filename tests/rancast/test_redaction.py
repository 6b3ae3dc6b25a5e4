"""Credentials leave no text: found by their form, and by the values that a process was given."""

import base64
from urllib.parse import quote

import pytest

from rancast.redaction import looks_secret, scrub, secret_settings, secret_values

CANARY = "c4nary0Xq/+zz=="
CONNECTION = (
    "DefaultEndpointsProtocol=https;AccountName=operator;"
    f"AccountKey={CANARY};EndpointSuffix=core.windows.net"
)

TEXTS = [
    f"cannot connect with {CONNECTION}",
    f"Server failed: '{CONNECTION}'",
    f"SharedAccessSignature=sv=2024-11-04&ss=b&sig={CANARY}",
    f"https://operator.blob.core.windows.net/raw?sv=2024&sig={CANARY}&se=2030",
    f"redirected to https%3A%2F%2Foperator%2Fraw%3Fsig%3D{CANARY}",
    f"Max retries with url: http://rancast:{CANARY.replace('/', '_')}@mlflow:5000/api",
    f"postgresql+psycopg://mlflow:p@ss{CANARY.replace('/', '_')}@db:5432/mlflow refused",
    f"{{'Authorization': 'Basic {CANARY}'}}",
    f"header Authorization: Bearer {CANARY}",
    f"bearer {CANARY}",
    "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjNG5hcnkwWHEifQ.c4nary0Xq",
    f"host=db user=mlflow password={CANARY}",
    f'{{"client_secret": "{CANARY}"}}',
    f"PWD={CANARY};",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_credential_of_a_known_form_is_hidden(text: str) -> None:
    """Connection strings, signatures, addresses, headers, tokens and passwords lose their value."""
    shown = scrub(text)
    assert "c4nary0Xq" not in shown and "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "kpis 2024-03-05 has no file where one is expected daily: see kpis/year=2024/",
        "MLflow at http://127.0.0.1:5000 did not make the run: refused; Basic authentication",
        "the bearer of this message; AccountName=operator; secret: none",
        "set RANCAST_PSEUDONYM_KEY to a secret, for example from `openssl rand -hex 32`",
        "https://operator.blob.core.windows.net/raw/kpis/year=2024/month=03/day=05/kpis.csv",
        "models/tiny/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.skops",
        "write to someone@operator.example; 12 rows, latency_ms > 100",
    ],
)
def test_a_text_without_a_credential_stays_as_it_is(text: str) -> None:
    """What an operator has to read is not touched."""
    assert scrub(text) == text


def test_what_a_text_says_beside_its_secret_stays() -> None:
    """Only the value goes: which account and which container it was about is still told."""
    shown = scrub(f"cannot open raw with {CONNECTION}")
    assert shown == (
        "cannot open raw with DefaultEndpointsProtocol=https;AccountName=operator;AccountKey=***;"
        "EndpointSuffix=core.windows.net"
    )


@pytest.mark.parametrize(
    ("name", "value", "leaked"),
    [
        ("RANCAST_LAKE_CONNECTION_STRING", CONNECTION, CANARY),
        ("AZURE_STORAGE_CONNECTION_STRING", CONNECTION, quote(CANARY)),
        ("RANCAST_PSEUDONYM_KEY", "c4nary0Xq-pseudonyms", "bad key c4nary0Xq-pseudonyms"),
        ("MLFLOW_TRACKING_PASSWORD", "c4nary0Xq-mlflow", "u=c4nary0Xq-mlflow"),
        ("PREFECT_API_AUTH_STRING", "admin:c4nary0Xq-api", "the password is c4nary0Xq-api"),
        (
            "PREFECT_API_AUTH_STRING",
            "admin:c4nary0Xq-api",
            base64.b64encode(b"admin:c4nary0Xq-api").decode(),
        ),
        ("MLFLOW_TRACKING_URI", "http://u:c4nary0Xq-uri@mlflow:5000", "password c4nary0Xq-uri"),
        ("AZURE_CLIENT_SECRET", "c4nary0Xq~secret", "got 'c4nary0Xq~secret'"),
    ],
)
def test_the_values_of_secret_settings_are_hidden_wherever_they_stand(
    name: str, value: str, leaked: str
) -> None:
    """A setting's secret is hidden bare, quoted for an address, part by part and as a header."""
    secrets = secret_values(secret_settings({name: value, "PATH": "/usr/bin"}))
    shown = scrub(f"said {leaked} and went on", secrets)
    assert "c4nary0Xq" not in shown and shown.endswith("and went on")
    assert base64.b64encode(b"admin:c4nary0Xq-api").decode() not in shown


def test_settings_that_are_no_secrets_are_none() -> None:
    """Addresses without a password, names and folders may be read by everyone."""
    public = {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "RANCAST_RAW_URL": "https://operator.blob.core.windows.net/raw",
        "RANCAST_HOME": "/srv/rancast",
        "MLFLOW_TRACKING_USERNAME": "rancast-operator",
    }
    assert secret_settings(public) == ()
    assert secret_values(secret_settings(public | {"RANCAST_X_KEY": "short"})) == ()


def test_the_longest_secret_is_hidden_first() -> None:
    """A secret that is part of another does not leave the rest of it behind."""
    secrets = secret_values((("RANCAST_A_KEY", "c4nary0Xq"), ("RANCAST_B_KEY", "c4nary0Xq-longer")))
    assert scrub("it is c4nary0Xq-longer", secrets) == "it is ***"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.password", b"x"),
        ("note", f"AccountKey={CANARY}".encode()),
        ("note", b"https://u:pw123456@host/"),
        ("note", b"has c4nary0Xq inside"),
    ],
)
def test_what_is_kept_for_good_is_refused_by_name_and_by_content(name: str, value: bytes) -> None:
    """A param, tag or artifact that looks like a credential is told from one that does not."""
    assert looks_secret(name, value, ("c4nary0Xq",))
    assert not looks_secret("train_end", b"2024-03-02T22:00:00+00:00", ("c4nary0Xq",))
