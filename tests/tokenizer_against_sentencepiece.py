"""Our tokenizer against the SentencePiece package, on random Unicode and random vocabularies.

usage: tokenizer_against_sentencepiece.py TOKENIZER_IDS [--strings N] [--seed S] [--models M] [FILE.model...]

Without files, M vocabularies are trained on random text with random options (byte fallback or none,
dummy prefix or none, user-defined and unused pieces, equal scores, pieces across spaces, removed extra
spaces). Compared: ids, and the decoded text. Skipped (77) where the package is not installed.
"""
import argparse
import io
import random
import sys
import tempfile

from tokenizer_oracle import answers, random_character, random_text, show

try:
    import sentencepiece
except ImportError:
    print("skipped: no sentencepiece package")
    sys.exit(77)

def train(rng, path):
    """A random vocabulary; returns what kind it is."""
    rare = [random_character(rng) for _ in range(30)]
    sentences = ["".join(rng.choice("abcdeinorst     00.") if rng.random() < 0.95 else rng.choice(rare)
                         for _ in range(rng.randrange(1, 120))) for _ in range(300)]
    byte_fallback = rng.random() < 0.5
    options = dict(
        vocab_size=rng.choice([420, 600, 900]), model_type="bpe", normalization_rule_name="identity",
        byte_fallback=byte_fallback, add_dummy_prefix=rng.random() < 0.6,
        remove_extra_whitespaces=rng.random() < 0.25, split_by_whitespace=rng.random() < 0.6,
        split_by_unicode_script=rng.random() < 0.5, split_by_number=rng.random() < 0.5,
        allow_whitespace_only_pieces=rng.random() < 0.7, split_digits=rng.random() < 0.3,
        character_coverage=rng.choice([0.98, 1.0]), hard_vocab_limit=False,
        user_defined_symbols=rng.sample(["\u2581the", "ing", "e\u0301", "  ", "ab", "abc", "bcd", "0", "<0x0A>x"],
                                        rng.choice([0, 0, 3, 6])))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(sentences), model_writer=model,
                                             minloglevel=2, **options)
    data, edits = edit(rng, model.getvalue())
    with open(path, "wb") as out:
        out.write(data)
    return {**{k: v for k, v in options.items() if v is True or k == "user_defined_symbols"}, **edits}


def edit(rng, data):
    """Unused pieces and equal scores, which training never makes; needs the protobuf package."""
    try:
        from sentencepiece import sentencepiece_model_pb2 as pb2
    except ImportError:
        return data, {"edited": False}
    proto = pb2.ModelProto()
    proto.ParseFromString(data)
    normal = [p for p in proto.pieces if p.type == 1]
    unused_share, n_scores = rng.choice([0, 0, 0.05, 0.3]), rng.choice([0, 0, 2, 20])
    for piece in normal:
        if rng.random() < unused_share:
            piece.type = 5
        if n_scores:
            piece.score = -float(rng.randrange(n_scores))
    return proto.SerializeToString(), {"unused": unused_share, "scores": n_scores}


def compare(program, path, rng, n_strings, label):
    oracle = sentencepiece.SentencePieceProcessor(model_file=path)
    n_different = done = 0
    while done < n_strings:
        texts = [random_text(rng, 300) for _ in range(min(20000, n_strings - done))]
        texts = [t.encode("utf-8", "surrogatepass").decode("utf-8", "ignore") for t in texts]
        expected_ids = oracle.encode(texts)
        expected_texts = oracle.decode(expected_ids)
        ours = answers(program, path, [t.encode() for t in texts])
        for text, ids, decoded, (our_ids, our_text) in zip(texts, expected_ids, expected_texts, ours):
            if ids == our_ids and decoded.encode() == our_text:
                continue
            n_different += 1
            if n_different <= 3:
                show(label, text, (ids, decoded.encode()), (our_ids, our_text))
        done += len(texts)
    return n_different


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--strings", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random-models", type=int, default=20)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    n_models = len(arguments.models) or arguments.random_models
    share = -(-arguments.strings // n_models)
    n_different = 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(n_models):
            path, label = f"{folder}/random.model", f"model {i}"
            if arguments.models:
                path = label = arguments.models[i]
            else:
                label += f" {train(rng, path)}"
            n_different += compare(arguments.program, path, rng, share, label)
    print(f"{share * n_models} strings, {n_models} vocabularies, seed {arguments.seed}: {n_different} differences")
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
