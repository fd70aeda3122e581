"""Rules and the script, without a server: which rule takes which moment."""

import asyncio
from typing import cast

import pytest

from postroom.testing import Moment, Rule, at
from postroom.testing.smtp_script import OWN_ANSWER, Phase, Script


def answers(script: Script, *moments: Moment) -> list[str | None]:
    """Return what the script answers to each moment, the server's own answer as None."""
    effects = [script.choose(moment) for moment in moments]
    return [None if effect.answer is None else effect.answer.decode().strip() for effect in effects]


def rcpt(text: str = "b@x.test", connection: int = 1, recipients: tuple[str, ...] = ()) -> Moment:
    """Return the moment of a recipient."""
    return Moment(phase="RCPT", text=text, connection=connection, recipients=recipients)


def body(before: int, now: int) -> Moment:
    """Return the moment of a chunk of the message."""
    return Moment(phase="BODY", octets_before=before, octets=now)


def test_without_rules_the_server_answers_itself() -> None:
    """An empty script changes nothing."""
    assert Script().choose(rcpt()) is OWN_ANSWER


def test_an_unknown_phase_is_refused_at_once() -> None:
    """A slip in a phase's name is an error where it is written, not a rule that never fires."""
    with pytest.raises(ValueError, match="RCTP"):
        at(cast("Phase", "RCTP"))


def test_a_rule_takes_only_its_own_phase() -> None:
    """A rule for RCPT leaves MAIL alone."""
    script = Script([at("RCPT").reply("450 no")])

    assert answers(script, Moment(phase="MAIL", text="b@x.test"), rcpt()) == [None, "450 no"]


def test_matching_looks_for_part_of_the_address() -> None:
    """Only moments whose text holds the substring are taken."""
    script = Script([at("RCPT").matching("grey@").reply("450 later")])

    assert answers(script, rcpt("b@x.test"), rcpt("grey@x.test")) == [None, "450 later"]


def test_times_counts_what_the_rule_did() -> None:
    """`times(2)` is used up after two."""
    script = Script([at("RCPT").reply("450 later").times(2)])

    assert answers(script, rcpt(), rcpt(), rcpt()) == ["450 later", "450 later", None]


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        (at("RCPT").nth(1), [1]),
        (at("RCPT").nth(3), [3]),
        (at("RCPT").nth(3).times(2), [3, 4]),
        (at("RCPT").matching("b@").nth(2), [2]),
        (at("RCPT").on_connection(2), []),
        (at("RCPT").when(lambda moment: len(moment.recipients) >= 2), [3, 4, 5]),
    ],
)
def test_which_occurrences_a_rule_takes(rule: Rule, taken: list[int]) -> None:
    """Occurrences are numbered from 1; further limits narrow what is counted."""
    script = Script([rule.reply("450 no")])
    given = answers(script, *(rcpt(recipients=("x",) * number) for number in range(5)))

    assert [number for number, answer in enumerate(given, 1) if answer] == taken


def test_on_connection_takes_that_connection_alone() -> None:
    """The connection's number decides."""
    script = Script([at("RCPT").on_connection(2).reply("450 no")])

    assert answers(script, rcpt(connection=1), rcpt(connection=2), rcpt(connection=3)) == [None, "450 no", None]


def test_the_first_rule_in_order_wins() -> None:
    """A later rule gets its turn when the earlier one is used up: a list of replies, in order."""
    script = Script([at("RCPT").reply("450 one").times(1), at("RCPT").reply("451 two").times(1)])

    assert answers(script, rcpt(), rcpt(), rcpt()) == ["450 one", "451 two", None]


def test_nth_means_the_same_wherever_the_rule_stands() -> None:
    """An occurrence that another rule took is counted too."""
    script = Script([at("RCPT").nth(1).reply("450 one"), at("RCPT").nth(2).reply("451 two")])

    assert answers(script, rcpt(), rcpt(), rcpt()) == ["450 one", "451 two", None]


@pytest.mark.parametrize(("after", "answered"), [(1, [0]), (100, [0]), (101, [1]), (250, [2]), (301, [])])
def test_a_body_rule_takes_the_chunk_that_crosses_its_mark(after: int, answered: list[int]) -> None:
    """The rule comes once for each message, at the chunk with which that much has arrived."""
    script = Script([at("BODY").after_octets(after).reply("552 enough")])
    given = answers(script, body(0, 100), body(100, 200), body(200, 300))

    assert [index for index, answer in enumerate(given) if answer] == answered


def test_rules_are_values() -> None:
    """A rule can be narrowed twice, and used in two scripts, without either knowing of the other."""
    later = at("RCPT").reply("450 later")
    once = later.times(1)
    first, second = Script([once]), Script([once])

    assert answers(first, rcpt(), rcpt()) == answers(second, rcpt(), rcpt()) == ["450 later", None]
    assert later.limit is None


def test_lines_of_a_reply_go_out_as_they_stand() -> None:
    """Each line of a reply is one line on the wire."""
    assert at("RCPT").reply("550-no", "550 never").effect.answer == b"550-no\r\n550 never\r\n"


def test_methods_may_come_in_any_order() -> None:
    """What happens and where it happens are independent."""
    assert at("MAIL").drop().times(1).matching("a@") == at("MAIL").matching("a@").times(1).drop()


def test_accept_then_drop_is_accepting_and_drop() -> None:
    """The short form means what its words say."""
    assert at("END_OF_DATA").accept_then_drop() == at("END_OF_DATA").accepting().drop()


def test_release_opens_the_gates_in_force_and_no_later_ones() -> None:
    """A released rule holds nothing any more; a rule added afterwards does."""
    script = Script([at("RCPT").hold()])
    script.release()
    script.add([at("MAIL").hold()])
    gates = [script.choose(rcpt()).gate, script.choose(Moment(phase="MAIL")).gate]

    assert [gate is not None and gate.is_set() for gate in gates] == [True, False]


def test_clear_forgets_rules_and_lets_go_what_they_hold() -> None:
    """Nobody waits at a gate that no rule can open any more."""
    script = Script([at("RCPT").hold()])
    gate = script.choose(rcpt()).gate
    script.clear()

    assert gate is not None
    assert gate.is_set()
    assert script.choose(rcpt()) is OWN_ANSWER


def test_gates_work_in_a_second_event_loop() -> None:
    """A server that was stopped while something waited can be started again."""
    script = Script([at("RCPT").hold()])

    async def wait_in_vain() -> None:
        script.rearm()
        gate = script.choose(rcpt()).gate
        assert gate is not None
        waiting = asyncio.create_task(gate.wait())
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(wait_in_vain())
    asyncio.run(wait_in_vain())
