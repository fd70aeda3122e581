"""The block's example payloads, and keys to go with them.

One place for what nearly every test of the contract and of the producer starts from. Nothing here is secret: the keys
seal made-up passwords.
"""

from typing import Any

from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.sealing import Keyring

MAIL_KEYS = Keyring({"m1": b"m" * 32})
PASSWORD_KEYS = Keyring({"p1": b"p" * 32})

# The reference's example, verbatim.
BLOCK_MESSAGE: dict[str, Any] = {
    "To": [{"Name": None, "Address": "recipient@outlook.com"}],
    "From": {"Name": None, "Address": "sender@gmail.com"},
    "Cc": [],
    "Bcc": [],
    "Priority": None,
    "Subject": "Example email subject",
    "BodyFormat": None,
    "Body": "Example email body",
    "Attachments": [],
}

PASSWORD = "correct horse battery staple"
PASSWORD_TOKEN = EncryptedText.encrypt(
    PASSWORD, keyring=PASSWORD_KEYS, host="smtp.gmail.com", port=465, username="sender@gmail.com"
).token

BLOCK_SESSION: dict[str, Any] = {
    "ServerDetails": {"Host": "smtp.gmail.com", "Port": 465, "UseSsl": True},
    "Credentials": {"Domain": None, "Username": "sender@gmail.com", "Password": PASSWORD_TOKEN},
}


def message_with(**properties: Any) -> dict[str, Any]:
    """The block's message with other properties, in either spelling."""
    return {**BLOCK_MESSAGE, **properties}


def session_with(server: dict[str, Any] | None = None, credentials: Any = ...) -> dict[str, Any]:
    """The block's session details with other server properties or credentials."""
    return {
        "ServerDetails": {**BLOCK_SESSION["ServerDetails"], **(server or {})},
        "Credentials": BLOCK_SESSION["Credentials"] if credentials is ... else credentials,
    }
