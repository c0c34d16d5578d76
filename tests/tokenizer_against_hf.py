"""Our tokenizers against the Hugging Face tokenizers package, on random Unicode.

usage: tokenizer_against_hf.py TOKENIZER_IDS [--strings N] [--seed S] [--every-character] [--only KIND]...
       [FILE.json...]

Without files, vocabularies of all kinds that are read are trained on random text: byte level with the
split expressions of GPT-2, Llama 3, Qwen2, SmolLM and others, byte fallback with Prepend and with
Metaspace, unknown tokens, normalisers, added tokens with all their flags. Compared: ids and decoded text.
--every-character also puts every code point beside letters, digits and spaces, which shows whether both
take it for the same. Skipped (77) where the package is not installed.
"""
import argparse
import itertools
import json
import random
import sys
import tempfile

from tokenizer_oracle import RANGES, answers, random_text, show

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("skipped: no tokenizers package")
    sys.exit(77)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# Expressions without a scanner of ours.
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}"]
TOKENS = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "[INST]", "<tool>", "     ", "\u2581\u2581", "Word"]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(*steps, prefix=False, use_regex=False):
    steps = [*steps, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)]
    return steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)


def kinds():
    """(name, whether only old characters are compared, pre-tokeniser, normaliser, decoder, model options)"""
    level = decoders.ByteLevel()
    yield "gpt2", False, byte_level(use_regex=True), None, level, {}
    yield "gpt2 with prefix", False, byte_level(prefix=True, use_regex=True), None, level, {}
    yield "llama3", False, byte_level(split(LLAMA3)), None, level, {}
    yield "llama3, merges ignored", False, byte_level(split(LLAMA3)), None, level, {"ignore_merges": True}
    yield "qwen2", False, byte_level(split(QWEN2)), normalizers.NFC(), level, {}
    yield "smollm", False, byte_level(pre_tokenizers.Digits(True), use_regex=True), None, level, {}
    yield "digits together", False, byte_level(pre_tokenizers.Digits(False), use_regex=True), None, level, {}
    yield "bytes uncut", False, byte_level(), None, level, {}
    yield "prefix in a sequence", True, byte_level(split(r"\p{N}+"), prefix=True, use_regex=True), None, level, {}
    yield "olmo", False, byte_level(use_regex=True), normalizers.NFC(), level, {}
    yield "o200k", True, byte_level(split(O200K)), None, level, {}
    yield "deepseek", True, byte_level(*map(split, DEEPSEEK)), None, level, {}
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        for invert in [False, True]:
            pre = byte_level(split(r"\p{N}|[aeiou ]", behavior, invert))
            yield f"{behavior}, invert {invert}", True, pre, None, level, {}
    yield "plain split", False, byte_level(pre_tokenizers.Split(" ", "merged_with_previous")), None, level, {}
    for name, form in [("nfd", normalizers.NFD()), ("nfkc", normalizers.NFKC()), ("nfkd", normalizers.NFKD())]:
        yield name, False, byte_level(use_regex=True), form, level, {}
    strip = normalizers.Sequence([normalizers.Strip(), normalizers.Replace("ab", "x\u00e9"), normalizers.NFC()])
    yield "strip and replace", False, byte_level(use_regex=True), strip, level, {}
    old = normalizers.Lowercase()
    yield "lowercase", True, byte_level(use_regex=True), old, level, {}
    spaces = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                decoders.Strip(" ", 1, 0)])
    prepend = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    fallback = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    yield "llama2", False, None, prepend, spaces, fallback
    yield "gemma", False, pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "\u2581"), \
        spaces, fallback
    yield "unknown characters", False, None, prepend, spaces, {"unk_token": "<unk>"}
    yield "unknown characters fused", False, None, prepend, spaces, {"unk_token": "<unk>", "fuse_unk": True}
    yield "characters left out", False, None, prepend, spaces, {}
    for scheme, cut in itertools.product(["first", "always", "never"], [False, True]):
        pre = pre_tokenizers.Metaspace("\u2581", scheme, cut)
        yield f"metaspace {scheme} {cut}", False, pre, None, decoders.Metaspace("\u2581", scheme), fallback
    yield "no decoder", False, byte_level(use_regex=True), None, None, {}


def training_text(rng):
    """Few letters, so that words repeat and merge in many ways; some rare characters."""
    rare = [chr(rng.randint(*rng.choice(RANGES))) for _ in range(30)]
    return ["".join(rng.choice("abcdeinorst     00.'\n\u2581") if rng.random() < 0.95 else rng.choice(rare)
                    for _ in range(rng.randrange(1, 120))) for _ in range(300)]


def train(rng, path, pre, normalizer, decoder, options):
    tokenizer = Tokenizer(models.BPE(vocab={}, merges=[]))
    tokenizer.pre_tokenizer = pre
    tokenizer.normalizer = normalizer
    is_bytes = "ByteLevel" in str(tokenizer.to_str()).split('"decoder"')[0]
    alphabet = pre_tokenizers.ByteLevel.alphabet() if is_bytes else []
    pieces = ["<unk>"] if "unk_token" in options else []
    if options.get("byte_fallback"):
        pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=rng.choice([420, 600, 900]), show_progress=False,
                                  initial_alphabet=alphabet, special_tokens=pieces,
                                  limit_alphabet=rng.choice([256, 300]), max_token_length=12)
    tokenizer.train_from_iterator(training_text(rng), trainer)
    trained = json.loads(tokenizer.to_str())
    trained["added_tokens"] = []
    trained["model"].update(options)
    if rng.random() < 0.5:
        trained["model"]["merges"] = [" ".join(pair) for pair in trained["model"]["merges"]
                                      if " " not in "".join(pair)]
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    tokenizer.decoder = decoder
    flags = lambda: {name: rng.random() < 0.25 for name in ["lstrip", "rstrip", "single_word", "normalized"]}
    for text in rng.sample(TOKENS, rng.choice([0, 2, 5, 8])):
        # Stripping leaves nothing of white space, and nothing is found everywhere.
        if text.strip(" \u2581"):
            tokenizer.add_tokens([AddedToken(text, special=rng.random() < 0.6, **flags())])
        else:
            tokenizer.add_tokens([AddedToken(text, normalized=False)])
    tokenizer.save(path)


def is_old(text):
    """Nothing assigned after Unicode 14, which is as far as PCRE2's tables go."""
    import unicodedata
    return all(unicodedata.category(c) != "Cn" for c in text)


def hf_texts(rng, n, only_old):
    texts = []
    while len(texts) < n:
        text = random_text(rng, 300)
        if rng.random() < 0.3:
            parts = [text[i:i + 20] for i in range(0, len(text), 20)] or [""]
            text = "".join(part + rng.choice(["", " ", "  \n", "a"]) + rng.choice(TOKENS) +
                           rng.choice(["", " ", "\n ", "b"]) for part in parts)
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore")
        if not only_old or (is_old(text) and "\u180e" not in text):
            texts.append(text)
    return texts


def every_character():
    """Each code point beside what decides how it is cut and joined, 16 a text."""
    for first in range(0, 0x110000, 16):
        yield " ".join(f"a{c}b{c}1{c}.{c} {c}\n{c}a{c}\u0301{c}Word{c} '{c}e'{c}"
                       for c in map(chr, range(first, first + 16)) if not "\ud800" <= c <= "\udfff")


def compare(program, path, texts, label, options=()):
    oracle = Tokenizer.from_file(path)
    if "text" in options:
        oracle.encode_special_tokens = True
    # Special tokens that normalising changes: the package forgets that they are special when it decodes.
    forgotten = {i for i, token in oracle.get_added_tokens_decoder().items()
                 if token.special and token.normalized and oracle.id_to_token(i) != token.content}
    n_different = 0
    encodings = oracle.encode_batch(texts, add_special_tokens=False)
    decoded = oracle.decode_batch([e.ids for e in encodings], skip_special_tokens=True)
    ours = answers(program, path, [t.encode() for t in texts], *options)
    for text, encoding, expected, (our_ids, our_bytes) in zip(texts, encodings, decoded, ours):
        our_text = our_bytes.decode("utf-8", "replace")
        if encoding.ids == our_ids and (expected == our_text or not forgotten.isdisjoint(our_ids)):
            continue
        n_different += 1
        if n_different <= 2:
            show(label, text, (encoding.ids, expected), (our_ids, our_text))
    return n_different


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--strings", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-character", action="store_true")
    parser.add_argument("--only", action="append", help="name of a kind of vocabulary, repeatable")
    arguments = parser.parse_intermixed_args()
    rng = random.Random(arguments.seed)
    n_different = n_strings = 0
    with tempfile.TemporaryDirectory() as folder:
        jobs = [(path, False) for path in arguments.files]
        if not jobs:
            for i, (name, only_old, *parts) in enumerate(kinds()):
                if arguments.only and name not in arguments.only:
                    continue
                path = f"{folder}/{i} {name}.json"
                train(rng, path, *parts)
                jobs.append((path, only_old))
        share = arguments.strings if arguments.files else -(-arguments.strings // len(jobs))
        for path, only_old in jobs:
            before = n_different
            for done in range(0, share, 20000):
                texts = hf_texts(rng, min(20000, share - done), only_old)
                n_strings += len(texts)
                n_different += compare(arguments.program, path, texts, path)
                n_different += compare(arguments.program, path, texts[:len(texts) // 4], path + ", specials as text",
                                       ["text"])
            if arguments.every_character and not only_old:
                texts = list(every_character())
                n_strings += len(texts)
                n_different += compare(arguments.program, path, texts, path)
            if arguments.files or n_different > before:
                print(f"{path}: {n_different - before} differences")
    print(f"{n_strings} strings, {len(jobs)} vocabularies, seed {arguments.seed}: {n_different} differences")
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
