"""Connections to model servers under the address policy (names, sockets, their failures).

Profiles travel to these servers, so an address is policed three times (`generation.addresses`):
as text, when its name is looked up, and on the very socket that is about to connect. A name that
changes its address in between gains nothing.
"""

import errno
import ipaddress
import socket
import ssl

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from generation.addresses import AddressRefused, check_addresses, ip_refusal, parse_base_url
from generation.vllm_errors import ModelServerError, Retryable, Unavailable


def check_address(url: str, allow_public: bool = False) -> None:
    """Refuse an address that model servers may not have; looks its name up (may block seconds).

    Raises AddressRefused with one sentence for the person who entered it.
    """
    base = parse_base_url(url)
    found = [str(base.literal)] if base.literal else _look_up(base.host, base.port)
    check_addresses(base.host, found, allow_public=allow_public)


def _look_up(host: str, port: int) -> list[str]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefused(f"The host {host} cannot be found; check its name.") from None
    return [str(info[4][0]) for info in infos]


class _PolicyError(OSError):
    """An address refused while connecting; an OSError because aiohttp passes those on."""


class PolicyResolver(AbstractResolver):
    """Hands aiohttp only addresses that the policy has seen; aiohttp connects to no others."""

    def __init__(self, inner: AbstractResolver, *, allow_public: bool) -> None:
        self._inner = inner
        self._allow_public = allow_public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        try:
            addresses = [result["host"] for result in found]
            check_addresses(host, addresses, allow_public=self._allow_public)
        except AddressRefused as refusal:
            raise _PolicyError(str(refusal)) from None
        return found

    async def close(self) -> None:
        await self._inner.close()


def connector(
    *,
    limit: int,
    keep_alive_s: float,
    allow_public: bool,
    resolver: AbstractResolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> aiohttp.TCPConnector:
    """A pool of at most `limit` connections that reaches no address the policy refuses."""

    def guarded_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if ip_refusal(ip, allow_public=allow_public):
            raise _PolicyError("address refused")
        return socket.socket(family, kind, protocol)

    inner = resolver or aiohttp.ThreadedResolver()
    return aiohttp.TCPConnector(
        limit=limit,
        keepalive_timeout=keep_alive_s,
        resolver=PolicyResolver(inner, allow_public=allow_public),
        socket_factory=guarded_socket,
        ssl=ssl_context or True,
    )


_UNREACHED = {errno.ECONNREFUSED: "connection_refused"}


def connection_error(error: aiohttp.ClientError | OSError) -> ModelServerError:
    """What a failure below HTTP means: no server (Unavailable) or one request lost (Retryable)."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unavailable("connect_timeout")
    if isinstance(error, aiohttp.SocketTimeoutError):
        return Retryable("idle")
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, _PolicyError):
            return Unavailable("address_refused")
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unavailable("unknown_host")
        if isinstance(error, aiohttp.ClientSSLError):
            return Unavailable("tls_failed")
        return Unavailable(_UNREACHED.get(cause.errno or 0, "unreachable"))
    if isinstance(error, aiohttp.ClientConnectionError | ConnectionError):
        return Retryable("connection_lost")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Retryable("cut_body")
    return Retryable("bad_http")
