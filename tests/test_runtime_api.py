"""The Python front of the runtime: mindspore_lite's names and the short way, right and wrong use."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from runtime_models import CNN, MULTI, sum_model
from support import DATA, assert_close, channels_last, recorded

import lite_runtime as mslite


@pytest.fixture(scope="module")
def cnn() -> tuple[list[np.ndarray], list[np.ndarray]]:
    inputs, outputs = recorded(DATA / "mindir_v1" / "cnn.npz")
    return channels_last(inputs), outputs


@pytest.fixture(scope="module")
def multi() -> tuple[list[np.ndarray], list[np.ndarray]]:
    inputs, outputs = recorded(DATA / "mindir_v1" / "multi.npz")
    return channels_last(inputs), outputs


def built(path: Path | bytes, context: mslite.Context | None = None) -> mslite.Model:
    model = mslite.Model()
    if isinstance(path, bytes):
        model.build_from_buffer(path, mslite.ModelType.MINDIR_LITE, context)
    else:
        model.build_from_file(str(path), mslite.ModelType.MINDIR_LITE, context)
    return model


def array_of(tensors: list[mslite.Tensor]) -> np.ndarray:
    return tensors[0].get_data_to_numpy()


# --- the way of mindspore_lite ---


def test_script_written_for_mindspore_lite(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    context = mslite.Context()
    context.target = ["cpu"]
    context.cpu.thread_num = 2
    context.cpu.inter_op_parallel_num = 1
    context.cpu.thread_affinity_mode = 1
    context.cpu.thread_affinity_core_list = [0]
    context.cpu.precision_mode = "preferred_fp16"
    model = mslite.Model()
    model.build_from_file(str(CNN), mslite.ModelType.MINDIR_LITE, context)
    inputs = model.get_inputs()
    inputs[0].set_data_from_numpy(x)
    outputs = model.predict(inputs)
    assert_close(outputs[0].get_data_to_numpy(), expected)
    assert str(model) == f"model_path: {CNN}."


def test_inputs_are_the_same_tensors_at_every_call(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    model = built(CNN)
    model.get_inputs()[0].set_data_from_numpy(x)
    assert_close(array_of(model.predict(model.get_inputs())), expected)


def test_inputs_without_data_are_zeros() -> None:
    model = built(sum_model((2, 3), constant=True))
    assert array_of(model.predict(model.get_inputs())).tolist() == [[1, 1, 1]] * 2


def test_several_inputs_and_outputs(multi: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    given, expected = multi
    model = built(MULTI)
    inputs = model.get_inputs()
    for tensor, x in zip(inputs, given):
        tensor.set_data_from_numpy(x)
    outputs = model.predict(inputs)
    assert len(outputs) == len(expected)
    for tensor, y in zip(outputs, expected):
        assert_close(tensor.get_data_to_numpy(), y, what=tensor.name)
        assert tensor.shape == list(y.shape)


def test_outputs_keep_their_values_when_the_model_runs_again() -> None:
    model = built(sum_model((1, 3)))
    a, b = model.get_inputs()
    a.set_data_from_numpy(np.full((1, 3), 1, np.float32))
    b.set_data_from_numpy(np.full((1, 3), 2, np.float32))
    first = model.predict([a, b])
    a.set_data_from_numpy(np.full((1, 3), 5, np.float32))
    second = model.predict([a, b])
    assert array_of(first).tolist() == [[3, 3, 3]]
    assert array_of(second).tolist() == [[7, 7, 7]]


def test_set_data_copies() -> None:
    model = built(sum_model((1, 3)))
    a, b = model.get_inputs()
    x = np.ones((1, 3), np.float32)
    a.set_data_from_numpy(x)
    b.set_data_from_numpy(x)
    x[:] = 100
    assert array_of(model.predict([a, b])).tolist() == [[2, 2, 2]]


def test_resize() -> None:
    model = built(sum_model())
    a, b = model.get_inputs()
    assert (a.shape, a.element_num, a.data_size) == ([-1, 3], 0, 0)
    with pytest.raises(mslite.ShapeError, match=r"\[-1, 3\] of tensor 'a' is not known yet: call model\.resize"):
        a.set_data_from_numpy(np.ones((2, 3), np.float32))
    for rows in (2, 5, 1):
        model.resize([a, b], [[rows, 3], [rows, 3]])
        assert (a.shape, model.get_inputs()[1].shape, a.data_size) == ([rows, 3], [rows, 3], rows * 12)
        a.set_data_from_numpy(np.ones((rows, 3), np.float32))
        b.set_data_from_numpy(np.ones((rows, 3), np.float32))
        assert array_of(model.predict([a, b])).tolist() == [[2, 2, 2]] * rows


def test_a_failed_resize_leaves_the_old_shapes(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    model = built(CNN)
    inputs = model.get_inputs()
    shape = inputs[0].shape
    with pytest.raises(mslite.LiteRuntimeError):
        model.resize(inputs, [[1, 7, 7, 5]])
    assert inputs[0].shape == shape
    inputs[0].set_data_from_numpy(x)
    assert_close(array_of(model.predict(inputs)), expected)


def test_wrong_resize() -> None:
    model = built(sum_model())
    inputs = model.get_inputs()
    with pytest.raises(ValueError, match="inputs: 2 and dims: 1"):
        model.resize(inputs, [[1, 3]])
    with pytest.raises(TypeError, match="dims must be list"):
        model.resize(inputs, ((1, 3), (1, 3)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must hold int"):
        model.resize(inputs, [[1.5, 3], [1, 3]])  # type: ignore[list-item]
    with pytest.raises(mslite.ShapeError, match="negative"):
        model.resize(inputs, [[-1, 3], [1, 3]])
    with pytest.raises(mslite.ShapeError, match="at most 8"):
        model.resize(inputs, [[1] * 9, [1, 3]])
    with pytest.raises(mslite.LiteRuntimeError):
        model.resize(inputs, [[2, 3], [5, 3]])
    with pytest.raises(mslite.LiteRuntimeError):
        model.resize(inputs, [[2**40, 2**40], [2**40, 2**40]])


@pytest.mark.parametrize("dtype", ["FLOAT32", "INT32"])
def test_types_of_inputs(dtype: str) -> None:
    data_type = mslite.DataType[dtype]
    net = mslite.load(sum_model((1, 3), data_type))
    x = np.arange(3).reshape(1, 3).astype(data_type.numpy)
    y = net(x, x)
    assert y.dtype == data_type.numpy
    np.testing.assert_array_equal(y, x + x)


def test_no_number_is_lost_on_the_way() -> None:
    net = mslite.load(sum_model((1, 3), constant=True))
    y = net(np.array([[np.nan, np.inf, -np.inf]], np.float32))
    np.testing.assert_array_equal(y, np.array([[np.nan, np.inf, -np.inf]], np.float32))


def test_arrays_in_any_memory_order() -> None:
    net = mslite.load(sum_model((4, 3), constant=True))
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    read_only = x.copy()
    read_only.flags.writeable = False
    for given in (x, np.asfortranarray(x), x.T.copy().T, np.repeat(x, 2, 0)[::2], read_only, x[::-1][::-1]):
        np.testing.assert_array_equal(net(given), x + 1)
    tensor = built(sum_model((4, 3), constant=True)).get_inputs()[0]
    tensor.set_data_from_numpy(np.asfortranarray(x))
    np.testing.assert_array_equal(tensor.get_data_to_numpy(), x)


# --- wrong use ---


def test_before_a_model_is_built() -> None:
    model = mslite.Model()
    assert model.get_inputs() == []
    with pytest.raises(mslite.ArgumentError, match="call build_from_file first"):
        model.predict([])
    with pytest.raises(RuntimeError, match="call build_from_file first"):
        model.resize([], [])
    with pytest.raises(mslite.ArgumentError, match="call build_from_file first"):
        mslite.ModelParallelRunner().predict([])


def test_a_failed_build_keeps_the_model_before(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    model = built(CNN)
    with pytest.raises(mslite.ModelFileError):
        model.build_from_file("none.ms", mslite.ModelType.MINDIR_LITE)
    inputs = model.get_inputs()
    inputs[0].set_data_from_numpy(x)
    assert_close(array_of(model.predict(inputs)), expected)


def test_wrong_arguments_of_build(tmp_path: Path) -> None:
    model = mslite.Model()
    lite = mslite.ModelType.MINDIR_LITE
    with pytest.raises(TypeError, match="model_path must be str"):
        model.build_from_file(3, lite)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model_type must be ModelType"):
        model.build_from_file(str(CNN), 4)  # type: ignore[arg-type]
    with pytest.raises(mslite.ArgumentError, match="convert the model with converter_lite"):
        model.build_from_file(str(CNN), mslite.ModelType.MINDIR)
    with pytest.raises(TypeError, match="context must be Context"):
        model.build_from_file(str(CNN), lite, 3)  # type: ignore[arg-type]
    with pytest.raises(mslite.ArgumentError, match="config_path is not offered"):
        model.build_from_file(str(CNN), lite, None, "x.cfg")
    with pytest.raises(mslite.ModelFileError, match=r"none\.ms' does not exist"):
        model.build_from_file(str(tmp_path / "none.ms"), lite)
    with pytest.raises(mslite.ModelFileError, match="is not a file"):
        model.build_from_file(str(tmp_path), lite)
    with pytest.raises(TypeError, match="data must be bytes"):
        model.build_from_buffer("text", lite)  # type: ignore[arg-type]


def test_wrong_inputs_of_predict() -> None:
    model = built(sum_model((1, 3)))
    a, b = model.get_inputs()
    with pytest.raises(mslite.ArgumentError, match=r"takes 2 input\(s\) \('a', 'b'\), but 1 were given"):
        model.predict([a])
    with pytest.raises(TypeError, match="inputs must be list"):
        model.predict((a, b))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="inputs element must be Tensor, but got"):
        model.predict([a, np.zeros(3)])  # type: ignore[list-item]
    other = mslite.Tensor()
    other.shape = [1, 3]
    other.dtype = mslite.DataType.INT32
    with pytest.raises(mslite.ShapeError, match="input 'b' takes float32, but the array given is int32"):
        model.predict([a, other])
    other.dtype = mslite.DataType.FLOAT32
    other.shape = [3, 1]
    with pytest.raises(mslite.ShapeError, match=r"input 'b' has shape \[1, 3\], but the tensor given has \[3, 1\]"):
        model.predict([a, other])
    other.shape = [1, 3]
    assert array_of(model.predict([a, other])).tolist() == [[0, 0, 0]]


def test_wrong_data_for_a_tensor() -> None:
    tensor = built(CNN).get_inputs()[0]
    shape = tuple(tensor.shape)
    with pytest.raises(mslite.ShapeError, match="takes float32, but the array given is float64: convert it with"):
        tensor.set_data_from_numpy(np.zeros(shape))
    with pytest.raises(TypeError, match=r"numpy_obj must be numpy\.ndarray"):
        tensor.set_data_from_numpy([1.0])  # type: ignore[arg-type]
    with pytest.raises(mslite.ShapeError, match=r"takes shape \[1, \d+, \d+, \d+\], but the array given is \[2, 3\]"):
        tensor.set_data_from_numpy(np.zeros((2, 3), np.float32))
    with pytest.raises(mslite.ShapeError, match=r"channels last, transpose it with \.transpose\(0, 2, 3, 1\)"):
        tensor.set_data_from_numpy(np.zeros((shape[0], shape[3], shape[1], shape[2]), np.float32))
    flat = np.arange(np.prod(shape), dtype=np.float32)
    tensor.set_data_from_numpy(flat)
    np.testing.assert_array_equal(tensor.get_data_to_numpy(), flat.reshape(shape))


def test_tensors_of_ones_own() -> None:
    tensor = mslite.Tensor()
    assert (tensor.name, tensor.dtype, tensor.shape, tensor.format) == (
        "",
        mslite.DataType.FLOAT32,
        [],
        mslite.Format.NCHW,
    )
    assert (tensor.element_num, tensor.data_size) == (1, 4)
    tensor.name, tensor.shape, tensor.dtype = "t", [2, 3], mslite.DataType.INT32
    tensor.format = mslite.Format.NHWC
    assert tensor.get_data_to_numpy().tolist() == [[0, 0, 0], [0, 0, 0]]
    tensor.set_data_from_numpy(np.arange(6, dtype=np.int32).reshape(2, 3))
    tensor.shape = [3, 2]
    assert tensor.get_data_to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    copy = mslite.Tensor(tensor)
    tensor.get_data_to_numpy()[:] = 9
    assert copy.get_data_to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert str(copy) == (
        "name: t,\ndtype: DataType.INT32,\nshape: [3, 2],\nformat: Format.NHWC,\nelement_num: 6,\ndata_size: 24."
    )
    for name, value in [("dtype", 43), ("format", 1), ("name", 3), ("shape", 3), ("shape", ["a"])]:
        with pytest.raises(TypeError, match=name):
            setattr(tensor, name, value)
    with pytest.raises(TypeError, match="tensor must be Tensor"):
        mslite.Tensor(3)  # type: ignore[arg-type]


# --- Context ---


def test_context_has_mindspore_lites_defaults() -> None:
    context = mslite.Context()
    assert context.target == ["cpu"]
    assert (context.cpu.thread_num, context.cpu.inter_op_parallel_num, context.cpu.thread_affinity_mode) == (0, 0, 0)
    assert context.cpu.precision_mode == "enforce_fp32"
    assert context.cpu.thread_affinity_core_list == []
    assert (context.gpu.device_id, context.ascend.device_id) == (0, 0)  # type: ignore[attr-defined]
    assert context.parallel.workers_num == 0


@pytest.mark.parametrize(
    ("part", "name", "value", "error"),
    [
        ("cpu", "thread_num", -1, ValueError),
        ("cpu", "thread_num", "2", TypeError),
        ("cpu", "thread_num", 2.0, TypeError),
        ("cpu", "inter_op_parallel_num", -1, ValueError),
        ("cpu", "precision_mode", "fp16", ValueError),
        ("cpu", "thread_affinity_mode", 3, ValueError),
        ("cpu", "thread_affinity_core_list", (0,), TypeError),
        ("cpu", "thread_affinity_core_list", ["0"], TypeError),
        ("cpu", "thread_affinity_core_list", [-1], ValueError),
        ("cpu", "threads", 2, AttributeError),
        ("gpu", "devices", 2, AttributeError),
        ("parallel", "workers_num", -1, ValueError),
        ("parallel", "workers_num", None, TypeError),
        ("", "target", "cpu", TypeError),
        ("", "target", ["npu"], ValueError),
        ("", "target", [1], TypeError),
    ],
)
def test_context_checks_its_attributes(part: str, name: str, value: object, error: type[Exception]) -> None:
    context = mslite.Context()
    before = str(context), str(context.cpu), str(context.parallel)
    with pytest.raises(error):
        setattr(getattr(context, part) if part else context, name, value)
    assert (str(context), str(context.cpu), str(context.parallel)) == before


@pytest.mark.parametrize("target", [["gpu"], ["ascend"], ["ascend", "cpu"], ["GPU"]])
def test_other_devices_are_refused_at_build(target: list[str]) -> None:
    context = mslite.Context()
    context.target = target
    with pytest.raises(mslite.ArgumentError, match=r"is not offered: this runtime computes on the CPU, use \['cpu'\]"):
        built(CNN, context)
    with pytest.raises(mslite.ArgumentError, match="is not offered"):
        mslite.ModelParallelRunner().build_from_file(str(CNN), context)


def test_extra_configuration_is_refused_at_build() -> None:
    context = mslite.Context()
    context.parallel.config_info = {"weight": {"weight_path": "x"}}  # type: ignore[attr-defined]
    with pytest.raises(mslite.ArgumentError, match=r"parallel\.config_info is not offered"):
        built(CNN, context)


# --- many threads ---


def test_parallel_runner_gives_every_caller_its_own_answer(tmp_path: Path) -> None:
    context = mslite.Context()
    context.parallel.workers_num = 3
    context.cpu.thread_num = 1
    runner = mslite.ModelParallelRunner()
    assert runner.get_inputs() == []
    (tmp_path / "sum.ms").write_bytes(sum_model())
    runner.build_from_file(str(tmp_path / "sum.ms"), context)
    wrong: list[object] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(50):
            x = random.standard_normal((int(random.integers(1, 9)), 3), np.float32)
            inputs = runner.get_inputs()
            for tensor in inputs:
                tensor.shape = list(x.shape)
                tensor.set_data_from_numpy(x)
            if not np.array_equal(array_of(runner.predict(inputs)), x + x):
                wrong.append(x)

    run_threads(work, 8)
    assert not wrong


def test_parallel_runner_survives_errors(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    context = mslite.Context()
    context.parallel.workers_num = 1
    runner = mslite.ModelParallelRunner()
    runner.build_from_file(str(CNN), context)
    inputs = runner.get_inputs()
    with pytest.raises(mslite.ArgumentError, match=r"takes 1 input\(s\)"):
        runner.predict([])
    wrong = mslite.Tensor()
    wrong.shape = [1, 2, 3, 4]
    for _ in range(3):
        with pytest.raises(mslite.LiteRuntimeError):
            runner.predict([wrong])
    inputs[0].set_data_from_numpy(x)
    assert_close(array_of(runner.predict(inputs)), expected)


def test_one_model_may_be_called_from_many_threads() -> None:
    net = mslite.load(sum_model(), threads=2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for n in range(1, 40):
            x = np.full((1 + (n + seed) % 5, 3), seed * 1000 + n, np.float32)
            if not np.array_equal(net(x, x), x + x):
                wrong.append(seed)

    run_threads(work, 6)
    assert not wrong


def run_threads(work: object, count: int) -> None:
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- the short way ---


def test_load_and_call(cnn: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    (x,), (expected,) = cnn
    net = mslite.load(CNN, threads=1)
    y = net(x)
    assert_close(y, expected)
    again = net(np.zeros_like(x))
    assert_close(y, expected)
    assert not np.shares_memory(y, again)


def test_load_takes_and_gives_dicts(multi: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    given, expected = multi
    net = mslite.load(str(MULTI))
    names = [spec.name for spec in net.inputs]
    results = net(dict(reversed(list(zip(names, given)))))
    assert list(results) == [spec.name for spec in net.outputs]
    for one, other in zip(results.values(), expected):
        assert_close(one, other)
    assert [y.shape for y in net(*given)] == [y.shape for y in expected]


def test_load_shows_what_the_model_is() -> None:
    net = mslite.load(sum_model())
    assert net.inputs == [("a", (-1, 3), np.dtype(np.float32)), ("b", (-1, 3), np.dtype(np.float32))]
    assert re.fullmatch(r"<<buffer>: \(a: float32\[\?, 3\], b: float32\[\?, 3\]\) -> \(y: float32\[.*\]\)>", repr(net))
    net(np.ones((4, 3), np.float32), np.ones((4, 3), np.float32))
    assert net.inputs[0].shape == (-1, 3)
    assert net.outputs == [("y", (4, 3), np.dtype(np.float32))]
    assert repr(mslite.load(CNN)).startswith("<cnn.ms: (x: float32[1, ")


def test_load_adapts_to_open_dimensions_only() -> None:
    net = mslite.load(sum_model())
    for rows in (1, 4, 2, 2):
        x = np.ones((rows, 3), np.float32)
        assert net(x, x).shape == (rows, 3)
    with pytest.raises(mslite.ShapeError, match=r"input 'a' takes shape \[-1, 3\], but the array given is \[1, 4\]"):
        net(np.ones((1, 4), np.float32), np.ones((1, 4), np.float32))
    fixed = mslite.load(CNN)
    shape = fixed.inputs[0].shape
    assert shape is not None
    with pytest.raises(mslite.ShapeError, match="call resize to change the model's shapes"):
        fixed(np.zeros((shape[0] + 1, *shape[1:]), np.float32))
    with pytest.raises(mslite.ShapeError, match="the model takes channels last"):
        fixed(np.zeros((shape[0], shape[3], shape[1], shape[2]), np.float32))


def test_load_resizes_on_request() -> None:
    net = mslite.load(sum_model((1, 3)))
    net.resize((2, 5), (2, 5))
    assert net(np.ones((2, 5), np.float32), np.ones((2, 5), np.float32)).shape == (2, 5)
    net.resize((-1, 5), (-1, 5))
    assert net(np.ones((7, 5), np.float32), np.ones((7, 5), np.float32)).shape == (7, 5)
    with pytest.raises(mslite.ArgumentError, match="takes 2 input"):
        net.resize((1, 3))
    with pytest.raises(mslite.LiteRuntimeError):
        net.resize((2, 3), (5, 3))
    assert net(np.ones((7, 5), np.float32), np.ones((7, 5), np.float32)).shape == (7, 5)


def test_wrong_calls() -> None:
    net = mslite.load(sum_model((1, 3)))
    x = np.ones((1, 3), np.float32)
    with pytest.raises(mslite.ArgumentError, match=r"takes 2 input\(s\) \('a', 'b'\), 1 were given"):
        net(x)
    with pytest.raises(mslite.ArgumentError, match="takes 'a', 'b'; not given: 'b'; unknown: 'c'"):
        net({"a": x, "c": x})
    with pytest.raises(mslite.ShapeError, match="input 'b' takes float32, but the array given is float64"):
        net(x, x.astype(np.float64))
    with pytest.raises(mslite.ShapeError, match="input 'a' takes float32, but the array given is >f4"):
        net(x.astype(">f4"), x)
    with pytest.raises(mslite.ShapeError, match="float64"):
        net([[1.0, 2.0, 3.0]], x)
    assert net(x, x).tolist() == [[2, 2, 2]]
    for threads in (0, -1, 1.5, True):
        with pytest.raises(mslite.ArgumentError, match="threads must be a positive int"):
            mslite.load(CNN, threads=threads)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="source must be a path or bytes"):
        mslite.load(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_models_in_memory(kind: type) -> None:
    data = kind(sum_model((1, 3)))
    net = mslite.load(data)
    if kind is bytearray:
        data[:] = bytes(len(data))
    x = np.ones((1, 3), np.float32)
    assert net(x, x).tolist() == [[2, 2, 2]]
