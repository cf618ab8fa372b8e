"""`make fuzz`: atheris looks for an input that breaks a target; SECONDS=60 for each, ARGS="sse" for some of them.

What it found worth keeping stays under `.local/fuzz/<target>/`, and so does an input that breaks it (`crash-...`),
which `.venv/bin/python -m fuzz sse --input FILE` tries again. Such an input becomes a test.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import atheris

from fuzz.running import load, names

OURS = ["accounts", "billing", "chuizi", "payments", "proxy", "sandbox"]
MOST_BYTES = 64_000
MOST_SECONDS_EACH = 10
MOST_MEMORY_MB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=names(), metavar="TARGET", help=", ".join(names()))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--input", type=Path, help="try this one input instead of looking for one")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(names()):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if arguments.input:
        for name in arguments.targets:
            load(name).check(arguments.input.read_bytes())
    elif arguments.here:
        fuzz(arguments.targets[0], seconds=arguments.seconds)
    else:
        sys.exit(max(apart(name, seconds=arguments.seconds) for name in arguments.targets))


def apart(name: str, *, seconds: int) -> int:
    """In a process of its own, which the fuzzer ends; its status."""
    print(f"fuzz: {name} for {seconds} s", flush=True)
    return subprocess.run([sys.executable, "-m", "fuzz", name, "--seconds", str(seconds), "--here"]).returncode


def fuzz(name: str, *, seconds: int) -> None:
    with atheris.instrument_imports(include=OURS):
        target = load(name)
    folder = Path(os.environ.get("CHUIZI_STATE_DIR", ".local")) / "fuzz" / name
    found = folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (found / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-timeout={MOST_SECONDS_EACH}", f"-rss_limit_mb={MOST_MEMORY_MB}"]
    if words := getattr(target, "WORDS", ()):  # libFuzzer ends at a dictionary without a word
        (folder / "words").write_text("".join(f'"{escaped(word)}"\n' for word in words))
        limits.append(f"-dict={folder / 'words'}")
    atheris.Setup(
        [
            sys.argv[0],
            str(found),
            f"-artifact_prefix={folder}/",
            f"-max_len={MOST_BYTES}",
            "-print_final_stats=1",
            *limits,
        ],
        target.check,
    )
    atheris.Fuzz()


def escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
