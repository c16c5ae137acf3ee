"""Which addresses a download may connect to, and a transport that connects to no other.

A host name is looked up once and the connection goes to the very address that was checked, so a
name that answers differently the second time (DNS rebinding) gains nothing. Each hop of a
redirect goes the same way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import httpcore
import httpx

# An IPv4 address stands in the last 32 bits: compatible (RFC 4291), NAT64 (RFC 6052)
_EMBEDDED = tuple(ipaddress.IPv6Network(n) for n in ("::/96", "64:ff9b::/96"))
_LOCAL = tuple(ipaddress.IPv6Network(n) for n in ("fec0::/10", "64:ff9b:1::/48"))


class RefusedAddressError(Exception):
    """A host whose addresses are private, local or reserved."""


def is_public(address: str) -> bool:
    """Whether an IP address, as text, is one of the public internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if any(ip in network for network in _EMBEDDED):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if any(ip in network for network in _LOCAL):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


async def _look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, none where it is unknown.

    In a thread that nobody waits for: a name server may take half a minute, Ctrl-C must not.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str]) -> None:
        if not answer.done():
            answer.set_result(found)

    def look() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            infos = []
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, list(dict.fromkeys(str(i[4][0]) for i in infos)))

    threading.Thread(target=look, daemon=True).start()
    return await answer


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to public addresses only, unless `private` ones are allowed."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        fault: Exception = httpcore.ConnectError(f"the host {host} is not known")
        for address in await self._allowed(host, port, timeout):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault

    async def _allowed(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                found = await _look_up(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"no name server knows {host} in time") from None
        allowed = [a for a in found if self._private or is_public(a)]
        if found and not allowed:
            raise RefusedAddressError(f"{host} is the private or reserved address {found[0]}")
        return allowed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """A transport of httpx that connects to public addresses only, unless `private` is true.

    Faults of the connection are `httpcore` errors; a refusal is a `RefusedAddressError`.
    """

    def __init__(self, connections: int, private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_GuardedBackend(private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url: Any = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
