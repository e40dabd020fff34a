"""What a model's stream says is told from what a retried stream says again."""

from livekit.agents.llm import ChatChunk, ChoiceDelta

from hearout._pipeline.retry import _Said


def told(*chunks: tuple[str, str]) -> tuple[str, bool]:
    """The text of the chunks that are new, each given by id and text, and whether one contradicts the others."""
    said, text = _Said(), ""
    for name, content in chunks:
        chunk = ChatChunk(id=name, delta=ChoiceDelta(role="assistant", content=content))
        if said.is_new(chunk) and chunk.delta is not None:
            text += chunk.delta.content or ""
    return text, said.contradicted


def test_a_retried_stream_says_nothing_twice() -> None:
    assert told(("a", "Hello "), ("a", "wor"), ("b", "Hello "), ("b", "world.")) == ("Hello world.", False)


def test_a_retried_stream_that_says_something_else_is_noticed() -> None:
    assert told(("a", "Hello "), ("a", "wor"), ("b", "Good morning."))[1]


def test_a_server_may_give_each_chunk_an_id_of_its_own() -> None:
    assert told(("a", "Hello "), ("b", "wor"), ("c", "ld."), ("d", " How are you?")) == (
        "Hello world. How are you?",
        False,
    )
