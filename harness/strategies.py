"""Random receipts."""

from hypothesis import strategies as st

from hearout.receipts import Attempt, Cause, Fate, Held, Kind, Listener, Outcome, Receipt

numbers = st.floats(0.0, 1e4, allow_nan=False)


spans = st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple)


held = st.tuples(
    st.builds(Held, st.text(min_size=1), numbers, st.sampled_from(Kind), st.booleans()), st.sampled_from(Fate)
)


receipts = st.builds(
    Receipt,
    id=st.text(),
    outcome=st.sampled_from(Outcome),
    why=st.text(),
    asked_at=numbers,
    started_at=st.none() | numbers,
    ended_at=numbers,
    played=numbers,
    made=numbers,
    text=st.text(),
    held=st.lists(held, max_size=3).map(tuple),
    sounds=st.integers(0, 9),
    call=st.text(),
    agent=st.text(),
    caller=st.text(),
    expected=st.none() | numbers,
    attempts=st.lists(st.builds(Attempt, numbers, numbers, numbers, numbers, spans, st.text()), max_size=2).map(tuple),
    holes=spans,
    listeners=st.lists(st.builds(Listener, st.text(), spans, st.none() | numbers, st.none() | numbers), max_size=2).map(
        tuple
    ),
    cause=st.none() | st.sampled_from(Cause),
    cut_in_by=st.text(),
    gap=st.none() | numbers,
)
