"""The numbers of the block, the sentences, and the documentation that explains them."""

import re
from pathlib import Path

import pytest

from postroom_contract.error_codes import CATEGORIES, HINTS, SENTENCES, ErrorCode, describe, help_link
from postroom_contract.errors import BY_CODE, PostroomError

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "errors.md"


@pytest.mark.parametrize(
    ("code", "name", "category"),
    [
        (100, "INVALID_PORT", "Socket"),
        (101, "INVALID_HOST", "Socket"),
        (200, "SSL_REQUIRED", "SSL"),
        (201, "SSL_UNSUPPORTED", "SSL"),
        (300, "INVALID_USER_CREDENTIALS", "UserCredentials"),
        (400, "INVALID_CERTIFICATE", "OAuthCredentials"),
        (401, "INVALID_GMAIL_CLIENT_CREDENTIALS", "OAuthCredentials"),
    ],
)
def test_the_blocks_codes_and_categories(code: int, name: str, category: str) -> None:
    """100 to 401 are the block's own numbers, under its categories."""
    assert ErrorCode(code).name == name
    assert CATEGORIES[ErrorCode(code)] == category


def test_our_codes_start_at_1000_and_have_no_category() -> None:
    """Nothing of ours can be taken for one of the block's codes."""
    ours = set(ErrorCode) - CATEGORIES.keys()

    assert ours
    assert min(ours) >= 1000


def test_every_code_has_a_sentence_and_a_type() -> None:
    """No code is without words, and none without an exception."""
    assert SENTENCES.keys() == set(ErrorCode)
    assert BY_CODE.keys() == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_a_sentence_reads_well_with_nothing_known(code: ErrorCode) -> None:
    """Without facts no placeholder, bracket or double blank is left over."""
    sentence = describe(code, {})

    assert re.fullmatch(r"[A-Z][^{}\[\]]*\.", sentence)
    assert "  " not in sentence
    assert " ." not in sentence


FACTS = {
    "host": "mail.example",
    "port": 2525,
    "path": "/a/b",
    "address": "a@b.example",
    "property": "Subject",
    "command": "RCPT",
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "text": "No such user",
    "limit": 42,
    "url": "redis://r:6379/0",
}


@pytest.mark.parametrize("code", ErrorCode)
def test_a_sentence_uses_what_is_known(code: ErrorCode) -> None:
    """Each fact that a sentence has room for appears in it."""
    used = set(re.findall(r"{(\w+)}", SENTENCES[code])) - {"reply"}

    assert all(str(FACTS[name]) in describe(code, FACTS) for name in used)


def test_the_sentences_of_the_block() -> None:
    """What the block promises to tell: host and port, the host, the port and what to try."""
    assert describe(ErrorCode.INVALID_PORT, FACTS | {"property": None}) == (
        "Nothing answered at mail.example port 2525: the port does not exist or timed out."
    )
    assert describe(ErrorCode.INVALID_HOST, {"host": "h"}) == "The host h does not exist."
    assert describe(ErrorCode.SSL_REQUIRED, {"port": 465}) == (
        "The port 465 wants TLS from the first byte; try UseSsl true."
    )
    assert "try UseSsl false" in describe(ErrorCode.SSL_UNSUPPORTED, {"port": 25, "reason": "tls_not_offered"})
    assert describe(ErrorCode.COMMAND_REFUSED, {"command": "RCPT", "smtp_code": 550, "text": "No {braces}"}) == (
        "The server refused RCPT: 550 No {braces}."
    )


def test_a_property_is_always_named() -> None:
    """A sentence without room for the property begins with it: which of ten attachments was it?"""
    assert describe(ErrorCode.PATH_TOO_LONG, {"property": "Attachments[7].Path"}).startswith("Attachments[7].Path: ")


def test_several_mistakes_are_listed() -> None:
    """More than one mistake makes a list; one is told as a sentence."""
    one = {"property": "Subject", "reason": "too_long", "mistakes": [{"message": "only"}]}
    two = {"mistakes": [{"message": "first"}, {"message": "second"}]}

    assert describe(ErrorCode.INVALID_ARGUMENT, one) == "Subject is not valid. It is too long."
    assert describe(ErrorCode.INVALID_ARGUMENT, two) == "2 mistakes:\n- first\n- second"


@pytest.mark.parametrize("code", ErrorCode)
def test_help_link_leads_to_a_heading(code: ErrorCode) -> None:
    """The anchor of each code's link exists in the document, once, with the code's name and exception beside it."""
    file, _, anchor = help_link(code).partition("#")
    text = (ROOT / file).read_text()

    assert text.count(f'<a id="{anchor}"></a>') == 1
    section = text.partition(f'<a id="{anchor}"></a>')[2].partition("<a id=")[0]
    assert re.match(rf"\n### {int(code)} {re.escape(_pascal(code))}\n", section)
    assert f"`{BY_CODE[code].__name__}`" in section
    category = CATEGORIES.get(code)
    assert category is None or f"`{category}`" in section


@pytest.mark.parametrize("code", ErrorCode)
def test_the_document_names_the_built_ins_of_each_exception(code: ErrorCode) -> None:
    """What a Python programmer would catch stands with each code."""
    section = DOCUMENT.read_text().partition(f'<a id="code-{int(code)}"></a>')[2].partition("<a id=")[0]
    parents = [base.__name__ for base in BY_CODE[code].__bases__ if not issubclass(base, PostroomError)]

    assert all(f"`{parent}`" in section for parent in parents if parent != "Exception")


def test_the_document_explains_every_reason() -> None:
    """Each reason word has its row, and no row explains a word that is gone."""
    explained = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text().partition("\n## Reasons\n")[2], re.MULTILINE)

    assert sorted(explained) == sorted(HINTS)


def _pascal(code: ErrorCode) -> str:
    return code.name.title().replace("_", "")
