"""`hub demo`."""

import typer

app = typer.Typer()
