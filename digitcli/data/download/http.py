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
    """Reads a file of a mirror that is an http:// or https:// address.

    Args:
        url: The file's address.
        transfer: Gets the connections, the size and the bytes.
        timeout: Seconds to connect to a host, and between two bytes.

    Raises:
        MirrorError: The mirror cannot be reached, refuses, sends too much, or redirects to an
            address that is not followed.
    """
    try:
        with _Session(transfer) as session:
            for _ in range(1 + _MAX_REDIRECTS):
                with session.get(url, headers=_HEADERS, stream=True, timeout=timeout) as response:
                    if response.is_redirect:
                        url = _redirected(url, session.location(response))
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
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,  # an invalid address or header
    ) as error:
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

    def location(self, response: requests.Response) -> str:
        """Returns the target of a redirect as the server sent it."""
        return super().get_redirect_target(response) or ""


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
    """Returns the address that a redirect from ``url`` leads to.

    Raises:
        MirrorError: The address is invalid, neither http nor https, or http where ``url`` is https.
    """
    target = urljoin(url, location)
    schemes = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
    scheme = urlsplit(target).scheme
    if scheme not in schemes:
        raise MirrorError(
            f"redirects from {urlsplit(url).scheme} to {scheme}, which is not followed"
        )
    return target


def _network_reason(error: BaseException) -> str:
    """Returns the operating system's message from the chain of a network library's exceptions."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).splitlines()[0][:120] if str(error) else "the connection broke"
