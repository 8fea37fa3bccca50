"""Field rules: what a file may say, what it means, and how it is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from hub.config import SYSTEMS
from hub.errors import WrongConfiguration
from hub.interfaces.systems import Systems
from hub.reconcile.rules import FIELDS, SystemRules
from hub.reconcile.rules_file import DEFAULT, load
from hub.schemas.order import Status
from tests.builders import make_facts, make_line_facts

FILE = """
version = "2026-12"

[wms]
not_kept = ["warehouse", "lines.name"]
tolerance_fen = 1

[wms.mapped.status]
"已发货" = "shipped"
"部分发货" = "shipped"
"""

# A file that is refused, and what its reader must be told: where, and what would be right.
REFUSED = {
    "no version": ("[crm]", 'version: is missing; write version = "2026-11"'),
    "a version that is no text": ("version = 1", "version: must be a valid string"),
    "an unknown system": ('version = "1"\n[sap]', "sap: is not known; one of version, crm, kingdee, wms, erp"),
    "an unknown key": ('version = "1"\n[crm]\nkept = []', "[crm] kept: is not known; one of not_kept, mapped"),
    "an unknown field": ('version = "1"\n[crm]\nnot_kept = ["price"]', "[crm] not_kept.0: must be 'version', 'status'"),
    "its number": ('version = "1"\n[crm]\nnot_kept = ["order_no"]', "[crm] not_kept.0: must be 'version', 'status'"),
    "no list": ('version = "1"\n[crm]\nnot_kept = "vip"', "[crm] not_kept: must be a valid list"),
    "no table": ('version = "1"\ncrm = 1', "[crm]: must be a table"),
    "a truth": ('version = "1"\n[erp]\ntolerance_fen = true', "[erp] tolerance_fen: must be a valid integer"),
    "a fraction": ('version = "1"\n[erp]\ntolerance_fen = 0.5', "[erp] tolerance_fen: must be a valid integer"),
    "less than nothing": ('version = "1"\n[erp]\ntolerance_fen = -1', "[erp] tolerance_fen: must be greater than"),
    "a mapped amount": ('version = "1"\n[crm.mapped.total]\n"1" = "2"', "[crm] mapped.total: must be 'status'"),
    "a number as word": ('version = "1"\n[crm.mapped.shop]\na = 1', "[crm] mapped.shop.a: must be a valid string"),
    "no status": (
        'version = "1"\n[crm.mapped.status]\n"已发货" = "shiped"',
        "[crm]: mapped.status: 'shiped' is no status",
    ),
    "both": (
        'version = "1"\n[crm]\nnot_kept = ["shop"]\n[crm.mapped.shop]\na = "b"',
        "[crm]: shop is mapped and not kept; leave one of the two out",
    ),
    "an interface of another system": ('version = "1"\n[crm.qimen]', "[crm] qimen: is not known; one of not_kept"),
    "an unknown key of an interface": (
        'version = "1"\n[wms.qimen]\nkept = []',
        "[wms.qimen] kept: is not known; one of not_kept, mapped, tolerance_fen, may_lack, folded, may_show",
    ),
    "an interface that is no table": ('version = "1"\n[crm]\nrest = 1', "[crm.rest]: must be a table"),
    "an unknown field of an interface": (
        'version = "1"\n[erp.grasp]\nnot_kept = ["price"]',
        "[erp.grasp] not_kept.0: must be 'version', 'status'",
    ),
    "a status that no order has": (
        'version = "1"\n[wms.qimen]\nmay_lack = ["unpaid"]',
        "[wms.qimen] may_lack.0: must be 'pending_payment', 'paid'",
    ),
    "no status to fold": (
        'version = "1"\n[wms.qimen.folded.status]\n"完成" = "shipped"',
        "[wms.qimen]: folded.status: '完成' is no status",
    ),
    "no status to fold to": (
        'version = "1"\n[wms.qimen.folded.status]\ncompleted = "done"',
        "[wms.qimen]: folded.status: 'done' is no status",
    ),
    "a folded amount": ('version = "1"\n[wms.folded.total]\n"1" = "2"', "[wms] folded.total: must be 'status'"),
    "folded and not kept": (
        'version = "1"\n[wms.qimen]\nnot_kept = ["status"]\n[wms.qimen.folded.status]\npicking = "paid"',
        "[wms.qimen]: status is folded and not kept; leave one of the two out",
    ),
    "folded twice": (
        'version = "1"\n[wms.folded.status]\ncompleted = "shipped"\nshipped = "paid"',
        "[wms]: folded.status: 'shipped' stands on both sides; fold each word to the last one",
    ),
    "no TOML": ("version", "is no TOML in UTF-8"),
}


def written(folder: Path, text: str) -> Path:
    file = folder / "rules.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_what_each_system_keeps(tmp_path: Path) -> None:
    rules = load(written(tmp_path, FILE))
    assert rules.version == "2026-12"
    assert rules.of("wms") == SystemRules(
        frozenset({"warehouse", "lines.name"}), {"status": {"已发货": "shipped", "部分发货": "shipped"}}, 1
    )
    assert rules.of("crm") == rules.of("a system of tomorrow") == SystemRules()


def test_the_rules_that_come_with_the_hub_keep_everything_and_map_nothing() -> None:
    rules = load()
    assert rules.version == "2026-11"
    assert dict(rules.systems) == {name: SystemRules() for name in SYSTEMS}


def test_the_example_in_the_file_that_comes_with_the_hub_is_one_that_works(tmp_path: Path) -> None:
    lines = DEFAULT.read_text(encoding="utf-8").splitlines()
    example = "\n".join(line.removeprefix("#   ") for line in lines if line.startswith("#   "))
    rules = load(written(tmp_path, f'version = "1"\n{example}')).of("crm")
    assert rules.not_kept
    assert rules.mapped
    assert rules.tolerance_fen
    assert rules.may_lack
    assert rules.folded


EVERY_INTERFACE = [
    (name, interface)
    for name, field in Systems.model_fields.items()
    for interface in get_args(field.annotation.model_fields["interface"].annotation)
]


@pytest.mark.parametrize(("system", "interface"), EVERY_INTERFACE)
def test_the_rules_that_come_with_the_hub_know_every_interface(system: str, interface: str) -> None:
    found = load(interfaces={system: interface}).of(system)
    assert found == SystemRules() or interface != "tables"
    assert {"order_no", "status"} <= set(found.head)
    assert {"sku", "quantity"} <= set(found.line)


def test_each_interface_has_a_section_of_its_own(tmp_path: Path) -> None:
    qimen = '[wms.qimen]\nnot_kept = ["vip"]\nmay_lack = ["cancelled"]\n[wms.qimen.folded.status]\npicking = "paid"'
    file = written(tmp_path, f"{FILE}\n{qimen}\n[crm.rest]")
    assert load(file).of("wms") == load(file, {"wms": "tables"}).of("wms") == load(file, {"crm": "rest"}).of("wms")
    assert load(file).of("wms").tolerance_fen == 1
    assert load(file, {"wms": "qimen"}).of("wms") == SystemRules(
        frozenset({"vip"}), {}, 0, frozenset({"cancelled"}), {"status": {"picking": "paid"}}
    )
    assert load(file, {"crm": "rest"}).of("crm") == SystemRules()


def test_a_file_that_is_silent_on_a_real_interface_in_force_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, FILE)
    with pytest.raises(WrongConfiguration) as refusal:
        load(file, {"wms": "qimen"})
    said = f"{file}: [wms.qimen]: is missing, and HUB_SYSTEMS__WMS__INTERFACE is qimen; say what it keeps"
    assert str(refusal.value).startswith(said)


def test_words_that_a_system_cannot_tell_apart_are_the_same_on_both_sides() -> None:
    rules = SystemRules(folded={"status": {"picking": "paid"}, "warehouse": {"WH-2": "WH-1"}})
    for ours, theirs in (("picking", "paid"), ("paid", "picking"), ("picking", "picking")):
        assert rules.apart(make_facts(status=ours), make_facts(status=theirs)) == ()
    assert rules.apart(make_facts(warehouse="WH-2"), make_facts(warehouse="WH-1")) == ()
    found = rules.apart(make_facts(status="picking", warehouse=None), make_facts(status="shipped", warehouse="WH-2"))
    assert found == (("status", "picking", "shipped"), ("warehouse", None, "WH-2"))


def test_digests_count_a_word_as_both_sides_are_compared_by_it() -> None:
    folded = {"status": {"picking": "paid", "completed": "shipped"}}
    rules = SystemRules(mapped={"status": {"拣货": "picking", "发货": "shipped"}, "shop": {"一": "1"}}, folded=folded)
    assert rules.meanings == {
        "status": {"picking": "paid", "completed": "shipped", "拣货": "paid", "发货": "shipped"},
        "shop": {"一": "1"},
    }


@pytest.mark.parametrize(("status", "may"), [("cancelled", True), ("pending_payment", True), ("paid", False)])
def test_an_order_may_be_missing_by_its_status(status: str, may: bool) -> None:
    rules = SystemRules(may_lack=frozenset({"cancelled", "pending_payment"}))
    assert rules.may_be_missing(make_facts(status=status)) is may
    assert not SystemRules().may_be_missing(make_facts(status=status))


def test_a_version_where_none_is_kept_is_no_version() -> None:
    rules = SystemRules(frozenset({"version"}))
    assert rules.canonical(make_facts(version=17)) == (replace(make_facts(), version=None), ())
    assert SystemRules().canonical(make_facts(version=17))[0].version == 17


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_is_wrong_is_refused_by_name_and_key(tmp_path: Path, what: str) -> None:
    text, said = REFUSED[what]
    file = written(tmp_path, text)
    with pytest.raises(WrongConfiguration) as refusal:
        load(file)
    assert str(refusal.value).startswith(f"{file}: {said}")


@pytest.mark.parametrize("make", [lambda path: path / "none.toml", lambda path: path])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, make: Any) -> None:
    with pytest.raises(WrongConfiguration, match=r"cannot be read .*HUB_RECONCILE__RULES"):
        load(make(tmp_path))


def test_a_file_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_bytes('version = "已"'.encode("gb18030"))
    with pytest.raises(WrongConfiguration, match="is no TOML in UTF-8"):
        load(file)


def test_what_is_not_kept_never_differs() -> None:
    changed = {"warehouse": "W", "vip": True, "version": 9, "total": 1, "lines": ()}
    for name, value in changed.items():
        ours, theirs = make_facts(), make_facts(**{name: value})
        assert SystemRules().apart(ours, theirs)
        assert SystemRules(frozenset({name})).apart(ours, theirs) == ()


def test_a_field_of_a_line_that_is_not_kept_never_differs() -> None:
    rules = SystemRules(frozenset({"lines.name"}))
    tea, cup = make_facts(lines=(make_line_facts(),)), make_facts(lines=(make_line_facts(name="Cup", quantity=1),))
    assert rules.apart(tea, cup) == (("lines[1].quantity", 2, 1),)
    assert rules.apart(tea, make_facts(lines=())) == (("lines", 1, 0),)


def test_amounts_may_be_apart_by_the_tolerance_and_no_further() -> None:
    rules = SystemRules(tolerance_fen=1)

    def of(total: int, price: int) -> Any:
        return make_facts(total=total, lines=(make_line_facts(unit_price=price),))

    assert rules.apart(of(2500, 1250), of(2501, 1249)) == ()
    assert rules.apart(of(2500, 1250), of(2502, 1248)) == (("total", 2500, 2502), ("lines[1].unit_price", 1250, 1248))


def test_the_tolerance_is_for_amounts_alone() -> None:
    assert SystemRules(tolerance_fen=5).apart(make_facts(version=2), make_facts(version=3)) == (("version", 2, 3),)
    assert SystemRules(tolerance_fen=5).apart(make_facts(), make_facts(total=None)) == (("total", 2500, None),)


@pytest.mark.parametrize("status", Status)
def test_the_omss_own_statuses_need_no_map(status: Status) -> None:
    assert SystemRules().canonical(make_facts(status=str(status))) == (make_facts(status=str(status)), ())


def test_a_status_that_is_none_is_unmapped_and_stands_as_it_is() -> None:
    assert SystemRules().canonical(make_facts(status="lost")) == (make_facts(status="lost"), ("status",))
    assert SystemRules(frozenset({"status"})).canonical(make_facts(status="lost"))[1] == ()


def test_nothing_is_no_word_that_lacks_in_a_map() -> None:
    rules = SystemRules(mapped={"warehouse": {"一号仓": "WH-1"}})
    assert rules.canonical(make_facts(warehouse="一号仓")) == (make_facts(warehouse="WH-1"), ())
    assert rules.canonical(make_facts(warehouse=None)) == (make_facts(warehouse=None), ())
    assert rules.canonical(make_facts(warehouse="二号仓"))[1] == ("warehouse",)


def test_every_field_of_the_facts_but_its_number_may_be_left_out() -> None:
    assert SystemRules(frozenset(FIELDS)).head == ("order_no",)
    assert SystemRules(frozenset(FIELDS)).line == ()
