"""A program that forks with a client in use: forking_client.py SOCKET sync|threads|async|within

Parent and child call on; each prints the results that it got, one line of numbers per process.
"""

import asyncio
import os
import sys
import threading

from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import LocalProtocolError

CALLS = 50


def say(who: str, results: list[int]) -> None:
    os.write(1, f"{who} {' '.join(map(str, results))}\n".encode())


def calls_in_flight_at_the_fork(path: str) -> None:
    client = Client(path)
    first = client.add("hits")
    pipeline = client.pipeline(1000)
    replies = [pipeline.add("hits") for _ in range(CALLS)]
    pipeline.flush()
    child = os.fork()
    if child == 0:
        try:
            replies[0].result()
        except LocalProtocolError:
            say("child", [client.add("hits") for _ in range(CALLS)])
        os._exit(0)
    results = [first, *(reply.result() for reply in replies)]
    say("parent", results + [client.add("hits") for _ in range(CALLS)])
    os.waitpid(child, 0)
    client.close()


def threads_that_wait_at_the_fork(path: str) -> None:
    """The thread that drives the connection, and those that are parked, are not in the child."""
    client = Client(path)
    results: list[int] = []

    def ask() -> None:
        for _ in range(CALLS):
            results.append(client.add("hits"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    children: list[int] = []
    for number in range(5):
        child = os.fork()
        if child == 0:
            say(f"child{number}", [client.add("hits") for _ in range(CALLS)])
            os._exit(0)
        children.append(child)
    for thread in threads:
        thread.join()
    for child in children:
        os.waitpid(child, 0)
    say("parent", results)
    client.close()


def calls_from_loops_of_their_own(path: str) -> None:
    client = AsyncClient(path)

    async def call() -> list[int]:
        return list(await asyncio.gather(*(client.add("hits") for _ in range(CALLS))))

    first = asyncio.run(call())
    child = os.fork()
    results = asyncio.run(call())
    say("parent" if child else "child", (first + results) if child else results)
    if child:
        os.waitpid(child, 0)


def a_fork_within_a_loop(path: str) -> None:
    async def main() -> None:
        client = AsyncClient(path)
        results = [await client.add("hits")]
        calls = asyncio.gather(*(client.add("hits") for _ in range(CALLS)))
        await asyncio.sleep(0)
        child = os.fork()
        if child == 0:
            with Client(path) as own:
                say("child", [own.add("hits") for _ in range(CALLS)])
            os._exit(0)
        say("parent", results + list(await calls) + [await client.add("hits")])
        os.waitpid(child, 0)
        await client.close()

    asyncio.run(main())


if __name__ == "__main__":
    {
        "sync": calls_in_flight_at_the_fork,
        "threads": threads_that_wait_at_the_fork,
        "async": calls_from_loops_of_their_own,
        "within": a_fork_within_a_loop,
    }[sys.argv[2]](sys.argv[1])
