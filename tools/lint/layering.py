# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Who may include whom: the table of docs/Contributing.md, as data.

A *room* is a folder of sources. Headers under include/lathe belong to the room
under lib/ that they mirror. Rooms are written here as

    lathe-c  dialects/Graph/IR  dialects/Graph/Transforms  lib/Support
    lib/Target          (what all targets share: interface, registry)
    lib/Target/X86      (one target)
    lib/Target/Gpu      (what targets that are GPUs share)
    lib/Encodings       (what all share)   lib/Encodings/Int4   (one encoding)
    lib/Conversion/GraphToTile   runtime   tools   test   generated

and other people's headers as

    mlir-ir (IR and interfaces)  mlir-dialect (the IR of upstream dialects)
    mlir (the rest)  llvm  lld  clang  c-standard  other
"""

import os
import re

# Folders that hold one room per subfolder.
NESTED = ("Frontend", "Encodings", "Conversion", "Target")

ANY = r".*"
LLVM = r"llvm|other"
MLIR = r"mlir-ir|mlir-dialect|mlir|llvm|other"
SUPPORT = r"lib/Support"
ALL_IR = r"dialects/\w+/IR"

# Room -> rooms it may include, besides itself. The first row that matches
# counts; `{0}` and `{1}` are the groups of its pattern.
TABLE = [
    (r"lathe-c", [r"c-standard"]),
    # Folders build upstream constants, hence the dialects.
    (r"dialects/(\w+)/IR", [r"mlir-ir|mlir-dialect|llvm|other"]),
    (r"dialects/Graph/Transforms",
     [r"dialects/Graph/IR", SUPPORT, r"lib/Encodings", MLIR]),
    (r"dialects/(\w+)/Transforms", [r"dialects/{0}/IR", SUPPORT, MLIR]),
    (r"lib/Support", [MLIR]),
    (r"lib/Frontend(/\w+)?",
     [r"lib/Frontend", r"dialects/Graph/IR", SUPPORT, MLIR]),
    # The registration names each encoding, and nobody else does.
    (r"lib/Encodings",
     [r"lib/Encodings/\w+", r"dialects/(Graph|Tile)/IR", SUPPORT, MLIR]),
    # An encoding is attached to a graph weight and decodes in a tile kernel.
    (r"lib/Encodings(/\w+)?",
     [r"lib/Encodings", r"dialects/(Graph|Tile)/IR", SUPPORT, MLIR]),
    # Tuning holds the measured tables that kernels choose schedules from.
    (r"lib/Tuning", [r"dialects/Tile/IR", SUPPORT, MLIR]),
    (r"lib/Kernels",
     [r"dialects/(Graph|Tile)/IR", r"lib/Encodings", r"lib/Tuning", SUPPORT,
      MLIR]),
    (r"lib/Conversion/(\w+)To(\w+)",
     [r"dialects/({0}|{1})/IR", r"lib/Encodings", r"lib/Kernels", SUPPORT,
      MLIR]),
    (r"lib/Target/CUDA",
     [r"lib/Target(/Gpu)?", r"dialects/Tile/IR", SUPPORT, MLIR]),
    (r"lib/Target(/\w+)?",
     [r"lib/Target", r"dialects/Tile/IR", SUPPORT, MLIR, r"lld"]),
    (r"lib/Bundle", [r"runtime/bundle", SUPPORT, LLVM]),
    (r"lib/Pipeline",
     [r"lathe-c", ALL_IR, r"dialects/\w+/Transforms",
      r"lib/(Support|Frontend(/\w+)?|Encodings|Tuning|Kernels|Target|Bundle)",
      r"lib/Conversion/\w+", MLIR]),
    # Tests, which use the helpers of other tests of the runtime.
    (r"runtime/conformance",
     [r"runtime(/bundle)?", r"lathe-c", r"test", r"other"]),
    (r"runtime(/bundle)?", [r"runtime(/bundle)?", r"lathe-c", r"other"]),
    (r"tools|test|samples|benchmarks", [ANY]),
]

# Not even by way of another header of ours.
NEVER = [
    (r"runtime(/\w+)?|lathe-c", r"mlir.*|llvm|lld|lib/.*|dialects/.*"),
    (r"lib/Bundle", r"mlir.*"),
    (r"lib/Target(/\w+)?", r"dialects/Graph/.*|lib/Frontend.*"),
]

C_STANDARD = {
    "assert.h", "float.h", "inttypes.h", "limits.h", "stdalign.h",
    "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "string.h",
}

MLIR_IR = re.compile(
    r"mlir/(IR|Interfaces|Bytecode|Support|AsmParser)/|"
    r"mlir/Transforms/InliningUtils\.h$")
MLIR_DIALECT = re.compile(r"mlir/Dialect/(\w+/IR|Utils)/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TD_INCLUDE = re.compile(r'^\s*include\s*(")([^"]+)"')


def room_of(path):
    """The room of a file of ours, or None where the table does not apply."""
    parts = path.split("/")
    if path.startswith("include/lathe-c/"):
        return "lathe-c"
    if path.startswith("include/lathe/"):
        parts = ["lib"] + parts[2:]
    if parts[0] == "runtime":
        own = parts[1] in ("bundle", "conformance")
        return "/".join(parts[:2]) if own else "runtime"
    if parts[0] == "dialects" and len(parts) > 3:
        return "/".join(parts[:3])
    if parts[0] == "lib" and len(parts) > 2:
        depth = 3 if parts[1] in NESTED and len(parts) > 3 else 2
        return "/".join(parts[:depth])
    if parts[0] in ("tools", "test", "samples", "benchmarks"):
        return parts[0]
    return None


def room_of_include(name, quote, includer, root):
    """(room, path of ours or None) of what an include line names."""
    if quote == '"':
        beside = os.path.join(os.path.dirname(includer), name)
        if os.path.exists(os.path.join(root, beside)):
            return room_of(os.path.normpath(beside)), os.path.normpath(beside)
        if "/" not in name:
            return room_of(includer), None  # generated beside it
    for prefix in ("", "include/"):
        room = room_of(prefix + name)
        if room and (prefix == "" or name.startswith("lathe")):
            return room, prefix + name
    if MLIR_IR.match(name):
        return "mlir-ir", None
    if MLIR_DIALECT.match(name):
        return "mlir-dialect", None
    for prefix in ("mlir", "llvm", "lld", "clang"):
        if name.startswith((prefix + "/", prefix + "-c/")):
            return prefix, None
    if name in C_STANDARD:
        return "c-standard", None
    return "other", None


def includes(path, root):
    """Yields (line number, quote, name) of each include line."""
    pattern = TD_INCLUDE if path.endswith(".td") else INCLUDE
    with open(os.path.join(root, path), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = pattern.match(line)
            if match:
                yield number, match.group(1), match.group(2)


def allowed(room):
    """Patterns of what `room` may include, or None if no row speaks of it."""
    for pattern, rights in TABLE:
        match = re.fullmatch(pattern, room)
        if match:
            groups = [group or "" for group in match.groups()]
            # str.format would trip over the braces of a regular expression.
            for index, group in enumerate(groups):
                rights = [r.replace("{%d}" % index, group) for r in rights]
            return rights
    return None


def permits(rights, room):
    # <stdint.h> is as good as <cstdint> to everybody else.
    names = (room, "other") if room == "c-standard" else (room,)
    return any(re.fullmatch(right, name) for right in rights for name in names)


def reachable(path, root, seen):
    """Yields (room, chain of headers) that `path` reaches through ours."""
    for _, quote, name in includes(path, root):
        room, header = room_of_include(name, quote, path, root)
        yield room, [name]
        if not header or header in seen:
            continue
        seen.add(header)
        if os.path.exists(os.path.join(root, header)):
            for room, chain in reachable(header, root, seen):
                yield room, [name] + chain


def check(path, root):
    """Yields (line, rule, message) for the include lines of one file."""
    room = room_of(path)
    if room is None:
        return
    rights = allowed(room)
    if rights is None:
        yield 1, "layering", f"no row of the include table speaks of {room}"
        return

    direct = set()
    for line, quote, name in includes(path, root):
        target, _ = room_of_include(name, quote, path, root)
        if target == room or target is None or permits(rights, target):
            continue
        direct.add(name)
        yield line, "layering", f"{room} may not include {name} ({target})"

    for pattern, banned in NEVER:
        if not re.fullmatch(pattern, room):
            continue
        for target, chain in reachable(path, root, {path}):
            if (target and len(chain) > 1 and chain[0] not in direct
                    and re.fullmatch(banned, target)):
                via = " -> ".join(chain)
                yield 1, "layering", f"{room} reaches {target}: {via}"
                break
