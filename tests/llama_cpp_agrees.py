#!/usr/bin/env python3
"""llama.cpp reads the GGUF files that `convert` writes, and agrees with us on them.

    pip install llama-cpp-python numpy
    tests/llama_cpp_agrees.py build/release/bin MODEL [MODEL...]

Each model is converted to F32 and Q8_0 and loaded by llama.cpp (float32 cache, no flash attention,
one thread). F32: logits within --within of ours, and 64 greedy tokens equal. Q8_0: llama.cpp rounds
activations to 8 bits there, so it is only checked to load the file and to stay near (median of the
differences printed). Exits with 1 when something differs.
"""
import argparse
import ctypes
import os
import random
import subprocess
import sys
import tempfile

import llama_cpp
import numpy

N_GREEDY = 64


def ours(bin_folder, path, lines, dtype):
    program = os.path.join(bin_folder, "model_logits")
    done = subprocess.run([program, path], input="\n".join(lines).encode(),
                          stdout=subprocess.PIPE, check=True)
    return numpy.frombuffer(done.stdout, dtype=dtype)


class LlamaCpp:
    def __init__(self, path):
        self.llama = llama_cpp.Llama(path, n_ctx=512, n_threads=1, n_threads_batch=1,
                                     type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
                                     flash_attn=False, logits_all=True, verbose=False)
        self.n_vocab = self.llama.n_vocab()

    def logits(self, ids):
        self.llama.reset()
        self.llama.eval(ids)
        return numpy.array(self.llama.scores[:len(ids)])

    def greedy(self, ids):
        self.llama.reset()
        generated = []
        pending = ids
        while len(generated) < N_GREEDY:
            self.llama.eval(pending)
            last = self.llama.scores[self.llama.n_tokens - 1]
            generated.append(int(numpy.argmax(last)))
            pending = generated[-1:]
        return generated


def compare(arguments, path, is_float):
    theirs = LlamaCpp(path)
    generator = random.Random(4)
    prompts = [[1] + [generator.randrange(3, theirs.n_vocab) for _ in range(n)]
               for n in (1, 20, 120)]
    differences = []
    for prompt in prompts:
        mine = ours(arguments.bin, path, [" ".join(map(str, prompt))], numpy.float32)
        differences.append(numpy.abs(mine.reshape(len(prompt), -1)
                                     - theirs.logits(prompt)).max(axis=1))
    differences = numpy.concatenate(differences)
    line = f"greedy {N_GREEDY} " + " ".join(map(str, prompts[1]))
    mine = list(ours(arguments.bin, path, [line], numpy.int32))
    equal = sum(a == b for a, b in zip(mine, theirs.greedy(prompts[1])))
    print(f"{os.path.basename(path)}: logits differ by at most {differences.max():.1e} "
          f"(median {numpy.median(differences):.1e}), {equal} of {N_GREEDY} greedy tokens equal",
          flush=True)
    return not is_float or (differences.max() <= arguments.within and equal == N_GREEDY)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin", help="folder with moescope and model_logits")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--within", type=float, default=1e-3)
    arguments = parser.parse_args()
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            for kind in ("f32", "q8_0"):
                name = os.path.basename(model.rstrip("/"))
                path = os.path.join(folder, f"{name}-{kind}.gguf")
                subprocess.run([os.path.join(arguments.bin, "moescope"), "convert", model, "-o",
                                path, "--type", kind], check=True, stdout=subprocess.DEVNULL)
                good = compare(arguments, path, kind == "f32") and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
