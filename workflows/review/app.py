"""The review page as a web application: clips, verdicts, and decisions that are on the disk before it says so."""

import hmac
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from storage.errors import SchemaError, UnknownNameError
from storage.verdicts.reviews import Decision, append_decision
from workflows.review.clips import Gallery

PAGE = Path(__file__).with_name("page.html")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "testserver")
COOKIE = "review_token"


class Decided(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid")

    episode_id: str = Field(max_length=200)
    accept: bool | None = None
    caption: str = Field(default="", max_length=500)
    note: str = Field(default="", max_length=2000)


def make_app(gallery: Gallery, *, token: str = "") -> FastAPI:
    """The application over `gallery`. With a `token` nothing is answered without it (in the URL once, then in a
    cookie); without one only requests to a loopback name are, so that no other page can reach it through its name."""
    app = FastAPI(title="review", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def admit(request: Request, call_next: Any) -> Response:
        if token:
            came = request.query_params.get("token") or request.cookies.get(COOKIE, "")
            if not hmac.compare_digest(came.encode(), token.encode()):
                return JSONResponse({"detail": "open the address with its token, as it was printed"}, status_code=403)
        elif _host(request) not in LOOPBACK:
            return JSONResponse({"detail": "this page answers on loopback names alone"}, status_code=403)
        answer: Response = await call_next(request)
        if token:
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return answer

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE.read_text()

    @app.get("/clips")
    def clips() -> dict[str, Any]:
        shown = [asdict(clip) for clip in gallery.clips()]
        return {"name": gallery.dataset.name, "selection": gallery.selection.name, "clips": shown}

    @app.get("/clips/{episode_id}.mp4")
    def video(episode_id: str) -> Response:
        try:
            content = gallery.mp4(episode_id)
        except UnknownNameError as error:
            raise HTTPException(404, str(error)) from error
        return Response(content, media_type="video/mp4", headers={"Cache-Control": "private, max-age=3600"})

    @app.post("/decisions")
    def decide(decided: Decided) -> dict[str, str]:
        try:
            gallery.known(decided.episode_id)
            about = decided.model_dump()
            append_decision(gallery.root, Decision(**about, judges=gallery.judges(decided.episode_id)))
        except UnknownNameError as error:
            raise HTTPException(404, str(error)) from error
        except SchemaError as error:
            raise HTTPException(422, str(error)) from error
        return {"saved": decided.episode_id}

    return app


def _host(request: Request) -> str:
    host = request.headers.get("host", "")
    return host if host.startswith("[") and host.endswith("]") else host.rsplit(":", 1)[0]
