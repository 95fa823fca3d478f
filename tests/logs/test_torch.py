"""Files of torch.save, written here as torch writes them, and four that torch 2.13 wrote (``data/write_torch.py``)."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from covdist.errors import LogError
from covdist.logs.opening import open_log
from covdist.logs.stamps import stamp
from covdist.logs.stored import StridedSource, stored
from tests.logs.conformance import FormatTests, values
from tests.logs.trying import sources

DATA = Path(__file__).parent / "data"
X = np.arange(24, dtype="f4").reshape(8, 3)
STORAGES = {
    "bool": "BoolStorage", "uint8": "ByteStorage", "int8": "CharStorage", "int16": "ShortStorage",
    "int32": "IntStorage", "int64": "LongStorage", "float16": "HalfStorage", "float32": "FloatStorage",
    "float64": "DoubleStorage", "bfloat16": "BFloat16Storage", "complex64": "ComplexFloatStorage",
}  # fmt: skip
FLOATS = b"ctorch\nFloatStorage\n"


def text(value):
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def numbers(given):
    return b"(" + b"".join(b"I%d\n" % each for each in given) + b"t"


def tensor(key, shape, strides, storage=FLOATS, offset=0, typed=None):
    """Return the opcodes of a tensor."""
    name = b"_rebuild_tensor_v3" if typed else b"_rebuild_tensor_v2"
    where = b"(" + text("storage") + storage + text(key) + text("cpu") + b"I1\ntQ"
    more = b"I00\nccollections\nOrderedDict\n)R" + (b"ctorch\n%s\n" % typed.encode() if typed else b"")
    return (
        b"ctorch._utils\n"
        + name
        + b"\n("
        + where
        + b"I%d\n" % offset
        + numbers(shape)
        + numbers(strides)
        + more
        + b"tR"
    )


def mapping(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def archive(path, value, storages, order=b"little", packed=zipfile.ZIP_STORED, **more):
    with zipfile.ZipFile(path, "w", packed) as file:
        file.writestr("log/data.pkl", b"\x80\x02" + value + b".")
        file.writestr("log/byteorder", order)
        for key, data in storages.items():
            file.writestr(f"log/data/{key}", data)
        for name, data in more.items():
            file.writestr(f"log/{name}", data)
    return path


def saved(path, arrays, **options):
    items = {}
    for number, (name, data) in enumerate(arrays.items()):
        steps = [step // data.itemsize for step in np.empty(data.shape, data.dtype).strides]
        plain = data.dtype.name in STORAGES
        storage = b"ctorch\n%s\n" % STORAGES[data.dtype.name].encode() if plain else b"ctorch.storage\nUntypedStorage\n"
        items[name] = tensor(str(number), data.shape, steps, storage, 0, None if plain else data.dtype.name)
    storages = {number: np.array(data, order="C").tobytes() for number, data in enumerate(arrays.values())}
    return archive(path, mapping(items), storages, **options)


CALLS = {
    "system": b"cos\nsystem\n" + b"(" + text("touch /tmp/hacked") + b"tR",
    "eval": b"c__builtin__\neval\n(" + text("1") + b"tR",
    "two": text("os") + text("system") + b"\x93(" + text("true") + b"tR",
    "inst": b"(" + text("true") + b"ios\nsystem\n",
    "obj": b"(cos\nsystem\n" + text("true") + b"o",
    "new": b"cos\nsystem\n" + b"(" + text("true") + b"t\x81",
    "module": b"ctorch.nn.modules.linear\nLinear\n)\x81",
    "load": b"ctorch\nload\n(" + text("x") + b"tR",
    "hub": b"ctorch.hub\nload\n)R",
    "dotted": b"ctorch\nserialization.os.system\n)R",
    "extension": b"\x82\x01",
    "called-dtype": b"ctorch\nfloat32\n)R",
    "called-dict": b"})R",
    "elsewhere": text("file:///etc/passwd") + b"Q",
    "text-elsewhere": b"Pfile\n",
    "memo": b"Nr\xff\xff\xff\x7f" + b"j\xff\xff\xff\x7e",
    "length": b"\x8d" + (2**62).to_bytes(8, "little") + b"x",
    "long": b"\x8b\xff\xff\xff\x7f" + b"x",
    "digits": b"I" + b"9" * 100_000 + b"\n",
    "deep": b"]" * 100_000 + b"a" * 99_999,
    "many": b"}" * 2_000_000,
    "underflow": b"000000",
    "marks": b"(" * 1000 + b"u",
    "no-mark": b"u",
    "loop": b"]q\0h\0a",
    "tuple-key": b"}(I1\nt" + b"I1\ns",
    "laughs": b"]q\0" + b"".join(b"](" + b"h%c" % n * 10 + b"eq%c" % (n + 1) for n in range(40)),
}
SHAPES = {  # shape, strides, offset of a tensor in a storage of 24 numbers
    "beyond": ((9, 3), (3, 1), 0), "behind": ((8, 3), (3, 1), 1), "negative-offset": ((2,), (1,), -4),
    "negative-size": ((-2, -3), (3, 1), 0), "negative-stride": ((2,), (-1,), 4), "stride": ((2,), (10**18,), 0),
    "expanded": ((10**9, 3), (0, 1), 0), "huge": ((2**62, 2**62), (1, 1), 0), "dims": ((1,) * 65, (1,) * 65, 0),
    "uneven": ((8, 3), (3,), 0), "words": ((10**30,), (1,), 0),
}  # fmt: skip


class TestTorch(FormatTests):
    dtypes = (*STORAGES, "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
    names = ("fc1/activation", "block 3/attn.q/gradient", "ä", 'it\'s "x"', "1", "a\tb")
    checksummed = True

    def write(self, folder, arrays):
        return saved(folder / "log.pt", arrays)

    def lies(self, folder):
        good = {"x": tensor("0", X.shape, (3, 1))}
        for name, call in CALLS.items():
            yield archive(folder / f"{name}.pt", mapping({**good, "y": call}), {"0": X.tobytes()})
            yield archive(folder / f"{name}-first.pth", call + b"0" + mapping(good), {"0": X.tobytes()})
        for name, (shape, strides, offset) in SHAPES.items():
            only = mapping({"x": tensor("0", shape, strides, offset=offset)})
            yield archive(folder / f"shape-{name}.pt", only, {"0": X.tobytes()})
        for name, key in {"up": "../../x", "none": "7", "absolute": "/etc/passwd"}.items():
            yield archive(folder / f"key-{name}.pt", mapping({"x": tensor(key, X.shape, (3, 1))}), {"0": X.tobytes()})
        yield archive(folder / "order.pt", mapping(good), {"0": X.tobytes()}, b"middle")
        yield archive(folder / "packed.pt", mapping(good), {"0": X.tobytes()}, packed=zipfile.ZIP_DEFLATED)
        yield archive(folder / "bomb.pt", b"N" * (1 << 28), {}, packed=zipfile.ZIP_DEFLATED)
        for name, value in {"pickle.pt": {"x": X}, "text.pth": "text"}.items():
            (folder / name).write_bytes(pickle.dumps(value))
            yield folder / name
        yield shutil.copy(DATA / "legacy.pt", folder / "legacy.pt") and folder / "legacy.pt"


class TestBigEndian(TestTorch):
    dtypes = ("int16", "float32", "float64")

    def write(self, folder, arrays):
        swapped = {name: np.asarray(data).astype(data.dtype.newbyteorder(">")) for name, data in arrays.items()}
        return saved(folder / "log.pt", swapped, order=b"big")

    def lies(self, folder):
        yield saved(folder / "x.pt", {"x": values((3, 2), "bfloat16")}, order=b"big")


def test_what_torch_writes():
    log = open_log(DATA / "nested.pt")
    found = {
        f"{node.path}/{name}".lstrip("/"): each.values for node in log.subtree for name, each in node.variables.items()
    }
    expected = {
        "small/bfloat16": X, "small/float8": X[:4], "small/uint16": X.astype("u2"), "views/columns": X[:, 1:],
        "views/transposed": X.T, "views/rows": X[2::2], "views/expanded": np.broadcast_to(X[0], (5, 3)), "list/0": X,
        "list/1/0": X[0], "list/1/1": np.float32(2.5),
    }  # fmt: skip
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        np.testing.assert_array_equal(found[name], data, err_msg=name)
    assert isinstance(sources(DATA / "nested.pt")["views/columns"], StridedSource)
    np.testing.assert_array_equal(open_log(DATA / "state.pt")["0/weight"], X[:2])
    np.testing.assert_array_equal(open_log(DATA / "alone.pt")["alone"], X)
    with pytest.raises(LogError, match=r"saved by torch before 1\.6.*torch\.save\(torch\.load"):
        open_log(DATA / "legacy.pt")


def test_rectangles_of_views():
    source = sources(DATA / "nested.pt")["views/transposed"]
    np.testing.assert_array_equal(source[1:3, 2:5], X.T[1:3, 2:5])
    np.testing.assert_array_equal(source.read_chunk((0, 0)), X.T)


def test_a_folder_of_files(tmp_path):
    for name in ("alone.pt", "state.pt"):
        shutil.copy(DATA / name, tmp_path / name)
    log = open_log(tmp_path)
    np.testing.assert_array_equal(log["alone"], X)
    np.testing.assert_array_equal(log["state/0/weight"], X[:2])


def test_nothing_is_imported():
    code = (
        "import sys; before = set(sys.modules); from covdist.logs.files.torch import variables;"
        f"found = variables({str(DATA / 'nested.pt')!r}, 'x', ''); assert len(found) == 10;"
        "assert not {'torch', 'pickle5', 'torch._utils'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3fn", "bfloat16", "float16", ">f4", "complex64"])
def test_strides_of_any_dtype(tmp_path, name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    data = np.arange(24).reshape(2, 3, 4).astype(dtype)
    (tmp_path / "x").write_bytes(data.tobytes())
    source = stored(str(tmp_path / "x"), "x", (4, 2, 3), dtype, 0, stamp(str(tmp_path / "x")), (1, 12, 4))
    expected = data.transpose(2, 0, 1).astype(source.dtype)
    np.testing.assert_array_equal(source[0:4, 0:2, 0:3], expected)
    np.testing.assert_array_equal(source[1:3, 1:2, 0:2], expected[1:3, 1:2, 0:2])
