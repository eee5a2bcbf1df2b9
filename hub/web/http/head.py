"""Answers HEAD on every route that answers GET, with the same status and headers and without the body."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """ASGI middleware: the application sees a GET. A streamed response is cancelled once its headers are sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_ended = False

        async def send_head(message: Message) -> None:
            nonlocal is_ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not is_ended:
                is_ended = True
                await send({"type": "http.response.body"})
                if message.get("more_body"):
                    rest.cancel()

        with anyio.CancelScope() as rest:
            await self._app({**scope, "method": "GET"}, receive, send_head)
