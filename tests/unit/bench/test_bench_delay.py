import trio
from bench._delay import carry
from trio.testing import memory_stream_pair


async def test_bytes_arrive_a_fixed_time_later_and_the_first_ones_after_the_handshake(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sender, source = memory_stream_pair()
    target, receiver = memory_stream_pair()
    arrived: list[tuple[float, bytes]] = []

    async def receive() -> None:
        while piece := await receiver.receive_some():
            arrived.append((trio.current_time() - began, bytes(piece)))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry, source, target, 0.05, 0.1)
        nursery.start_soon(receive)
        await sender.send_all(b"first")
        await trio.sleep(1)
        await sender.send_all(b"second")
        await sender.send_eof()

    assert [piece for _at_s, piece in arrived] == [b"first", b"second"]
    first_s, second_s = (at_s for at_s, _piece in arrived)
    assert abs(first_s - 0.15) < 1e-9
    assert abs(second_s - 1.05) < 1e-9
