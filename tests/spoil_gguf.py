"""Spoils a GGUF file in one place, for tests of what is said about it.

usage: spoil_gguf.py FILE key NAME VALUE             sets a uint32 of the metadata
       spoil_gguf.py FILE float TENSOR INDEX VALUE   sets an element of a float32 tensor
       spoil_gguf.py FILE bit OFFSET BIT             flips a bit of a byte
"""
import struct
import sys

path, what, *arguments = sys.argv[1:]
data = bytearray(open(path, "rb").read())
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT32 = 8, 9, 4


def number(at, size):
    return int.from_bytes(data[at:at + size], "little")


def string(at):
    size = number(at, 8)
    return data[at + 8:at + 8 + size].decode(), at + 8 + size


def skip(at, kind):
    if kind == STRING:
        return string(at)[1]
    if kind != ARRAY:
        return at + SIZES[kind]
    kind, n, at = number(at, 4), number(at + 4, 8), at + 12
    if kind != STRING:
        return at + n * SIZES[kind]
    for _ in range(n):
        at = string(at)[1]
    return at


keys, tensors = {}, {}
n_tensors, n_keys = number(8, 8), number(16, 8)
at = 24
for _ in range(n_keys):
    name, at = string(at)
    keys[name] = (number(at, 4), at + 4)
    at = skip(at + 4, number(at, 4))
for _ in range(n_tensors):
    name, at = string(at)
    at += 4 + 8 * number(at, 4)
    tensors[name] = (number(at, 4), number(at + 4, 8))
    at += 12
alignment = number(keys["general.alignment"][1], 4) if "general.alignment" in keys else 32
begin = (at + alignment - 1) // alignment * alignment

if what == "key":
    kind, place = keys[arguments[0]]
    assert kind == UINT32, f"{arguments[0]} is no uint32"
    data[place:place + 4] = struct.pack("<I", int(arguments[1]))
elif what == "float":
    kind, offset = tensors[arguments[0]]
    assert kind == 0, f"{arguments[0]} is no float32"
    place = begin + offset + 4 * int(arguments[1])
    data[place:place + 4] = struct.pack("<f", float(arguments[2]))
else:
    data[int(arguments[0])] ^= 1 << int(arguments[1])
open(path, "wb").write(data)
