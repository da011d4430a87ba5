"""The shared files of AWS: what they say, or a typed error with the line; never a crash, never another profile's value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tercet.adapters.auth.aws_config import parse_shared_file, shared_config
from tercet.codecs.vocabulary import ConfigurationError, TercetError

Sections = dict[str, dict[str, str]]
V = {"name": "value"}
V2 = {"name2": "value2"}

# What each file of the corpus of aws-c-auth means: its sections, or the part of the error that says why not.
EXPECTED: dict[str, Sections | str] = {
    "11cd8328d88b2c5080756a1090abceaf087d8b18": "line 1: something stands in front of the first section",
    "2a09998d72f4dc2dfb21a20d285a9dab2efc5f0b": "line 1: something stands in front of the first section",
    "84a516841ba77a5b4648de2cd0dfcb30ea46dbb4": "line 1: something stands in front of the first section",
    "a5d8336f1bc6fbc70180b2926691f89300355aa2": "line 1: something stands in front of the first section",
    "e700967c6b4f6efa44f1e1573e2ae868623800ec": "line 1: something stands in front of the first section",
    "adjacent_comment": {"profile foo": {}, "profile bar": {}},
    "blank_lines": {"profile foo": V, "profile bar": {}},
    "continuation_reseton_new_profile": "line 4: a setting is written",
    "continued_property": {"bar": {"name": "value\n-continued"}},
    "continued_property_pound_comment": {
        "foo": {"name": "value\n-continued # Comment"},
        "bar": {"name2": "value2\n-continued ; Comment"},
    },
    "continued_property_trim": {"foo": {"name": "value\n-continued"}},
    "default_profile": {"default": V2, "profile default": V},
    "duplicate_profiles": {"foo": {**V, **V2}},
    "duplicate_properties": {"foo": {"name": "value2", "name2": "value"}},
    "early_property": "line 1: something stands in front of the first section",
    "empty_comment": {"profile foo": V},
    "empty_profile": {"profile foo": {}},
    "empty_profile_whitespace": {"profile foo": {}},
    "empty_property": {"profile foobar": {"name": ""}},
    "empty_sub_property": {"default": {"s3": "\nname ="}},
    "equal_containing_property": {"profile foo": {"name": "val=ue"}},
    "illegal_continuation1": "line 3: a setting is written",
    "illegal_continuation2": "line 3: a setting is written",
    "illegal_continuation3": "line 3: the setting has no name",
    "missing_assignment": "line 2: a setting is written",
    "missing_bracket": "line 1: a section's name ends",
    "missing_property_key": "line 2: the setting has no name",
    "mixed_comment": {"profile foo": V},
    "multi_sub_property": {"profile default": {"s3": "\nname = value\nname2 = value2"}},
    "multiline_continued_property": {"baz": {"name": "value\n-continued\n-and-continued"}},
    "multiple_empty_profile": {"profile bar": {}, "profile foo": {}, "profile baz": {}},
    "multiple_profile": {"profile foo": V, "profile bar": V2},
    "multiple_property": {"profile foo": {**V, **V2}},
    "pound_comment": {"profile foo": V},
    "semicolon_comment": {"profile foo": V},
    "simple_property": {"profile foo": V},
    "sub_property": {"profile foo": {"s3": "\nname = value"}},
    "tab_empty_profile": {"profile foo": {}},
    "trimmable_property": {"profile foo": V},
    "value_adjacent_comment": {
        "foo": {"name": "value; Adjacent semicolons", "name2": "value# Adjacent pound signs"}
    },
}


def test_the_corpus_of_odd_files(shared: Path) -> None:
    wrong: list[str] = []
    files = sorted((shared / "vectors/aws-config/profile-parser").iterdir())
    for path in files:
        expected = EXPECTED[path.name]
        try:
            found: Sections | str = parse_shared_file(path.read_bytes().decode("utf-8", "replace"), "file")
        except ConfigurationError as error:
            found = str(error)
        same = (
            expected in found if isinstance(expected, str) and isinstance(found, str) else found == expected
        )
        if not same:
            wrong.append(f"{path.name}: {found!r} is not {expected!r}")
    assert wrong == []
    assert len(files) == 40


def test_an_error_names_the_line_and_does_not_show_it() -> None:
    with pytest.raises(ConfigurationError, match="my-file, line 2") as caught:
        parse_shared_file("[default]\naws_secret_access_key hush-hush\n", "my-file")
    assert "hush" not in str(caught.value)


def test_a_section_that_stands_further_in() -> None:
    text = "[a]\n    region = eu-west-1\n    # said again below\n    output = json\n      and more\r\n  last = 1\n"
    assert parse_shared_file(text, "f") == {
        "a": {"region": "eu-west-1", "output": "json\nand more", "last": "1"}
    }


def test_sections_that_are_no_profiles() -> None:
    config = parse_shared_file(
        "[foo]\nk = 1\n[profile]\nk = 1\n[profile a b]\nk = 1\n[plugins]\nk = 1\n[profile ok]\nk = 1\nb@d key = 2\n",
        "f",
    )
    assert shared_config(config, {}).profiles == {"ok": {"k": "1"}}
    found = shared_config(
        parse_shared_file("[sso-session s]\na = 1\n[services t]\nsts =\n  endpoint_url = u\n", "f"), {}
    )
    assert (found.sso_sessions, found.services) == ({"s": {"a": "1"}}, {"t": {"sts": "\nendpoint_url = u"}})


def test_a_file_has_a_limit() -> None:
    with pytest.raises(ConfigurationError, match="larger than"):
        parse_shared_file("#" * (1024 * 1024 + 1), "f")


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["[default]", "[profile a]", "[b", "k = v", " -more", "s3 =", "  n = 1", "=x", "# c", "", "\t"]
        ),
        st.text(max_size=12),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(LINES, LINES)
def test_any_text_is_profiles_or_a_typed_error(config: list[str], credentials: list[str]) -> None:
    try:
        found = shared_config(
            parse_shared_file("\n".join(config), "c"), parse_shared_file("\n".join(credentials), "d")
        )
    except TercetError:
        return
    for properties in found.profiles.values():
        assert all(name == name.strip().lower() for name in properties)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2", "a=b"])),
        max_size=4,
    )
)
def test_what_is_written_is_read_in_its_own_profile(profiles: Sections) -> None:
    text = "".join(
        f"[profile {name}]\n" + "".join(f"{key} = {value}\n" for key, value in of.items())
        for name, of in profiles.items()
    )
    assert shared_config(parse_shared_file(text, "f"), {}).profiles == profiles
