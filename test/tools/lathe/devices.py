# RUN: rm -rf %t && mkdir %t
# RUN: %build_root/test/runtime/write-test-bundle %t/m.lathe fake-gpu
# RUN: %build_root/test/runtime/write-test-bundle %t/hip.lathe fake-hip
# RUN: %build_root/test/runtime/write-test-bundle %t/cpu.lathe
# RUN: cd %t && %python %s
# UNSUPPORTED: sanitize
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe devices, --device cuda and hip: with a driver that is none, with one that
is too old or has no device, and without one."""

import json
import os
import subprocess

import numpy as np

FAKES = os.path.join(os.environ["LATHE_BUILD"], "test", "runtime")
FAKE = os.path.join(FAKES, "fake-driver")
FAKE_HIP = os.path.join(FAKES, "fake-hip")


def lathe(*arguments, code=0, driver=FAKE, **variables):
    env = dict(os.environ, **variables)
    if driver:
        env["LD_LIBRARY_PATH"] = driver
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True,
                          env=env)
    assert done.returncode == code, (done.args, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def check_list():
    devices = json.loads(lathe("devices", "--json", LATHE_FAKE_DEVICES="2"))
    assert [d["device"] for d in devices] == ["cuda:0", "cuda:1", "hip", "cpu"]
    assert [d["usable"] for d in devices] == [True, True, False, True]
    assert devices[0]["memory_bytes"] == 1 << 30
    text = lathe("devices")
    assert "Fake GPU 0, sm_90, 132 multiprocessors; its driver is for CUDA " \
        "12.8" in text, text


def check_run():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    np.savez("in.npz", x=x)
    files = ["--inputs", "in.npz", "--outputs", "out.npz"]
    lathe("run", "m.lathe", *files, "--device", "cuda")
    with np.load("out.npz") as out:
        np.testing.assert_array_equal(out["y"], x * np.float32(2.0**100) + 1)
    # A level of the CPU does not matter there.
    lathe("run", "m.lathe", *files, "--device", "cuda:0",
          LATHE_CPU_LEVEL="x86-64-v3")
    # Nor for a bundle without code for any.
    lathe("run", "m.lathe", *files, LATHE_CPU_LEVEL="x86-64-v3")
    # The first device that has what is needed.
    lathe("run", "m.lathe", *files, LATHE_FAKE_DEVICES="2",
          LATHE_FAKE_CAPABILITY="7.5,8.0")


def check_bench():
    bench = ["bench", "m.lathe", "--shape", "n=4000", "--iterations", "5",
             "--warmup", "2"]
    result = json.loads(lathe(*bench, "--json", "--profile"))
    assert result["device"] == "cuda" and result["variant"] == "sm_80"
    assert result["device_median_ms"] > 0
    steps = result["profile"]["steps"]
    assert len(steps) == 101 and steps[100]["label"] == "add w"
    assert all(step["threads"] == 16 for step in steps)
    assert result["profile"]["limit_bytes_per_second"] == 3.35232e12
    assert "device's clock" in lathe(*bench)
    text = lathe(*bench, "--profile")
    assert "GFLOP/s on 16-bit floats, 3,352 GB/s" in text, text
    assert "of limit" in text


def check_refusals():
    run = ["run", "m.lathe", "--inputs", "in.npz", "--outputs", "out.npz"]
    cuda = [*run, "--device", "cuda"]
    text = lathe(*run, "--device", "cuda:1", code=2)
    assert "no device cuda:1; this machine has 1, from cuda:0 on" in text, text
    text = lathe(*run, "--device", "cpu", code=1)
    assert "no variant is for device 'cpu'; there are: cuda 'sm_80' (fits)" \
        in text, text
    text = lathe("run", "cpu.lathe", *run[2:], "--device", "cuda", code=1)
    assert "no variant is for device 'cuda'; there are: x86 'baseline'" in text
    text = lathe(*cuda, code=1, LATHE_FAKE_CAPABILITY="7.5")
    assert "there are: cuda 'sm_80' (lacking here: sm_80)" in text, text
    text = lathe(*run, "--device", "cuda:1", code=1, LATHE_FAKE_DEVICES="2",
                 LATHE_FAKE_CAPABILITY="9.0,7.5")
    assert "there are: cuda 'sm_80' (lacking here: sm_80)" in text, text
    text = lathe(*cuda, code=1, LATHE_FAKE_VERSION="11020")
    assert ("the NVIDIA driver is too old: it is for CUDA 11.2, and 11.4 is "
            "needed") in text, text
    text = lathe(*cuda, code=1, LATHE_FAKE_DEVICES="0")
    assert ("cuInit: no CUDA-capable device is detected "
            "(CUDA_ERROR_NO_DEVICE)") in text, text
    text = lathe(*cuda, "--guard", code=1)
    assert "launches can be guarded in host memory only" in text, text
    text = lathe(*cuda, code=1, LATHE_FAKE_FAIL="launch:5:700")
    assert "an illegal memory access was encountered" in text, text
    text = lathe(*cuda, code=1, LATHE_FAKE_MEMORY="4000")
    assert "weights: 4194304 bytes on the device: cuMemAllocAsync: out of " \
        "memory" in text, text


def check_hip():
    """The same on a driver of AMD's."""
    both = f"{FAKE}:{FAKE_HIP}"
    devices = json.loads(lathe("devices", "--json", driver=both))
    assert [d["device"] for d in devices] == ["cuda:0", "hip:0", "cpu"]
    text = lathe("devices", driver=FAKE_HIP)
    assert "Fake GPU 0, gfx942, 132 multiprocessors; its driver is for HIP " \
        "6.3" in text, text
    run = ["run", "hip.lathe", "--inputs", "in.npz", "--outputs", "hip.npz"]
    for more in ([], ["--device", "hip"], ["--device", "hip:0"]):
        lathe(*run, *more, driver=both)
        with np.load("hip.npz") as out, np.load("out.npz") as want:
            np.testing.assert_array_equal(out["y"], want["y"])
    result = json.loads(lathe("bench", "hip.lathe", "--shape", "n=4000",
                              "--iterations", "5", "--json", driver=FAKE_HIP))
    assert result["device"] == "hip" and result["variant"] == "gfx942"
    for variables, said in [
            ({"LATHE_FAKE_ARCHITECTURE": "gfx90a:sramecc+:xnack-"},
             "there are: rocm 'gfx942' (lacking here: gfx942)"),
            ({"LATHE_FAKE_VERSION": "50631061"},
             "the AMD driver is too old: it is for HIP 5.6, and 6.0 is needed"),
            ({"LATHE_FAKE_DEVICES": "0"},
             "hipInit: no ROCm-capable device is detected (hipErrorNoDevice)"),
            ({"LATHE_FAKE_FAIL": "launch:5:700"},
             "an illegal memory access was encountered (hipErrorIllegalAddress)")]:
        text = lathe(*run, code=1, driver=FAKE_HIP, **variables)
        assert said in text, text


def check_without_driver():
    """Where there is one, nothing can be said here."""
    devices = json.loads(lathe("devices", "--json", driver=None))
    if devices[0]["usable"] and devices[0]["device"] != "cpu":
        return
    assert devices[0]["device"] == "cuda" and not devices[0]["usable"]
    assert "no NVIDIA driver: libcuda.so.1" in devices[0]["description"]
    if not devices[1]["usable"]:
        assert "no AMD driver: libamdhip64.so" in devices[1]["description"]
    run = ["run", "m.lathe", "--inputs", "in.npz", "--outputs", "out.npz"]
    for more in ([], ["--device", "cuda"]):
        text = lathe(*run, *more, code=1, driver=None)
        assert "no NVIDIA driver: libcuda.so.1" in text, text
    text = lathe("inspect", "m.lathe", driver=None)
    assert "lacks a device (no NVIDIA driver" in text, text
    lathe("bench", "cpu.lathe", "--shape", "n=4", "--iterations", "1",
          driver=None)


check_list()
check_run()
check_bench()
check_refusals()
check_hip()
check_without_driver()
