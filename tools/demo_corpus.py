#!/usr/bin/env python3
"""Makes the demo corpus: one .jsonl file a data set (text, source, unit), from Debian packages.

usage: demo_corpus.py --output DIR --samples DIR [--refresh]

Packages are fetched by name with apt-get and unpacked beside the corpus; nothing is installed. What is
taken from them depends only on their content: files are ordered by a hash of their names, so that a
data set is a mixture rather than the letter A. Without a network the samples written for the project
stand in. Licences are those of the packages (DIR/sources.json lists packages and versions).
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import zlib

UNITS = 24             # works a data set: halves of them still have the 10 that intervals need
CHARACTERS = 2000      # of each work: about 750 tokens of the demo model, 180,000 in all
RECIPE = "2"           # raise when what is taken changes


def strip_roff(text):
    """Manual page source to plain text: macros dropped, escapes resolved, one blank line a paragraph."""
    lines, paragraph, verbatim = [], [], False

    def flush():
        if paragraph:
            lines.extend(textwrap.wrap(" ".join(paragraph), 78, break_long_words=False))
            paragraph.clear()

    for line in text.splitlines():
        line = re.sub(r"\\\".*", "", line)
        macro = re.match(r"[.'][ \t]*(\w*)[ \t]*(.*)", line)
        if macro:
            name = macro[1]
            words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', macro[2])]
            if name in ("SH", "SS"):
                flush()
                lines.extend(["", unescape_roff(" ".join(words))])
            elif name in ("PP", "P", "LP", "TP", "IP", "HP", "RS", "RE", "br", "sp"):
                flush()
                if name in ("PP", "P", "LP", "TP"):
                    lines.append("")
            elif name in ("nf", "EX"):
                flush()
                verbatim = True
            elif name in ("fi", "EE"):
                verbatim = False
            elif name in ("B", "I", "R", "SM", "SB"):
                paragraph.append(unescape_roff(" ".join(words)))
            elif name in ("BR", "BI", "IR", "IB", "RB", "RI"):  # fonts in turn, no space between
                paragraph.append(unescape_roff("".join(words)))
        elif verbatim:
            lines.append(unescape_roff(line))
        elif not line.strip():
            flush()
            lines.append("")
        else:
            paragraph.append(unescape_roff(line.strip()))
    flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


ROFF_NAMES = {"em": "\u2014", "en": "\u2013", "aq": "'", "dq": '"', "lq": "\u201c", "rq": "\u201d",
              "bu": "\u2022", "ha": "^", "ti": "~", "rs": "\\", "co": "\u00a9", "cq": "\u2019",
              "oq": "\u2018", "Fo": "\u00ab", "Fc": "\u00bb"}


def unescape_roff(text):
    text = re.sub(r"\\f(\[\w*\]|\(..|.)", "", text)
    text = re.sub(r"\\[(](..)|\\\[(\w+)\]", lambda m: ROFF_NAMES.get(m[1] or m[2], ""), text)
    text = re.sub(r"\\s[-+]?\d", "", text)
    text = re.sub(r"\\[,/&|^:%)]", "", text)
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\(", "(").replace("\\ ", " ")


def strip_pod(text):
    text = re.sub(r"^=(encoding|begin|end|for|cut|over|back)\b.*\n?", "", text, flags=re.M)
    text = re.sub(r"^=(head\d|item)\s+", "", text, flags=re.M)
    for _ in range(3):  # nested formatting codes
        text = re.sub(r"\b[BCFILSX]<<+ (.*?) >>+", r"\1", text)
        text = re.sub(r"\b[BCFILS]<([^<>]*)>", r"\1", text)
    text = text.replace("E<lt>", "<").replace("E<gt>", ">")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def read(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.decode("utf-8", "strict").replace("\r\n", "\n")


def files(root, pattern, convert=lambda text: text, skip=None):
    """(unit, text) of files under `root`, in the order of a hash of their names."""

    def name(path):
        return "/".join(path.relative_to(root).parts[-2:]).removesuffix(".gz")

    for path in sorted(root.glob(pattern), key=lambda p: hashlib.sha256(name(p).encode()).digest()):
        if path.is_symlink() or not path.is_file() or (skip and skip.search(name(path))):
            continue
        try:
            text = convert(read(path))
        except UnicodeDecodeError:
            continue
        if len(text) >= CHARACTERS:
            yield name(path), text


def novels(root):
    """Character vectors of an R data base: 4 bytes of length, then a zlib stream, each."""
    data = next(root.glob("**/data/Rdata.rdb")).read_bytes()
    index = zlib.decompress(next(root.glob("**/data/Rdata.rdx")).read_bytes(), 31)
    places = [struct.unpack(">ii", index[m.end():m.end() + 8])  # an integer vector: offset, length
              for m in re.finditer(rb"\x00\x00\x00\x0d\x00\x00\x00\x02", index)]
    names = [m[1].decode() for m in re.finditer(rb"\x00\x04\x00\x09\x00\x00\x00.([a-z]{3,})", index, re.S)]
    names = [name for name in names if name != "names"]
    for name, (offset, length) in zip(names, places):
        stream = zlib.decompress(data[offset + 4:offset + length])
        lines, at = [], stream.find(b"\x00\x00\x00\x10")
        if at < 0:
            continue
        count, at = struct.unpack(">i", stream[at + 4:at + 8])[0], at + 8
        for _ in range(count):
            _, size = struct.unpack(">ii", stream[at:at + 8])
            lines.append(stream[at + 8:at + 8 + max(size, 0)].decode("utf-8", "replace"))
            at += 8 + max(size, 0)
        yield name, "\n".join(lines)


def arithmetic():
    """School questions, made by a rule: the same numbers on every machine."""
    state = 20240108

    def number(low, high):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return low + (state >> 33) % (high - low + 1)

    for sheet in range(UNITS):
        lines = []
        while sum(map(len, lines)) < CHARACTERS:
            a, b, c = number(-99, 999), number(-99, 999), number(2, 40)
            kind = number(0, 5)
            if kind == 0:
                lines.append(f"What is {a} + {b}?\n{a + b}\n")
            elif kind == 1:
                lines.append(f"Calculate {a} - {b}.\n{a - b}\n")
            elif kind == 2:
                lines.append(f"Multiply {a} and {c}.\n{a * c}\n")
            elif kind == 3:
                lines.append(f"Solve {c}*x + {b} = {c * (a % 50) + b} for x.\n{a % 50}\n")
            elif kind == 4:
                lines.append(f"What is the remainder when {abs(a) + 100} is divided by {c}?\n"
                             f"{(abs(a) + 100) % c}\n")
            else:
                lines.append(f"Let f(x) = {c}*x**2 - {abs(b)}. What is f({c % 9})?\n"
                             f"{c * (c % 9) ** 2 - abs(b)}\n")
        yield f"sheet-{sheet:02d}", "".join(lines)


def manuals(folder):
    return lambda root: files(root, f"usr/share/man/{folder}man[1-8]/*.gz", strip_roff, CHARACTER_SETS)


def strip_first_comment(text):
    return re.sub(r"\A(\s*%.*\n)+", "", text)


CHARACTER_SETS = re.compile(r"iso_8859|koi8|cp\d+|latin\d|suffixes")  # tables, not text


# Data set: (package, how to read its units). Every package is free software; see its copyright file.
DATASETS = {
    "python": ("libpython3.11-stdlib", lambda root: files(
        root, "usr/lib/python3.11/**/*.py", skip=re.compile(r"topics|sysconfigdata|encodings/"))),
    "latex": ("texlive-latex-base", lambda root: files(
        root, "usr/share/texlive/texmf-dist/tex/latex/**/*.*", strip_first_comment,
        re.compile(r"\.(def|fd|enc)$|lppl"))),
    "arithmetic": (None, lambda root: arithmetic()),
    "perl-docs": ("perl-doc", lambda root: files(root, "usr/share/perl/*/pod/*.pod", strip_pod,
                                                 skip=re.compile(r"delta|toc|api|intern|perl(ko|cn|jp|tw)"))),
    "manuals": ("manpages", manuals("")),
    "german": ("manpages-de", manuals("de/")),
    "french": ("manpages-fr", manuals("fr/")),
    "spanish": ("manpages-es", manuals("es/")),
    "italian": ("manpages-it", manuals("it/")),
    "novels": ("r-cran-janeaustenr", novels),
}


def excerpt(text, characters):
    """From the first line break past a tenth of the text (past licence headers), whole lines."""
    start = text.find("\n", min(len(text) // 10, len(text) - characters)) + 1
    cut = text[start:start + characters]
    return cut[:cut.rfind("\n") + 1] or cut


def documents(name, units):
    """Bounded, deterministic: few units give more pieces each, so that data sets are of a size."""
    units = [unit for _, unit in zip(range(UNITS), units)]
    if not units:
        raise LookupError(f"{name}: no text found in its package")
    pieces = -(-UNITS // len(units))
    for unit, text in units:
        step = len(text) // pieces
        for piece in range(pieces):
            yield {"text": excerpt(text[piece * step:(piece + 1) * step] if pieces > 1 else text, CHARACTERS),
                   "source": f"{unit}#{piece}" if pieces > 1 else unit, "unit": unit}


def apt_options(folder):
    """apt with lists and state of our own: needs neither root nor an earlier update."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}/cache",
            "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "Debug::NoLocking=1"]


def fetch(packages, folder):
    """Package files by name; raises OSError when apt cannot get them."""
    folder.mkdir(parents=True, exist_ok=True)

    def missing():
        return [p for p in packages if not list(folder.glob(f"{p}_*.deb"))]

    for options in ([], apt_options(folder.resolve() / "apt")):
        if not missing():
            return
        if options:
            subprocess.run(["apt-get", "-qq", *options, "update"], capture_output=True)
        subprocess.run(["apt-get", "-qq", *options, "download", *missing()], cwd=folder,
                       capture_output=True)
    if missing():
        raise OSError(f"apt-get could not download {' '.join(missing())}")


def build(output, cache):
    packages = sorted({package for package, _ in DATASETS.values() if package})
    print(f"demo corpus: downloading (not installing) Debian packages: {' '.join(packages)}")
    fetch(packages, cache)
    temporary = output.with_name(output.name + ".partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    sources = {"recipe": RECIPE, "data sets": {}}
    for name, (package, units) in DATASETS.items():
        root, version = cache / "unpacked" / name, None
        if package:
            archive = next(cache.glob(f"{package}_*.deb"))
            version = archive.name.split("_")[1]
            root.mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
        rows = list(documents(name, units(root)))
        with open(temporary / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        size = sum(len(row["text"].encode()) for row in rows)
        sources["data sets"][name] = {"package": package, "version": version, "documents": len(rows),
                                      "units": len({row["unit"] for row in rows}), "bytes": size}
    (temporary / "sources.json").write_text(json.dumps(sources, indent=2) + "\n")
    shutil.rmtree(output, ignore_errors=True)
    os.replace(temporary, output)
    shutil.rmtree(cache / "unpacked", ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=pathlib.Path, required=True)
    parser.add_argument("--refresh", action="store_true", help="fetch again what is there")
    arguments = parser.parse_args()
    stamp = arguments.output / "sources.json"
    if stamp.exists() and not arguments.refresh and json.loads(stamp.read_text())["recipe"] == RECIPE:
        return
    cache = arguments.output.parent / "demo-packages"
    try:
        build(arguments.output, cache)
    except (OSError, LookupError, subprocess.CalledProcessError) as error:
        print(f"demo corpus: {error}; using the samples of {arguments.samples} instead", file=sys.stderr)
        shutil.rmtree(arguments.output, ignore_errors=True)
        shutil.copytree(arguments.samples, arguments.output)
        return
    total = json.loads(stamp.read_text())["data sets"]
    print(f"demo corpus: {len(total)} data sets, {sum(d['bytes'] for d in total.values()):,} bytes "
          f"in {arguments.output}")


main()
