"""`hub orders reissue`: what a database that was restored to an earlier moment asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from hub import clock, config, wiring
from hub.audit.verbs import Operator
from hub.cli.options import MaybeOrders, Reason, ago, moment, order_numbers
from hub.cli.output import By, Yes, counting, who
from hub.database import reading
from hub.errors import BadInput
from hub.oms import reissue as reissuing
from hub.operations import set_back
from hub.operations.set_back import SetBack

app = typer.Typer()

DAYS = 45


@app.command()
def reissue(  # noqa: PLR0913 - each is an option
    restored_to: Annotated[str, typer.Option(help="The moment whose state the database has now.")],
    why: Reason,
    orders: MaybeOrders = None,
    since: Annotated[
        str | None,
        typer.Option(help=f"Orders last changed since a moment, or so long ago. Default: {DAYS} days before."),
    ] = None,
    versions: Annotated[
        int, typer.Option(min=1, max=1000, help="More than one order can have had in the time that is lost.")
    ] = reissuing.VERSIONS,
    yes: Yes = False,
    by: By = None,
) -> None:
    """After a restore: give orders newer versions as they stand, above any that the world outside has seen.

    Those named, or all that may have changed in the time that is lost. Systems and subscribers come back to the OMS by
    it. May be said again: an order gets newer versions once for each restore, and once more for other --versions.
    """
    settings = config.load()
    lost = moment("restored-to", restored_to, settings)
    if lost > clock.utcnow():
        raise BadInput("--restored-to: this moment is still to come; name the one whose state the database has")
    start = ago("since", since, settings) or lost - timedelta(days=DAYS)
    numbers = order_numbers("ORDER", orders) if orders else ()
    back = SetBack(lost, start, why, versions, numbers)
    with wiring.hub_engine(settings, "reissue") as engine:
        with reading(engine) as connection:
            meant = set_back.left(connection, back)
        if not meant:
            raise BadInput("no order is left that may have changed: they are not there, or have newer versions already")
        if not yes:
            typer.echo(f"{meant:,} orders would get {versions} newer versions each; add --yes to do it")
            return
        with counting("orders", meant) as told:
            done = set_back.reissue_all(engine, Operator(who(by), "admin"), back, told)
    typer.echo(f"{done:,} orders got {versions} newer versions each; systems follow, see hub status")
