"""The part of the admin interface that sets the outcome of exports."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rcfs.simulator._backend import Backend


class ExportAdmin:
    """The handlers of requests about exports."""

    def __init__(self, backend: Backend) -> None:
        self._books = {"report": backend.reports, "team": backend.team_exports}

    def routes(self) -> list[Route]:
        """The routes to the handlers."""
        return [Route("/simulator/exports", self.plan, methods=["POST"])]

    async def plan(self, request: Request) -> Response:
        """Set the outcome of the next task of a kind, as the body says."""
        try:
            match await request.json():
                case {"kind": str(kind), "outcome": str(outcome)} if kind in self._books:
                    self._books[kind].plan(outcome)
                case _:
                    raise ValueError(f"wanted are kind ({' or '.join(self._books)}) and outcome")
        except ValueError as exc:
            return JSONResponse({"error": str(exc)}, status_code=400)
        return Response(status_code=204)
