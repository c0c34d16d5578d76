"""Every figure that has a chart, drawn: pictures are well formed, their data is that of --json.

usage: pictures_test.py MOESCOPE MODEL SAMPLES

Skipped (77) where this Python lacks vl-convert-python.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

try:
    import vl_convert  # noqa: F401
except ImportError:
    print("skipped: no vl-convert-python package")
    sys.exit(77)

moescope, model, samples = sys.argv[1:4]
FIGURES = ("7", "9", "10", "table5", "domains", "affinity", "explained", "lags", "indentation", "words", "vocabulary",
           "coactivation", "crosslayer", "paths", "perplexity")
SIMULATIONS = ("cache", "placement", "skip")


def run(*arguments):
    environment = os.environ | {"MOESCOPE_PYTHON": sys.executable}
    done = subprocess.run([moescope, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"moescope {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def texts(svg):
    return [element.text for element in xml.parse(svg).iter() if element.tag.endswith("}text") and element.text]


def check(command, figure, folder):
    svg, spec = folder / f"{figure}.svg", folder / f"{figure}.json"
    said = json.loads(run(command, figure, str(folder / "run"), "--json", "--svg", str(svg), "--spec", str(spec)))
    for name, rows in json.loads(spec.read_text())["datasets"].items():
        wanted = [{k: v for k, v in row.items() if not isinstance(v, list)} for row in said[name]]
        assert rows == wanted, f"{command} {figure}: the rows of its chart are not those of --json"
    shown = texts(svg)
    assert len(shown) > 5, f"{command} {figure}: {len(shown)} labels"
    assert not any("{{" in text or text in ("undefined", "NaN", "null") for text in shown), f"{command} {figure}: {shown}"
    return len(shown)


with tempfile.TemporaryDirectory(prefix="moescope-pictures-") as name:
    folder = pathlib.Path(name)
    run("trace", "-m", model, "--data", f"english={samples}/english.jsonl", "--data", f"python={samples}/python.jsonl",
        "--chunk", "512", "-o", str(folder / "run"))
    labels = {figure: check("figure", figure, folder) for figure in FIGURES}
    labels |= {simulation: check("simulate", simulation, folder) for simulation in SIMULATIONS}
    # What no run has: measured when it is drawn.
    ablation = json.loads(run("ablate", "-m", model, "--data", f"english={samples}/english.jsonl", "--chunk", "128", "--max-tokens", "300",
                              "--cells", "all", "--samples", "0", "--json", "--svg", str(folder / "ablation.svg")))
    labels["ablation"] = len(texts(folder / "ablation.svg"))
    assert len(ablation["rows"]) == 128 and "mask, all together" in texts(folder / "ablation.svg")
    run("figure", "7", str(folder / "run"), "--png", str(folder / "7.png"))
    assert (folder / "7.png").read_bytes().startswith(b"\x89PNG\r\n"), "a PNG begins with its signature"
print(f"{len(labels)} figures drawn, {sum(labels.values())} labels")
