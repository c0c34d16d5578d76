"""Runs scenario files: commands, what they must print, and how they must end.

usage: run_scenario.py MOESCOPE FILE.test

  # a comment; the first says what the scenario shows
  needs PATH          skipped unless this file exists (relative to the source tree)
  $ command           run by bash in a fresh folder; `moescope` is the built program
  ? 2                 its exit code (default 0)
  > text              a line of stdout, in order; `[..]` stands for anything inside the line
  ! text              the same for stderr
  > ...               any number of lines, also none

Without `>` lines stdout is not compared, without `!` lines neither is stderr; but a `moescope` that
fails must always say why in exactly one line, which starts with "error: ".
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

program, scenario = map(pathlib.Path, sys.argv[1:3])
source = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = 77


class Step:
    def __init__(self, line, command):
        self.line, self.command = line, command
        self.exit_code, self.out, self.err = 0, [], []


def parse():
    steps = []
    for number, line in enumerate(scenario.read_text().splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line.strip() or mark.startswith("#"):
            continue
        if mark == "needs":
            if not (source / rest).exists():
                print(f"skipped: no {rest}")
                sys.exit(SKIPPED)
        elif mark == "$":
            steps.append(Step(number, rest))
        elif mark == "?" and steps:
            steps[-1].exit_code = int(rest)
        elif mark == ">" and steps:
            steps[-1].out.append(rest)
        elif mark == "!" and steps:
            steps[-1].err.append(rest)
        elif line.startswith("  ") and steps:  # a long command goes on, less two spaces
            steps[-1].command += "\n" + line[2:]
        else:
            sys.exit(f"{scenario}:{number}: cannot read this line: {line}")
    if not steps:
        sys.exit(f"{scenario}: no command")
    return steps


def matches(expected, text):
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.split("[..]"))) + r"\n"
    if text and not text.endswith("\n"):
        text += "\n"
    return re.fullmatch(pattern, text) is not None


def run(step, folder, environment):
    result = subprocess.run(["bash", "-c", step.command], cwd=folder, env=environment, timeout=120,
                            stdin=subprocess.DEVNULL, capture_output=True)
    out, err = (stream.decode("utf-8", "replace") for stream in (result.stdout, result.stderr))
    if result.returncode == SKIPPED:
        print(out.strip() or "skipped")
        sys.exit(SKIPPED)
    wrong = []
    if result.returncode != step.exit_code:
        wrong.append(f"exit code {result.returncode}, expected {step.exit_code}")
    if step.out and not matches(step.out, out):
        wrong.append("stdout differs; expected:\n" + "\n".join(step.out))
    if step.err:
        if not matches(step.err, err):
            wrong.append("stderr differs; expected:\n" + "\n".join(step.err))
    elif step.exit_code != 0 and "moescope" in step.command:
        if not re.fullmatch(r"error: [^\n]+\n", err):
            wrong.append("a failure says why in one line that starts with 'error: '")
    if wrong:
        print(f"{scenario}:{step.line}: $ {step.command}\n" + "\n".join(wrong))
        print(f"--- exit {result.returncode}, stdout:\n{out}--- stderr:\n{err}---")
        sys.exit(1)


steps = parse()
with tempfile.TemporaryDirectory(prefix="moescope-scenario-") as folder:
    bin_folder = pathlib.Path(folder) / ".bin"
    bin_folder.mkdir()
    (bin_folder / "moescope").symlink_to(program.resolve())
    work = pathlib.Path(folder) / "work"
    work.mkdir()
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "SOURCE": str(source),
                   "DEMO": str(source / "demo/demo-mixtral-Q8_0.gguf"), "LC_ALL": "C.UTF-8",
                   "SAMPLES": str(source / "demo/samples"), "TMPDIR": folder}
    for step in steps:
        run(step, work, environment)
print(f"{len(steps)} commands as expected")
