"""One peer, loaded once, that answers on standard output how long each line of standard input took.

usage: peer.py llama_cpp|ik_llama_cpp MODEL.gguf THREADS CONTEXT

  prefill N   N random tokens at once; only the last one's logits are asked for
  decode N    N tokens one by one, each the likeliest, after a prompt of 16
"""
import sys
import time

import numpy

package, path, threads, context = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
PROMPT = 16


def random_ids(n, n_vocab):
    """The sequence of `moescope bench`, so that both run the same tokens."""
    ids, state = [], 20231211
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append((state >> 33) % n_vocab)
    return ids


class LlamaCpp:
    def __init__(self):
        import llama_cpp as api
        self.api = api
        api.llama_backend_init()
        model = api.llama_model_default_params()
        self.model = api.llama_model_load_from_file(path.encode(), model)
        settings = api.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context, 512, 512
        settings.n_threads = settings.n_threads_batch = threads
        self.context = api.llama_init_from_model(self.model, settings)
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))

    def clear(self):
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)

    def run(self, ids, at):
        """Logits after the last of `ids`, which stand at positions `at` on."""
        for begin in range(0, len(ids), 512):
            part = ids[begin:begin + 512]
            array = (self.api.llama_token * len(part))(*part)
            if self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(part))) != 0:
                sys.exit("the peer refused a batch")
        return numpy.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, -1), (self.n_vocab,))


class IkLlamaCpp:
    def __init__(self):
        from ik_llama_cpp import _ctypes_api as api
        from ik_llama_cpp import _internals as wrap
        self.api, self.wrap = api, wrap
        api.llama_backend_init()
        settings = api.llama_model_default_params()
        if hasattr(settings, "repack_tensors"):
            settings.repack_tensors = True  # its fastest way: rows interleaved at load
            settings.use_mmap = False
        self.model = api.llama_model_load_from_file(path.encode(), settings)
        context_settings = api.llama_context_default_params()
        context_settings.n_ctx, context_settings.n_batch, context_settings.n_ubatch = context, 512, 512
        context_settings.n_threads = context_settings.n_threads_batch = threads
        self.context = api.llama_init_from_model(self.model, context_settings)
        self.n_vocab = api.llama_n_vocab(self.model)

    def clear(self):
        self.api.llama_kv_cache_clear(self.context)

    def run(self, ids, at):
        for begin in range(0, len(ids), 512):
            part = ids[begin:begin + 512]
            batch = self.wrap.make_batch_range(part, pos_start=at + begin)
            if self.api.llama_decode(self.context, batch) != 0:
                sys.exit("the peer refused a batch")
        return numpy.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, len(ids[begin:]) - 1), (self.n_vocab,))


def prefill(peer, n):
    ids = random_ids(n, peer.n_vocab)
    peer.clear()
    start = time.perf_counter()
    peer.run(ids, 0)
    return time.perf_counter() - start


def decode(peer, n):
    peer.clear()
    logits = peer.run(random_ids(PROMPT, peer.n_vocab), 0)
    start = time.perf_counter()
    for i in range(n):
        logits = peer.run([int(logits.argmax())], PROMPT + i)
    return time.perf_counter() - start


peer = {"llama_cpp": LlamaCpp, "ik_llama_cpp": IkLlamaCpp}[package]()
print("ready", flush=True)
for line in sys.stdin:
    what, n = line.split()
    print({"prefill": prefill, "decode": decode}[what](peer, int(n)), flush=True)
