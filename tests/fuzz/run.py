"""Searches for inputs that break a target, guided by what code they reach: `make fuzz ARGS=--seconds=600`.

What an input reaches that no other did is kept in build/fuzz, where the next run goes on; `--keep` writes the smallest
set that reaches as much to tests/fuzz/corpus, which the tests send too.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from fuzz.choices import Choices, corpus, keep, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cli.embedded import EmbeddedRedis

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "fuzz"
INSTRUMENTED = ["gateway", "uvicorn", "h11", "fuzz.json_text"]
LISTENERS = ("forged", "stored")
TARGETS = ("verifier", "handshake", "json", *LISTENERS)
LONGEST = {"json": 4096}
LIMITS = ("-len_control=0", "-timeout=30", "-rss_limit_mb=1024")  # any length from the beginning; 30 s for one
END = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/")


def main() -> int:
    """Run each target for its share of the time; 1 where an input broke one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together (default: 60)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the engine's choices (default: the time)"
    )
    parser.add_argument("--keep", action="store_true", help="write what was found to tests/fuzz/corpus")
    for name, kind in (("--engine", str), ("--folder", Path), ("--redis", str)):  # for the processes that it starts
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.engine:
        run_engine(options, rest)
    if find_spec("atheris") is None:
        print("atheris is not installed; it comes for Linux on x86-64 only", file=sys.stderr)
        return 2
    names = options.target or TARGETS
    print(f"{'target':10} {'seconds':>7} {'inputs':>9} {'edges':>6} {'features':>8} {'kept':>5}  seed {options.seed}")
    broken = [name for name in names if not search(name, seconds=options.seconds // len(names) or 1, seed=options.seed)]
    if options.keep:
        for name in names:
            merge(name)
    return bool(broken)


def search(name: str, *, seconds: int, seed: int) -> bool:
    """Let the engine search; false where it found something, which is shown."""
    unpack(name, seed=seed)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST.get(name, 400)}", f"-seed={seed}", *LIMITS]
    began = time.monotonic()
    log = BUILD / f"{name}.log"
    code = engine(name, log, f"-artifact_prefix={BUILD}/{name}-", *limits, str(BUILD / name))
    text = log.read_text(errors="replace")
    inputs, edges, features, kept = (END.findall(text) or [("?",) * 4])[-1]
    print(f"{name:10} {time.monotonic() - began:7.0f} {inputs:>9} {edges:>6} {features:>8} {kept:>5}", flush=True)
    if code:
        print("\n".join(text.splitlines()[-60:]))
        for found in re.findall(r"Test unit written to (\S+)", text):
            print(f"the input, for tests/fuzz/corpus/{name}.txt: {written(Path(found).read_bytes())}")
    return code == 0


def unpack(name: str, *, seed: int) -> None:
    """Put the corpus of a target where the engine looks for it, and some inputs by chance, to begin with."""
    (BUILD / name).mkdir(parents=True, exist_ok=True)
    chance = Random(seed)
    for raw in (*corpus(name), *(chance.randbytes(size) for size in range(8, 256, 8))):
        (BUILD / name / sha256(raw).hexdigest()[:16]).write_bytes(raw)


def merge(name: str) -> None:
    """Keep the smallest set of inputs that reaches as much as all that were found."""
    with tempfile.TemporaryDirectory() as folder:
        if engine(name, BUILD / f"{name}-merge.log", "-merge=1", folder, str(BUILD / name)):
            raise SystemExit(f"{name}: could not be merged, see {BUILD}/{name}-merge.log")
        keep(name, [path.read_bytes() for path in Path(folder).iterdir()])


def engine(name: str, log: Path, *arguments: str) -> int:
    """Run the engine in a process of its own, for it ends its process; gives the exit code."""
    with tempfile.TemporaryDirectory() as folder, log.open("w") as output:
        redis = server(Path(folder)) if name in LISTENERS else None
        command = [sys.executable, str(Path(__file__)), "--engine", name, "--folder", folder]
        try:
            command += ["--redis", redis.url] if redis else []
            return subprocess.run([*command, *arguments], stdout=output, stderr=output, check=False).returncode
        finally:
            if redis:
                redis.stop()


def server(folder: Path) -> EmbeddedRedis:
    """Start a Redis that keeps nothing."""
    from gateway.cli.embedded import Address, EmbeddedRedis, EmbeddedServer, find_server, free_port

    made = EmbeddedServer(
        binary=find_server(), folder=folder, address=Address(port=free_port()), options={"appendonly": "no"}
    )
    redis = EmbeddedRedis(made)
    redis.start()
    return redis


def run_engine(options: argparse.Namespace, arguments: list[str]) -> None:
    """Be the engine: import the target so that its branches are counted, and search until the time is over."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        judge = target(options)
    again = shlex.join([sys.executable, *sys.argv[: -len(arguments)]])  # a merge starts it again, by a shell
    atheris.Setup([again, *arguments], lambda raw: judge(Choices(raw)))
    atheris.Fuzz()


def target(options: argparse.Namespace) -> Callable[[Choices], None]:
    """Give the function of a target; a listener's starts a gateway for each parser."""
    if options.engine in LISTENERS:
        from fuzz.sockets import open_front
        from served import PARSERS

        fit: set[bytes] = set()  # one for all, as they share a Redis
        fronts = [open_front(options.folder, options.redis, http=http, fit=fit) for http in PARSERS]
        return lambda choices: choices.pick(fronts).judge(choices, genuine=options.engine == "stored")
    if options.engine == "json":
        from fuzz import json_text

        return json_text.judge
    from fuzz import handshakes, verifier

    return verifier.judge if options.engine == "verifier" else handshakes.judge


if __name__ == "__main__":
    sys.exit(main())
