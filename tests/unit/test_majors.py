"""An event goes from one major to another and back with tested pure functions, and whoever reads one gets it valid."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from hub.errors import Undecodable
from hub.schemas import registry
from hub.schemas.envelope import Event
from hub.schemas.majors import Catalogue, Document, Major
from hub.schemas.order import Change
from hub.schemas.registry import CATALOGUE, decode, encode, event_type, in_major, published_majors, renditions
from tests.builders import make_body, make_event, make_line, make_order, make_receiver
from tests.majors import PRESENT_TO_OLD, THREE, TWO, OldestEvent, OldEvent, on_order, release, two
from tests.unit.strategies import events

CATALOGUES = {"of the hub": CATALOGUE, "of two": TWO, "of three": THREE}
SAME_IN_ALL = ("id", "source", "subject", "time", "recordedtime", "sequence", "partitionkey", "traceparent")
NAME = "CANARYNAME"


@st.composite
def written(draw: st.DrawFn, catalogue: Catalogue) -> Event:
    """Any event as the OMS of a release with this catalogue writes it."""
    event = draw(events())
    kind = event_type(event.data.change, catalogue)
    return event.model_copy(update={"type": kind.name, "dataschema": kind.schema})


def newest(catalogue: Catalogue, **fields: Any) -> Event:
    """A paid order as the OMS of a release with this catalogue writes it."""
    kind = event_type(Change.PAID, catalogue)
    return make_event(order=make_order(**fields), type=kind.name, dataschema=kind.schema)


def older(event: Event, number: int, catalogue: Catalogue = THREE) -> bytes:
    """The event in an older major."""
    return in_major(event.type, encode(event), number, catalogue)[1].encode()


def as_order(body: bytes | str) -> Document:
    """The order in an event's text."""
    return json.loads(body)["data"]["order"]


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
class TestAnyCatalogue:
    @given(data=st.data())
    def test_every_published_major_of_any_event_is_valid_and_named_for_its_major(
        self, catalogue: Catalogue, data: st.DataObject
    ) -> None:
        event = data.draw(written(catalogue))
        made = renditions(event.type, encode(event), catalogue)
        assert [kind.major for kind, _ in made] == [*reversed(published_majors(catalogue))]
        for kind, text in made:
            catalogue.of(kind).model.model_validate_json(text)
            assert (json.loads(text)["type"], json.loads(text)["dataschema"]) == (kind.name, kind.schema)
            assert kind.change == event.data.change

    @given(data=st.data())
    def test_the_newest_is_the_text_as_it_was_written(self, catalogue: Catalogue, data: st.DataObject) -> None:
        event = data.draw(written(catalogue))
        text = encode(event)
        assert renditions(event.type, text, catalogue)[0] == (event_type(event.data.change, catalogue), text)

    @given(data=st.data())
    def test_what_an_event_is_stays_the_same_in_every_major(self, catalogue: Catalogue, data: st.DataObject) -> None:
        event = data.draw(written(catalogue))
        told = [json.loads(text) for _, text in renditions(event.type, encode(event), catalogue)]
        assert [{name: each[name] for name in SAME_IN_ALL} for each in told] == [
            {name: told[0][name] for name in SAME_IN_ALL}
        ] * len(told)

    @given(data=st.data())
    def test_an_event_of_any_major_is_read_as_one_of_the_newest(
        self, catalogue: Catalogue, data: st.DataObject
    ) -> None:
        event = data.draw(written(catalogue))
        for _, text in renditions(event.type, encode(event), catalogue):
            read = decode(text.encode(), catalogue)
            assert isinstance(read, catalogue.newest.model)
            assert (read.type, read.order.version, read.order.total) == (
                event.type,
                event.order.version,
                event.order.total,
            )

    @given(data=st.data())
    def test_what_was_lowered_and_lifted_is_lowered_to_the_same(
        self, catalogue: Catalogue, data: st.DataObject
    ) -> None:
        event = data.draw(written(catalogue))
        for kind, text in renditions(event.type, encode(event), catalogue):
            again = encode(decode(text.encode(), catalogue))
            assert json.loads(in_major(event.type, again, kind.major, catalogue)[1]) == json.loads(text)


class TestThreeMajors:
    @given(written(THREE))
    def test_nothing_is_lost_on_the_way_down_and_up_but_what_an_older_major_has_no_room_for(self, event: Event) -> None:
        order = event.order.model_copy(update={"note": None})
        without_note = event.model_copy(update={"data": event.data.model_copy(update={"order": order})})
        assert [decode(older(event, number), THREE) for number in (1, 2)] == [without_note] * 2

    def test_each_step_does_its_part(self) -> None:
        event = newest(THREE, note="ring twice", receiver=make_receiver(phone="13800138000"))
        third, second, first = (as_order(text) for _, text in renditions(event.type, encode(event), THREE))
        assert (third["total"], third["receiver"]["phone"], third["note"]) == (2500, "13800138000", "ring twice")
        assert (second["total"], second["buyer"], "note" in second) == (2500, "C-1", False)
        assert (first["amount"], first["receiver"]["mobile"], first["buyer"]) == ("25.00", "13800138000", "C-1")
        assert "total" not in first
        assert "phone" not in first["receiver"]

    def test_what_was_written_in_an_older_major_goes_out_in_all_of_them_and_there_as_it_was(self) -> None:
        kept = older(newest(THREE, note=None), 2).decode().replace('"order":{', '"order":{"added":1,')
        assert '"added"' in kept
        made = renditions("com.orderhub.order.paid.v2", kept, THREE)
        assert [kind.name[-2:] for kind, _ in made] == ["v3", "v2", "v1"]
        assert made[1][1] == kept
        assert decode(made[0][1].encode(), THREE) == decode(kept.encode(), THREE)
        assert as_order(made[2][1])["amount"] == "25.00"

    def test_an_old_body_is_read_by_the_model_of_its_own_major(self) -> None:
        with pytest.raises(Undecodable, match=r"data\.order\.amount: String should match") as refusal:
            decode(older(newest(THREE), 1).replace(b'"25.00"', b'"25.0"'), THREE)
        assert refusal.value.reason == "invalid"

    def test_a_field_that_a_later_minor_version_of_an_old_major_adds_is_passed_over(self) -> None:
        body = older(newest(THREE), 1)
        added = body.replace(b'"order":{', b'"order":{"added":{"later":[1]},')
        assert added != body
        assert decode(added, THREE) == decode(body, THREE)

    def test_an_old_envelope_that_contradicts_its_order_is_refused(self) -> None:
        with pytest.raises(Undecodable, match="contradicts the order"):
            decode(older(newest(THREE), 1).replace(b'"sequence":"0000000002"', b'"sequence":"0000000003"'), THREE)

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_key_that_stands_twice_is_refused_in_every_major(self, number: int) -> None:
        body = older(newest(THREE), number).replace(b'"order":{', b'"order":{"version":2,')
        with pytest.raises(Undecodable, match="'version' stands twice"):
            decode(body, THREE)

    @given(st.sampled_from([1, 2]), st.integers(0, 900), st.integers(0, 40), st.binary(max_size=10))
    def test_a_damaged_old_body_is_read_or_refused_and_nothing_else(
        self, number: int, start: int, length: int, noise: bytes
    ) -> None:
        body = older(newest(THREE), number)
        with suppress(Undecodable):
            decode(body[:start] + noise + body[start + length :], THREE)


class TestUnknownMajors:
    def test_a_newer_one_is_unknown(self) -> None:
        body = make_body(type="com.orderhub.order.paid.v4")
        with pytest.raises(Undecodable, match=r"event type com\.orderhub\.order\.paid\.v4 is not known") as refusal:
            decode(body, THREE)
        assert refusal.value.reason == "unknown_type"

    def test_one_that_was_retired_is_unknown(self) -> None:
        retired = Catalogue(THREE.majors[1:], published_from=2)
        with pytest.raises(Undecodable, match="not known here") as refusal:
            decode(older(newest(THREE), 1), retired)
        assert refusal.value.reason == "unknown_type"
        assert decode(older(newest(THREE), 2), retired).order.total == 2500

    def test_one_that_is_not_published_any_more_is_still_read(self) -> None:
        quiet = two(published_from=2)
        event = newest(quiet)
        assert [kind.major for kind, _ in renditions(event.type, encode(event), quiet)] == [2]
        assert decode(older(event, 1, TWO), quiet) == event
        assert sorted({kind.major for kind in quiet.published_types.values()}) == [2]

    @pytest.mark.parametrize("name", ["com.orderhub.order.paid.v3", "com.orderhub.order.paused.v1", "张伟"])
    def test_a_row_of_an_unknown_type_has_no_renditions(self, name: str) -> None:
        with pytest.raises(Undecodable, match="not known here") as refusal:
            renditions(name, encode(make_event()), TWO)
        assert "张伟" not in str(refusal.value)

    def test_nothing_is_told_in_a_major_that_is_not_there(self) -> None:
        event = newest(TWO)
        with pytest.raises(Undecodable, match="major 7 of the events is not known here"):
            in_major(event.type, encode(event), 7, TWO)


class TestStepsThatFail:
    def test_a_step_that_breaks_is_named_without_what_it_was_given(self) -> None:
        def breaks(document: Document) -> Document:
            raise KeyError(document["data"]["order"]["receiver"]["name"])

        event = newest(TWO, receiver=make_receiver(name=NAME))
        with pytest.raises(Undecodable, match="cannot be put into major 1: KeyError") as refusal:
            renditions(event.type, encode(event), two(lower=breaks))
        assert NAME not in str(refusal.value)
        with pytest.raises(Undecodable, match="cannot be put into major 2: KeyError"):
            decode(older(event, 1, TWO), two(lift=breaks))

    def test_what_the_other_major_does_not_take_is_not_published(self) -> None:
        event = newest(TWO, receiver=make_receiver(name=NAME))
        with pytest.raises(Undecodable, match=r"major 1: data\.order\.buyer: Field required") as refusal:
            renditions(event.type, encode(event), two(lower=on_order(lambda _: None)))
        assert NAME not in str(refusal.value)

    def test_a_step_that_leaves_behind_a_field_of_its_own_major_is_found(self) -> None:
        with pytest.raises(Undecodable, match=r"data\.order\.buyer: Extra inputs are not permitted"):
            decode(older(newest(TWO), 1, TWO), two(lift=on_order(lambda _: None)))

    def test_a_step_cannot_change_what_the_event_is_called(self) -> None:
        def renames(document: Document) -> Document:
            return PRESENT_TO_OLD(document) | {"id": "other", "sequence": "0000000009", "type": "x"}

        event = newest(TWO)
        told = json.loads(renditions(event.type, encode(event), two(lower=renames))[1][1])
        assert (told["id"], told["sequence"], told["type"]) == (event.id, event.sequence, "com.orderhub.order.paid.v1")

    def test_what_is_too_large_in_an_older_major_is_not_published(self) -> None:
        many = on_order(lambda order: order.update(buyer="C", lines=order["lines"] * 1000, total=order["total"] * 1000))
        event = newest(TWO, lines=[make_line(name="n" * 256)])
        with pytest.raises(Undecodable, match="over the limit") as refusal:
            renditions(event.type, encode(event), two(lower=many))
        assert refusal.value.reason == "too_large"


class TestCatalogue:
    @pytest.mark.parametrize("numbers", [(), (0, 1), (1, 3), (2, 1), (1, 1)])
    def test_majors_follow_one_another(self, numbers: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="must follow one another"):
            Catalogue(tuple(Major(number, Event) for number in numbers))

    def test_the_newest_is_always_published(self) -> None:
        with pytest.raises(ValueError, match="published_from is 3"):
            two(published_from=3)

    @pytest.mark.parametrize("model", [BaseModel, type("Other", (BaseModel,), {})])
    def test_the_newest_is_what_the_hub_works_with(self, model: type[BaseModel]) -> None:
        with pytest.raises(TypeError, match="must be an Event"):
            Catalogue((Major(1, model),))

    def test_a_row_of_majors_may_begin_later_than_the_first(self) -> None:
        later = Catalogue(THREE.majors[1:], published_from=2)
        assert published_majors(later) == (2, 3)
        assert [kind.major for kind in later.types.values()] == [2] * len(Change) + [3] * len(Change)
        assert {later.of(kind).model for kind in later.types.values()} == {OldEvent, Event}
        assert THREE.of(THREE.types["com.orderhub.order.paid.v1"]).model is OldestEvent

    def test_a_release_works_with_its_own(self) -> None:
        assert registry.event_type(Change.PAID).major == 1
        with release(TWO):
            assert registry.event_type(Change.PAID).major == 2
            assert decode(older(newest(TWO), 1, TWO)).type == "com.orderhub.order.paid.v2"
            assert published_majors() == (1, 2)
