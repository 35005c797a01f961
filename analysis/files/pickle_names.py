"""Names that a pickle of tensors and plain values may call or hold, as they stand in the file."""

from __future__ import annotations

import torch

ORDERED_DICT = "collections.OrderedDict"
SETS = frozenset({"__builtin__.set", "builtins.set"})
COUNTER = "collections.Counter"
ENCODE = "_codecs.encode"
BYTEARRAYS = frozenset({"__builtin__.bytearray", "builtins.bytearray"})
COMPLEX = frozenset({"__builtin__.complex", "builtins.complex"})
LATIN = frozenset({b"latin1", b"latin-1"})
"""The codec of `bytes` in a pickle; others can take the square of a text's length."""

WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
PLAIN_TENSOR = "torch._utils._rebuild_tensor_v2"
BESIDE_TENSORS = (
    BYTEARRAYS
    | COMPLEX
    | frozenset(
        {
            COUNTER,
            ENCODE,
            WITH_ATTRIBUTES,
            "torch.serialization._get_layout",
            "torch._utils._rebuild_meta_tensor_no_storage",
            "torch._utils._rebuild_nested_tensor",
            "torch._utils._rebuild_parameter_with_state",
            "torch._utils._rebuild_qtensor",
            "torch._utils._rebuild_sparse_tensor",
        }
    )
)
"""What torch's own unpickler calls too, for checkpoints of training frameworks.

Of its list are left out those that need numpy's pickles or classes that it does not allow, and
`_rebuild_device_tensor_from_cpu_tensor` (tensors saved on a TPU), which can be made to fill the
memory.
"""

CALLED = SETS | frozenset(
    {
        ORDERED_DICT,
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
    }
)
NAMED = frozenset(
    {
        f"torch.{name}"
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype | torch.qscheme)
    }
    | {f"torch.{name}" for name in vars(torch) if name.endswith("Storage")}
    | {f"{kind.__module__}.{kind.__name__}" for kind in torch._tensor_classes}
    | {"torch.storage.TypedStorage", "torch.storage.UntypedStorage", "torch.Tensor"}
)
AS_KEYS = NAMED | {"bytes", "torch.device", "torch.Size"}
"""What can be a key of a dict besides texts and numbers, and tuples of them."""
