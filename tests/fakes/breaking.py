"""Faults below HTTP: resets, answers that break off, drip or are another protocol."""

import asyncio
import json
import socket
import struct

from aiohttp import web

from tests.fakes.faults import Fault


async def break_connection(
    request: web.BaseRequest, fault: Fault, text: str, *, drip_s: float
) -> web.StreamResponse:
    """Leave the client without a whole answer, in the way that `fault` says."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    transport = request.transport
    if transport is None:
        return answer
    if fault is Fault.RESET:
        peer: socket.socket = transport.get_extra_info("socket")
        # No lingering: the client sees a reset, as from a killed process.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return answer
    if fault is Fault.BAD_HTTP:
        transport.write(b"+OK this is another protocol\r\n\r\n")
        transport.close()
        return answer
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    answer.content_length = len(body)
    await answer.prepare(request)
    if fault is Fault.DRIP:
        for byte in body[:-1]:
            await answer.write(bytes([byte]))
            await asyncio.sleep(drip_s)
    else:
        await answer.write(body[: len(body) // 2])
    transport.close()
    return answer
