"""Pickles written opcode by opcode: those that would run code, and those that would never end."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

START, STOP = b"\x80\x02", b"."
MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of torch's legacy format."""


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(full: str) -> bytes:
    module, _, attribute = full.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def call(function: bytes | str, *arguments: bytes) -> bytes:
    start = name(function) if isinstance(function, str) else function
    return start + tuple_of(*arguments) + b"R"


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def in_dict(value: bytes) -> bytes:
    """Return a whole pickle of ``{"layers": value}``."""
    return START + b"}" + text("layers") + value + b"s" + STOP


def storage(numel: int, key: bytes | None = None, kind: str = "torch.FloatStorage") -> bytes:
    """Return the reference to a storage of the archive."""
    parts = (text("storage"), name(kind), key or text("0"), text("cpu"), number(numel))
    return tuple_of(*parts) + b"Q"


def tensor(size: list[int], stride: list[int], offset: int = 0, numel: int = 4) -> bytes:
    return call(
        "torch._utils._rebuild_tensor_v2",
        storage(numel),
        number(offset),
        tuple_of(*map(number, size)),
        tuple_of(*map(number, stride)),
        b"\x89",
        call("collections.OrderedDict"),
    )


def as_legacy(content: bytes) -> bytes:
    """Put a pickle where the format of torch before 1.6 has the content."""
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    before = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, machine))
    return before + content + pickle.dumps([], 2)


def executing(marker: Path) -> dict[str, bytes]:
    """Return values (without start and stop) that create `marker` where pickle is trusted."""
    command, code = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    shell, python = text(command), text(code)
    imported = text(f"__import__('os').system({command!r})")
    system = name("os.system")
    words = b"]" + text("touch") + b"a" + text(str(marker)) + b"a"
    nested = START + call("os.system", shell) + STOP
    return {
        "os.system": call("os.system", shell),
        "posix.system": call("posix.system", shell),
        "nt.system": call("nt.system", shell),
        "os.popen": call("os.popen", shell),
        "os.execvp": call("os.execvp", text("touch"), words),
        "subprocess.Popen": call("subprocess.Popen", words),
        "subprocess.run": call("subprocess.run", words),
        "subprocess.check_output": call("subprocess.check_output", words),
        "subprocess.getoutput": call("subprocess.getoutput", shell),
        "builtins.eval": call("builtins.eval", python),
        "builtins.exec": call("builtins.exec", python),
        "python 2 eval": call("__builtin__.eval", python),
        "python 2 execfile": call("__builtin__.execfile", text(str(marker))),
        "builtins.open": call("builtins.open", text(str(marker)), text("w")),
        "io.open": call("io.open", text(str(marker)), text("w")),
        "import": call("builtins.__import__", text("antigravity")),
        "importlib": call("importlib.import_module", text("antigravity")),
        "getattr chain": call(
            call("builtins.getattr", call("builtins.__import__", text("os")), text("system")), shell
        ),
        "getattr of torch": call(
            call("builtins.getattr", name("torch.serialization"), text("os")), shell
        ),
        "partial": call(call("functools.partial", system, shell)),
        "map": call("builtins.list", call("builtins.map", system, b"]" + shell + b"a")),
        "attrgetter": call("operator.attrgetter", text("system")),
        "methodcaller": call("operator.methodcaller", text("system"), shell),
        "runpy": call("runpy.run_path", text(str(marker))),
        "timeit": call("timeit.timeit", imported),
        "cProfile": call("cProfile.run", imported),
        "pdb": call("pdb.run", imported),
        "code": call("code.interact", imported),
        "pty.spawn": call("pty.spawn", words),
        "ctypes": call("ctypes.CDLL", text(str(marker))),
        "shutil": call("shutil.rmtree", text(str(marker))),
        "tempfile": call("tempfile.mkdtemp", text("x"), text("y"), text(str(marker.parent))),
        "webbrowser": call("webbrowser.open", text("http://localhost:1/")),
        "socket": call("socket.create_connection", tuple_of(text("localhost"), number(1))),
        "thread": call("_thread.start_new_thread", system, tuple_of(shell)),
        "threading.Timer": call("threading.Timer", number(0), system, tuple_of(shell)),
        "multiprocessing": call("multiprocessing.Process", b"N", system),
        "asyncio": call("asyncio.run", python),
        "logging.config": call("logging.config.listen", number(0)),
        "types.FunctionType": call("types.FunctionType", python),
        "copyreg": call("copyreg._reconstructor", name("subprocess.Popen"), words, b"N"),
        "pickle.loads": call("pickle.loads", call("_codecs.encode", text("x"), text("latin1"))),
        "codecs of a nested pickle": call(
            "_codecs.encode", text(nested.decode("latin1")), text("latin1")
        ),
        "torch.load": call("torch.load", text(str(marker)), b"N", name("pickle"), b"\x89"),
        "torch.serialization.load": call("torch.serialization.load", text(str(marker))),
        "torch.hub": call("torch.hub.load", text("x/y"), text("z")),
        "torch.jit.load": call("torch.jit.load", text(str(marker))),
        "torch.package": call("torch.package.PackageImporter", text(str(marker))),
        "torch safe globals": call("torch.serialization.add_safe_globals", b"]" + system + b"a"),
        "torch.ops": call("torch.ops.load_library", text(str(marker))),
        "cpp_extension": call("torch.utils.cpp_extension.load", text("x"), text(str(marker))),
        "rebuild from type": call(
            "torch._tensor._rebuild_from_type_v2",
            name("builtins.eval"),
            name("torch.Tensor"),
            tuple_of(python),
            b"}",
        ),
        "rebuild from allowed type": call(
            "torch._tensor._rebuild_from_type_v2",
            name("builtins.bytearray"),
            name("torch.Tensor"),
            tuple_of(number(10)),
            b"}",
        ),
        "numpy reconstruct": call(
            "numpy.core.multiarray._reconstruct",
            name("numpy.ndarray"),
            tuple_of(number(0)),
            text("b"),
        ),
        "numpy load": call("numpy.load", text(str(marker)), b"N", b"\x88"),
        "numpy runstring": call("numpy.testing._private.utils.runstring", imported, b"}"),
        "pathlib": call("pathlib.Path.write_text", call("pathlib.Path", text(str(marker))), shell),
        "state of a call": call("builtins.object") + b"}" + text("__setstate__") + system + b"sb",
        "state of an ordered dict": call("collections.OrderedDict")
        + b"}"
        + text("__class__")
        + name("subprocess.Popen")
        + b"sb",
        "state of a parameter": name("torch.nn.parameter.Parameter") + b")\x81" + words + b"b",
        "state of a tensor": name("torch.Tensor") + b")\x81" + tuple_of(storage(4)) + b"b",
        "new object": name("subprocess.Popen") + tuple_of(words) + b"\x81",
        "new object with keywords": name("subprocess.Popen") + tuple_of(words) + b"}\x92",
        "instance opcode": b"(" + shell + b"ios\nsystem\n",
        "object opcode": b"(" + system + shell + b"o",
        "extension registry": b"\x82\x01" + tuple_of(shell) + b"R",
        "global by stack": text("os") + text("system") + b"\x93" + tuple_of(shell) + b"R",
        "eval by stack": text("builtins") + text("eval") + b"\x93" + tuple_of(python) + b"R",
        "own class": call("__main__.Gadget", shell),
        "project's own code": call("analysis.cli.extract.main", words),
        "peft config": call("peft.PeftModel.from_pretrained", words),
        "name with a space": b"cos system\n\n" + tuple_of(shell) + b"R",
        "name hidden in an allowed module": call("torch._utils.os.system", shell),
        "called text": text("os.system") + tuple_of(shell) + b"R",
        "persistent id of another kind": tuple_of(text("module"), system, text("x")) + b"Q",
        "persistent id as text": b"Pos.system\n",
        "persistent id as a list": words + b"Q",
    }


def endless() -> dict[str, bytes]:
    """Return values that cost time or memory without measure, or crash, but run no code."""
    many = 10**6
    doubled_key = tuple_of(text("a"), text("b")) + put(0)
    for level in range(60):
        doubled_key += get(level) + b"\x86" + put(level + 1)
    lists = b"".join(b"]" + put(level) for level in range(60))
    linked = b"".join(get(level) + b"(" + 4 * get(level - 1) + b"e" for level in range(59, 0, -1))
    long_text = text("x" * 1_000_000) + put(7)
    thousand = b"(" + b"".join(b"M" + struct.pack("<H", item) for item in range(50_000)) + b"l"
    colliding = b"".join(number(item * (2**61 - 1)) + b"N" for item in range(2**20, 2**20 + 30_000))
    nothing = call("collections.OrderedDict")
    numbered = b"".join(b"J" + struct.pack("<i", item) + b"N" for item in range(50_000))
    named = tuple_of(*map(text, ("storage", "0", "0", "cpu")))
    return {
        "tuple nested 10^6 deep": b")" + b"\x85" * many,
        "tuple nested 10^6 deep as a key": b"}" + b")" + b"\x85" * many + b"Ns",
        "list nested 10^6 deep": b"]" * many + b"a" * (many - 1),
        "list nested 10^5 deep": b"]" * 10**5 + b"a" * (10**5 - 1),
        "list nested 1000 deep": b"]" * 1000 + b"a" * 999,
        "dict nested 10^5 deep": (b"}" + text("k")) * 10**5 + b"N" + b"s" * 10**5,
        "marks": b"(" * many,
        "doubled tuple": doubled_key,
        "doubled tuple as a key": b"}" + doubled_key + b"Ns",
        "doubled tuple in a set": call("builtins.set", b"]" + doubled_key + b"a"),
        "doubled tuple as a storage key": storage(4, key=doubled_key),
        "doubled lists": b"]" + linked.join((lists, b"")) + get(59) + b"a",
        "list that contains itself": b"]" + put(0) + get(0) + b"a",
        "dict that contains itself": b"}" + put(0) + text("k") + get(0) + b"s",
        "tuple as a key": b"}" + tuple_of(text("a"), text("b")) + b"Ns",
        "one text ten thousand times": b"](" + long_text + get(7) * 10_000 + b"e",
        "as many steps as are followed": b"](" + b"N" * 790_000 + b"e",
        "as many texts as are followed": b"](" + (text("x") + put(1)) * 395_000 + b"e",
        "two million steps": b"](" + b"N" * 2 * many + b"e",
        "numbers that share one hash": b"}(" + colliding + b"u",
        "set of one list over and over": b"("
        + thousand
        + put(1)
        + (name("builtins.set") + get(1) + b"\x85R") * 5000
        + b"l",
        "set of one text over and over": b"("
        + long_text
        + (name("builtins.set") + get(7) + b"\x85R") * 30_000
        + b"t",
        "set of one grown list": b"]"
        + put(1)
        + b"\x85"
        + put(2)
        + get(1)
        + thousand[:-1]
        + b"e"
        + (name("builtins.set") + get(2) + b"R") * 5000
        + b"t",
        "state of many values over and over": b"(}("
        + numbered
        + b"u"
        + put(1)
        + nothing
        + (get(1) + b"b") * 100_000
        + b"t",
        "calls over and over": b"("
        + name("collections.OrderedDict")
        + put(1)
        + (get(1) + b")R") * 250_000
        + b"t",
        "storages over and over": b"(" + named + put(1) + (get(1) + b"Q") * 390_000 + b"t",
        "protocols over and over": b"\x80\x03" * 790_000 + b"N",
        "ordered dict of pairs": call("collections.OrderedDict", b"]" + text("ab") + b"a"),
        "counter": call("collections.Counter", text("x" * 1000)),
        "bytearray of 10 GB": call("builtins.bytearray", number(10**10)),
        "punycode": call(
            "_codecs.encode", text("".join(map(chr, range(0x4E00, 0x9E00))) * 50), text("punycode")
        ),
        "size of sizes": call("torch.Size", thousand),
        "device of nonsense": call("torch.device", text("x" * 10**6)),
        "tensor of 40 GB": call("torch.FloatTensor", number(10**10)),
        "storage of 40 GB": call("torch.FloatStorage", number(10**10)),
        "untyped storage of 10 GB": call("torch.UntypedStorage", number(10**10)),
        "storage as a value": storage(4),
        "storage of 4 PB in the archive": storage(10**15),
        "storage beyond the archive": storage(10**6),
        "storage of a negative size": storage(-4),
        "storage of no kind": storage(4, kind="torch.float32"),
        "storage that is not there": storage(4, key=text("nothing")),
        "storage outside": storage(4, key=text("../../../../etc/passwd")),
        "tensor of 10^12 numbers": tensor([10**12], [1]),
        "tensor of 10^12 equal numbers": tensor([10**12], [0]),
        "tensor of 2^62 by 2^62": tensor([2**62, 2**62], [1, 1]),
        "tensor with overlapping strides": tensor([3, 3], [1, 0]),
        "tensor of a negative size": tensor([-4], [1]),
        "tensor of a negative stride": tensor([4], [-1], offset=3),
        "tensor of a negative offset": tensor([2], [1], offset=-2),
        "tensor of a huge offset": tensor([2], [1], offset=2**62),
        "tensor of a thousand dimensions": tensor([1] * 1000, [1] * 1000),
        "tensor of fewer strides": tensor([2, 2], [1]),
        "tensor of a tensor": call("torch._utils._rebuild_tensor_v2", tensor([4], [1])),
        "tensor that needs a gradient": call("torch._utils._rebuild_parameter", storage(4)),
        "tensor without storage": call(
            "torch._utils._rebuild_meta_tensor_no_storage",
            name("torch.float32"),
            tuple_of(number(4)),
            tuple_of(number(1)),
            b"\x89",
        ),
        "sparse tensor": call("torch._utils._rebuild_sparse_tensor", b"N", b")"),
        "quantised tensor": call("torch._utils._rebuild_qtensor", storage(4)),
        "nested tensor": call("torch._utils._rebuild_nested_tensor", tensor([4], [1])),
        "wrapper": call("torch._utils._rebuild_wrapper_subclass", name("torch.Tensor")),
        "copy of an endless tensor": call(
            "torch._utils._rebuild_device_tensor_from_cpu_tensor",
            tensor([10**9], [0]),
            name("torch.float64"),
            text("cpu"),
            b"\x89",
        ),
        "tensor spread as arguments": name("torch.Size") + tensor([10**9], [0]) + b"R",
        "set on a list": b"]" + text("k") + b"Ns",
        "append to a dict": b"}" + b"Na",
        "state of a dict": b"}" + b"}b",
        "state of an ordered dict": nothing + b"}" + text("a") + b"Nsb",
        "memo that was never put": get(10**9),
        "memo of a huge index": b"N" + put(2**32 - 1),
        "text of 4 GB declared": b"X\xff\xff\xff\xff" + b"x" * 100,
        "number of a million digits": b"I" + b"9" * many + b"\n",
        "half a surrogate pair": text("\udc80"),
        "more taken than made": b"0" * 10,
        "unknown opcode": b"\xff",
        "protocol 5 buffers": b"\x97\x98",
        "frame of 2^60 bytes": b"\x95" + struct.pack("<Q", 2**60),
        "bytes of 2^60": b"\x8e" + struct.pack("<Q", 2**60),
        "only a class": name("torch.UntypedStorage"),
    }
