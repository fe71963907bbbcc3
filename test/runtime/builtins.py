# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runtime's built-ins against ONNX Runtime, on random data of odd sizes.

RUN: %python %s %build_root/test/runtime/run-builtin
"""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper

PROGRAM = sys.argv[1]
RANDOM = np.random.default_rng(5)
DTYPES = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32",
          "uint8": "u8", "bool": "bool"}


def reference(op, inputs, outputs, opset=21, **attributes):
    """What ONNX Runtime makes of one node; None stands for absent inputs."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)],
                            **attributes)
    infos = [helper.make_tensor_value_info(
        n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, inputs) if n]
    results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    graph = helper.make_graph([node], "g", infos, results)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feeds = {n: x for n, x in zip(names, inputs) if n}
    return session.run(None, feeds)


def write(option, value):
    if isinstance(value, str):
        return f"string {option} {value}"
    if isinstance(value, (int, np.integer)):
        return f"int {option} {int(value)}"
    if isinstance(value, float):
        return f"float {option} {value!r}"
    kind = "floats" if isinstance(value[0], float) else "ints"
    return f"{kind} {option} {len(value)} {' '.join(map(repr, value))}"


def call(callee, inputs, results, **options):
    """Runs the built-in. A result is (dtype, dims), -1 for dims it binds."""
    given = [i for i, x in enumerate(inputs) if x is not None]
    if given and given[-1] >= len(given):
        options["operands"] = given
    lines = [f"callee {callee}"]
    lines += [write(name, value) for name, value in options.items()]
    for x in inputs:
        if x is not None:
            dims = " ".join(map(str, x.shape))
            lines.append(f"in {DTYPES[x.dtype.name]} {x.ndim} {dims} "
                         f"x{np.ascontiguousarray(x).tobytes().hex()}")
    for dtype, dims in results:
        lines.append(f"out {DTYPES[np.dtype(dtype).name]} {len(dims)} "
                     + " ".join(map(str, dims)))
    run = subprocess.run([PROGRAM], input="\n".join(lines), text=True,
                         capture_output=True)
    assert run.returncode == 0, f"{callee} {options}: {run.stderr}"
    arrays = []
    for (dtype, _), line in zip(results, run.stdout.splitlines()):
        *shape, data = line.split()
        array = np.frombuffer(bytes.fromhex(data[1:]), dtype)
        arrays.append(array.reshape([int(d) for d in shape[1:]]))
    return arrays


def compare(callee, op, inputs, built_inputs=None, attributes=None,
            fresh=False, outputs=1, tolerance=1e-5, opset=21, **options):
    wanted = reference(op, inputs, outputs, opset, **(attributes or {}))
    results = [(y.dtype, [-1] * y.ndim if fresh is True else y.shape)
               for y in wanted]
    if callable(fresh):
        results = [(y.dtype, fresh(i, y)) for i, y in enumerate(wanted)]
    found = call(callee, built_inputs or inputs, results, **options)
    for y, z in zip(wanted, found):
        what = f"{callee} {options}"
        assert y.shape == z.shape, (what, y.shape, z.shape)
        if y.dtype.kind == "f":
            np.testing.assert_allclose(z, y, rtol=tolerance, atol=tolerance,
                                       err_msg=what)
        else:
            np.testing.assert_array_equal(z, y, err_msg=what)


def floats(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_selection():
    for shape in [(7,), (3, 5), (2, 0, 3), (1, 1), (4, 3, 2)]:
        x = RANDOM.integers(-1, 2, shape).astype(np.float32)
        compare("nonzero", "NonZero", [x],
                fresh=lambda i, y: [y.shape[0], -1])
    for axis, k, largest in [(0, 2, 1), (1, 0, 1), (2, 4, 0), (1, 3, 1)]:
        x = RANDOM.integers(0, 6, (3, 5, 4)).astype(np.float32)
        count = np.array([k], np.int64)
        attributes = dict(axis=axis, largest=largest)
        options = dict(axis=axis, largest=largest, sorted=1)
        compare("top_k", "TopK", [x, count], [x], attributes, outputs=2,
                **options)
        dims = [list(x.shape), list(x.shape)]
        compare("top_k", "TopK", [x, count], [x, count], attributes, outputs=2,
                fresh=lambda i, y: [-1 if d == axis else s
                                    for d, s in enumerate(y.shape)],
                **options)
    x = floats(4, 5)
    for axis in (0, 1):
        keep = RANDOM.integers(0, 2, x.shape[axis] - 1).astype(bool)
        compare("compress", "Compress", [x, keep], attributes=dict(axis=axis),
                axis=axis, fresh=lambda i, y: [-1 if d == axis else s
                                               for d, s in enumerate(y.shape)])
    keep = RANDOM.integers(0, 2, 13).astype(bool)
    compare("compress", "Compress", [x, keep], axis=-1, fresh=True)


def test_indices():
    for dtype in (np.int32, np.int64):
        sizes = np.array([5], np.int64)
        for shape in [(7,), (3, 0), (), (2, 3, 4)]:
            x = RANDOM.integers(-5, 5, shape).astype(dtype)
            y, = call("check_indices", [x, sizes], [(dtype, shape)])
            np.testing.assert_array_equal(x, y)
        tuples = np.array([[4, 2], [-5, -3]], dtype)
        call("check_indices", [tuples, np.array([5, 3], np.int64)],
             [(dtype, (2, 2))])
        for place, index in [((1, 1), 3), ((0, 1), -4), ((0, 0), 5)]:
            wrong = tuples.copy()
            wrong[place] = index
            try:
                call("check_indices", [wrong, np.array([5, 3], np.int64)],
                     [(dtype, (2, 2))])
            except AssertionError as error:
                assert f"index {index} at [{place[0]}, {place[1]}]" in \
                    str(error), error
            else:
                raise AssertionError((place, index))


def test_unique():
    x = RANDOM.integers(0, 4, (6, 3)).astype(np.float32)
    for ordered in (0, 1):
        attributes = dict(sorted=ordered)
        options = dict(sorted=ordered)
        compare("unique", "Unique", [x], attributes=attributes, outputs=4,
                axis=-1, fresh=lambda i, y: [-1] if i != 2 else y.shape,
                **options)
        rows = np.concatenate([x, x[:2]])
        compare("unique", "Unique", [rows], attributes=dict(axis=0, **attributes),
                outputs=4, axis=0, **options,
                fresh=lambda i, y: [[-1, 3], [-1], y.shape, [-1]][i])


def test_detection():
    for centered in (0, 1):
        boxes = RANDOM.random((2, 20, 4)).astype(np.float32)
        scores = RANDOM.random((2, 3, 20)).astype(np.float32)
        limits = [np.array([4], np.int64), np.array([0.3], np.float32)]
        for score in ([], [np.array([0.4], np.float32)]):
            compare("non_max_suppression", "NonMaxSuppression",
                    [boxes, scores, *limits, *score],
                    attributes=dict(center_point_box=centered),
                    center_point_box=centered, fresh=lambda i, y: [-1, 3])


def test_recurrent():
    cells = {"LSTM": (4, 3), "GRU": (3, 2), "RNN": (1, 1)}
    defaults = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"],
                "RNN": ["Tanh"]}
    for op, (gates, _) in cells.items():
        for direction in ("forward", "reverse", "bidirectional"):
            count = 2 if direction == "bidirectional" else 1
            steps, batch, size, hidden = 5, 3, 7, 17
            x = floats(steps, batch, size)
            w = floats(count, gates * hidden, size) / 3
            r = floats(count, gates * hidden, hidden) / 4
            b = floats(count, 2 * gates * hidden)
            h = floats(count, batch, hidden)
            lengths = np.array([5, 2, 4], np.int32)
            full = [x, w, r, b, lengths, h]
            if op == "LSTM":
                full += [floats(count, batch, hidden),
                         floats(count, 3 * hidden)]
            for inputs in ([x, w, r], full, [x, w, r, None, None, h]):
                for variant in (0, 1) if op == "GRU" else (0,):
                    attributes = dict(hidden_size=hidden, direction=direction)
                    options = dict(attributes)
                    if op == "GRU":
                        attributes["linear_before_reset"] = variant
                        options["linear_before_reset"] = variant
                    options["activations"] = ",".join(defaults[op] * count)
                    compare(op.lower(), op, inputs, attributes=attributes,
                            outputs=3 if op == "LSTM" else 2, tolerance=1e-4,
                            **options)


def test_resize():
    x = floats(2, 3, 5, 7)
    modes = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    for sizes in ([2, 3, 9, 4], [2, 3, 1, 15], [2, 3, 5, 14]):
        target = np.array(sizes, np.int64)
        for mode in ("linear", "cubic", "nearest"):
            for transform in modes:
                for nearest in (["round_prefer_floor", "floor", "ceil",
                                 "round_prefer_ceil"]
                                if mode == "nearest" else ["floor"]):
                    attributes = dict(
                        mode=mode, coordinate_transformation_mode=transform)
                    if mode == "nearest":
                        attributes["nearest_mode"] = nearest
                    compare("resize", "Resize", [x, None, None, target], [x],
                            attributes, tolerance=2e-4, mode=mode,
                            coordinate_transformation_mode=transform,
                            nearest_mode=nearest, cubic_coeff_a=-0.75,
                            exclude_outside=0, extrapolation_value=0.0,
                            antialias=0)
    # By scales that do not divide evenly.
    scales = [1.0, 1.0, 1.7, 0.6]
    for mode in ("linear", "nearest"):
        compare("resize", "Resize", [x, None, np.array(scales, np.float32)],
                [x], dict(mode=mode), tolerance=2e-4, mode=mode,
                coordinate_transformation_mode="half_pixel",
                nearest_mode="round_prefer_floor",
                scales=[float(np.float32(s)) for s in scales])
    # Cropping, with a value for what is outside (no position on the edge).
    roi = np.array([0, 0, 0.2, -0.31, 1, 1, 0.7, 1.2], np.float32)
    compare("resize", "Resize",
            [x, roi, None, np.array([2, 3, 4, 6], np.int64)], [x],
            dict(mode="linear", extrapolation_value=9.0,
                 coordinate_transformation_mode="tf_crop_and_resize"),
            tolerance=2e-4, mode="linear", extrapolation_value=9.0,
            coordinate_transformation_mode="tf_crop_and_resize",
            roi=[float(v) for v in roi])


def test_pooling():
    x = floats(2, 3, 9, 8)
    for kernel, strides, dilations, pads, order in [
            ([3, 2], [2, 1], [1, 1], [1, 0, 1, 1], 0),
            ([2, 2], [1, 1], [2, 3], [0, 0, 0, 0], 0),
            ([2, 2], [2, 2], [1, 1], [0, 0, 0, 0], 1)]:
        compare("max_pool_with_indices", "MaxPool", [x],
                attributes=dict(kernel_shape=kernel, strides=strides,
                                dilations=dilations, pads=pads,
                                storage_order=order),
                outputs=2, kernel=kernel, strides=strides, dilations=dilations,
                pads=pads, ceil=0, column_major=order)
    pooled, indices = reference("MaxPool", [floats(2, 3, 6, 8)], 2,
                                kernel_shape=[2, 2], strides=[2, 2])
    compare("max_unpool", "MaxUnpool", [pooled, indices],
            attributes=dict(kernel_shape=[2, 2], strides=[2, 2]),
            kernel=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])


def test_scans():
    x = floats(3, 4, 5)
    for axis in range(3):
        for exclusive in (0, 1):
            for reverse in (0, 1):
                y = np.flip(x, axis) if reverse else x
                y = np.cumprod(y, axis, dtype=np.float32)
                if exclusive:
                    ones = np.ones_like(np.take(y, [0], axis))
                    y = np.concatenate(
                        [ones, np.delete(y, -1, axis)], axis)
                y = np.flip(y, axis) if reverse else y
                found, = call("cumulative_product", [x], [("float32", x.shape)],
                              axis=axis, exclusive=exclusive, reverse=reverse)
                np.testing.assert_allclose(found, y, rtol=1e-5)


def test_samples():
    x = floats(2, 3, 5, 6)
    grid = (RANDOM.random((2, 4, 3, 2)) * 3 - 1.5).astype(np.float32)
    for mode in ("linear", "nearest", "cubic"):
        for padding in ("zeros", "border", "reflection"):
            for align in (0, 1):
                options = dict(mode=mode, padding_mode=padding,
                               align_corners=align)
                compare("grid_sample", "GridSample", [x, grid],
                        attributes=options, tolerance=1e-4, **options)
    rois = np.array([[0, 0, 4, 3], [1.5, 0.2, 9, 7], [-2, 1, 1, 8]], np.float32)
    batch = np.array([0, 1, 1], np.int64)
    for mode in ("avg", "max"):
        for transform in ("half_pixel", "output_half_pixel"):
            for ratio in (0, 2):
                options = dict(mode=mode, sampling_ratio=ratio,
                               coordinate_transformation_mode=transform,
                               spatial_scale=0.7)
                compare("roi_align", "RoiAlign", [x, rois, batch],
                        attributes=dict(output_height=3, output_width=2,
                                        **options), **options)


def test_matrices():
    for n in (1, 2, 5):
        compare("det", "Det", [floats(3, n, n)], tolerance=1e-4)
    columns = floats(2, 3 * 6, 12)
    attributes = dict(strides=[1, 2], dilations=[2, 1], pads=[1, 0, 0, 1])
    image, block = np.array([4, 8], np.int64), np.array([2, 3], np.int64)
    compare("col2im", "Col2Im", [columns, image, block], [columns], attributes,
            image=[4, 8], block=[2, 3], **attributes)


if __name__ == "__main__":
    for name, function in list(globals().items()):
        if name.startswith("test_"):
            function()
            print(name, "ok")
