"""No secret of a tracking URI is ever shown, however it is spelled."""

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redoubt.tracking.explain import explain
from redoubt.tracking.redaction import redact, shown

SECRET = "s3cret-w0rd"
URIS = {
    f"https://user:{SECRET}@host:5000/mlflow": "https://host:5000/mlflow",
    f"https://{SECRET}@host": "https://host",
    f"http://host:5000/?token={SECRET}": "http://host:5000/",
    f"http://host:5000#{SECRET}": "http://host:5000",
    f"user:{SECRET}@host:5000": "host:5000",
    f"postgresql://user:{SECRET}@host/db": "postgresql://host/db",
    f"postgresql+psycopg2://user:a/{SECRET}@more@host/db?sslmode=require": "postgresql+psycopg2://host/db",
    f"postgresql://host/db?password={SECRET}&user=a@b": "postgresql://host/db",
    "sqlite:////home/me@work/mlflow.db": "sqlite:////home/me@work/mlflow.db",
    "http://127.0.0.1:5000": "http://127.0.0.1:5000",
    "databricks": "databricks",
}


@pytest.fixture(autouse=True)
def no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("uri", "expected"), URIS.items())
def test_a_uri_is_shown_without_its_secrets(uri: str, expected: str) -> None:
    assert shown(uri) == expected
    assert shown(expected) == expected
    # As other people's messages hold it: whole, in pieces, quoted.
    for text in (
        f"API request to {uri}/api failed",
        f"url: /{uri.partition('/')[2]}",
        repr(uri),
        uri.replace("@", "%40"),
    ):
        assert SECRET not in redact(text, uri)


# Long enough, and of characters enough, not to be found in a message by chance.
WORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Cs"]), min_size=6, max_size=12
)
SECRETS = WORDS.map(lambda word: f"Zq{word}")
SPELLINGS = st.sampled_from(
    [
        str,
        quote,
        quote_plus,
        lambda text: quote(text, safe=""),
        lambda text: quote(text, safe="").lower(),
        lambda text: repr(text)[1:-1],
        lambda text: "".join(c if index % 2 else quote(c, safe="") for index, c in enumerate(text)),
    ]
)


@given(
    SECRETS,
    SPELLINGS,
    SPELLINGS,
    st.sampled_from(["user:{}@host", "{}@host", "host/?token={}", "host/p?a=b&api_key={}"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_spelling_of_a_secret_is_left_in_a_text(
    secret: str, written: "type[str]", said: "type[str]", form: str
) -> None:
    uri = "https://" + form.format(written(secret) if form.startswith("user") else quote(secret, safe=""))
    text = f"while asking {uri}: '{said(secret)}' ({said(uri)}) was refused"
    left = redact(text, uri)
    assert secret not in left
    assert said(secret) not in left
    assert secret not in shown(uri)


@given(SECRETS, st.sampled_from(["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_secrets_of_the_environment_are_hidden_too(secret: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, secret)
        assert secret not in redact(f"401 for {secret} and {quote(secret)}")
        assert secret not in explain(ValueError(f"refused: {secret}"), "http://host")


def test_the_header_of_basic_authentication_is_hidden() -> None:
    header = base64.b64encode(b"user:p@ss word").decode()
    assert header not in redact(f"Authorization: Basic {header}", "https://user:p%40ss%20word@host")


def test_a_short_password_leaves_other_words_alone() -> None:
    assert redact("at a table: 'a' is wrong", "http://user:a@host") == "at *** table: '***' is wrong"
    assert redact("https://cdn.example/x.csv?sig=abc of a stage", "") == "https://cdn.example/x.csv of a stage"
