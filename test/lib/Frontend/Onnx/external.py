# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Tensors in files beside the model, and those that must not be read.
#
# RUN: %python %s %t
# RUN: lathe-translate --import-onnx %t/good.onnx \
# RUN:   --mlir-elide-resource-strings-if-larger=8 | FileCheck %s
# RUN: not lathe-translate --import-onnx %t/parent.onnx 2>&1 | FileCheck %s --check-prefix=PARENT
# RUN: not lathe-translate --import-onnx %t/absolute.onnx 2>&1 | FileCheck %s --check-prefix=PARENT
# RUN: not lathe-translate --import-onnx %t/link.onnx 2>&1 | FileCheck %s --check-prefix=LINK
# RUN: not lathe-translate --import-onnx %t/short.onnx 2>&1 | FileCheck %s --check-prefix=SHORT
# RUN: not lathe-translate --import-onnx %t/missing.onnx 2>&1 | FileCheck %s --check-prefix=MISSING

# CHECK: graph.constant dense_resource<w> : tensor<1024xf32>
# PARENT: tensor 'w': external data location '{{.*}}' must be a path below the model's folder
# LINK: external data location 'link.bin' leads out of the model's folder
# SHORT: tensor 'w' needs 4096 bytes, its external data is 4096 bytes at 8192 of
# SHORT-SAME: 'data.bin', which has 8192
# MISSING: external data '{{.*}}none.bin': No such file or directory

import os
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "Inputs"))
from models import info, model, save  # noqa: E402

out = sys.argv[1]


def write(name, location, offset):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1024],
                         data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)),
                       ("length", "4096")):
        weight.external_data.add(key=key, value=value)
    save(model([helper.make_node("Identity", ["w"], ["y"])], [],
               [info("y", [1024])], [weight]), out, name)


write("good.onnx", "data.bin", 4096)
write("parent.onnx", "../data.bin", 0)
write("absolute.onnx", "/etc/hostname", 0)
write("link.onnx", "link.bin", 0)
write("short.onnx", "data.bin", 8192)
write("missing.onnx", "none.bin", 0)
np.random.rand(2048).astype(np.float32).tofile(os.path.join(out, "data.bin"))
link = os.path.join(out, "link.bin")
if not os.path.islink(link):
    os.symlink("/etc/hostname", link)
