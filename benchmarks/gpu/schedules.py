#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every schedule of products on warpgroups at many sizes: what
lib/Kernels/UnitTiles.def knows of a device.

    python3 benchmarks/gpu/schedules.py --prepare FOLDER
    python3 benchmarks/gpu/schedules.py FOLDER

One bundle of each schedule multiplies bf16 of any size. Prints times beside
cuBLAS's for people, and then the lines of the file."""

import json
import os
import re
import subprocess
import sys

import harness
from harness import ROOT, Timing, Turns, bind, make_parser
from onnx_models import save

TILES = os.path.join(ROOT, "lib", "Kernels", "UnitTiles.def")
SIZES = [
    (8192, 8192, 8192), (4096, 4096, 4096), (4096, 14336, 4096),
    (4096, 4096, 14336), (2048, 4096, 4096), (2048, 2048, 2048),
    (1024, 4096, 4096), (1024, 14336, 4096), (1024, 4096, 14336),
    (512, 4096, 4096), (512, 14336, 4096), (512, 4096, 14336),
    (256, 4096, 4096), (256, 14336, 4096), (256, 4096, 14336),
    (4096, 768, 768), (4096, 2304, 768), (4096, 3072, 768), (4096, 768, 3072),
    (1024, 768, 768), (1024, 3072, 768), (1024, 768, 3072),
    (128, 768, 768), (128, 2304, 768), (128, 3072, 768), (128, 768, 3072),
    (2048, 2048, 8192), (2048, 8192, 2048), (2048, 3072, 2048)]


def read_tiles(unit=64):
    """The listed schedules of many rows: names, and how they are printed."""
    with open(TILES, encoding="ascii") as file:
        found = re.findall(r"^UNIT_TILE\((.*)\)$", file.read(), re.M)
    tiles = {}
    for entry in found:
        its, name, rows, columns, warps, stages, cluster = entry.split(", ")[:7]
        if int(its) != unit:
            continue
        text = (f'#tile.schedule<strategy = "contract", tile = [{rows}, {columns}, '
                f'0, 64], stages = {stages}')
        text += f", warps = {warps}" if warps != "4" else ""
        text += f", cluster = {cluster}" if cluster != "1" else ""
        tiles[name] = (int(rows), text + ">")
    return tiles


def write_model(path):
    """x w^T where rows of x and w are multiples of 8 elements long."""
    save(path, "bf16", {"x": ["m", "k", 8], "w": ["n", 8, "k", 8]},
         [("Flatten", ["x"], {"axis": 1}), ("Flatten", ["w"], {"axis": 2}),
          ("Transpose", [None], {"perm": [1, 0]}), ("MatMul", ["t0", None], {})],
         ["m", "p"])


def prepare(folder):
    os.makedirs(folder, exist_ok=True)
    build = os.environ.get("LATHE_BUILD", os.path.join(ROOT, "build"))
    model, table = (os.path.join(folder, name) for name in ("x.onnx", "table.json"))
    write_model(model)
    rows = [f"up to {most} rows" for most in (16, 64, 256, 1024)] + ["rows"]
    failed = 0
    for name, (_, schedule) in read_tiles().items():
        entries = [{"target": "cuda", "level": "sm_90a",
                    "workload": f"matmul_nxn, {which}, bf16",
                    "schedule": schedule,
                    "instead-of": "", "speedup": 1.0, "sizes": "", "machine": ""}
                   for which in rows]
        with open(table, "w", encoding="ascii") as file:
            json.dump({"lathe-tuning": 1, "workloads": entries}, file)
        done = subprocess.run(
            [os.path.join(build, "bin", "lathe"), "compile", model, "-o",
             os.path.join(folder, name + ".lathe"), "--target", "cuda:cpu=sm_90a",
             "--tuning", table], capture_output=True, text=True)
        print(name + ":", done.stderr.strip() or "compiled")
        failed += done.returncode != 0
    os.remove(model)
    os.remove(table)
    return failed


def measure(folder, models, sizes):
    """Milliseconds by tile, and of cuBLAS, in turns."""
    import torch
    m, n, k = sizes
    copies = -(-harness.COLD_BYTES // (2 * (m * k + k * n + m * n)))
    runs = {name: [] for name in [*models, "cuBLAS"]}
    worst = 0.0
    for _ in range(copies):
        x, w = (torch.randn(*shape, device="cuda", dtype=torch.float16).to(
            torch.bfloat16) for shape in ((m, k), (n, k)))
        expected = torch.mm(x, w.t())
        for name, model in models.items():
            run, outputs = bind(None, {"x": x.view(m, k // 8, 8),
                                       "w": w.view(n // 8, 8, k // 8, 8)}, model)
            run()
            torch.cuda.synchronize()
            error = (outputs["y"].float() - expected.float()).norm()
            worst = max(worst, (error / expected.float().norm()).item())
            runs[name].append(run)
        y = torch.empty_like(expected)
        runs["cuBLAS"].append(lambda x=x, w=w, y=y: torch.mm(x, w.t(), out=y))
    timing = Timing({name: Turns(its) for name, its in runs.items()}, rounds=7,
                    budget_ms=200)
    return {name: timing.median(name) for name in runs}, worst


def main():
    parser = make_parser(__doc__)
    arguments = parser.parse_args()
    if arguments.prepare:
        sys.exit(prepare(arguments.folder))
    import lathe
    models = {name: lathe.Model(os.path.join(arguments.folder, name + ".lathe"),
                                device="cuda")
              for name, (rows, _) in read_tiles().items() if rows > 16}
    lines = []
    for sizes in SIZES:
        times, worst = measure(arguments.folder, models, sizes)
        blas = times.pop("cuBLAS")
        shown = " ".join(f"{name} {blas / its:.2f}" for name, its in times.items())
        print("x".join(map(str, sizes)), f"cuBLAS {blas * 1e3:.1f} us:", shown,
              f"error {worst:.1e}", flush=True)
        numbers = [f"{times[name] * 1e3:.4g}" if name in times else "0"
                   for name in read_tiles()]
        lines.append(f"UNIT_TIMES(64, {', '.join(map(str, sizes))},\n           "
                     f"{', '.join(numbers)})")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
