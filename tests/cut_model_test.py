"""A model file that is cut while a trace has it mapped: the trace ends with one line, and exit code 2 if the
cut is seen before the next layer or 4 if its pages were missed, what it committed stays, and once the file is restored the same command ends with the bytes of an
uninterrupted run.

usage: cut_model_test.py MOESCOPE MODEL DATA
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

moescope, model, data = sys.argv[1:4]
CUTS = {"the second half": 0.5, "all but a page": 4096, "all": 0}


def command(model_path, run):
    return [moescope, "trace", "-m", model_path, "--data", f"text={data}", "--chunk", "512",
            "--max-tokens", "8000", "--part-tokens", "2000", "--wave-tokens", "512", "-o", run]


def contents(run):
    """All files of the run but its log, which holds times."""
    paths = [path for path in pathlib.Path(run).rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths
            if not path.name.startswith("run-log")}


def parts(run):
    return len(list(pathlib.Path(run).glob("tokens/part-*.parquet")))


def stop_in_the_middle(process, run):
    """Stops the trace once a part is committed, before the last one is."""
    while parts(run) < 1:
        if process.poll() is not None:
            sys.exit(f"FAILED: the trace ended by itself: {process.communicate()}")
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)


def check(scratch, name, size, expected):
    copy, run = os.path.join(scratch, "model.gguf"), os.path.join(scratch, "run")
    shutil.copyfile(model, copy)
    process = subprocess.Popen(command(copy, run), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    stop_in_the_middle(process, run)
    os.truncate(copy, int(size * os.path.getsize(model)) if size < 1 else size)
    process.send_signal(signal.SIGCONT)
    message = process.communicate(timeout=60)[1]
    seen = {2: rf"error: cannot read: {re.escape(copy)}@0: expected the file of [^\n]*\n",
            4: rf"error: cannot read: {re.escape(copy)}: the file was cut [^\n]*\n"}
    if not re.fullmatch(seen.get(process.returncode, "neither"), message):
        sys.exit(f"FAILED: {name} cut: exit {process.returncode}, {message!r}")
    n_parts = parts(run)
    verified = subprocess.run([moescope, "verify", run], capture_output=True, text=True)
    if verified.returncode != 0:
        sys.exit(f"FAILED: {name} cut: verify: {verified.stdout}{verified.stderr}")
    refused = subprocess.run(command(copy, run), capture_output=True, text=True)
    if refused.returncode != 2 or copy not in refused.stderr:
        sys.exit(f"FAILED: {name} cut: resumed with the cut file: {refused}")
    with open(model, "rb") as whole, open(copy, "r+b") as restored:
        shutil.copyfileobj(whole, restored)
    subprocess.run(command(copy, run), check=True, stdout=subprocess.DEVNULL)
    if contents(run) != expected:
        sys.exit(f"FAILED: {name} cut: the resumed run differs")
    print(f"{name} cut after {n_parts} part(s): exit {process.returncode}, resumed, equal: {message.strip()}")
    shutil.rmtree(run)


with tempfile.TemporaryDirectory(prefix="moescope-cut-") as folder:
    # Under the name of the copy: a run records what its model is called.
    whole = os.path.join(folder, "model.gguf")
    shutil.copyfile(model, whole)
    reference = os.path.join(folder, "reference")
    subprocess.run(command(whole, reference), check=True, stdout=subprocess.DEVNULL)
    for cut_name, cut_size in CUTS.items():
        check(folder, cut_name, cut_size, contents(reference))
print("PASSED")
