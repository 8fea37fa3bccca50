"""Reports in a folder: one folder a day and run, one a month, and an index of all of them.

A report is there whole or not at all: it is written beside its place and moved there by one rename.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from hub import clock
from hub.errors import BadInput, DependencyDown, NotFound
from hub.reconcile.report import html, index, month, table, xlsx
from hub.reconcile.report.model import Report
from hub.reconcile.report.month import Month
from hub.reconcile.report.wording import LOCALES

REPORT = "report.json"
SUMMARY = "summary.json"
INDEX = "index.html"
MONTHS = "months"
MONTH = "month.json"
_GONE = ".gone"
_MONTH = "[0-9]" * 4 + "-[0-9][0-9]"
_DAY = f"{_MONTH}-[0-9][0-9]"


def file(report: Report, folder: Path) -> Path:
    """Write the report in every form and bring the index up to date. The same run filed again takes the old place."""
    contents = _contents(report)
    place = folder / report.run.day / f"run-{report.run.id}"
    with _writing(folder):
        _replace(place, contents)
        _write_index(folder)
    return place


def file_month(pack: Month, folder: Path) -> Path:
    """Write the pack of a month in every form; one that was filed before makes room. Months are never forgotten."""
    contents = _contents_of_month(pack)
    place = folder / MONTHS / pack.month
    with _writing(folder):
        _replace(place, contents)
        _write_index(folder)
    return place


def load(path: Path) -> Report:
    """The report in a folder that `file` made, or in a `report.json` itself."""
    source = path / REPORT if path.is_dir() else path
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no report at {source}") from error
    try:
        return Report.model_validate_json(text)
    except ValueError as error:
        raise BadInput(f"{source}: is no report of this release; file the run again") from error


def forget(folder: Path, days: int, today: date) -> list[str]:
    """Remove what is older than so many days, by the day that a report is of; the days that were removed."""
    oldest = str(today - timedelta(days=days))
    with _writing(folder):
        old = sorted(path for path in folder.glob(_DAY) if path.name < oldest)
        for path in old:
            # Out of sight by one rename: a day is there whole or not at all.
            path.rename(path.with_name(f".{path.name}{_GONE}"))
        _clear(*folder.glob(f".{_DAY}{_GONE}"))
        if old:
            _write_index(folder)
    return [path.name for path in old]


def _contents(report: Report) -> dict[str, bytes]:
    made = {
        REPORT: (report.model_dump_json(indent=1) + "\n").encode(),
        SUMMARY: (index.summary(report).model_dump_json() + "\n").encode(),
        # One file for both languages: its columns and codes are English, its sentences are for operations people.
        "report.csv": table.render(report, "zh"),
    }
    for locale in LOCALES:
        made[f"report.{locale}.html"] = html.render(report, locale).encode()
        made[f"report.{locale}.xlsx"] = xlsx.render(report, locale)
    return made


def _contents_of_month(pack: Month) -> dict[str, bytes]:
    made = {MONTH: (pack.model_dump_json(indent=1) + "\n").encode()}
    for locale in LOCALES:
        made[f"month.{locale}.html"] = month.render_html(pack, locale).encode()
        made[f"month.{locale}.xlsx"] = month.render_xlsx(pack, locale)
    return made


def _replace(place: Path, contents: dict[str, bytes]) -> None:
    new, old = (place.with_name(f".{place.name}.{state}") for state in ("new", "old"))
    _clear(new, old)
    new.mkdir(parents=True)
    for name, content in contents.items():
        _write(new / name, content)
    _sync(new)
    if place.exists():
        place.rename(old)
    new.rename(place)
    _sync(place.parent)
    _clear(old)


def _clear(*leftovers: Path) -> None:
    for path in leftovers:
        if path.exists():
            shutil.rmtree(path)


def _write_index(folder: Path) -> None:
    found = sorted(folder.glob(f"{_DAY}/run-*/{REPORT}"))
    told = [(path.parent.relative_to(folder), _summary(path.parent)) for path in found]
    months = [path.parent.relative_to(folder) for path in folder.glob(f"{MONTHS}/{_MONTH}/{MONTH}")]
    # A name of its own: a run and a month may be filed at the same moment.
    beside = folder / f".{INDEX}.{clock.uuid7()}"
    _write(beside, index.render([(place, summary) for place, summary in told if summary], months).encode())
    beside.replace(folder / INDEX)


def _summary(place: Path) -> index.Summary | None:
    try:
        return index.Summary.model_validate_json((place / SUMMARY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return _summary_anew(place)


def _summary_anew(place: Path) -> index.Summary | None:
    # A report that cannot be read any more must not keep tonight's from being listed.
    try:
        return index.summary(load(place))
    except (NotFound, BadInput):
        return None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DependencyDown(
            f"reports cannot be written to {folder}: {error.strerror}; "
            "free space there, or name another folder in HUB_RECONCILE__REPORTS_DIR"
        ) from error
