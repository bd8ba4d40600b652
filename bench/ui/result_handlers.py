"""Serves results: the list, their tables, figures and CSV, and two of them compared."""

import asyncio
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import msgspec

from bench.program import PROGRAM
from bench.ui.access import PAGE_OF_RESULTS_POLICY
from bench.ui.handlers import Api, Base, Drawn
from bench.ui.listing import PAGE, NoResultsError
from bench.ui.verbs import VerbError

_CHUNK_BYTES = 1_000_000


class ResultsHandler(Api):
    """The list of results."""

    async def get(self) -> None:
        """Send the list of all results."""
        listing = self.parts.listing
        entries = await asyncio.to_thread(listing.entries)
        results = [asdict(entry) for entry in entries]
        self.write_with_state({"folder": str(listing.folder.absolute()), "results": results})


class MeasuredHandler(Api):
    """What others measure."""

    def get(self) -> None:
        """Send what is measured that was not started from these pages."""
        self.write_with_state({"elsewhere": self.parts.measured_elsewhere()})


class ResultHandler(Api):
    """One result."""

    async def get(self, name: str) -> None:
        """Send what the page of a result shows, without its tables and figures."""
        self.write_with_state(await asyncio.to_thread(self.parts.listing.details, name))

    async def delete(self, name: str) -> None:
        """Remove results, and say what is left in their folder."""
        if name == self.parts.experiment.state.folder:
            self.parts.experiment.check_idle()  # it may still draw figures
        left = await asyncio.to_thread(self.parts.listing.delete, name)
        self.write_json({"left": left})


class TextHandler(Api):
    """The tables of a result."""

    async def get(self, name: str) -> None:
        """Send the tables of a result as text."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        async with aclosing(self.parts.figures.ask("tables", folder=str(path))) as answers:
            async for answer in answers:
                if "error" in answer:
                    raise VerbError(msgspec.json.decode(answer["error"]))
                self.write(msgspec.json.decode(answer["text"]))
        await self.finish()


class ExportHandler(Api):
    """The CSV files of a result."""

    async def get(self, name: str, what: str) -> None:
        """Send all runs or requests of a result as CSV."""
        await self.answer(self._send(name, what))

    async def _send(self, name: str, what: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{what}.csv"')
        pieces = self.parts.verbs.pieces("export", str(path), "--what", what)
        async with aclosing(pieces) as rows:
            async for piece in rows:
                self.write(piece)
                await self.flush()
        await self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what went wrong, in one line."""
        self.clear_header("Content-Disposition")
        super().write_error(status_code, **kwargs)


class ReportHandler(Base):
    """The report page of a result."""

    async def get(self, name: str) -> None:
        """Send the report.html of a result, which may be somebody else's."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = (await asyncio.to_thread(self.parts.listing.path, name)) / PAGE
        if path.is_symlink() or not path.is_file():
            raise NoResultsError(f"there is no {PAGE} in {name}: {PROGRAM} plots draws it")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", PAGE_OF_RESULTS_POLICY)
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                self.write(piece)
                await self.flush()
        await self.finish()


class FiguresHandler(Drawn):
    """The figures of a result."""

    async def get(self, name: str) -> None:
        """Send the figures of a result, a line of JSON for each, as soon as it is drawn."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        await self.send_answers("figures", folder=str(path))


class CompareHandler(Drawn):
    """Two results."""

    async def get(self, what: str = "") -> None:
        """Send what comparing two results says, or shows."""
        names = self.get_query_argument("a", ""), self.get_query_argument("b", "")
        await self.answer(self._compare(*names, is_drawn=bool(what)))

    async def _compare(self, a: str, b: str, *, is_drawn: bool) -> None:
        folders = [str(await asyncio.to_thread(self.parts.listing.path, one)) for one in (a, b)]
        if is_drawn:
            await self.send_answers("compare", folders=folders)
        else:
            self.write_with_state({"text": await self.parts.verbs.text("compare", *folders)})
            await self.finish()
