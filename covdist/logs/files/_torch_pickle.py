"""What ``torch.save`` pickled, by an interpreter that knows tensors and containers, and imports nothing.

Values are plain: dicts, lists, tuples, texts, numbers, ``Tensor``; whatever else stands in a file is refused by name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from covdist.errors import shown

_MOST_STEPS = 1_000_000  # about 40 a tensor; each may take 60 bytes


class Global(NamedTuple):
    """A class or function that is named, and never imported."""

    name: str


class TensorStorage(NamedTuple):
    """Numbers that lie in a member of the archive."""

    dtype: str  # as torch calls it; "uint8" of bytes that have none
    key: str


class Tensor(NamedTuple):
    """A view of a storage: all in numbers of its dtype."""

    storage: TensorStorage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    seen: tuple[str, ...] = ()  # "conj" or "neg" where the numbers are others than those that are stored


class Refused(Exception):
    """There is something else than tensors and containers."""


def unpickled(data: bytes) -> Any:
    """Return the value; Refused where it has what is not known, any other error where it is damaged."""
    machine = _Machine()
    for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if step >= _MOST_STEPS:
            raise Refused(f"more than {_MOST_STEPS:,} steps")
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.take(opcode.name, argument)
    raise ValueError("it has no end")


class _Machine:
    """A stack, the stacks below it, and what is remembered."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def take(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise Refused(f"the opcode {name}")

    def marked(self) -> list[Any]:
        """Return what is above the last mark, and go back below it."""
        above, self.stack = self.stack, self.below.pop()
        return above

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def put(self, argument: Any) -> None:
        self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def get(self, argument: Any) -> None:
        self.stack.append(self.memo[argument])

    def few(self, count: int) -> None:
        taken = tuple(self.stack[-count:])
        if len(taken) != count:
            raise ValueError("it has too few values")
        self.stack[-count:] = [taken]

    def set_items(self, pairs: list[Any]) -> None:
        keys = pairs[::2]
        if not all(isinstance(key, str | int) for key in keys):
            raise Refused("a key that is neither a text nor a whole number")
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it sets items of what is not a dict")
        self.stack[-1].update(zip(keys, pairs[1::2], strict=True))

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is not a list")
        self.stack[-1].extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def append(self, _: Any) -> None:
        self.extend([self.stack.pop()])

    def name(self, argument: Any) -> None:
        self.stack.append(_known(argument.replace(" ", ".")))

    def name_of_two(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(f"{module}.{name}"))

    def call(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_called(called, arguments))

    def build(self, _: Any) -> None:
        """Leave out attributes, such as the versions of modules that a state dict has."""
        self.stack.pop()

    def persistent(self, _: Any) -> None:
        kind, storage, key, _, _ = self.stack.pop()
        if kind != "storage" or not isinstance(storage, Global) or not isinstance(key, str):
            raise Refused("an object that lies elsewhere")
        self.stack.append(TensorStorage(_STORAGES[storage.name], key))


def _known(name: str) -> Global:
    if name not in _STORAGES and name not in _CALLS and not _is_dtype(name):
        raise Refused(shown(name))
    return Global(name)


def _is_dtype(name: str) -> bool:
    """Return whether this is one of torch's dtypes, layouts or formats of memory, which are told by their names."""
    return name.startswith("torch.") and name.count(".") == 1 and name[6:] in _DTYPES


def _called(called: Any, arguments: Any) -> Any:
    if not isinstance(called, Global) or not isinstance(arguments, tuple) or called.name not in _CALLS:
        raise Refused("a call of " + (shown(called.name) if isinstance(called, Global) else "what is not a function"))
    return _CALLS[called.name](*arguments)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    machine = _Machine()
    machine.push({})
    machine.set_items([value for pair in pairs for value in pair])
    return dict(machine.stack[0])


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any = None, hooks: Any = None, told: Any = None, *_: Any
) -> Tensor:
    if not isinstance(storage, TensorStorage):
        raise Refused("a tensor without a storage")
    seen = tuple(str(key) for key, on in told.items() if on) if isinstance(told, dict) else ()
    return Tensor(storage, storage.dtype, offset, shape, strides, seen)


def _typed(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, told: Any = None, *_: Any
) -> Tensor:
    found = _tensor(storage, offset, shape, strides, grad, hooks, told)
    return found._replace(dtype=dtype.name.removeprefix("torch."))


def _subclass(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    return _called(function, arguments)


_DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
    "bfloat16", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu", "strided", "preserve_format", "contiguous_format",
)  # fmt: skip
_STORAGES = {
    "torch.BoolStorage": "bool", "torch.ByteStorage": "uint8", "torch.CharStorage": "int8",
    "torch.ShortStorage": "int16", "torch.IntStorage": "int32", "torch.LongStorage": "int64",
    "torch.HalfStorage": "float16", "torch.FloatStorage": "float32", "torch.DoubleStorage": "float64",
    "torch.BFloat16Storage": "bfloat16", "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128", "torch.storage.UntypedStorage": "uint8",
}  # fmt: skip
_CALLS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.Tensor": lambda *_: None,
    "torch.nn.parameter.Parameter": lambda data=None, *_: data,
    "torch.device": lambda *_: None,
    "torch.Size": lambda sizes=(): sizes,
    "torch.serialization._get_layout": lambda *_: None,
    "collections.OrderedDict": _ordered,
}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list, "NONE": lambda: None,
    "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": _Machine.mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "LIST": lambda machine, _: machine.push(machine.marked()),
    "DICT": lambda machine, _: machine.push(_ordered(zip(*[iter(machine.marked())] * 2, strict=True))),
    "TUPLE1": lambda machine, _: machine.few(1),
    "TUPLE2": lambda machine, _: machine.few(2),
    "TUPLE3": lambda machine, _: machine.few(3),
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.marked()),
    "APPEND": _Machine.append,
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.marked()),
    "PUT": _Machine.put, "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.put,
    "GET": _Machine.get, "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_of_two,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}  # fmt: skip
