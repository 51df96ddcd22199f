"""What may be printed or stored of a tracking URI, and of texts that hold one: never its secrets."""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
# What a query of a database's URI holds besides secrets; everything else in a query is taken for one.
HARMLESS = {"charset", "connect_timeout", "driver", "host", "mode", "options", "port", "sslmode", "uri", "user"}
SHORTEST_ANYWHERE = 4
USER_INFO = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
QUERY = re.compile(r"(\b[a-z][a-z\d+.-]*://[^\s?'\"<>]*)\?[^\s'\"<>]*", re.IGNORECASE)


def shown(uri: str) -> str:
    """A tracking URI as it may be printed: without user, password and query."""
    scheme, rest = _split(uri)
    place = rest[len(_user_info(uri)) :].removeprefix("@")
    return scheme + re.split(r"[?#]", place)[0]


def redact(text: str, uri: str = "") -> str:
    """A text of someone else's, such as an exception of MLflow's, without the secrets of this machine's settings.

    Args:
        text: what is to be printed or stored.
        uri: a tracking URI whose secrets are hidden beside those of the environment.
    """
    given = [uri, os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_REGISTRY_URI", "")]
    found = {secret for one in given for secret in _secrets(one)}
    found |= {os.environ[name] for name in SECRET_VARIABLES if os.environ.get(name)}
    for secret in sorted(found, key=len, reverse=True):
        text = _spellings(secret).sub(HIDDEN, text)
    return QUERY.sub(r"\1", USER_INFO.sub("", text))


def _split(uri: str) -> tuple[str, str]:
    scheme, separator, rest = uri.partition("://")
    return (scheme + separator, rest) if separator else ("", uri)


def _user_info(uri: str) -> str:
    """User and password of a URI, even if the password holds characters that ought to be percent-encoded."""
    _, rest = _split(uri)
    # No user in sqlite:////home/me@work or in host/database?name=a@b; but a password may hold an '@' or a '/' as it is.
    return rest.rpartition("@")[0] if re.search("[:@]", re.split(r"[/?#]", rest)[0]) else ""


def _secrets(uri: str) -> Iterator[str]:
    rest, user_info = _split(uri)[1], _user_info(uri)
    name, colon, password = user_info.partition(":")
    if not colon and uri.startswith("http"):
        # A token in the user's place.
        password = name
    values = [password, *re.split(r"[/?#@:]", password)]
    query_and_fragment = re.split(r"[?#]", rest[len(user_info) :], maxsplit=1)[1:]
    for pair in re.split(r"[&;#]", "".join(query_and_fragment)):
        key, _, value = pair.partition("=")
        if key.lower() not in HARMLESS:
            # Without a '=', all of it may be the token.
            values.append(value or key)
    for value in values:
        yield from (one for one in (value, unquote(value), unquote_plus(value)) if one)
    if password:
        yield base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()


def _spellings(secret: str) -> re.Pattern[str]:
    """Matches a secret however it is percent-encoded or escaped; a very short one only as a word of its own.

    Whatever the case: a password taken for a host's name is lowered.
    """
    pattern = "".join(_spelling(character) for character in secret)
    return re.compile(pattern if len(secret) >= SHORTEST_ANYWHERE else rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)


def _spelling(character: str) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    forms = [re.escape(character), encoded, re.escape(character.encode("unicode_escape").decode())]
    forms += [r"\\" + re.escape(character)] if character in "'\"\\" else []
    forms += [r"\+"] if character == " " else []
    return f"(?:{'|'.join(forms)})"
