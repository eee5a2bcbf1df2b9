"""Answers sent piece by piece, so that none is ever whole in memory however long it is."""

from collections.abc import AsyncIterator, Mapping

import structlog
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from hub.database.errors import describe_trouble

log = structlog.get_logger()


class BrokenOff(Exception):
    """An answer that has begun cannot be finished: the connection is closed, so that its reader notices."""


async def streamed(
    pieces: AsyncIterator[str | bytes], media_type: str, headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """An answer of these pieces. The first is made before: what it raises can still be answered with a problem."""
    first = await anext(pieces, "")
    return StreamingResponse(_joined(first, pieces), media_type=media_type, headers=headers)


async def _joined(first: str | bytes, rest: AsyncIterator[str | bytes]) -> AsyncIterator[str | bytes]:
    yield first
    try:
        async for piece in rest:
            yield piece
    except (SQLAlchemyError, OSError) as error:
        reason = describe_trouble(error) if isinstance(error, SQLAlchemyError) else error.strerror
        log.error("answer broken off", reason=reason)
        raise BrokenOff from None
