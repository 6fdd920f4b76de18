"""Kills ``digitcli download`` at random instants, and checks the data folder.

``python tests/stress/kill_downloads.py [--count 100] [--seed 0]`` (five minutes): a download from a
server on loopback is timed first; then each round starts one from an empty folder, a complete one
with ``--force``, or one with missing files, in turns, and ends it with SIGKILL: in half of the
rounds at a random instant of its whole duration, in half while files arrive. No file may be damaged
under its final name, or lost; the next call must succeed, make all files valid, and leave nothing
else in the folder. A download that ends before it is killed does not count. Results are JSON on
standard output; the exit code is 1 if an expectation failed.
"""

import argparse
import collections
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from small_world import FaultyServer, SmallWorld, serve

STARTS = ("empty", "force", "damaged")


def prepare(world: SmallWorld, start: str) -> list[str]:
    """Brings the data folder into the state to start from, and returns additional options."""
    shutil.rmtree(world.raw, ignore_errors=True)
    world.raw.mkdir(parents=True)
    if start == "empty":
        return []
    address = str(world.mnist.folder)
    subprocess.run(
        world.command("download", "--mirror", address),
        check=True,
        capture_output=True,
        env=world.environment,
    )
    if start == "force":
        return ["--force"]
    for number, file in enumerate(world.mnist.files):
        for name in (file.name, file.archive)[
            number % 2 :
        ]:  # two can be extracted from their archives
            (world.raw / name).unlink()
    return []


def begin(world: SmallWorld, server: FaultyServer, more: list[str]) -> "subprocess.Popen[bytes]":
    server.requests.clear()
    return subprocess.Popen(
        world.command("download", "--mirror", server.address("slow"), *more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=world.environment,
    )


def measure(world: SmallWorld, server: FaultyServer) -> tuple[float, float]:
    """Returns the seconds until a download requests its first file, and until it ends."""
    more = prepare(world, "empty")
    started = time.monotonic()
    process = begin(world, server, more)
    while not server.requests:
        time.sleep(0.001)
    first = time.monotonic() - started
    process.wait()
    return first, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    draw = random.Random(settings.seed)  # noqa: S311
    figures: dict[str, object] = {"count": settings.count, "seed": settings.seed}
    seen: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        world = SmallWorld(Path(folder) / "world")
        with serve(world.mnist.folder) as server:
            runs = sorted(measure(world, server) for _ in range(3))
            first, whole = runs[1]
            figures |= {"first_request_s": round(first, 3), "download_s": round(whole, 3)}
            for number in itertools.count():
                if seen["killed"] == settings.count:
                    break
                start = STARTS[number % 3]
                more = prepare(world, start)
                before = set(world.missing())
                process = begin(world, server, more)
                time.sleep(draw.uniform(first if number // 3 % 2 else 0, whole))
                process.send_signal(signal.SIGKILL)
                died = process.wait() == -signal.SIGKILL
                seen["killed" if died else "ended before"] += 1
                seen[f"killed after {len(server.requests)} requests"] += died
                seen["killed with files left over"] += died and bool(world.others())

                lost = set(world.missing()) - before
                failures += [f"round {number}, {start}: {name} damaged" for name in world.damaged()]
                failures += [f"round {number}, {start}: {name} lost" for name in lost]
                done = subprocess.run(
                    world.command("download", "--mirror", server.address("good")),
                    check=False,
                    capture_output=True,
                    text=True,
                    env=world.environment,
                )
                if done.returncode or world.missing() or world.damaged():
                    failures.append(f"round {number}, {start}: not repaired: {done.stderr.strip()}")
                failures += [
                    f"round {number}, {start}: {name} left over" for name in world.others()
                ]
    figures |= {"seen": dict(sorted(seen.items())), "broken": len(failures), "faults": failures}
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
