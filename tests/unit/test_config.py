"""Settings come from one mapping, say what is wrong with it, and keep secrets to themselves."""

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hub.config import SYSTEMS, Consumer, Settings, effective, environment, load, sources, variables
from hub.crash_points import LABELS
from hub.errors import WrongConfiguration

SECRET = "s3cretcanary"
POSTGRES = f"postgresql://hub:{SECRET}@db.example/hub"
RABBIT = f"amqps://hub:{SECRET}@mq1.example,mq2.example/hub"
GIVEN = {
    "HUB_DATA_DIR": "/var/lib/hub",
    "HUB_LOCALE": "zh",
    "HUB_TZ": "UTC",
    "HUB_DB__URL": POSTGRES,
    "HUB_DB__SCHEMA_NAME": "oms",
    "HUB_DB__POOL_SIZE": "7",
    "HUB_BUS__URL": RABBIT,
    "HUB_BUS__PREFIX": "stage.",
    "HUB_BUS__CONFIRM_SECONDS": "2.5",
    "HUB_RELAY__BATCH": "200",
    "HUB_CONSUMER__ATTEMPTS": "3",
    "HUB_CONSUMERS__WMS__ATTEMPTS": "12",
    "HUB_CONSUMERS__WMS__RATE_PER_SECOND": "2.5",
    "HUB_CONSUMERS__ERP__SETTLE_SECONDS": "0.0",
    "HUB_RETENTION__JOURNAL_DAYS": "10",
    "HUB_CRASH_AT": "relay.published:3",
    "HUB_SYSTEMS__CRM__URL": "sqlite:////srv/crm.db",
    "HUB_SYSTEMS__WMS__SCHEMA_NAME": "wms_tables",
    "HUB_SYSTEMS__ERP__POOL_SIZE": "2",
    "HUB_API__HOST": "0.0.0.0",
    "HUB_API__PORT": "9000",
    "HUB_PROBES__PORT": "9001",
    "HUB_LOG__LEVEL": "debug",
    "HUB_LOG__FORMAT": "console",
    "HUB_NOTIFY__DINGTALK__URL": f"https://oapi.dingtalk.example/robot/send?access_token={SECRET}",
    "HUB_NOTIFY__DINGTALK__SECRET": f"SEC{SECRET}",
    "HUB_NOTIFY__WECOM__URL": f"http://127.0.0.1:8000/cgi-bin/webhook/send?key={SECRET}",
    "HUB_NOTIFY__CHANNELS": "wecom-first",
}
WRONG = [
    ("HUB_DB__POOL_SIZE", "many", "valid integer"),
    ("HUB_DB__POOL_SIZE", "0", "greater than or equal to 1"),
    ("HUB_DB__SCHEMA_NAME", "Robert'); DROP", "match pattern"),
    ("HUB_BUS__PREFIX", "stage", "match pattern"),
    ("HUB_BUS__HEARTBEAT_SECONDS", "4", "greater than or equal to 5"),
    ("HUB_RELAY__LEASE_SECONDS", "0", "greater than 0"),
    ("HUB_RELAY__LEASE_SECONDS", "nan", "finite number"),
    ("HUB_RELAY__SHARDS", "17", "less than or equal to 16"),
    ("HUB_BUS__ACK_SECONDS", "0", "greater than 0"),
    ("HUB_CONSUMER__ATTEMPTS", "0", "greater than or equal to 1"),
    ("HUB_CONSUMER__SETTLE_SECONDS", "-1", "greater than or equal to 0"),
    ("HUB_CONSUMER__RATE_PER_SECOND", "0", "greater than 0"),
    ("HUB_CONSUMER__RATE_PER_SECOND", "inf", "finite number"),
    ("HUB_CONSUMERS__WMS__ATTEMPTS", "0", "greater than or equal to 1"),
    ("HUB_CONSUMERS__CRM__RECEIVE_BATCH", "2001", "less than or equal to 2000"),
    ("HUB_CONSUMERS__ERP__POLL_SECONDS", "nan", "finite number"),
    ("HUB_CONSUMERS__KINGDEE__RATE_PER_SECOND", "-2", "greater than 0"),
    ("HUB_RETENTION__ARCHIVE_DAYS", "0", "greater than or equal to 1"),
    ("HUB_RETENTION__NOTICES_DAYS", "0", "greater than or equal to 1"),
    ("HUB_RETENTION__FINDINGS_DAYS", "ever", "valid integer"),
    ("HUB_CRASH_AT", "relay.nowhere", "is no crash point; name one of orders.written, relay.claimed"),
    ("HUB_CRASH_AT", "relay.claimed:often", "is no crash point"),
    ("HUB_CRASH_AT", "relay.claimed:-1", "is no crash point"),
    ("HUB_CRASH_AT", "relay.claimed:1.5", "is no crash point"),
    ("HUB_CRASH_AT", "relay.claimed:2:3", "is no crash point"),
    ("HUB_API__ANSWER_SECONDS", "0", "greater than 0"),
    ("HUB_API__PORT", "70000", "less than or equal to 65535"),
    ("HUB_LOCALE", "fr", "'en' or 'zh'"),
    ("HUB_LOG__LEVEL", "INFO", "'debug', 'info', 'warning' or 'error'"),
    ("HUB_DB__URL", f"mysql://hub:{SECRET}@db/hub", "must begin with sqlite:/// or postgresql://"),
    ("HUB_DB__URL", "sqlite://", "must begin with sqlite:/// or postgresql://"),
    ("HUB_SYSTEMS__ERP__URL", f"oracle://erp:{SECRET}@erp/x", "must begin with sqlite:/// or postgresql://"),
    ("HUB_BUS__URL", f"kafka://hub:{SECRET}@mq", "must begin with amqp:// or amqps:// or embedded:///"),
    ("HUB_NOTIFY__DINGTALK__URL", "", "is empty: unset it, or let it begin with https://"),
    ("HUB_NOTIFY__DINGTALK__URL", f"http://oapi.example/robot/send?access_token={SECRET}", "must begin with https://"),
    ("HUB_NOTIFY__DINGTALK__URL", f"http://10.0.0.1/?access_token={SECRET}", "is for a robot on this machine alone"),
    ("HUB_NOTIFY__DINGTALK__URL", f"http://127.0.0.1.example/?access_token={SECRET}", "must begin with https://"),
    ("HUB_NOTIFY__DINGTALK__URL", f"ftp://127.0.0.1/?access_token={SECRET}", "must begin with https://"),
    ("HUB_NOTIFY__DINGTALK__URL", f"https://a:{SECRET}@oapi.example/?access_token=1", "without a user"),
    ("HUB_NOTIFY__DINGTALK__URL", f"https://oapi.example/robot/send?key={SECRET}", "?access_token=…"),
    ("HUB_NOTIFY__DINGTALK__URL", f"https://[{SECRET}", "is no URL; copy it anew"),
    ("HUB_NOTIFY__DINGTALK__SECRET", "", "at least 1"),
    ("HUB_NOTIFY__WECOM__URL", f"https://qyapi.example/cgi-bin/webhook/send?access_token={SECRET}", "?key=…"),
    ("HUB_NOTIFY__WECOM__URL", f"http://qyapi.example/cgi-bin/webhook/send?key={SECRET}", "must begin with https://"),
    ("HUB_NOTIFY__WECOM__PER_MINUTE", "21", "less than or equal to 20"),
    ("HUB_NOTIFY__CHANNELS", "one", "'both', 'dingtalk-first' or 'wecom-first'"),
    ("HUB_NOTIFY__TIMEOUT_SECONDS", "61", "less than or equal to 60"),
]
MISSPELT = [
    ("HUB_DB__URLL", "HUB_DB__URL"),
    ("HUB_DATABASE__URL", "HUB_DB__URL"),
    ("HUB_DB_URL", "HUB_DB__URL"),
    ("HUB_db__url", "HUB_DB__URL"),
    ("HUB_LOCAL", "HUB_LOCALE"),
    ("HUB_RELAY__BATCHES", "HUB_RELAY__BATCH"),
    ("HUB_NOTIFY__WECOM__URI", "HUB_NOTIFY__WECOM__URL"),
    ("HUB_SYSTEMS__CMR__URL", "HUB_SYSTEMS__CRM__URL"),
    ("HUB_CONSUMERS__WMS__ATTEMPT", "HUB_CONSUMERS__WMS__ATTEMPTS"),
    ("HUB_CONSUMERS__WSM__ATTEMPTS", "HUB_CONSUMERS__WMS__ATTEMPTS"),
]
# what is given -> the variables that are named, those that were given or else those that hold for all
CONTRADICTIONS = [
    ({"RELAY__LEASE_SECONDS": "15"}, "RELAY__LEASE_SECONDS must be longer than", "BUS__CONFIRM_SECONDS"),
    ({"RELAY__POLL_SECONDS": "20"}, "RELAY__POLL_SECONDS must be shorter than", "RELAY__LEASE_SECONDS"),
    ({"BUS__ACK_SECONDS": "80"}, "BUS__ACK_SECONDS must be more than twice", "DB__STATEMENT_SECONDS and _LOCK_SECONDS"),
    (
        {"DB__STATEMENT_SECONDS": "59", "BUS__ACK_SECONDS": "138"},
        "BUS__ACK_SECONDS must be more than twice",
        "DB__STATEMENT_SECONDS and _LOCK_SECONDS",
    ),
    ({"API__ANSWER_SECONDS": "10"}, "API__ANSWER_SECONDS must be longer than", "DB__LOCK_SECONDS"),
    ({"RETENTION__REQUESTS_DAYS": "29"}, "RETENTION__REQUESTS_DAYS must not be shorter", "RETENTION__ARCHIVE_DAYS"),
    ({"RETENTION__ARCHIVE_DAYS": "31"}, "RETENTION__REQUESTS_DAYS must not be shorter", "RETENTION__ARCHIVE_DAYS"),
    ({"RETENTION__FINDINGS_DAYS": "399"}, "RETENTION__FINDINGS_DAYS must not be", "RECONCILE__REPORTS_DAYS"),
    ({"RECONCILE__REPORTS_DAYS": "401"}, "RETENTION__FINDINGS_DAYS must not be shorter", "RECONCILE__REPORTS_DAYS"),
    ({"BUS__PREFETCH": "499"}, "BUS__PREFETCH must not be smaller than", "CONSUMER__RECEIVE_BATCH"),
    ({"CONSUMER__RECEIVE_BATCH": "1001"}, "BUS__PREFETCH must not be smaller than", "CONSUMER__RECEIVE_BATCH"),
    ({"CONSUMERS__WMS__RECEIVE_BATCH": "1001"}, "BUS__PREFETCH must not be", "CONSUMERS__WMS__RECEIVE_BATCH"),
    ({"SYSTEMS__ERP__STATEMENT_SECONDS": "31"}, "CONSUMER__LEASE_SECONDS must", "SYSTEMS__ERP__STATEMENT_SECONDS"),
    (
        {"CONSUMER__LEASE_SECONDS": "59"},
        "CONSUMER__LEASE_SECONDS must be at least twice",
        "SYSTEMS__CRM__STATEMENT_SECONDS",
    ),
    ({"CONSUMERS__ERP__LEASE_SECONDS": "59"}, "CONSUMERS__ERP__LEASE_SECONDS must", "SYSTEMS__ERP__STATEMENT_SECONDS"),
    ({"CONSUMER__GIVE_UP_SECONDS": "300"}, "CONSUMER__BACKOFF_MAX_SECONDS must", "CONSUMER__GIVE_UP_SECONDS"),
    (
        {"CONSUMERS__CRM__GIVE_UP_SECONDS": "300"},
        "CONSUMER__BACKOFF_MAX_SECONDS must be shorter than",
        "CONSUMERS__CRM__GIVE_UP_SECONDS",
    ),
    (
        {"CONSUMERS__KINGDEE__BACKOFF_MAX_SECONDS": "21600"},
        "CONSUMERS__KINGDEE__BACKOFF_MAX_SECONDS must be shorter than",
        "CONSUMER__GIVE_UP_SECONDS",
    ),
]
# Each fits where it stands though it would contradict the other, and what is wrong for all is right for none.
COMPATIBLE = [
    {"CONSUMER__RECEIVE_BATCH": "100", "BUS__PREFETCH": "100"},
    {"CONSUMERS__CRM__RECEIVE_BATCH": "1000", "BUS__PREFETCH": "1000"},
    {"CONSUMERS__ERP__LEASE_SECONDS": "120", "SYSTEMS__ERP__STATEMENT_SECONDS": "60"},
    {"CONSUMERS__CRM__LEASE_SECONDS": "10", "SYSTEMS__CRM__STATEMENT_SECONDS": "5"},
    {"RELAY__POLL_SECONDS": "19.9"},
    {"RETENTION__REQUESTS_DAYS": "10", "RETENTION__ARCHIVE_DAYS": "10"},
    {"BUS__ACK_SECONDS": "80.1"},
    {"RETENTION__FINDINGS_DAYS": "30", "RECONCILE__REPORTS_DAYS": "30"},
    {"API__ANSWER_SECONDS": "2.1", "DB__LOCK_SECONDS": "2"},
]


def test_kingdees_interface_names_every_setting_that_it_lacks() -> None:
    given = {"HUB_SYSTEMS__KINGDEE__INTERFACE": "webapi", "HUB_SYSTEMS__KINGDEE__WEBAPI__URL": "https://erp/k3cloud"}
    with pytest.raises(WrongConfiguration) as wrong:
        load(given)
    for name in ("ACCOUNT", "USER", "APP_ID", "APP_SECRET"):
        assert f"HUB_SYSTEMS__KINGDEE__WEBAPI__{name}" in str(wrong.value)
    assert "WEBAPI__URL" not in str(wrong.value)


QIMEN = "HUB_SYSTEMS__WMS__QIMEN__"


def test_qimen_names_every_setting_that_it_lacks() -> None:
    given = {"HUB_SYSTEMS__WMS__INTERFACE": "qimen", f"{QIMEN}SECRET": SECRET, f"{QIMEN}SENDER__CITY": " "}
    with pytest.raises(WrongConfiguration) as wrong:
        load(given)
    sender = (f"SENDER__{name}" for name in ("NAME", "MOBILE", "PROVINCE", "CITY", "ADDRESS"))
    for name in ("URL", "APP_KEY", "CUSTOMER_ID", "OWNER", *sender):
        assert f"{QIMEN}{name}" in str(wrong.value)
    assert f"{QIMEN}SECRET" not in str(wrong.value)
    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize("name", ["WAREHOUSES", "SHOPS", "PLATFORMS"])
@pytest.mark.parametrize("wrong", ["south", "south=", "=WH-S", "south=WH-S,north"])
def test_names_of_a_warehouse_are_given_in_pairs(name: str, wrong: str) -> None:
    with pytest.raises(WrongConfiguration, match=f"{QIMEN}{name}: .* is no pair"):
        load({f"{QIMEN}{name}": wrong})
    load({f"{QIMEN}{name}": " south = WH-S , north=WH-N,"})


def test_nothing_needs_to_be_set() -> None:
    settings = load({})
    assert settings.db_url == "sqlite:///hub-data/hub.db"
    assert settings.bus_url == "embedded:///hub-data/bus.db"
    assert settings.embedded_bus
    assert [settings.system(name).url.get_secret_value() for name in SYSTEMS] == [
        f"sqlite:///hub-data/{name}.db" for name in SYSTEMS
    ]


def test_the_files_of_the_default_follow_the_data_directory() -> None:
    settings = load({"HUB_DATA_DIR": "/srv/hub"})
    assert settings.db_url == "sqlite:////srv/hub/hub.db"
    assert settings.bus_url == "embedded:////srv/hub/bus.db"
    assert settings.system("crm").url.get_secret_value() == "sqlite:////srv/hub/crm.db"


def test_two_underscores_lead_into_a_group() -> None:
    settings = load(GIVEN)
    assert settings.data_dir == Path("/var/lib/hub")
    assert (settings.db.schema_name, settings.db.pool_size, settings.relay.batch) == ("oms", 7, 200)
    assert (settings.bus_url, settings.embedded_bus, settings.bus.confirm_seconds) == (RABBIT, False, 2.5)
    assert (settings.api.host, settings.api.port, settings.log.format) == ("0.0.0.0", 9000, "console")
    assert settings.db.lock_seconds == 10


def test_variables_of_other_programs_are_left_alone() -> None:
    assert load({"PATH": "/bin", "HUBBUB_URL": "x", "DB__URL": "y"}) == load({})


def test_an_override_wins_over_a_variable_and_none_gives_way() -> None:
    settings = load(GIVEN, db__url="sqlite:///mine.db", db__pool_size=None, locale="en")
    assert (settings.db_url, settings.db.pool_size, settings.locale) == ("sqlite:///mine.db", 7, "en")
    assert settings.db.schema_name == "oms"


def test_systems_in_a_postgresql_hub_have_schemas_of_their_own() -> None:
    settings = load({"HUB_DB__URL": POSTGRES})
    for name in SYSTEMS:
        system = settings.system(name)
        assert (system.url.get_secret_value(), system.schema_name) == (POSTGRES, f"hub_{name}")


def test_the_schema_of_a_system_follows_the_schema_of_the_hub_unless_given() -> None:
    settings = load(GIVEN)
    assert settings.system("kingdee").schema_name == "oms_kingdee"
    assert settings.system("wms").schema_name == "wms_tables"
    assert settings.system("erp").pool_size == 2


def test_a_system_with_a_url_of_its_own_keeps_it() -> None:
    crm = load(GIVEN).system("crm")
    assert (crm.url.get_secret_value(), crm.schema_name) == ("sqlite:////srv/crm.db", None)


@pytest.mark.parametrize(("name", "nearest"), MISSPELT)
def test_a_misspelt_variable_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(WrongConfiguration, match=f"^{name} is no setting; did you mean {nearest}\\?$"):
        load({name: "x"})


def test_a_variable_like_no_other_points_to_the_list() -> None:
    with pytest.raises(WrongConfiguration, match="HUB_QQQQQQQQQQQQQQQQQQQQ is no setting; see hub config show"):
        load({"HUB_QQQQQQQQQQQQQQQQQQQQ": "x"})


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_is_named_and_never_repeated(name: str, value: str, said: str) -> None:
    with pytest.raises(WrongConfiguration) as problem:
        load({name: value})
    assert str(problem.value).startswith(name)
    assert said in str(problem.value)
    assert SECRET not in "".join(traceback.format_exception(problem.value))
    assert problem.value.exit_code == 78


def test_all_wrong_values_are_listed_one_a_line() -> None:
    wrong = {"HUB_DB__POOL_SIZE": "x", "HUB_RELAY__BATCH": "0", "HUB_LOCALE": "fr", "HUB_DB__URL": POSTGRES}
    with pytest.raises(WrongConfiguration) as problem:
        load(wrong)
    named = [line.partition(":")[0] for line in str(problem.value).splitlines()]
    assert sorted(named) == ["HUB_DB__POOL_SIZE", "HUB_LOCALE", "HUB_RELAY__BATCH"]


def test_all_unknown_variables_are_listed_one_a_line() -> None:
    with pytest.raises(WrongConfiguration) as problem:
        load({"HUB_ONE": "1", "HUB_TWO": "2", "HUB_LOCALE": "en"})
    assert [line.split()[0] for line in str(problem.value).splitlines()] == ["HUB_ONE", "HUB_TWO"]


def test_all_bad_urls_are_listed() -> None:
    with pytest.raises(WrongConfiguration) as problem:
        load({"HUB_DB__URL": "mysql://x", "HUB_BUS__URL": "kafka://x"})
    assert "HUB_BUS__URL" in str(problem.value)


def test_a_wait_without_end_is_refused() -> None:
    with pytest.raises(WrongConfiguration):
        load({"HUB_CONSUMER__POLL_SECONDS": "inf"})


def test_a_file_may_hold_a_value(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"{POSTGRES}\n")
    given = {"HUB_DB__URL_FILE": str(secret)}
    assert load(given).db_url == POSTGRES
    assert sources(given) == {"db.url": "HUB_DB__URL_FILE"}


def test_a_setting_that_is_a_file_of_certificates_is_given_as_it_is_called(tmp_path: Path) -> None:
    name, pem = "HUB_SYSTEMS__CRM__REST__CA_FILE", tmp_path / "ca.pem"
    settings = load({name: str(pem)})
    assert settings.systems.crm.rest.ca_file == pem
    assert sources({name: str(pem)}) == {"systems.crm.rest.ca_file": name}


def test_a_file_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    with pytest.raises(WrongConfiguration, match=r"^HUB_BUS__URL_FILE: cannot read .*nothing: No such file"):
        load({"HUB_BUS__URL_FILE": str(missing)})


def test_a_file_that_is_no_text_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "url").write_bytes(b"\xff\xfe")
    with pytest.raises(WrongConfiguration):
        load({"HUB_DB__URL_FILE": str(tmp_path / "url")})


def test_a_file_for_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="HUB_DB__URI_FILE is no setting; did you mean HUB_DB__URL"):
        load({"HUB_DB__URI_FILE": str(tmp_path)})


def test_secrets_are_never_printed() -> None:
    settings = load(GIVEN)
    shown = [repr(settings), str(settings), settings.model_dump_json(), str(dict(effective(settings)))]
    shown += [repr(settings.system(name)) for name in SYSTEMS]
    assert [text for text in shown if SECRET in text] == []
    assert "**********" in shown[0]


@pytest.mark.parametrize("given", [{}, GIVEN, {"HUB_DB__URL": POSTGRES}], ids=["defaults", "much", "one"])
def test_another_process_gets_these_very_settings(given: dict[str, str]) -> None:
    settings = load(given)
    handed = environment(settings)
    assert load(handed) == settings
    assert handed.items() >= given.items()


def test_every_setting_has_a_variable_and_a_line_in_the_list() -> None:
    names = {name for name, _ in variables()}
    settings = [name for name, _ in effective(load({}))]
    assert names == {f"HUB_{name.upper().replace('.', '__')}" for name in settings}
    assert names >= GIVEN.keys()


@pytest.mark.parametrize(("group", "name", "value"), [("db", "pool_size", 9), ("bus", "prefix", "x.")])
def test_settings_never_change(group: str, name: str, value: Any) -> None:
    settings = load({})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(settings, group), name, value)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(settings, group, None)


def test_settings_made_by_hand_read_no_environment() -> None:
    assert Settings(tz="UTC").db_url == "sqlite:///hub-data/hub.db"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"HUB_DB__URL": ""}, "HUB_DB__URL is empty"),
        ({"HUB_TZ": "Mars/Olympus"}, "is no time zone"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(WrongConfiguration, match=said):
        load(given)


@pytest.mark.parametrize(("given", "said", "other"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_are_refused_by_their_names(
    given: dict[str, str], said: str, other: str
) -> None:
    with pytest.raises(WrongConfiguration) as problem:
        load({f"HUB_{name}": value for name, value in given.items()})
    assert str(problem.value).startswith(f"HUB_{said}")
    assert str(problem.value).endswith(f"HUB_{other}")


@pytest.mark.parametrize("given", COMPATIBLE, ids=" ".join)
def test_settings_at_the_edge_fit_together(given: dict[str, str]) -> None:
    assert load({f"HUB_{name}": value for name, value in given.items()})


def test_what_is_said_for_one_system_holds_for_it_alone() -> None:
    settings = load({"HUB_CONSUMER__ATTEMPTS": "3", "HUB_CONSUMERS__WMS__ATTEMPTS": "12"})
    assert {name: settings.consumer_of(name).attempts for name in SYSTEMS} == {
        "crm": 3,
        "kingdee": 3,
        "wms": 12,
        "erp": 3,
    }


def test_all_else_of_a_system_is_as_for_every_system() -> None:
    settings = load({"HUB_CONSUMER__POLL_SECONDS": "0.2", "HUB_CONSUMERS__ERP__SETTLE_SECONDS": "0"})
    assert settings.consumer_of("erp") == Consumer(poll_seconds=0.2, settle_seconds=0)
    assert settings.consumer_of("erp") == settings.consumer_of("crm") == settings.consumer


OVER_HTTP = {
    "HUB_SYSTEMS__WMS__INTERFACE": "qimen",
    "HUB_SYSTEMS__WMS__QIMEN__URL": "https://qimen.example.com/router/qimen/service",
    **{f"HUB_SYSTEMS__WMS__QIMEN__{name}": "x" for name in ("APP_KEY", "SECRET", "CUSTOMER_ID", "OWNER")},
    **{f"HUB_SYSTEMS__WMS__QIMEN__SENDER__{name}": "x" for name in ("NAME", "MOBILE", "PROVINCE", "CITY", "ADDRESS")},
}
# what is said beside the interface -> workers, orders claimed at once, seconds to settle of the WMS
SAID = [
    ({}, (2, 10, 10.0)),
    ({"HUB_DB__URL": POSTGRES}, (8, 10, 10.0)),
    ({"HUB_CONSUMER__WORKERS": "3"}, (3, 10, 10.0)),
    ({"HUB_CONSUMER__WORK_BATCH": "500", "HUB_CONSUMER__SETTLE_SECONDS": "0"}, (2, 500, 0.0)),
    ({"HUB_CONSUMER__WORKERS": "3", "HUB_CONSUMERS__WMS__WORKERS": "5"}, (5, 10, 10.0)),
]


@pytest.mark.parametrize(("given", "found"), SAID)
def test_a_system_behind_http_has_its_own_usual_values(given: dict[str, str], found: tuple[int, int, float]) -> None:
    settings = load(OVER_HTTP | given)
    for each in (settings, load(environment(settings))):
        policy = each.consumer_of("wms")
        assert (policy.workers, policy.work_batch, policy.settle_seconds) == found
        assert each.consumer_of("erp") == each.consumer
    assert settings.interface("wms") is settings.systems.wms.qimen
    assert settings.interface("erp") is None


def test_a_lease_is_twice_as_long_as_a_call_over_http() -> None:
    load(OVER_HTTP | {"HUB_SYSTEMS__WMS__QIMEN__TOTAL_SECONDS": "30"})
    with pytest.raises(WrongConfiguration) as problem:
        load(OVER_HTTP | {"HUB_SYSTEMS__WMS__QIMEN__TOTAL_SECONDS": "31"})
    assert str(problem.value) == (
        "HUB_CONSUMER__LEASE_SECONDS must be at least twice HUB_SYSTEMS__WMS__QIMEN__TOTAL_SECONDS"
    )


@pytest.mark.parametrize("name", Consumer.model_fields)
def test_everything_that_is_said_for_all_can_be_said_for_one(name: str) -> None:
    # Twice the default: allowed for every one of them, and another value than before.
    value = (getattr(Consumer(), name) or 1) * 2
    settings = load({"HUB_BUS__PREFETCH": "2000", f"HUB_CONSUMERS__KINGDEE__{name.upper()}": str(value)})
    assert settings.consumer_of("kingdee") == Consumer(**{name: value})
    assert settings.consumer_of("crm") == Consumer()


@pytest.mark.parametrize("label", LABELS)
def test_every_crash_point_can_be_named_with_and_without_times(label: str) -> None:
    assert load({"HUB_CRASH_AT": label}).crash_at == label
    assert load({"HUB_CRASH_AT": f"{label}:20"}).crash_at == f"{label}:20"


def test_no_crash_point_is_armed_unless_named() -> None:
    assert load({}).crash_at is None
    assert not load({"HUB_CRASH_AT": ""}).crash_at


@pytest.mark.parametrize("times", ["0", "00", "²", "₃"])
def test_a_crash_point_that_is_never_reached_that_often_is_refused(times: str) -> None:
    with pytest.raises(WrongConfiguration, match="is no crash point"):
        load({"HUB_CRASH_AT": f"relay.claimed:{times}"})
