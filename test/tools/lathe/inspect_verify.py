# RUN: rm -rf %t && mkdir %t && cd %t
# RUN: %build_root/test/tools/lathe/make-bundle m.lathe
# RUN: %build_root/test/tools/lathe/make-bundle foreign.lathe --foreign
# RUN: %python %s
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lathe inspect and lathe verify, on sound bundles and on damaged ones."""

import hashlib
import json
import random
import subprocess


def lathe(*arguments, code=0):
    done = subprocess.run(["lathe", *arguments], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == code, (done.args, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def check_json():
    contents = json.loads(lathe("inspect", "m.lathe", "--json"))
    with open("m.lathe", "rb") as file:
        data = file.read()
    assert contents["file_size"] == len(data)
    for segment in contents["segments"]:
        part = data[segment["offset"]:segment["offset"] + segment["size"]]
        assert segment["sha256"] == hashlib.sha256(part).hexdigest()
    entry, = contents["entries"]
    assert entry["symbols"] == ["batch", "n"]
    assert entry["inputs"][2] == {"name": "ids", "dtype": "i64",
                                  "dims": ["batch", "n * 2"]}
    variant, = contents["variants"]
    assert variant["fits"] and variant["missing"] == ""
    assert [k["symbol"] for k in variant["kernels"]] == ["scale", "add"]


def check_text():
    text = lathe("inspect", "m.lathe")
    for part in ("f32[batch, n]", "bf16[n + 1]", "baseline", "fits", "segments"):
        assert part in text, (part, text)
    assert "scale" in lathe("inspect", "m.lathe", "-v")


def check_foreign():
    """What does not fit can be inspected; running says what is missing."""
    assert "lacks no-such-feature" in lathe("inspect", "foreign.lathe")
    message = lathe("bench", "foreign.lathe", "--shape", "batch=1,n=1", code=1)
    assert "foreign.lathe" in message and "no-such-feature" in message


def check_damage():
    assert "sound" in lathe("verify", "m.lathe")
    with open("m.lathe", "rb") as file:
        data = file.read()
    generator = random.Random(0)
    # Padding between segments belongs to no hash.
    used = [i for i in range(len(data)) if data[i]]
    for position in generator.sample(used, 60):
        damaged = bytearray(data)
        damaged[position] ^= 1 << generator.randrange(8)
        with open("damaged.lathe", "wb") as file:
            file.write(damaged)
        message = lathe("verify", "damaged.lathe", code=1)
        assert message.startswith("lathe: error: ") and "damaged.lathe" in message
    for size in (0, 1, 63, 64, 4096, len(data) - 1):
        with open("damaged.lathe", "wb") as file:
            file.write(data[:size])
        assert "damaged.lathe" in lathe("verify", "damaged.lathe", code=1)
    assert "no.lathe" in lathe("verify", "no.lathe", code=1)


if __name__ == "__main__":
    check_json()
    check_text()
    check_foreign()
    check_damage()
