"""The demo's list: it holds what the block walks through, and every part of it is what it says."""

from pathlib import Path

from postroom.demo.examples import ATTACHMENTS, all_examples, block_examples, failures, write_attachments
from postroom_contract.error_codes import ErrorCode
from postroom_contract.message import EmailMessage, EmailMessageBodyFormat, EmailMessagePriority
from postroom_contract.outcome import State
from tests.support.payloads import BLOCK_MESSAGE


def test_blocks_examples_are_all_there(tmp_path: Path) -> None:
    """Each kind of message that the block's reference sends is among them."""
    messages = [EmailMessage.accept(example.message) for example in block_examples(tmp_path)]

    assert {(len(m.to), len(m.cc), len(m.bcc)) for m in messages} == {(1, 0, 0), (3, 0, 0), (1, 1, 1), (1, 2, 3)}
    assert [m.priority for m in messages].count(EmailMessagePriority.Urgent) == 1
    assert [m.body for m in messages if m.body_format is EmailMessageBodyFormat.Html] == ["<h1>Example email body</h1>"]
    assert sorted(len(m.attachments) for m in messages if m.attachments) == [1, 2]
    assert all(example.expected.state is State.SENT for example in block_examples(tmp_path))


def test_plain_example_is_the_blocks_payload_verbatim(tmp_path: Path) -> None:
    """Names and nulls are the block's own."""
    assert block_examples(tmp_path)[0].message == BLOCK_MESSAGE


def test_failures_cover_the_blocks_session_errors(tmp_path: Path) -> None:
    """Each code that a server without OAuth can cause, except a host that does not exist: that asks a name server."""
    codes = {example.expected.code for example in failures(tmp_path)}

    assert {
        ErrorCode.INVALID_PORT,
        ErrorCode.SSL_REQUIRED,
        ErrorCode.SSL_UNSUPPORTED,
        ErrorCode.INVALID_USER_CREDENTIALS,
    } <= codes


def test_every_row_has_a_name_of_its_own(tmp_path: Path) -> None:
    """A complaint about a row is about one row."""
    names = [example.name for example in all_examples(tmp_path)]

    assert len(set(names)) == len(names)


def test_attachments_hold_what_a_careless_encoding_would_change(tmp_path: Path) -> None:
    """Every octet, bare line ends, a lone dot; and the file that is missing stays so."""
    write_attachments(tmp_path)
    content = (tmp_path / "picture.bin").read_bytes()

    assert set(content) == set(range(256))
    assert b"\r\n.\r\n" in content
    assert {path.name for path in tmp_path.iterdir()} == set(ATTACHMENTS)
