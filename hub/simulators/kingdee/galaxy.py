"""The server: who calls, what is asked, and each of its services. Without HTTP, see `hub.simulators.stand`."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hub import clock
from hub.simulators.kingdee import life, querying
from hub.simulators.kingdee.account import Account, NotSigned, Stale
from hub.simulators.kingdee.books import Books
from hub.simulators.kingdee.envelope import Asked, opened, read, service_of
from hub.simulators.kingdee.faulty import FURTHER, SESSION_IS_LOST, STALE, faulty
from hub.simulators.kingdee.forms import FORMS, Form
from hub.simulators.kingdee.merging import How
from hub.simulators.kingdee.pushing import push
from hub.simulators.kingdee.results import (
    INVALID,
    NO_SUCH_FIELD,
    WRONG_PARAMETER,
    Outcome,
    Refused,
    answer,
    as_rows,
    flag,
    refusal,
    result,
)
from hub.simulators.kingdee.saving import returned, save
from hub.simulators.kingdee.sessions import COOKIE, LOGINS, Sessions
from hub.simulators.store import Store
from hub.simulators.web import Answer, Arrived

_CENTRES = "GetDataCenterList"
_TASK = "QueryAsyncResult"


class Galaxy:
    """One data centre, over the database at this path."""

    name = "kingdee"
    further_faults = FURTHER

    def __init__(self, path: Path, account: Account | None = None) -> None:
        self.account = account or Account()
        self.sessions = Sessions(self.account)
        self.store = Store(path)
        self._lock = threading.Lock()
        self._unknown: dict[str, frozenset[str]] = {}
        self._bodies: set[str] = set()
        self._tasks: dict[str, dict[str, Any]] = {}
        self._services: dict[str, Callable[[Books, Form, Asked], object]] = {
            "Save": self._save,
            "Draft": self._save,
            "BatchSave": self._batch_save,
            "Push": _push,
            "View": _view,
            "ExcuteOperation": _operate,
            "ExecuteOperation": _operate,
            "ExecuteBillQuery": _bill_rows,
            "BillQuery": lambda books, form, asked: querying.rows(books, form, asked.data),
            **dict.fromkeys(life.STEPS, _step),
        }

    def receive(self, arrived: Arrived) -> Answer:
        """Answer one call; the bills are committed before."""
        service = service_of(arrived.path)
        try:
            body = opened(arrived.body)
        except ValueError:
            return faulty("response_error", service)
        if service == _CENTRES:
            return answer([{"Id": self.account.acct_id, "Number": "demo", "Name": "演示账套"}])
        if service in LOGINS:
            return self._log_in(service, body)
        return self._admitted(service, arrived, body)

    def step_of(self, arrived: Arrived) -> str:
        """The service: `Save`, `ExecuteBillQuery`, `LoginByAppSecret`."""
        return service_of(arrived.path)

    def faulty(self, kind: str, arrived: Arrived) -> Answer:
        """An answer to a call that does nothing."""
        return faulty(kind, service_of(arrived.path))

    def settings(self, address: str) -> dict[str, str]:
        """The settings that lead the hub to a stand at this address."""
        account, prefix = self.account, "HUB_SYSTEMS__KINGDEE__WEBAPI__"
        return {
            "HUB_SYSTEMS__KINGDEE__INTERFACE": "webapi",
            f"{prefix}URL": f"{address}/k3cloud",
            f"{prefix}ACCOUNT": account.acct_id,
            f"{prefix}USER": account.user,
            f"{prefix}APP_ID": account.app_id,
            f"{prefix}APP_SECRET": account.app_secret,
            f"{prefix}ORG": account.org,
        }

    def control(self, told: Mapping[str, Any]) -> None:
        """`unknown`: field keys with the numbers that nobody knows, in the place of those before.

        `session_seconds`: how long a session may be idle. `sessions` with `drop`: all are forgotten.
        """
        if strange := set(told) - {"unknown", "session_seconds", "sessions"}:
            raise ValueError(f"not understood: {', '.join(sorted(strange))}")
        if "unknown" in told:
            self._unknown = {key.lower(): frozenset(map(str, numbers)) for key, numbers in told["unknown"].items()}
        if "session_seconds" in told:
            self.sessions.idle_seconds = float(told["session_seconds"])
        if told.get("sessions") == "drop":
            self.sessions.drop()

    def journal(self) -> list[dict[str, Any]]:
        """Every effect on a bill, the oldest first."""
        return self.store.journal()

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    def _log_in(self, service: str, body: dict[str, Any]) -> Answer:
        session, told = self.sessions.log_in(service, body)
        return answer(told, _cookies(session) if session else {})

    def _admitted(self, service: str, arrived: Arrived, body: dict[str, Any]) -> Answer:
        headers = arrived.headers
        is_open = self.sessions.is_open(headers)
        try:
            if "x-kd-signature" in headers or "x-api-signature" in headers:
                self.account.check(arrived.path, headers)
            elif not is_open:
                return faulty(SESSION_IS_LOST, service)
        except NotSigned:
            return faulty(SESSION_IS_LOST, service)
        except Stale:
            return faulty(STALE, service)
        return self._served(service, body, {} if is_open else _cookies(self.sessions.open()))

    def _served(self, service: str, body: dict[str, Any], cookies: dict[str, str]) -> Answer:
        if service == _TASK:
            return answer(self._task(body), cookies)
        if service not in self._services:
            return Answer(404, b"<html><body>404</body></html>")
        try:
            asked = read(service, body)
            done = self._done(asked)
        except Refused as why:
            told = refusal(why)
            return answer(as_rows(told) if service == "ExecuteBillQuery" else told, cookies)
        return answer(self._begun(done) if asked.polled else done, cookies)

    def _done(self, asked: Asked) -> object:
        form = FORMS.get(asked.form_id)
        if form is None:
            raise Refused(NO_SUCH_FIELD, f"业务对象不存在：{asked.form_id}")
        with self.store.request() as request:
            return self._services[asked.service](Books(request, self._unknown), form, asked)

    def _save(self, books: Books, form: Form, asked: Asked) -> object:
        outcome = Outcome()
        self._check_repeat(asked.data)
        try:
            bill = save(books, form, asked.data.get("Model"), How.of(asked.data, asked.service == "Draft"))
        except Refused as why:
            outcome.refuse(why, 0)
            return result(outcome, Id="", Number="", NeedReturnData=[{}])
        outcome.add(bill.serial, bill.number, 0)
        shown = [returned(form, bill, asked.data)]
        return result(outcome, Id=bill.serial, Number=bill.number, NeedReturnData=shown)

    def _batch_save(self, books: Books, form: Form, asked: Asked) -> object:
        models = asked.data.get("Model")
        if not isinstance(models, list):
            raise Refused(WRONG_PARAMETER, "参数错误：Model")
        self._check_repeat(asked.data)
        outcome, shown = Outcome(), []
        how = How.of(asked.data, is_draft=False)
        for place, model in enumerate(models):
            try:
                bill = save(books, form, model, how)
            except Refused as why:
                outcome.refuse(why, place)
            else:
                outcome.add(bill.serial, bill.number, place)
                shown.append(returned(form, bill, asked.data))
        return result(outcome, NeedReturnData=shown)

    def _check_repeat(self, data: Mapping[str, Any]) -> None:
        if not flag(data.get("ValidateRepeatJson"), False):
            return
        digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
        if digest in self._bodies:
            raise Refused(INVALID, "重复提交的数据，请检查")
        self._bodies.add(digest)

    def _begun(self, done: object) -> dict[str, Any]:
        task = str(clock.uuid7())
        with self._lock:
            self._tasks[task] = {"Status": 2, "TaskId": task, "Result": done}
        return {"Status": 1, "TaskId": task, "Result": None}

    def _task(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = body.get("queryinfo") or "{}"
        wanted = json.loads(asked) if isinstance(asked, str) else asked
        with self._lock:
            return self._tasks.get(str(wanted.get("TaskId"))) or refusal(Refused(WRONG_PARAMETER, "任务不存在"))


def _push(books: Books, form: Form, asked: Asked) -> object:
    made, converted = push(books, form, asked.data)
    return result(made, ConvertResponseStatus=converted.status())


def _view(books: Books, form: Form, asked: Asked) -> object:
    number, serial = asked.data.get("Number"), asked.data.get("Id")
    wanted = {"Numbers": [number] if number else [], "Ids": str(serial or "")}
    for _, found in books.asked_for(form, wanted):
        if isinstance(found, Refused):
            raise found
        return {"Result": {"ResponseStatus": Outcome().status(), "Result": querying.view(form, found)}}
    raise AssertionError


def _step(books: Books, form: Form, asked: Asked) -> object:
    return result(life.step(books, form, asked.service, asked.data))


def _operate(books: Books, form: Form, asked: Asked) -> object:
    return result(life.operate(books, form, asked.operation, asked.data))


def _bill_rows(books: Books, form: Form, asked: Asked) -> object:
    return [list(row.values()) for row in querying.rows(books, form, asked.data)]


def _cookies(session: str) -> dict[str, str]:
    return {"Set-Cookie": f"{COOKIE}={session}; path=/; HttpOnly\nASP.NET_SessionId={session[:24]}; path=/; HttpOnly"}
