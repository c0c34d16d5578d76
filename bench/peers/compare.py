#!/usr/bin/env python3
"""Prefill and decode of one GGUF file here and in other engines, in turn, with the ratio of medians.

    bench/peers/build.sh                      # once: the peers, from their PyPI source packages
    bench/peers/compare.py build/release/bin/moescope MODEL.gguf [--rounds 3]

Each round runs ours, then each peer, so that a change of the machine meets all alike. Peers stay
loaded; ours starts anew and does not count its first run. A ratio above 1 is ours faster.
The level of ours is chosen by MOESCOPE_KERNELS; peers use what they were built for.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT_PEERS = HERE.parent.parent / ".deps" / "peers"


class Peer:
    def __init__(self, name, python, arguments):
        self.name = name
        context = max(arguments.prefill, arguments.decode + 16)
        self.process = subprocess.Popen(
            [python, HERE / "peer.py", name, arguments.model, str(arguments.threads), str(context)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.started = self.process.stdout.readline().strip() == "ready"
        if not self.started:
            print(f"compare: without {name}, which did not start: run {python} {HERE / 'peer.py'} {name} "
                  f"{arguments.model} {arguments.threads} {context} to see why", file=sys.stderr)

    def rate(self, what, n):
        self.process.stdin.write(f"{what} {n}\n")
        self.process.stdin.flush()
        return n / float(self.process.stdout.readline())


def our_rate(arguments, what, n):
    command = [arguments.moescope, "bench", "-m", arguments.model, "--what", what, "--tokens", str(n), "--runs", "1",
               "-t", str(arguments.threads), "--precision", arguments.precision, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"compare: {' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)["rows"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("moescope")
    parser.add_argument("model")
    parser.add_argument("--peers", type=pathlib.Path, default=DEFAULT_PEERS, help="folder with a virtual environment a peer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="fast", choices=["exact", "fast"],
                        help="ours; peers round activations to 8 bits where weights are quantised, as fast does")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    peers = [Peer(folder.name, folder / "bin" / "python", arguments)
             for folder in sorted(arguments.peers.glob("*")) if (folder / "bin" / "python").exists()]
    peers = [peer for peer in peers if peer.started]
    if not peers:
        sys.exit(f"compare: no peer in {arguments.peers}; build them with {HERE / 'build.sh'}")
    rows = []
    for what, n in (("prefill", arguments.prefill), ("decode", arguments.decode)):
        for peer in peers:
            peer.rate(what, n)  # pages its weights in
        rates = {name: [] for name in ("moescope", *(peer.name for peer in peers))}
        for _ in range(arguments.rounds):
            ours = our_rate(arguments, what, n)
            rates["moescope"].append(ours["tokens_per_s"]["median"])
            for peer in peers:
                rates[peer.name].append(peer.rate(what, n))
        for name, values in rates.items():
            rows.append({"what": what, "engine": name, "tokens": n, "level": ours["level"], "type": ours["type"],
                         "precision": arguments.precision,
                         "tokens_per_s": {"min": min(values), "median": statistics.median(values), "max": max(values)},
                         "ratio": statistics.median(rates["moescope"]) / statistics.median(values)})
    if arguments.json:
        print(json.dumps({"model": arguments.model, "threads": arguments.threads, "rows": rows}, indent=1))
        return
    for row in rows:
        rate = row["tokens_per_s"]
        print(f"{row['what']:<8} {row['tokens']:>5} tokens  {row['engine']:<13} {rate['min']:8.2f} {rate['median']:8.2f} "
              f"{rate['max']:8.2f} tokens/s  x{row['ratio']:.2f}")


if __name__ == "__main__":
    main()
