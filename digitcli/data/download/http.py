"""Reading a mirror over HTTP. Takes a third of a second to import, so imported only to fetch."""

import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from digitcli._version import __version__
from digitcli.data.download.transport import CHUNK_SIZE, MirrorError, Transfer

_MAX_REDIRECTS = 5
_HEADERS = {
    "Accept-Encoding": "identity",  # the archive as it is, without a further compression
    "User-Agent": f"digitcli/{__version__}",
}


def read_web(url: str, transfer: Transfer, timeout: tuple[float, float]) -> None:
    """Reads an http:// or https:// address into a transfer.

    ``timeout`` has the seconds to connect to a host, and between two bytes.

    Raises:
        MirrorError: The mirror cannot be reached, refuses, sends too much, or redirects to an
            address that is not followed.
    """
    try:
        with _Session(transfer) as session:
            for _ in range(1 + _MAX_REDIRECTS):
                with session.get(url, headers=_HEADERS, stream=True, timeout=timeout) as response:
                    if response.is_redirect:
                        location = requests.Session.get_redirect_target(session, response)
                        url = _redirected(url, location or "")
                        continue  # without reading the body, which might never end
                    if response.status_code != requests.codes.ok:
                        raise MirrorError(f"HTTP {response.status_code}")
                    size = response.headers.get("Content-Length", "")
                    transfer.start(int(size) if size.isdecimal() else None)
                    # read1 returns what has arrived; read would wait for a full chunk.
                    while chunk := response.raw.read1(CHUNK_SIZE):
                        transfer.put(chunk)
                    return
            raise MirrorError(f"more than {_MAX_REDIRECTS} redirects")
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise MirrorError("timed out") from error
    # RequestException is an OSError; ValueErrors are of invalid addresses and headers
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise MirrorError(_network_reason(error)) from error


class _Session(requests.Session):
    """A session that tracks its connections and does not follow redirects.

    requests would read the whole body of a redirect into memory, and go from https to http.
    """

    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(transfer))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Returns None, which tells requests that there is no redirect to follow."""


class _Adapter(HTTPAdapter):
    """An adapter that tracks every connection."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Returns requests' connection pool, with a connection class that tracks its sockets."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        kind: Any = pool.ConnectionCls
        track = self._transfer.track

        def new_connection(self: Any) -> socket.socket:
            opened = kind._new_conn(self)  # before TLS begins
            track(opened)
            return opened

        pool.ConnectionCls = type(kind.__name__, (kind,), {"_new_conn": new_connection})
        return pool


def _redirected(url: str, location: str) -> str:
    """Returns the target of a redirect; raises ``MirrorError`` if it is not to be followed."""
    target = urljoin(url, location)
    old, new = urlsplit(url).scheme, urlsplit(target).scheme
    if new not in ("http", "https") or (old, new) == ("https", "http"):
        raise MirrorError(f"redirects from {old} to {new}, which is not followed")
    return target


def _network_reason(error: BaseException) -> str:
    """Returns the operating system's message from the chain of a network library's exceptions."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).splitlines()[0][:120] if str(error) else "the connection broke"
