"""A report is filed whole or not at all, and the index shows what is there."""

import errno
import os
import shutil
from datetime import date
from pathlib import Path
from typing import NoReturn

import jsonschema
import pytest

from hub.errors import BadInput, DependencyDown, NotFound
from hub.reconcile.report import files
from hub.reconcile.report.json_schema import schema
from hub.reconcile.report.model import Report
from tests import months, reports
from tests.pages import Page

NAMES = [
    "report.csv",
    "report.en.html",
    "report.en.xlsx",
    "report.json",
    "report.zh.html",
    "report.zh.xlsx",
    "summary.json",
]
MONTH_NAMES = ["month.en.html", "month.en.xlsx", "month.json", "month.zh.html", "month.zh.xlsx"]


def of_day(day: str, number: int, report: Report | None = None) -> Report:
    made = report or reports.make_clean()
    return made.model_copy(update={"run": reports.make_run(day=day, id=number)})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_report_is_filed_by_day_and_run_and_comes_back_as_it_was(tmp_path: Path) -> None:
    report = reports.make_different()
    place = files.file(report, tmp_path)
    assert place == tmp_path / "2026-11-22" / "run-412"
    assert sorted(path.name for path in place.iterdir()) == NAMES
    assert files.load(place) == files.load(place / "report.json") == report


def test_filing_the_same_run_again_changes_no_byte(tmp_path: Path) -> None:
    files.file(reports.make_different(), tmp_path)
    before = contents(tmp_path)
    files.file(reports.make_different(), tmp_path)
    assert contents(tmp_path) == before


def test_a_run_that_is_filed_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    place = files.file(reports.make_different(), tmp_path)
    (place / "left.txt").touch()
    files.file(reports.make_clean(), tmp_path)
    assert files.load(place) == reports.make_clean()
    assert sorted(path.name for path in place.iterdir()) == NAMES
    assert "有差异" not in (tmp_path / "index.html").read_text("utf-8")


@pytest.mark.parametrize("moment", range(12))
def test_one_that_is_killed_half_way_leaves_a_whole_report_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    survived = _killed_at_sync(tmp_path, monkeypatch, moment)
    places = list((tmp_path / "2026-11-22").glob("run-*"))
    assert all(sorted(path.name for path in place.iterdir()) == NAMES for place in places)
    assert survived or not places or moment > len(NAMES)
    files.file(reports.make_different(), tmp_path)
    assert [path.name for path in (tmp_path / "2026-11-22").iterdir()] == ["run-412"]


def _killed_at_sync(folder: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> bool:
    done, real = [], os.fsync

    def fsync(handle: int) -> None:
        if len(done) == moment:
            raise KeyboardInterrupt
        done.append(handle)
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        try:
            files.file(reports.make_different(), folder)
        except KeyboardInterrupt:
            return False
    return True


def test_the_index_lists_days_newest_first_with_links_that_lead_somewhere(tmp_path: Path) -> None:
    files.file(of_day("2026-11-20", 1), tmp_path)
    files.file(of_day("2026-11-22", 3, reports.make_incomplete()), tmp_path)
    files.file(of_day("2026-11-21", 2, reports.make_different()), tmp_path)
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert [text for text in page.texts if text.startswith("2026-")] == ["2026-11-22", "2026-11-21", "2026-11-20"]
    assert [text for text in page.texts if text in {"未完成", "有差异", "全部一致"}] == ["未完成", "有差异", "全部一致"]
    links = [value for name, value in page.attributes if name == "href"]
    assert len(links) == 18
    assert all((tmp_path / link).is_file() for link in links)
    assert page.unbalanced == []


def test_the_index_needs_no_summaries_and_bears_a_broken_report(tmp_path: Path) -> None:
    (files.file(of_day("2026-11-20", 1), tmp_path) / "summary.json").unlink()
    broken = files.file(of_day("2026-11-21", 2), tmp_path)
    (broken / "summary.json").write_text("{", "utf-8")
    (broken / "report.json").write_text("{", "utf-8")
    files.file(of_day("2026-11-22", 3), tmp_path)
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert [text for text in page.texts if text.startswith("2026-")] == ["2026-11-22", "2026-11-20"]


def test_old_days_are_forgotten_and_leave_the_index(tmp_path: Path) -> None:
    for number, day in enumerate(("2026-10-22", "2026-10-23", "2026-11-22")):
        files.file(of_day(day, number), tmp_path)
    (tmp_path / "notes").mkdir()
    assert files.forget(tmp_path, 30, date(2026, 11, 22)) == ["2026-10-22"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-10-23", "2026-11-22", "index.html", "notes"]
    assert "2026-10-22" not in (tmp_path / "index.html").read_text("utf-8")
    assert files.forget(tmp_path, 30, date(2026, 11, 22)) == []


def test_a_removal_that_was_killed_is_ended_by_the_next(tmp_path: Path) -> None:
    files.file(of_day("2026-11-22", 1), tmp_path)
    shutil.copytree(tmp_path / "2026-11-22", tmp_path / ".2026-01-01.gone")
    files.forget(tmp_path, 30, date(2026, 11, 22))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-11-22", "index.html"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DependencyDown, match=r"taken: .*HUB_RECONCILE__REPORTS_DIR"):
        files.file(reports.make_clean(), tmp_path / "taken")


def test_a_full_disk_leaves_the_report_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.file(reports.make_clean(), tmp_path)

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DependencyDown, match="No space left on device"):
            files.file(reports.make_different(), tmp_path)
    assert files.load(tmp_path / "2026-11-22" / "run-412") == reports.make_clean()


def test_what_is_no_report_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no report"):
        files.load(tmp_path)
    (tmp_path / "report.json").write_text('{"schema_version": "9"}', "utf-8")
    with pytest.raises(BadInput, match="is no report of this release"):
        files.load(tmp_path)


def test_a_todo_that_is_no_finding_is_refused() -> None:
    with pytest.raises(ValueError, match="todo names 'gone', which is no finding"):
        reports.make_report(todo=["gone"])


def test_a_filed_report_is_what_the_published_schema_says(tmp_path: Path) -> None:
    import json  # noqa: PLC0415

    document = json.loads((files.file(reports.make_different(), tmp_path) / "report.json").read_text("utf-8"))
    checker = jsonschema.Draft202012Validator(json.loads(schema()))
    assert list(checker.iter_errors(document)) == []
    document["verdict"]["state"] = "fine"
    assert list(checker.iter_errors(document))


def test_a_month_is_filed_beside_the_days_and_listed_with_links_that_lead_somewhere(tmp_path: Path) -> None:
    place = files.file_month(months.make_month(), tmp_path)
    assert place == tmp_path / "months" / "2026-11"
    assert sorted(path.name for path in place.iterdir()) == MONTH_NAMES
    before = contents(place)
    (place / "left.txt").touch()
    files.file_month(months.make_month(), tmp_path)
    assert contents(place) == before
    files.file_month(months.make_month().model_copy(update={"month": "2026-12"}), tmp_path)
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert [text for text in page.texts if text.startswith("2026-")] == ["2026-12", "2026-11"]
    links = [value for name, value in page.attributes if name == "href"]
    assert len(links) == 10
    assert all((tmp_path / link).is_file() for link in links)
    assert page.unbalanced == []


def test_months_stay_when_days_are_forgotten_and_filed(tmp_path: Path) -> None:
    place = files.file_month(months.make_month(), tmp_path)
    files.file(of_day("2026-11-22", 1), tmp_path)
    files.forget(tmp_path, 1, date(2028, 1, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "months"]
    assert place.is_dir()
    assert "months/2026-11/month.zh.html" in (tmp_path / "index.html").read_text("utf-8")
