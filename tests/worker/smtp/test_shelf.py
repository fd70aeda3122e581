"""Places and who waits for them: fair, bounded, and cancellable at any moment. Sessions on it are in test_cache."""

import asyncio

import pytest

from postroom_worker.smtp.shelf import Shelf, TurnedAway


async def queue_up(shelf: Shelf, count: int) -> list[asyncio.Task[None]]:
    """Let so many ask for a place, in order."""
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(shelf.take_place()))
        await asyncio.sleep(0)
    return tasks


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_places_than_allowed() -> None:
    """Those over the limit wait, first come, first served."""
    shelf = Shelf(2)
    tasks = await queue_up(shelf, 4)
    assert [task.done() for task in tasks] == [True, True, False, False]
    assert (shelf.busy, shelf.waiting) == (2, 2)

    shelf.free_place()
    await settle()
    assert [task.done() for task in tasks] == [True, True, True, False]
    assert shelf.busy == 2

    shelf.free_place()
    shelf.free_place()
    shelf.free_place()
    await settle()
    assert tasks[3].done()
    assert shelf.busy == 0
    assert shelf.is_empty


async def test_nobody_overtakes() -> None:
    """A place that is being handed over is not free for who comes by."""
    shelf = Shelf(1)
    first, second = await queue_up(shelf, 2)
    assert first.done()
    shelf.free_place()
    late = asyncio.create_task(shelf.take_place())
    await settle()

    assert second.done()
    assert not late.done()
    late.cancel()
    await settle()


async def test_who_gives_up_leaves_the_queue() -> None:
    """The next in line gets the place."""
    shelf = Shelf(1)
    _, second, third = await queue_up(shelf, 3)
    second.cancel()
    await settle()
    assert shelf.waiting == 1
    shelf.free_place()
    await settle()

    assert third.done()
    assert shelf.busy == 1


async def test_who_gives_up_in_the_moment_of_the_handover_passes_it_on() -> None:
    """No place is ever lost to a cancellation."""
    shelf = Shelf(1)
    _, second, third = await queue_up(shelf, 3)
    shelf.free_place()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await settle()

    assert third.done()
    assert shelf.busy == 1
    shelf.free_place()
    assert shelf.is_empty


async def test_all_may_give_up_at_once() -> None:
    """Holders and waiters, cancelled in one go as a stopping worker does: nothing is left."""
    shelf = Shelf(1)

    async def hold() -> None:
        await shelf.take_place()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            shelf.free_place()

    tasks = [asyncio.create_task(hold()) for _ in range(4)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert all(task.cancelled() for task in tasks)
    assert shelf.is_empty


async def test_a_closing_session_takes_a_place() -> None:
    """To the server it is a connection until it is closed, so nobody else gets its place before."""
    shelf = Shelf(1)
    shelf.keep_place()
    (waiting,) = await queue_up(shelf, 1)
    assert not waiting.done()
    shelf.free_place()
    await settle()

    assert waiting.done()
    assert shelf.take_idle() is None


async def test_who_waits_can_be_turned_away() -> None:
    """Nobody waits any longer, and who has a place keeps it."""
    shelf = Shelf(1)
    first, second, third = await queue_up(shelf, 3)
    shelf.turn_away()
    await settle()

    assert first.exception() is None
    assert [type(task.exception()) for task in (second, third)] == [TurnedAway, TurnedAway]
    assert (shelf.busy, shelf.waiting) == (1, 0)
