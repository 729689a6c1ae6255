"""What was archived is found by its words, by its user alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.context.archive import Archive
from labkit.context.search import Hit, search
from labkit.errors import UserError
from tests.context.chats import assistant, call, result, user


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive in which ada and bob have spoken of rain."""
    with Archive(tmp_path / "chats.db") as made:
        for name in ("ada", "bob"):
            texts = user("Does the Café flood?"), assistant("Only in heavy rain."), call()
            chat = made.start(name, *texts, result(text="rain of 40 mm"), title="Water")
            made.complete(name, chat)
        yield made


def test_all_words_must_occur_in_one_turn_whatever_their_case_and_accents(
    archive: Archive,
) -> None:
    """Texts and tool results are searched."""
    assert search(archive, "ada", "CAFE flood") == [Hit(1, 1, "Water", "Does the Café flood?")]
    assert {hit.turn for hit in search(archive, "ada", "rain")} == {2, 4}
    assert search(archive, "ada", "flood rain") == []


def test_a_user_finds_only_their_own(archive: Archive) -> None:
    """Whatever they ask for, the index's own word for somebody else included."""
    assert {hit.conversation for hit in search(archive, "bob", "rain")} == {2}
    assert search(archive, "bob", "u1") == []
    assert search(archive, "nobody", "rain") == []


def test_an_open_conversation_is_not_found_before_it_is_complete(archive: Archive) -> None:
    """The search is over the archive."""
    chat = archive.start("ada", user("a hurricane"))
    assert search(archive, "ada", "hurricane") == []
    archive.complete("ada", chat)
    assert [hit.conversation for hit in search(archive, "ada", "hurricane")] == [chat]


def test_the_best_matches_come_first_and_no_more_than_asked_for(archive: Archive) -> None:
    """A turn that says it more often, and says little else, is a better match."""
    chat = archive.start("ada", user("rain rain rain"))
    archive.complete("ada", chat)
    (hit,) = search(archive, "ada", "rain", most=1)
    assert hit.conversation == chat


@pytest.mark.parametrize("words", ["", "  ", "?!", '"'])
def test_no_word_is_no_search(archive: Archive, words: str) -> None:
    """A sentence says so."""
    with pytest.raises(UserError, match="no word to search for"):
        search(archive, "ada", words)


@given(words=st.text(max_size=30) | st.sampled_from(['" OR owner:u2', "rain*", "NEAR(rain)", "-a"]))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_words_are_a_command(archive: Archive, words: str) -> None:
    """Whatever is typed, the search finds the user's own turns or says a sentence."""
    with suppress(UserError):
        assert {hit.conversation for hit in search(archive, "bob", words)} <= {2}
