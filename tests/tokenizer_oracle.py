"""What the tests of tokenizers against other implementations share: random texts, and our answers."""
import struct
import subprocess

RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x66), (0x00, 0x1F), (0x80, 0xFF), (0x100, 0x24F),
    (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F), (0x1100, 0x11FF),
    (0x2000, 0x206F), (0x2580, 0x2588), (0x3000, 0x30FF), (0x4E00, 0x4E40), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0xE000, 0xE010), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0xFFF0, 0xFFFF),
    (0x1F300, 0x1F6FF), (0x1F468, 0x1F469), (0x20000, 0x20010), (0xE0000, 0xE007F), (0x10FFF0, 0x10FFFF)]
FRAGMENTS = ["\u2581", " ", "  ", "    ", "\n", "\r\n", "\t", "<s>", "</s>", "<unk>", "<0x0A>", "the ", " of",
             "ing", "tion", "return ", "def ", "\\begin{", "http://", "\u200d", "e\u0301", "\U0001F600", "0000"]


def random_text(rng, longest):
    parts, size = [], rng.choice([0, 1, 2, 5, 12, 40, longest])
    while sum(map(len, parts)) < size:
        kind = rng.random()
        if kind < 0.25:
            parts.append(rng.choice(FRAGMENTS))
        elif kind < 0.35:
            parts.append(random_character(rng) * rng.choice([2, 3, 7, 20, 90]))
        elif kind < 0.75:
            parts.append("".join(rng.choice("abcdeinorst   ") for _ in range(rng.randrange(1, 12))))
        else:
            low, high = rng.choice(RANGES)
            parts.extend(chr(rng.randint(low, high)) for _ in range(rng.randrange(1, 6)))
    return "".join(parts)


def random_character(rng):
    return chr(rng.randint(*rng.choice(RANGES)))


def answers(program, path, texts, *options):
    """(ids, decoded bytes) of each text, from tests/tokenizer_ids.cpp."""
    payload = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    out = subprocess.run([program, path, *options], input=payload, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in texts:
        n, = struct.unpack_from("<I", out, at)
        ids = list(struct.unpack_from(f"<{n}i", out, at + 4))
        at += 4 + 4 * n
        n, = struct.unpack_from("<I", out, at)
        yield ids, out[at + 4:at + 4 + n]
        at += 4 + n


def show(label, text, expected, found):
    """The text and the surroundings of the first difference in ids and decoded text."""
    print(f"{label}\n  text {text!r}")
    for one, other in zip(expected, found):
        at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        if one != other:
            window = slice(max(at - 3, 0), at + 12)
            print(f"  expected[{window.start}:] {one[window]}\n  found            {other[window]}")
