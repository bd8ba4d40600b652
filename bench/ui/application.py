"""The routes of `crawlbench ui`: pages, scripts, the API and the WebSocket."""

from typing import Any

from tornado import web

from bench.ui.experiment_handlers import (
    ChoicesHandler,
    CommandHandler,
    ExperimentsHandler,
    LiveFiguresHandler,
    PlaygroundHandler,
    ResumeHandler,
    StateHandler,
    StopHandler,
)
from bench.ui.handlers import Base, Parts
from bench.ui.listing import PAGE
from bench.ui.live_socket import LiveSocket
from bench.ui.page_handlers import PageHandler, StaticHandler
from bench.ui.result_handlers import (
    CompareHandler,
    ExportHandler,
    FiguresHandler,
    MeasuredHandler,
    ReportHandler,
    ResultHandler,
    ResultsHandler,
    TextHandler,
)


class _NotFound(Base):
    def prepare(self) -> None:
        super().prepare()
        raise web.HTTPError(404, reason="there is no such page")


def ui_application(parts: Parts) -> web.Application:
    """Return the application."""
    common = {"parts": parts}
    name = "([^/]+)"

    def page(template: str) -> dict[str, Any]:
        return {**common, "template": template}

    routes: list[Any] = [
        (r"/", PageHandler, page("results.html")),
        (rf"/results/{name}", PageHandler, page("result.html")),
        (r"/compare", PageHandler, page("compare.html")),
        (r"/new", PageHandler, page("new.html")),
        (r"/running", PageHandler, page("running.html")),
        (r"/playground", PageHandler, page("playground.html")),
        (rf"/results/{name}/{PAGE}", ReportHandler, common),
        (rf"/static/{name}", StaticHandler, common),
        (r"/api/results", ResultsHandler, common),
        (rf"/api/results/{name}", ResultHandler, common),
        (rf"/api/results/{name}/report.txt", TextHandler, common),
        (rf"/api/results/{name}/figures", FiguresHandler, common),
        (rf"/api/results/{name}/(runs|requests).csv", ExportHandler, common),
        (r"/api/compare", CompareHandler, common),
        (r"/api/compare/(figures)", CompareHandler, common),
        (r"/api/choices", ChoicesHandler, common),
        (r"/api/command", CommandHandler, common),
        (r"/api/experiments", ExperimentsHandler, common),
        (r"/api/measured", MeasuredHandler, common),
        (r"/api/stop", StopHandler, common),
        (r"/api/resume", ResumeHandler, common),
        (r"/api/state", StateHandler, common),
        (r"/api/live", LiveSocket, common),
        (r"/api/live/figures", LiveFiguresHandler, common),
        (r"/api/playground", PlaygroundHandler, common),
    ]
    return web.Application(
        routes,
        default_handler_class=_NotFound,
        default_handler_args=common,
        log_function=lambda handler: None,
        websocket_ping_interval=30,
        websocket_max_message_size=1024,
    )
