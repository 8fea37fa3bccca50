"""The night after the story: somebody changes the systems, and the comparison finds, explains and heals it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.cells import set_cell_size
from rich.console import Console
from sqlalchemy import func, select

from hub import clock, config, wiring
from hub.audit.verbs import Operator
from hub.database import reading
from hub.demo.words import say
from hub.reconcile import job, nights, verbs
from hub.reconcile.job import Outcome
from hub.reconcile.reading import Scope
from hub.reconcile.report.model import Finding
from hub.reconcile.report.verdict import sentence
from hub.reconcile.report.voice import Voice
from hub.reconcile.report.wording import Locale
from hub.reconcile.runs import EVERYTHING, Terms
from hub.stage.deployment import Stage, wait_until
from hub.stage.tampering import tamper
from hub.tables import ledger

PAID = slice(100, 104)
"""Of the story's orders, some that are paid and not picked."""


@dataclass(frozen=True)
class Dawn:
    """How the night ended: what the first comparison found, what is equal again, what is left, where the report is."""

    found: int
    healed: int
    open: int
    unexplained: int
    report: Path

    @property
    def good(self) -> bool:
        """Whether everything that was done was found, explained and put right."""
        return self.found == self.healed == len(config.SYSTEMS) and not self.open and not self.unexplained

    def facts(self) -> dict[str, int | str]:
        """The night for scripts."""
        counts = {name: getattr(self, name) for name in ("found", "healed", "open", "unexplained")}
        return {**counts, "report": str(self.report)}


class Night:
    """Tells the night on a stage whose orders have all arrived."""

    def __init__(self, on: Stage, console: Console, locale: Locale, order_numbers: list[str]) -> None:
        self._stage = on
        self._console = console
        self._voice = Voice(locale, on.settings.tz)
        self._locale = locale
        self._numbers = order_numbers
        self._folder = Path(tempfile.mkdtemp(prefix="hub-report-"))

    def tell(self) -> Dawn:
        """Tampering, a first comparison that heals, a person who decides about money, and a second comparison."""
        self._title("night1")
        for deed in tamper(self._stage, self._numbers[PAID]):
            self._say(f"deed_{deed.name}", system=say(self._locale, deed.system))
        self._title("night2")
        first = self._compared()
        for finding in first.report.findings:
            self._console.print(f"  {self._line(finding)}")
        self._say("report", path=first.folder / f"report.{self._locale}.html")
        self._title("night3")
        self._decided(first)
        wait_until(self._settled, "what was put right did not arrive")
        last = self._compared()
        self._say("reports", path=self._folder / "index.html")
        return self._dawn(first, last)

    def _compared(self) -> Outcome:
        settings = self._stage.settings
        with wiring.reconciling(settings, config.SYSTEMS, folder=self._folder) as ready:
            day = nights.business_day(clock.utcnow(), settings.tz)
            terms = Terms(day, EVERYTHING, "on", ready.rules.version, "demo")
            outcome = job.run(ready, Scope(), terms, lambda _what, _where: None)
        self._console.print(f"  {sentence(self._voice, outcome.report)}", style="bold")
        return outcome

    def _decided(self, first: Outcome) -> None:
        asked = [finding.key for finding in first.report.findings if finding.needs_person]
        verbs.mend(self._stage.engine, Operator("demo"), asked, say(self._locale, "decision"))
        self._say("decided", keys=" ".join(asked))

    def _settled(self) -> bool:
        waiting = select(func.count()).where(ledger.c.wanted_body.is_not(None))
        with reading(self._stage.engine) as connection:
            return connection.execute(waiting).scalar_one() == 0

    def _line(self, finding: Finding) -> str:
        system, cause = self._voice.name("system", finding.system), self._voice.name("cause", finding.cause)
        how = "heals_itself" if finding.state == "healing" else "needs_person"
        return f"{set_cell_size(system, 8)}{finding.order_no}  {cause} → {say(self._locale, how)}"

    def _dawn(self, first: Outcome, last: Outcome) -> Dawn:
        left = [each for each in last.report.findings if each.state in ("open", "healing")]
        verdict = first.report.verdict
        found = len(first.report.findings)
        return Dawn(found, last.report.verdict.healed, len(left), verdict.unexplained, last.folder)

    def _title(self, key: str) -> None:
        self._console.print(f"\n[bold]{say(self._locale, key)}[/bold]")

    def _say(self, key: str, **facts: object) -> None:
        self._console.print(f"  {say(self._locale, key, **facts)}", soft_wrap=True)
