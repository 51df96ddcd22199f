"""HTTP to a service or a public address: this machine without a proxy, and a proxy setting that is none by its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from redoubt.core.errors import SurroundingsError
from redoubt.core.surroundings import LOOPBACK
from redoubt.tracking.redaction import redact

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def client(url: str, **options: Any) -> httpx.Client:
    """A client for one address.

    Args:
        url: whose host decides whether the proxies of the environment are used.
        options: of `httpx.Client`.

    Raises:
        SurroundingsError: a variable of the environment holds a proxy or a certificate that cannot be used.
        httpx.InvalidURL: `url` is none.
    """
    asked = httpx.URL(url)
    with _named():
        if asked.host in LOOPBACK:
            # A certificate of one's own is read from the environment; a proxy is not.
            return httpx.Client(transport=httpx.HTTPTransport(trust_env=asked.scheme == "https"), **options)
        return httpx.Client(**options)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        culprit = _culprit()
        if culprit is None:
            raise
        name, fix = culprit
        raise SurroundingsError(
            redact(
                f"the variable {name} of the environment is '{os.environ[name]}', which cannot be used"
                f" ({type(error).__name__}: {error}); {fix}, or unset it"
            )
        ) from None


def _culprit() -> tuple[str, str] | None:
    """The variable that makes a client impossible, and what it should be."""
    for name in _set(*CERTIFICATES):
        if not os.path.exists(os.environ[name]):
            return name, "name a file of certificates" if name == "SSL_CERT_FILE" else "name a folder of certificates"
    for name in _set(*PROXIES):
        value = os.environ[name]
        try:
            httpx.Client(proxy=value if "://" in value else f"http://{value}", trust_env=False).close()
        except ImportError:
            return name, "a SOCKS proxy needs the package socksio: `pip install httpx[socks]`"
        except (ValueError, httpx.InvalidURL):
            return name, "write it as http://HOST:PORT"
    for name in _set("NO_PROXY"):
        return name, "write host names and addresses alone, separated by commas, IPv6 without brackets"
    return None


def _set(*names: str) -> Iterator[str]:
    """The spellings of some variables that are set to something."""
    return (name for upper in names for name in (upper.lower(), upper) if os.environ.get(name))
