"""Object files of the instruction-set levels define no weak functions: the linker could take such a
copy, built with AVX-512 say, for everybody's, and older processors would stop at it.

usage: kernel_symbols_test.py NM OBJECT...
"""
import subprocess
import sys

nm, *objects = sys.argv[1:]
problems = []
for path in objects:
    listing = subprocess.run([nm, "-C", path], check=True, capture_output=True, text=True).stdout
    # "address kind name"; W: a weak function or template instance, u: unique in the whole program.
    symbols = [line.split(maxsplit=2) for line in listing.splitlines() if line[:1] != " "]
    if not any(kind == "T" for _, kind, _ in symbols):
        problems.append(f"{path}: no function at all: is this the object file of a level?")
    problems += [f"{path}: {name}" for _, kind, name in symbols if kind in "Wu"]

for problem in problems:
    print("weak symbol in a level's object file:", problem)
sys.exit(1 if problems or not objects else 0)
