"""The defaults that other texts promise."""

from dataclasses import asdict

from postroom_worker.smtp.limits import Limits, Timeouts


def test_the_limits_are_those_of_the_documentation() -> None:
    """Three connections, a hundred messages, eight seconds idle, five minutes of age."""
    limits = Limits()

    assert (limits.most_connections, limits.most_messages, limits.most_idle_s, limits.most_age_s) == (3, 100, 8, 300)


def test_waiting_for_the_reply_to_a_message_follows_the_rfc() -> None:
    """RFC 5321 section 4.5.3.2: ten minutes for the dot, three for a block, five for MAIL and RCPT, two for DATA."""
    timeouts = Timeouts()

    assert (timeouts.final_s, timeouts.block_s, timeouts.envelope_s, timeouts.data_s) == (600, 180, 300, 120)


def test_a_session_is_asked_before_servers_hang_up() -> None:
    """The pause after which it is checked lies within the time for which it is kept."""
    assert 0 < Limits().unchecked_idle_s < Limits().most_idle_s
    assert all(seconds > 0 for seconds in asdict(Timeouts()).values())
