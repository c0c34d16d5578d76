"""A run is a pure function of model, text and arithmetic: its bytes must not depend on threads, wave
size, memory budget, how weights reach memory, or on being killed and resumed.

usage: identity_test.py MOESCOPE MODEL DATA [--kills N]
With MOESCOPE_FIXTURES set it strikes 25 times, otherwise 4.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("moescope")
parser.add_argument("model")
parser.add_argument("data", help="a .jsonl file or a folder of them")
parser.add_argument("--kills", type=int, default=25 if "MOESCOPE_FIXTURES" in os.environ else 4)
parser.add_argument("--max-tokens", type=int, default=8000)
arguments = parser.parse_args()

SCRATCH = tempfile.mkdtemp(prefix="moescope-identity-")


def command(run, *options):
    return [arguments.moescope, "trace", "-m", arguments.model, "--precision", "exact", "--data", f"text={arguments.data}",
            "--chunk", "512", "--max-tokens", str(arguments.max_tokens), "--part-tokens", "3000",
            "-o", run, *options]


def digest(run):
    """One hash a file of the run, the log of times and hosts apart."""
    hashes = {}
    for folder, _, files in os.walk(run):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                hashes[os.path.relpath(path, run)] = hashlib.sha256(file.read()).hexdigest()
    for name in [name for name in hashes if name.startswith("run-log")]:
        del hashes[name]
    return hashes


def trace(name, *options):
    run = os.path.join(SCRATCH, name)
    start = time.monotonic()
    subprocess.run(command(run, *options), check=True, stdout=subprocess.DEVNULL)
    return run, time.monotonic() - start


def expect_equal(name, found, expected):
    differing = sorted(file for file in set(found) | set(expected)
                       if found.get(file) != expected.get(file))
    if differing:
        sys.exit(f"FAILED: {name}: differs from the reference in {differing}")
    print(f"equal: {name}", flush=True)


def kill_and_resume(expected, duration):
    """Kills traces at random moments and resumes them until `kills` kills have struck."""
    rng = random.Random(20240108)
    struck = 0
    chain = 0
    while struck < arguments.kills:
        run = os.path.join(SCRATCH, f"killed-{chain}")
        chain += 1
        finished = False
        while not finished:
            process = subprocess.Popen(command(run, "--wave-tokens", "512"),
                                       stdout=subprocess.DEVNULL)
            # Late enough to be at work, early enough to strike most of the time.
            delay = rng.uniform(0.02, 0.8 * duration) if struck < arguments.kills else 3600
            try:
                finished = process.wait(timeout=delay) == 0
                if not finished:
                    sys.exit(f"FAILED: resume after {struck} kills exits {process.returncode}")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                struck += 1
        expect_equal(f"chain {chain}, {struck} kills so far", digest(run), expected)
        shutil.rmtree(run)
    print(f"{struck} kills, {chain} runs resumed to the end")


try:
    reference, _ = trace("reference", "--threads", "1")
    expected = digest(reference)
    assert len(expected) > 10, expected
    variants = {
        "2 threads": ["--threads", "2"],
        "3 threads": ["--threads", "3"],
        "waves of 512": ["--wave-tokens", "512"],
        "waves of 1,300": ["--wave-tokens", "1300"],
        "waves of 4,096": ["--wave-tokens", "4096"],
        "budget 96M": ["--memory", "96M"],
        "budget 150M": ["--memory", "150M"],
        "budget 1G": ["--memory", "1G"],
        "weights read": ["--weights", "read"],
    }
    for name, options in variants.items():
        run, duration = trace(name.replace(" ", "-"), *options)
        expect_equal(name, digest(run), expected)
        shutil.rmtree(run)
    kill_and_resume(expected, duration)
finally:
    shutil.rmtree(SCRATCH)
print("PASSED")
