"""Threads of the web process take turns: in order, aside while they wait, never held up by one that hangs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.thread_turns import Turns, aside, leave
from tests.support.waiting import wait_until


class Threads:
    """Threads that have a turn until they are told to go on."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.began: list[str] = []
        self.go = {name: threading.Event() for name in "abcdef"}
        self.pool = ThreadPoolExecutor(6)

    def start(self, name: str, *, steps_aside: bool = False) -> None:
        waiting = len(self.turns._waiting)
        self.pool.submit(self._work, name, steps_aside)
        wait_until(lambda: name in self.began or len(self.turns._waiting) > waiting, 5)

    def _work(self, name: str, steps_aside: bool) -> None:
        with self.turns:
            self.began.append(name)
            if steps_aside:
                with aside():
                    self.go[name].wait(20)
                self.began.append(f"{name} again")
            else:
                self.go[name].wait(20)

    def end(self) -> None:
        for event in self.go.values():
            event.set()
        self.pool.shutdown()


@pytest.fixture
def threads():
    made: list[Threads] = []

    def make(at_once: int, patience_seconds: float = 20.0) -> Threads:
        made.append(Threads(Turns(at_once, patience_seconds=patience_seconds)))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_the_longest_wait_is_next(threads):
    some = threads(2)
    for name in "abcd":
        some.start(name)
    assert some.began == ["a", "b"]
    some.go["b"].set()
    wait_until(lambda: some.began == ["a", "b", "c"], 5)
    some.go["c"].set()
    wait_until(lambda: some.began == ["a", "b", "c", "d"], 5)


def test_who_waits_for_something_else_steps_aside_and_is_next_when_it_is_there(threads):
    some = threads(1)
    some.start("a", steps_aside=True)
    for name in "bc":
        some.start(name)
    wait_until(lambda: some.began == ["a", "b"], 5)
    some.go["a"].set()
    wait_until(lambda: len(some.turns._waiting) == 2, 5)
    assert some.began == ["a", "b"]
    some.go["b"].set()
    wait_until(lambda: some.began == ["a", "b", "a again", "c"], 5)


def test_threads_that_hang_hold_up_nobody_twice(threads):
    some = threads(2, patience_seconds=0.05)
    for name in "abcd":
        some.start(name)
        wait_until(lambda name=name: name in some.began, 5)
    some.turns._patience = 20.0
    some.go["c"].set()  # a and b still hang, but have lost their turns
    some.start("e")
    wait_until(lambda: "e" in some.began, 5)
    for name in "ab":  # the turns that they lost are not given back a second time
        some.go[name].set()
    some.start("f")
    assert "f" not in some.began
    some.go["d"].set()
    wait_until(lambda: "f" in some.began, 5)


def test_a_turn_ends_with_an_error_and_can_be_left_before_its_end():
    turns = Turns(1)
    with pytest.raises(ValueError, match="wrong"), turns:
        raise ValueError("wrong")
    with turns:
        assert leave() is turns
        assert leave() is None
        assert not turns._working
    with aside():  # a thread without turns
        pass
    assert not turns._working
