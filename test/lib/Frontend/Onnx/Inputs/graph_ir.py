# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads the generic form of imported graph IR (`--mlir-print-op-generic`).

Only what the importers write: one function, ops without regions.
"""

import re
import struct

import ml_dtypes
import numpy as np

DTYPES = {
    "i1": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "ui8": np.uint8, "ui16": np.uint16, "ui32": np.uint32,
    "ui64": np.uint64, "f16": np.float16, "bf16": ml_dtypes.bfloat16,
    "f32": np.float32, "f64": np.float64,
}


def split(text, separator=","):
    """Splits at `separator` outside of brackets and quotes."""
    parts, depth, start, quoted, i = [], 0, 0, False, 0
    while i < len(text):
        c = text[i]
        if quoted:
            if c == "\\":
                i += 1
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif text.startswith("->", i):
            i += 1
        elif c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
        elif c == separator and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
        i += 1
    tail = text[start:].strip()
    return parts + [tail] if tail else parts


class Type:
    def __init__(self, text):
        *dims, element = text[len("tensor<"):-1].split(",")[0].split("x")
        self.shape = [None if d == "?" else int(d) for d in dims]
        self.dtype = np.dtype(DTYPES[element])


class Size:
    """An integer with MLIR's affine operators."""

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return Size(self.value + other.value)

    def __sub__(self, other):
        return Size(self.value - other.value)

    def __mul__(self, other):
        return Size(self.value * other.value)

    def __neg__(self):
        return Size(-self.value)

    def __mod__(self, other):
        return Size(self.value % other.value)

    def __floordiv__(self, other):
        return Size(self.value // other.value)

    def __matmul__(self, other):  # ceildiv
        return Size(-(-self.value // other.value))


class Map:
    def __init__(self, text):
        self.results = split(text.split("->", 1)[1].strip()[1:-1])

    def __call__(self, symbols):
        scope = {f"s{i}": Size(v) for i, v in enumerate(symbols)}
        scope["Size"] = Size
        values = []
        for result in self.results:
            python = result.replace("floordiv", "//").replace("ceildiv", "@")
            python = python.replace(" mod ", " % ")
            python = re.sub(r"(?<![\w.])(\d+)", r"Size(\1)", python)
            values.append(eval(python, {}, scope).value)  # our own text
        return values


def unhex(text):
    return bytes.fromhex(text[2:])


def parse_number(text, dtype):
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("0x"):
        raw = int(text, 16).to_bytes(dtype.itemsize, "little")
        return np.frombuffer(raw, dtype)[0]
    return dtype.type(float(text) if "." in text or "e" in text else int(text))


def parse_dense(body, kind):
    shape = kind.shape
    if body.startswith('"0x'):
        raw = unhex(body[1:-1])
        if kind.dtype == np.bool_:
            return np.frombuffer(raw, np.uint8).astype(bool).reshape(shape)
        return np.frombuffer(raw, kind.dtype).reshape(shape)
    numbers = [parse_number(n, kind.dtype) for n in
               re.findall(r"true|false|[-+.\w]+", body)]
    if len(numbers) == 1:
        return np.full(shape, numbers[0], kind.dtype)
    return np.array(numbers, kind.dtype).reshape(shape)


class Module:
    """The function's arguments, ops and results."""

    def __init__(self, text):
        self.maps, self.resources, self.ops = {}, {}, []
        for name, body in re.findall(r'^\s*(.+): "(0x[0-9A-F]+)"', text, re.M):
            self.resources[name.strip('"')] = unhex(body)[4:]
        self.names, self.results = [], []
        for line in text.splitlines():
            self.read_line(line.strip())

    def read_line(self, line):
        if match := re.match(r"(#map\d*) = affine_map<(.*)>$", line):
            self.maps[match[1]] = Map(match[2])
        elif line.startswith('"func.func"'):
            text = line[line.index("<{") + 2:line.index("}> ({")]
            attrs = self.attrs(", ".join(
                part for part in split(text) if "_attrs = " in part))
            self.arguments = attrs["arg_attrs"] if "arg_attrs" in attrs else []
            self.outputs = [a["graph.name"] for a in attrs.get("res_attrs", [])]
        elif line.startswith("^bb0("):
            self.names = re.findall(r"(%arg\d+):", line)
        elif line.startswith('"func.return"'):
            self.results = re.findall(r"%[\w#]+", line.split(") :")[0])
        elif match := re.match(r'(%\d+)(?::(\d+))? = "graph\.(\w+)"\((.*?)\)'
                               r"(?: <\{(.*)\}>)? : (.*)$", line):
            self.read_op(match)

    def read_op(self, match):
        name, count, op, operands, attrs, signature = match.groups()
        types = signature.split(" -> ", 1)[1]
        types = split(types[1:-1]) if types.startswith("(") else [types]
        results = [f"{name}#{i}" for i in range(int(count))] if count else [name]
        self.ops.append((op, split(operands), self.attrs(attrs or ""),
                         results, [Type(t) for t in types]))

    def attrs(self, text):
        result = {}
        for part in split(text):
            key, _, value = part.partition(" = ")
            result[key] = self.attr(value) if value else True
        return result

    def attr(self, text):
        if text in self.maps:
            return self.maps[text]
        if text.startswith("affine_map<"):
            return Map(text[len("affine_map<"):-1])
        if text.startswith("dense<"):
            body, kind = text[len("dense<"):].rsplit("> : ", 1)
            return parse_dense(body, Type(kind))
        if text.startswith("dense_resource<"):
            name, kind = text[len("dense_resource<"):].rsplit("> : ", 1)
            kind = Type(kind)
            raw = self.resources[name.strip('"')]
            return np.frombuffer(raw, kind.dtype).reshape(kind.shape)
        if text.startswith("array<"):
            body = text[6:-1].partition(":")[2]
            return [float(v) if "." in v else int(v) for v in split(body)]
        if text.startswith("["):
            return [self.attr(v) for v in split(text[1:-1])]
        if text.startswith("{"):
            return self.attrs(text[1:-1])
        if text.startswith('"'):
            return text[1:-1]
        if match := re.match(r"#graph<\w+ (\w+)>$", text):
            return match[1]
        if match := re.match(r"#graph\.(\w+)(?:<(.*)>)?$", text):
            return match[1], self.attrs(match[2] or "")
        number = text.split(" : ")[0]
        if number.startswith("0x"):
            return struct.unpack("<d", int(number, 16).to_bytes(8, "little"))[0]
        return float(number) if re.search(r"[.e]", number) else int(number)
