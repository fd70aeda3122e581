"""Settings from variables and files: which wins, and that every mistake is told at once."""

from pathlib import Path

import pytest

from postroom_contract.environment import Environment, read_keyring
from postroom_contract.errors import SettingsException
from postroom_contract.sealing import generate_key

MISSING = (
    "is not set: give this program the ring that the workers have; `postroom keygen` prints the first key of a new one"
)


def test_a_variable_its_default_and_its_file(tmp_path: Path) -> None:
    """The variable itself, else the content of the file without blanks around it, else the default."""
    (tmp_path / "value").write_text("  from file\n")
    environment = Environment({"A": "direct", "B_FILE": str(tmp_path / "value"), "C": ""})

    assert [environment.text(name, "default") for name in "ABCD"] == ["direct", "from file", "default", "default"]
    assert environment.mistakes == []


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without variables given, those of the process are read."""
    monkeypatch.setenv("POSTROOM_TEST_ONLY", "x")

    assert Environment().text("POSTROOM_TEST_ONLY") == "x"


def test_files_that_cannot_be_used_are_mistakes(tmp_path: Path) -> None:
    """Missing, empty, a folder, no text, or set beside the variable: each is told, without the content."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"canary\xff")
    (tmp_path / "fine").write_text("canary")
    environment = Environment(
        {
            "MISSING_FILE": str(tmp_path / "missing"),
            "EMPTY_FILE": str(tmp_path / "empty"),
            "FOLDER_FILE": str(tmp_path),
            "BINARY_FILE": str(tmp_path / "binary"),
            "BOTH": "canary",
            "BOTH_FILE": str(tmp_path / "fine"),
        }
    )
    for name in ("MISSING", "EMPTY", "FOLDER", "BINARY", "BOTH"):
        environment.text(name)

    assert environment.mistakes == [
        "MISSING_FILE cannot be read (FileNotFoundError)",
        "EMPTY_FILE names an empty file",
        "FOLDER_FILE cannot be read (IsADirectoryError)",
        "BINARY_FILE cannot be read (UnicodeDecodeError)",
        "BOTH and BOTH_FILE are both set; keep one",
    ]


@pytest.mark.parametrize(
    ("text", "value", "mistake"),
    [
        ("", 5, None),
        ("7", 7, None),
        ("1e1", 10, None),
        ("1", 1, None),
        ("0.9", 5, "N is not between 1 and 10"),
        ("11", 5, "N is not between 1 and 10"),
        ("ten", 5, "N is not a number"),
        ("inf", 5, "N is not between 1 and 10"),
    ],
)
def test_numbers_have_a_range(text: str, value: float, mistake: str | None) -> None:
    """A number outside its range, or none at all, is a mistake, and the default goes on in its place."""
    environment = Environment({"N": text})

    assert environment.number("N", 5, least=1, most=10) == value
    assert environment.mistakes == ([mistake] if mistake else [])


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [("7", []), ("7.0", []), ("7.5", ["N is not a whole number"]), ("11", ["N is not between 1 and 10"])],
)
def test_counts_are_whole(text: str, mistakes: list[str]) -> None:
    """Half a process or half an attempt is a mistake, told once."""
    environment = Environment({"N": text})

    assert isinstance(environment.count("N", 5, least=1, most=10), int)
    assert environment.mistakes == mistakes


def test_not_a_number_is_outside_every_range() -> None:
    """`nan` compares with nothing, and is refused."""
    environment = Environment({"N": "nan"})
    environment.number("N", 5, least=1, most=10)

    assert environment.mistakes == ["N is not between 1 and 10"]


def test_a_ring_is_read_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """A key ring may come as a container secret."""
    (tmp_path / "keys").write_text(f"{generate_key('a')}\n{generate_key('b')}\n")

    assert read_keyring("KEYS", {"KEYS_FILE": str(tmp_path / "keys")}).ids == ("a", "b")
    assert read_keyring("KEYS", {"KEYS": generate_key("c")}).ids == ("c",)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, f"KEYS (or KEYS_FILE) {MISSING}"),
        ({"KEYS": "canary"}, "KEYS: key 1 is not of the form kid:base64; `postroom keygen` prints one"),
        ({"KEYS_FILE": "k1:canary/a+key/in/the/place/of/a/path="}, "KEYS_FILE cannot be read (FileNotFoundError)"),
    ],
)
def test_a_ring_that_is_missing_or_malformed(variables: dict[str, str], told: str) -> None:
    """One mistake, told once, without the key."""
    with pytest.raises(SettingsException) as caught:
        read_keyring("KEYS", variables)

    assert str(caught.value) == f"The settings are wrong. {told}"
    assert [mistake["message"] for mistake in caught.value.mistakes] == [told]


def test_all_mistakes_are_told_at_once() -> None:
    """A wrong start is corrected in one go."""
    environment = Environment({"N": "x", "KEYS": "y"})
    environment.number("N", 5, least=1, most=10)
    environment.keyring("KEYS")
    with pytest.raises(SettingsException) as caught:
        environment.refuse_mistakes()

    assert str(caught.value).splitlines() == [
        "2 mistakes:",
        "- N is not a number",
        "- KEYS: key 1 is not of the form kid:base64; `postroom keygen` prints one",
    ]


def test_without_mistakes_nothing_is_refused() -> None:
    """Reading what is right raises nothing."""
    environment = Environment({"A": "x"})
    environment.text("A")
    environment.refuse_mistakes()


def test_a_slip_in_a_name_is_told_beside_the_mistake_that_it_made() -> None:
    """Who misspells a required setting reads both: what is missing, and what nobody reads."""
    environment = Environment({"POSTROOM_KEY": "x"})
    environment.keyring("POSTROOM_KEYS")
    with pytest.raises(SettingsException) as caught:
        environment.refuse_mistakes()

    assert [mistake["message"] for mistake in caught.value.mistakes] == [
        f"POSTROOM_KEYS (or POSTROOM_KEYS_FILE) {MISSING}",
        "POSTROOM_KEY is no setting; POSTROOM_KEYS may be meant",
    ]


def test_a_slip_that_stops_nothing_is_a_warning() -> None:
    """The default counts where a name is misspelt; it does so audibly."""
    with pytest.warns(UserWarning, match="POSTROOM_CONCURENCY is no setting; POSTROOM_CONCURRENCY may be meant"):
        Environment({"POSTROOM_CONCURENCY": "5"}).refuse_mistakes()
