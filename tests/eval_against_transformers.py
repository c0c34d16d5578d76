#!/usr/bin/env python3
"""`moescope eval` against transformers in float32: 500 items of each shape of task.

    pip install torch transformers safetensors gguf
    tests/eval_against_transformers.py build/release/bin/moescope demo/demo-mixtral-Q8_0.gguf \\
        --theirs FOLDER --data NAME=TEXT.jsonl [--data ...]

Items are made by `eval make-cloze` from the given texts and written in the shape of each public data
set. Log-likelihoods are asked of transformers' logits, with tokens of its own tokenizer; choices of
each item must be the same in 99.5 % of the items, and log-likelihoods within --within. A GGUF model
is compared with its own dequantised weights; --theirs is a folder with its config and tokenizer
(needed for a Mixtral GGUF), or that of the same weights. Also perplexity of the texts by windows, and
the answers of a few GSM8K-like questions, written greedily.
Skipped (77) where the packages are not installed; exits with 1 when figures are outside.
"""
import argparse
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy
    import tokenizers
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: no {missing.name} package")
    sys.exit(77)

LETTERS = "ABCD"


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


# Each shape: how a cloze item is written in it, and the (context, continuation) pairs it must become,
# as lm-evaluation-harness has them. Cloze choices begin with the blank between them and the context.

def texts(item):
    return [choice.strip() for choice in item["choices"]]


def two(item):
    """The right choice and one other, in the order they stand."""
    other = (item["answer"] + 1) % len(item["choices"])
    kept = sorted((item["answer"], other))
    return [texts(item)[i] for i in kept], kept.index(item["answer"])


def as_cloze(item):
    return item, [(item["context"], choice) for choice in item["choices"]]


def as_mmlu(item):
    context = item["context"].strip()
    lines = "".join(f"\n{letter}. {text}" for letter, text in zip(LETTERS, texts(item)))
    row = [item["context"], *texts(item), LETTERS[item["answer"]]]
    return row, [(context + lines + "\nAnswer:", " " + letter) for letter in LETTERS]


def as_hellaswag(item):
    words = item["context"].replace("[", "(").replace("]", ")").strip()
    while "  " in words:
        words = words.replace("  ", " ")
    endings = [text.replace("[", "(").replace("]", ")") for text in texts(item)]
    for i, text in enumerate(endings):
        while "  " in text:
            text = text.replace("  ", " ")
        endings[i] = text
    head, _, tail = words.partition(". ")
    record = dict(ctx_a=head + ".", ctx_b=tail, ctx=words, activity_label="Text", endings=endings,
                  label=item["answer"])
    # ASCII, as ours: the data set is.
    capitalised = "".join(c.upper() if i == 0 and c.isascii() else c.lower() if i and c.isascii() else c
                          for i, c in enumerate(tail))
    context = f"Text: {head}. {capitalised}".strip().replace("  ", " ")
    return record, [(context, " " + text) for text in endings]


def as_arc(item):
    record = dict(question=item["context"], answerKey=LETTERS[item["answer"]],
                  choices=dict(text=texts(item), label=list(LETTERS)))
    return record, [(f"Question: {item['context']}\nAnswer:", " " + text) for text in texts(item)]


def as_winogrande(item):
    # The context's last words behind each of two openings.
    words = item["context"].replace("_", " ").split()
    rest = " ".join(words[-12:])
    openings, answer = two(item)
    openings = [text.replace("_", " ") for text in openings]
    record = dict(sentence="He said: _ " + rest, option1=openings[0], option2=openings[1],
                  answer=str(answer + 1))
    return record, [("He said: " + text, " " + rest) for text in openings]


def as_piqa(item):
    solutions, answer = two(item)
    record = dict(goal=item["context"], sol1=solutions[0], sol2=solutions[1], label=answer)
    return record, [(f"Question: {item['context']}\nAnswer:", " " + text) for text in solutions]


def as_boolq(item):
    solutions, answer = two(item)
    record = dict(passage=item["context"], question=f"does it go on with {solutions[0]}",
                  answer=answer == 0)
    context = f"{item['context']}\nQuestion: {record['question']}?\nAnswer:"
    return record, [(context, " no"), (context, " yes")]


SHAPES = dict(cloze=as_cloze, mmlu=as_mmlu, hellaswag=as_hellaswag, arc=as_arc,
              winogrande=as_winogrande, piqa=as_piqa, boolq=as_boolq)


def write_task(shape, records, folder):
    path = folder / (shape + (".csv" if shape == "mmlu" else ".jsonl"))
    with open(path, "w", newline="") as out:
        if shape == "mmlu":
            csv.writer(out).writerows(records)
        else:
            out.writelines(json.dumps(record) + "\n" for record in records)
    return path


class Theirs:
    def __init__(self, model, tokenizer, context):
        self.model, self.tokenizer, self.context = model, tokenizer, context
        self.bos = [tokenizer.bos_token_id] if self.adds_bos() else []

    def adds_bos(self):
        ids = self.tokenizer("a")["input_ids"]
        return self.tokenizer.bos_token_id is not None and ids[:1] == [self.tokenizer.bos_token_id]

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def token_losses(self, ids):
        """-log p of tokens 1, 2, ... of a sequence."""
        with torch.no_grad():
            logits = self.model(torch.tensor([ids[:-1]])).logits[0].double()
        return -torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()

    def pair(self, context, continuation):
        """(ids, how many at the end are scored), as lm-evaluation-harness encodes a pair."""
        kept = context.rstrip()
        continuation = context[len(kept):] + continuation
        whole, n_context = self.ids(kept + continuation), len(self.ids(kept))
        n_scored = len(whole) - min(n_context, len(whole) - 1)
        whole = whole[-(self.context - len(self.bos)):]
        return self.bos + whole, n_scored

    def log_likelihoods(self, pairs):
        """Batches of like lengths, padded at the right, which a causal model does not see."""
        encoded = [self.pair(*pair) for pair in pairs]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]))
        scores = [0.0] * len(encoded)
        while order:
            longest = len(encoded[order[-1]][0])
            batch = [order.pop() for _ in range(min(len(order), max(1, 2048 // longest)))]
            rows = [encoded[i][0] + [0] * (longest - len(encoded[i][0])) for i in batch]
            with torch.no_grad():
                logits = self.model(torch.tensor(rows)[:, :-1]).logits
            for row, i in enumerate(batch):
                ids, n_scored = encoded[i]
                end = len(ids) - 1
                scored = torch.log_softmax(logits[row, end - n_scored:end].double(), -1)
                wanted = torch.tensor(ids[-n_scored:])[:, None]
                scores[i] = float(scored.gather(1, wanted).sum())
        return scores


def dequantised(path, folder):
    """A transformers model with the weights of a GGUF file (llama architecture, with experts or not)."""
    reader = gguf.GGUFReader(path)

    def number(key, default=None):
        field = reader.fields.get(f"llama.{key}")
        return default if field is None else field.contents()

    weights = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(numpy.float32)
               for t in reader.tensors}
    n_heads, n_kv_heads = number("attention.head_count"), number("attention.head_count_kv")
    n_experts = number("expert_count", 0)
    shared = dict(
        hidden_size=number("embedding_length"), intermediate_size=number("feed_forward_length"),
        num_hidden_layers=number("block_count"), num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads, vocab_size=weights["token_embd.weight"].shape[0],
        max_position_embeddings=number("context_length"),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default", rope_theta=number("rope.freq_base", 10000.0)),
        tie_word_embeddings="output.weight" not in weights)
    if n_experts:
        # Grouped products are many times slower than a loop over experts on a CPU.
        shared["experts_implementation"] = "eager"
        config = transformers.MixtralConfig(num_local_experts=n_experts, sliding_window=None,
                                            num_experts_per_tok=number("expert_used_count"), **shared)
        model = transformers.MixtralForCausalLM(config)
    else:
        config = transformers.LlamaConfig(**shared)
        model = transformers.LlamaForCausalLM(config)

    def halves(rows, heads):  # from pairs (2d, 2d + 1) to halves (d, d + size / 2)
        return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)

    state = {"model.embed_tokens.weight": weights["token_embd.weight"],
             "model.norm.weight": weights["output_norm.weight"],
             "lm_head.weight": weights.get("output.weight", weights["token_embd.weight"])}
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj"}
    if not n_experts:
        names.update(ffn_gate="mlp.gate_proj", ffn_up="mlp.up_proj", ffn_down="mlp.down_proj")
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for name, theirs_name in names.items():
            values = weights[f"{ours}{name}.weight"]
            if name in ("attn_q", "attn_k"):
                values = halves(values, n_heads if name == "attn_q" else n_kv_heads)
            state[f"{theirs}{theirs_name}.weight"] = values
        if n_experts:
            state[theirs + "mlp.gate.weight"] = weights[ours + "ffn_gate_inp.weight"]
            state[theirs + "mlp.experts.gate_up_proj"] = numpy.concatenate(
                [weights[ours + "ffn_gate_exps.weight"], weights[ours + "ffn_up_exps.weight"]], axis=1)
            state[theirs + "mlp.experts.down_proj"] = weights[ours + "ffn_down_exps.weight"]
    model.load_state_dict({name: torch.from_numpy(numpy.array(values))
                           for name, values in state.items()})
    return Theirs(model.float().eval(), open_tokenizer(path, folder, reader),
                  config.max_position_embeddings)


def open_tokenizer(path, folder, reader):
    if folder:
        return transformers.AutoTokenizer.from_pretrained(folder)
    path = pathlib.Path(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    pre = reader.fields.get("tokenizer.ggml.pre")
    if pre is not None and pre.contents() in ("smollm", "starcoder", "refact", "command-r"):
        # transformers takes GPT-2's split expression for every GGUF; these cut single digits first.
        split = tokenizers.pre_tokenizers
        tokenizer.backend_tokenizer.pre_tokenizer = split.Sequence(
            [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)])
    return tokenizer


def query(program, results, sql):
    return run(program, "query", results, sql, "--json")["rows"]


def compare_shape(arguments, theirs, shape, items, folder):
    pairs = [SHAPES[shape](item) for item in items]
    path = write_task(shape, [record for record, _ in pairs], folder)
    results = folder / ("results-" + shape)
    report = run(arguments.program, "eval", "choice", "-m", arguments.model, "--data", path,
                 "--precision", "exact", "-o", results, "--json")["rows"][0]
    assert report["task"] == shape and report["items"] == len(items), report
    ours = [[] for _ in items]
    for row in query(arguments.program, results, "SELECT * FROM choices ORDER BY item, choice"):
        ours[row["item"]].append(row["log_likelihood"])
    chosen = [row["chosen"] for row in
              query(arguments.program, results, "SELECT chosen FROM items ORDER BY item")]
    flat = iter(theirs.log_likelihoods([pair for _, item_pairs in pairs for pair in item_pairs]))
    expected = [[next(flat) for _ in item_pairs] for _, item_pairs in pairs]
    worst = max(abs(a - b) for mine, other in zip(ours, expected) for a, b in zip(mine, other))
    same = numpy.mean([choice == int(numpy.argmax(other)) for choice, other in zip(chosen, expected)])
    print(f"{shape}: {len(items)} items, acc {report['acc']:.3f}, acc_norm {report['acc_norm']:.3f}; "
          f"same choice {100 * same:.2f} %, log-likelihoods within {worst:.1e}", flush=True)
    return same >= 0.995 and worst <= arguments.within


def compare_perplexity(arguments, theirs, folder):
    """Windows of 64 tokens, 16 scored in each, over the first documents."""
    window, stride = 64, 16
    documents = [json.loads(line)["context"] for line in open(folder / "cloze.jsonl")][:20]
    path = folder / "documents.jsonl"
    path.write_text("".join(json.dumps(dict(text=text)) + "\n" for text in documents))
    row = run(arguments.program, "eval", "perplexity", "-m", arguments.model, "--data", path,
              "--window", window, "--stride", stride, "--precision", "exact", "--json")["rows"][0]
    total, n = 0.0, 0
    for text in documents:
        ids = theirs.bos + theirs.ids(text)
        scored, end = 1, window
        while scored < len(ids):
            end = min(end, len(ids))
            losses = theirs.token_losses(ids[max(0, end - window):end])
            total += losses[-(end - scored):].sum()
            n += end - scored
            scored, end = end, end + stride
    difference = abs(row["mean_loss"] - total / n)
    print(f"perplexity: {n} predictions, loss {row['mean_loss']:.6f}, differs by {difference:.1e}")
    return row["predictions"] == n and difference <= arguments.within


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("model", help="a GGUF file of the llama architecture")
    parser.add_argument("--theirs", help="folder with the tokenizer, where the GGUF's own is not read")
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--context-bytes", type=int, default=200)
    parser.add_argument("--within", type=float, default=1e-3)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    theirs = dequantised(arguments.model, arguments.theirs)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = [word for text in arguments.data for word in ("--data", text)]
        run(arguments.program, "eval", "make-cloze", *data, "--items", arguments.items,
            "--context-bytes", arguments.context_bytes, "-o", folder / "cloze.jsonl", "--json")
        # Spelled-out special tokens mean different things to tokenizers; not what is compared here.
        lines = [line.replace("<unk>", "unk") for line in open(folder / "cloze.jsonl")]
        (folder / "cloze.jsonl").write_text("".join(lines))
        items = [json.loads(line) for line in lines]
        good = compare_perplexity(arguments, theirs, folder)
        for shape in arguments.shapes.split(","):
            good = compare_shape(arguments, theirs, shape, items, folder) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
