"""A mirror on the network. Importing this costs a third of a second: only who fetches does it."""

import socket
from collections.abc import Generator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from digitcli._version import __version__
from digitcli.data.download.transport import CHUNK, Connections, MirrorError, TransferStart

_MOST_REDIRECTS = 5
_HEADERS = {
    "Accept-Encoding": "identity",  # the archive as it is, not unpacked on the way
    "User-Agent": f"digitcli/{__version__}",
}


def read_web(
    url: str, connections: Connections, timeout: tuple[float, float]
) -> Generator[TransferStart | bytes, None, None]:
    """Reads a file of a mirror that is an http:// or https:// address.

    Args:
        url: The file's address.
        connections: Told of every connection.
        timeout: Seconds to connect to a host, and between one byte and the next.

    Yields:
        Its start, then its bytes.

    Raises:
        MirrorError: The mirror is out of reach, refuses, or redirects to where we do not go.
    """
    try:
        with _Session(connections) as session:
            for _ in range(1 + _MOST_REDIRECTS):
                with session.get(url, headers=_HEADERS, stream=True, timeout=timeout) as response:
                    if response.is_redirect:
                        url = _redirected(url, session.redirect_of(response))
                        continue  # without reading what comes with it, which might never end
                    if response.status_code != requests.codes.ok:
                        raise MirrorError(f"HTTP {response.status_code}")
                    size = response.headers.get("Content-Length", "")
                    yield TransferStart(int(size) if size.isdecimal() else None)
                    # read1 gives what has arrived; read would wait for a whole chunk, however slow.
                    while chunk := response.raw.read1(CHUNK):
                        yield chunk
                    return
            raise MirrorError("redirects without end")
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise MirrorError("timed out") from error
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,  # an address or a header that is none
    ) as error:
        raise MirrorError(_network_reason(error)) from error


class _Session(requests.Session):
    """Tells of its connections, and follows no redirect by itself.

    requests reads the whole body of a redirect into memory, and goes from https to http.
    """

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(connections))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Says that there is nothing to follow."""

    def redirect_of(self, response: requests.Response) -> str:
        """Returns where a redirect leads, as the server wrote it."""
        return super().get_redirect_target(response) or ""


class _Adapter(HTTPAdapter):
    """Has every connection followed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the pool that requests would use, with a connection class that tells."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        kind: Any = pool.ConnectionCls
        follow = self._connections.follow

        def new_connection(self: Any) -> socket.socket:
            opened: socket.socket = kind._new_conn(self)  # TLS begins later
            follow(opened)
            return opened

        pool.ConnectionCls = type(kind.__name__, (kind,), {"_new_conn": new_connection})
        return pool


def _redirected(url: str, location: str) -> str:
    """Returns the address that a redirect from ``url`` leads to.

    Raises:
        MirrorError: It is none, or what came over an encrypted connection would go on over a plain
            one, or it is neither http nor https.
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
    """Finds the operating system's word under the layers of a network library's exceptions."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return "the connection broke" if not str(error) else str(error).splitlines()[0][:120]
