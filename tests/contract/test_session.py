"""Session details: the block's payloads and error table, anonymous servers, and encrypted hosts and user names."""

import json
from typing import Any

import pytest

from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.errors import (
    ArgumentException,
    PostroomError,
    PropertyEmptyException,
    PropertyNullException,
    PropertyValueOutOfRangeException,
    UnencryptedTextException,
)
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails, UserCredentials
from tests.support.payloads import BLOCK_SESSION, PASSWORD, PASSWORD_KEYS, PASSWORD_TOKEN, session_with

SEALED_HOST = EncryptedText.encrypt("smtp.gmail.com", keyring=PASSWORD_KEYS)
USER = BLOCK_SESSION["Credentials"]


def refused(details: object) -> PostroomError:
    """The error for session details."""
    with pytest.raises(PostroomError) as caught:
        BasicEmailSessionDetails.accept(details)
    return caught.value


@pytest.mark.parametrize(
    "read", [BasicEmailSessionDetails.accept, lambda data: BasicEmailSessionDetails.accept_json(json.dumps(data))]
)
def test_the_blocks_example_is_accepted_verbatim(read: Any) -> None:
    """Host, port, TLS mode, user name; the password opens for exactly these."""
    details = read(BLOCK_SESSION)
    server, user = details.server_details, details.credentials

    assert (server.host, server.port, server.use_ssl, server.allow_cleartext) == ("smtp.gmail.com", 465, True, False)
    assert isinstance(user, UserCredentials)
    assert (user.username, user.domain) == ("sender@gmail.com", None)
    place = password_place(server.host, server.port, use_ssl=server.use_ssl, username=str(user.username))
    assert user.password.open(PASSWORD_KEYS, place) == PASSWORD


def test_snake_case_is_the_same() -> None:
    """Python's spelling makes equal details, and equal details share a session."""
    made = BasicEmailSessionDetails(
        server_details=ServerDetails(host="smtp.gmail.com", port=465),
        credentials=UserCredentials(username="sender@gmail.com", password=EncryptedText(PASSWORD_TOKEN)),
    )

    assert made == BasicEmailSessionDetails.accept(BLOCK_SESSION)
    assert BasicEmailSessionDetails.accept_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    ("details", "kind", "code", "where"),
    [
        (None, PropertyNullException, 1002, "Input"),
        (session_with() | {"ServerDetails": None}, PropertyNullException, 1002, "ServerDetails"),
        (session_with(credentials=None), PropertyNullException, 1002, "Credentials"),
        (session_with({"Host": None}), PropertyNullException, 1002, "ServerDetails.Host"),
        (session_with({"Host": ""}), PropertyEmptyException, 1003, "ServerDetails.Host"),
        (session_with({"Host": "  "}), PropertyEmptyException, 1003, "ServerDetails.Host"),
        (session_with({"Host": 5}), ArgumentException, 1000, "ServerDetails.Host"),
        (session_with({"Port": None}), PropertyNullException, 1002, "ServerDetails.Port"),
        (session_with({"Port": 0}), PropertyValueOutOfRangeException, 1004, "ServerDetails.Port"),
        (session_with({"Port": -1}), PropertyValueOutOfRangeException, 1004, "ServerDetails.Port"),
        (session_with({"Port": 65536}), PropertyValueOutOfRangeException, 1004, "ServerDetails.Port"),
        (session_with({"Port": 10**30}), PropertyValueOutOfRangeException, 1004, "ServerDetails.Port"),
        (session_with({"Port": "465"}), ArgumentException, 1000, "ServerDetails.Port"),
        (session_with({"Port": True}), ArgumentException, 1000, "ServerDetails.Port"),
        (session_with({"UseSsl": "perhaps"}), ArgumentException, 1000, "ServerDetails.UseSsl"),
        (
            session_with(credentials=USER | {"Password": "clear"}),
            UnencryptedTextException,
            1005,
            "Credentials.Password",
        ),
        (session_with(credentials=USER | {"Password": ""}), UnencryptedTextException, 1005, "Credentials.Password"),
        (session_with(credentials=USER | {"Password": 5}), UnencryptedTextException, 1005, "Credentials.Password"),
        (session_with(credentials=USER | {"Password": None}), PropertyNullException, 1002, "Credentials.Password"),
        (session_with(credentials=USER | {"Username": None}), PropertyNullException, 1002, "Credentials.Username"),
        (session_with(credentials=USER | {"Username": ""}), PropertyEmptyException, 1003, "Credentials.Username"),
        (session_with(credentials=USER | {"Username": "a\nb"}), ArgumentException, 1000, "Credentials.Username"),
        (session_with(credentials=USER | {"Username": "a" * 321}), ArgumentException, 1000, "Credentials.Username"),
        (session_with(credentials=USER | {"Realm": "x"}), ArgumentException, 1000, "Credentials.Realm"),
        (session_with(credentials="anonymous"), ArgumentException, 1000, "Credentials"),
        (session_with(credentials={"Anonymous": False}), ArgumentException, 1000, "Credentials.Anonymous"),
    ],
)
def test_the_blocks_error_table(details: object, kind: type[PostroomError], code: int, where: str) -> None:
    """Each row of the block that belongs to session details: type, code and the property at fault."""
    error = refused(details)

    assert type(error) is kind
    assert (error.error_code, error.facts["property"], error.category) == (code, where, None)
    assert [mistake["property"] for mistake in error.mistakes] == [where]


def test_a_password_in_the_clear_is_never_repeated() -> None:
    """The refusal says what to do, and nowhere what the password was."""
    error = refused(session_with(credentials=USER | {"Password": "canary-password"}))

    assert "postroom encrypt" in str(error)
    assert (
        "canary"
        not in f"{error!r} {error} {error.message} {error.args} {error.as_dict()} {error.__cause__} {error.__context__}"
    )


@pytest.mark.parametrize("host", ["a b", "a\tb", "a\nb", "http://a", "h:25", "user@host", "☃ ☃", "a\ud800", "a" * 256])
def test_hosts_that_are_none(host: str) -> None:
    """Blanks, line ends, URLs and text without an ASCII form never reach the resolver."""
    error = refused(session_with({"Host": host}))

    assert type(error) is ArgumentException
    assert error.facts["property"] == "ServerDetails.Host"


def test_a_host_with_its_port_is_told_apart() -> None:
    """The line says what a host is."""
    assert str(refused(session_with({"Host": "localhost:25"}))) == (
        "ServerDetails.Host is not valid. It is a name or an IP address alone, without scheme, port or path."
    )


@pytest.mark.parametrize(("port", "told"), [(0, "The least is 1."), (65536, "The most is 65535.")])
def test_a_port_out_of_range_is_told_with_the_end_that_it_passed(port: int, told: str) -> None:
    """The reader need not know the range."""
    assert str(refused(session_with({"Port": port}))) == f"ServerDetails.Port is out of range. {told}"


@pytest.mark.parametrize(
    "host", ["localhost", "MACHINE_7", "192.0.2.1", "::1", "[::1]", "smtp.example.com.", "münchen.de"]
)
def test_hosts_of_every_kind(host: str) -> None:
    """A full name, a machine's name, an IP address, localhost, an international name."""
    assert ServerDetails.accept({"Host": host, "Port": 25}).host


@pytest.mark.parametrize("port", [1, 25, 465, 587, 65535])
def test_ports_from_the_first_to_the_last(port: int) -> None:
    """Both ends of the range belong to it."""
    assert ServerDetails.accept({"Host": "h", "Port": port}).port == port


@pytest.mark.parametrize("given", [{}, {"UseSsl": None, "AllowCleartext": None}])
def test_null_means_the_default(given: dict[str, Any]) -> None:
    """UseSsl is true, and nothing goes in the clear, unless somebody says so."""
    server = ServerDetails.accept({"Host": "h", "Port": 465, **given})

    assert (server.use_ssl, server.allow_cleartext) == (True, False)


def test_host_username_and_domain_may_be_encrypted() -> None:
    """In their written form or as objects; they stay sealed and travel as they were written."""
    token = SEALED_HOST.token
    details = BasicEmailSessionDetails.accept(
        session_with({"Host": token}, credentials=USER | {"Username": SEALED_HOST, "Domain": token})
    )
    again = BasicEmailSessionDetails.accept_json(details.model_dump_json(by_alias=True))

    assert details == again
    for made in (details, again):
        assert isinstance(made.credentials, UserCredentials)
        assert made.server_details.host == made.credentials.username == made.credentials.domain == SEALED_HOST
    assert json.loads(details.model_dump_json(by_alias=True))["ServerDetails"]["Host"] == token


@pytest.mark.parametrize("credentials", [{"Anonymous": True}, {"anonymous": True}, Anonymous()])
def test_a_server_without_login_is_an_express_wish(credentials: Any) -> None:
    """Null credentials are an error; `{"Anonymous": true}` means no AUTH, and survives the queue."""
    details = BasicEmailSessionDetails.accept(session_with(credentials=credentials))

    assert isinstance(details.credentials, Anonymous)
    assert BasicEmailSessionDetails.accept_json(details.model_dump_json(by_alias=True, exclude_none=True)) == details


def test_all_mistakes_are_told_server_first() -> None:
    """Details are checked in their order, each mistake with its place."""
    error = refused(session_with({"Host": "", "Port": 0}, credentials={"Username": None, "Password": "clear"}))

    assert type(error) is PropertyEmptyException
    assert [(mistake["property"], mistake["error_code"]) for mistake in error.mistakes] == [
        ("ServerDetails.Host", 1003),
        ("ServerDetails.Port", 1004),
        ("Credentials.Username", 1002),
        ("Credentials.Password", 1005),
    ]
