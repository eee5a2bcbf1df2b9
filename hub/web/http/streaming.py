"""Streamed responses: sent in chunks, so that no response is ever whole in memory."""

from collections.abc import AsyncIterator, Mapping

import structlog
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from hub.database.errors import describe_error

log = structlog.get_logger()


class ResponseInterrupted(Exception):
    """A response that has begun cannot be finished: the connection is closed, so that the client notices."""


async def streamed(
    chunks: AsyncIterator[str | bytes], media_type: str, headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """A response of these chunks. It awaits the first, so that an error there still becomes a problem response."""
    first = await anext(chunks, "")
    return StreamingResponse(_joined(first, chunks), media_type=media_type, headers=headers)


async def _joined(first: str | bytes, rest: AsyncIterator[str | bytes]) -> AsyncIterator[str | bytes]:
    yield first
    try:
        async for chunk in rest:
            yield chunk
    except (SQLAlchemyError, OSError) as error:
        reason = describe_error(error) if isinstance(error, SQLAlchemyError) else error.strerror
        log.error("response cut off before its end; the client must request it again", reason=reason)
        raise ResponseInterrupted from None
