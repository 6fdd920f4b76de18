"""Runs ``digitcli download`` against mirrors with every known fault, on loopback.

``python tests/stress/faulty_mirrors.py [--count 3]`` (three minutes): ``--count`` times per fault,
once with a good second mirror, which must serve all four files, and once alone, when the command
must end with exit code 2 and a one-line error within the time limit, and leave nothing in the
folder. The limits are those of ``tests/helpers/small_cli.py``. With ``--real`` they are digitcli's
own, and the faults that take time run in parallel (ten minutes, for the mirror that sends for ever,
just fast enough). Results are JSON on standard output; the exit code is 1 if an expectation failed.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from small_world import CERTIFICATE, SmallWorld, closed_port, dripping_handshake, serve

from digitcli.data.download import fetch

QUICK = {  # fault: behaviour of the server
    "403": "403",
    "404": "404",
    "503": "503",
    "304": "304",
    "redirect loop": "loop",
    "endless redirects": "spiral",
    "redirect to an invalid address": "nowhere",
    "reset midway": "reset",
    "too short": "short",
    "too long": "long",
    "wrong bytes": "wrong",
    "login page": "page",
    "endless body": "endless",
    "a terabyte announced": "huge",
    "invalid length": "nonsense",
}
SLOW = {  # fault: behaviour of the server, and the limit that ends it
    "stall": ("stall", "READ_TIMEOUT"),
    "drip": ("drip", "READ_TIMEOUT"),
    "trailers for ever": ("chunks", "READ_TIMEOUT"),
    "silence": ("silent", "RESPONSE_TIMEOUT"),
    "header drip": ("header_drip", "RESPONSE_TIMEOUT"),
    "100 Continue for ever": ("continue", "RESPONSE_TIMEOUT"),
    "handshake drip": ("", "RESPONSE_TIMEOUT"),
    "endless body, just fast enough": ("trickle", "TOTAL_TIMEOUT"),
}
SHORT = {
    "READ_TIMEOUT": 1.0,
    "RESPONSE_TIMEOUT": 2.0,
    "TOTAL_TIMEOUT": 6.0,
}  # tests/helpers/small_cli.py's
SLACK = 30.0
"""Seconds for a process to start and end, with sixteen at once on a busy machine."""


@contextlib.contextmanager
def mirrors(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the addresses of a mirror per fault, and of a good one."""
    with (
        serve(folder) as server,
        serve(folder, tls=True) as to_http,
        serve(folder) as to_ftp,
        dripping_handshake() as port,
    ):
        to_http.redirect_to = server.address("good")
        to_ftp.redirect_to = "ftp://127.0.0.1"
        behaviours = QUICK | {fault: behaviour for fault, (behaviour, _) in SLOW.items()}
        yield {
            "good": server.address("good"),
            **{fault: server.address(behaviour) for fault, behaviour in behaviours.items()},
            "refused": f"http://127.0.0.1:{closed_port()}",
            "redirect from https to http": to_http.address("redirect"),
            "redirect to ftp": to_ftp.address("redirect"),
            "certificate of another host": to_http.address("good").replace(
                "127.0.0.1", "localhost"
            ),
            "handshake drip": f"https://127.0.0.1:{port}",
        }


def download_from(
    world: SmallWorld, fault: str, addresses: dict[str, str], *, alone: bool, limit: float
) -> tuple[float, list[str]]:
    """Downloads from a mirror with a fault.

    Returns:
        Seconds taken, and the expectations that failed.
    """
    used = [addresses[fault]] if alone else [addresses[fault], addresses["good"]]
    started = time.monotonic()
    done = subprocess.run(
        world.command("download", *(word for each in used for word in ("--mirror", each))),
        check=False,
        capture_output=True,
        text=True,
        env=world.environment,
    )
    seconds = time.monotonic() - started
    lines = [line for line in done.stderr.splitlines() if "fetching" not in line]
    expectations = {
        f"ended within {limit:.0f} s": seconds < limit + SLACK,
        "exit code": done.returncode == (2 if alone else 0),
        "one line": len(lines) == 1 and addresses[fault] in lines[0],
        "no leftovers": world.others() == [],
        "files": world.damaged() == [] and len(world.missing()) == (4 if alone else 0),
    }
    where = "alone" if alone else "with a good one"
    return seconds, [
        f"{fault}, {where}: {expectation} ({done.stderr.strip()})"
        for expectation, is_met in expectations.items()
        if not is_met
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--real", action="store_true")
    settings = parser.parse_args()
    limits = {name: getattr(fetch, name) for name in SHORT} if settings.real else SHORT
    longest: dict[str, float] = {}
    failures: list[str] = []
    downloads = 0
    with tempfile.TemporaryDirectory() as name:
        first = SmallWorld(Path(name) / "first")
        with mirrors(first.mnist.folder) as addresses:
            faults = [*SLOW] if settings.real else [each for each in addresses if each != "good"]

            def once(number: int, fault: str, alone: bool) -> tuple[str, float, list[str]]:
                world = SmallWorld(Path(name) / f"{number} {fault} {alone}", mirror=first.mnist)
                world.environment["REQUESTS_CA_BUNDLE"] = str(CERTIFICATE)
                if settings.real:
                    world.environment["LIMITS"] = "real"
                limit = limits[SLOW[fault][1]] if fault in SLOW else 0
                return fault, *download_from(world, fault, addresses, alone=alone, limit=limit)

            rounds = [
                (number, fault, alone)
                for number in range(settings.count)
                for fault in faults
                for alone in (True, False)
            ]
            with ThreadPoolExecutor(len(rounds) if settings.real else 2) as pool:
                for fault, seconds, failed in pool.map(lambda each: once(*each), rounds):
                    downloads += 1
                    longest[fault] = max(longest.get(fault, 0), round(seconds, 1))
                    failures += failed
    figures = {
        "limits_s": limits,
        "faults": len(longest),
        "downloads": downloads,
        "longest_s": longest,
        "broken": len(failures),
        "promises_broken": failures,
    }
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
