"""Adapters compute what peft trained them to compute, or are not attached at all."""

from __future__ import annotations

import json
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from analysis.collect.backbone import adapter_patterns
from analysis.collect.backbone.adapters import AdapterState, attach_adapter
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.errors import AdapterError
from tests.factories.adapters import head_content, save_head, train_adapter
from tests.factories.backbones import make_backbone, tiny_variant

PIXELS = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "infer_head.pt"


@torch.no_grad()
def block_outputs(backbone: Any) -> list[Tensor]:
    return list(backbone.forward_blocks(PIXELS))


def assert_close(ours: list[Tensor], reference: list[Tensor], bound: float = 1e-5) -> None:
    for found, wanted in zip(ours, reference, strict=True):
        difference = (found - wanted).double()
        assert difference.norm() <= bound * wanted.double().norm()
        # Massive channels make up the norm, so the median channel has a bound of its own.
        rms = wanted.double().square().mean(dim=(0, 1)).sqrt()
        assert (difference.abs().amax(dim=(0, 1)) / rms).median() <= bound


def assert_differs(ours: list[Tensor], reference: list[Tensor]) -> None:
    assert any(not torch.equal(a, b) for a, b in zip(ours, reference, strict=True))


def attach(path: Path, build: Callable[[], DinoVisionTransformer] = make_backbone) -> Any:
    backbone, state = attach_adapter(build, path, {})
    assert state.lora_error is None
    assert state.used_lora
    return backbone


def network_of(model: PeftModel) -> Any:
    """Return the backbone that peft wrapped, adapter on."""
    return model.base_model.model


def without_key_bias(**options: Any) -> DinoVisionTransformer:
    backbone = make_backbone(**options)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith("attn.qkv.bias"):
                parameter.chunk(3)[1].zero_()
    return backbone


def lora_products(model: PeftModel) -> dict[str, Tensor]:
    """Return B A per adapted module, in the shape of its weight, from what peft saves."""
    saved = get_peft_model_state_dict(model)
    products = {}
    for name, a in saved.items():
        if name.endswith(".lora_A.weight"):
            stem = name.removesuffix(".lora_A.weight")
            product = saved[f"{stem}.lora_B.weight"].flatten(1) @ a.flatten(1)
            module = stem.removeprefix("base_model.model.")
            products[module] = product.unflatten(1, a.shape[1:])
    return products


@torch.no_grad()
def merge_lora(backbone: DinoVisionTransformer, model: PeftModel, scale: float) -> Any:
    for name, product in lora_products(model).items():
        backbone.get_parameter(f"{name}.weight").add_(scale * product)
    return backbone


@torch.no_grad()
def merge_dora(backbone: DinoVisionTransformer, model: PeftModel, scale: float) -> Any:
    """W' = m (W + s B A) / ||W + s B A||, the norm per output row (Liu et al. 2024, eq. 5)."""
    saved = get_peft_model_state_dict(model)
    for name, product in lora_products(model).items():
        weight = backbone.get_parameter(f"{name}.weight")
        direction = weight + scale * product
        norms = direction.flatten(1).norm(dim=1)
        magnitudes = saved[f"base_model.model.{name}.lora_magnitude_vector"].flatten()
        factor = (magnitudes / norms).reshape(-1, *[1] * (weight.ndim - 1))
        weight.copy_(factor * direction)
    return backbone


TARGETS = {
    "qkv": ["qkv"],
    "attention and patch embedding": ["qkv", "proj"],
    "feed-forward": ["fc1", "fc2"],
    "one block by full name": ["blocks.1.attn.qkv", "blocks.1.attn.proj"],
    "pattern": r"blocks\.1\.(attn\.proj|mlp\.fc2)",
}


@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS.keys())
def test_lora_equals_the_merged_weights_whatever_the_biases(path: Path, targets: Any) -> None:
    model = train_adapter(target_modules=targets)
    adapted = attach(save_head(path, model))
    merged = merge_lora(make_backbone(), model, scale=8 / 4)
    assert_close(block_outputs(adapted), block_outputs(merged))
    assert_differs(block_outputs(adapted), block_outputs(make_backbone()))


def test_lora_on_swiglu_equals_the_merged_weights(path: Path) -> None:
    def build() -> DinoVisionTransformer:
        return make_backbone(tiny_variant(ffn="swiglu"))

    model = train_adapter(build(), target_modules=["w1", "w2", "w3"])
    adapted = attach(save_head(path, model), build)
    assert_close(block_outputs(adapted), block_outputs(merge_lora(build(), model, scale=2)))


def test_rank_stabilised_lora_scales_by_the_root_of_the_rank(path: Path) -> None:
    model = train_adapter(use_rslora=True)
    merged = merge_lora(make_backbone(), model, scale=8 / 4**0.5)
    assert_close(block_outputs(attach(save_head(path, model))), block_outputs(merged))


def test_ranks_and_scales_of_their_own_are_kept(path: Path) -> None:
    settings: Any = {
        "rank_pattern": {"blocks.0.attn.qkv": 2},
        "alpha_pattern": {"blocks.0.attn.qkv": 8},
    }
    model = train_adapter(**settings, lora_alpha=16)
    merged = merge_lora(make_backbone(), model, scale=4)  # 8 / 2 in block 0, 16 / 4 in block 1
    assert_close(block_outputs(attach(save_head(path, model))), block_outputs(merged))


@pytest.mark.parametrize("targets", [["qkv"], ["qkv", "proj"], ["fc1", "fc2"]], ids=str)
def test_dora_equals_its_formula_where_the_key_bias_is_zero(path: Path, targets: Any) -> None:
    model = train_adapter(without_key_bias(), target_modules=targets, use_dora=True)
    adapted = attach(save_head(path, model), without_key_bias)
    merged = merge_dora(without_key_bias(), model, scale=2)
    assert_close(block_outputs(adapted), block_outputs(merged))


def test_dora_with_a_masked_key_bias_equals_peft_not_the_formula(path: Path) -> None:
    # peft takes the stored bias off the output before it rescales, mask or not: that is how such
    # an adapter was trained, so that is what is measured.
    model = train_adapter(use_dora=True)
    adapted = block_outputs(attach(save_head(path, model)))
    assert_close(adapted, block_outputs(network_of(model)), bound=0)
    formula = block_outputs(merge_dora(make_backbone(), model, scale=2))
    assert (adapted[1] - formula[1]).norm() > 1e-4 * formula[1].norm(), "not mere rounding"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"layers_to_transform": [1], "layers_pattern": "blocks"}, id="last block"),
        pytest.param({"target_modules": ["proj"], "use_dora": True}, id="DoRA on a convolution"),
        pytest.param({"use_dora": True, "use_rslora": True}, id="DoRA with rsLoRA"),
        pytest.param({"init_lora_weights": "pissa"}, id="PiSSA"),
        pytest.param({"init_lora_weights": "olora"}, id="OLoRA"),
        pytest.param({"bias": "all"}, id="biases trained too"),
        pytest.param({"modules_to_save": ["norm"]}, id="output norm trained too"),
        pytest.param({"lora_bias": True}, id="bias in B"),
        pytest.param({"target_modules": "all-linear"}, id="all linear layers"),
    ],
)
@torch.no_grad()
def test_adapted_backbone_equals_pefts_own_model(path: Path, settings: dict[str, Any]) -> None:
    if settings.get("target_modules") == "all-linear":
        # The shorthand is resolved when the adapter is made; the head holds the layers' names.
        names = [n for n, m in make_backbone().named_modules() if isinstance(m, torch.nn.Linear)]
        settings = {"target_modules": names}
    model = train_adapter(**settings)
    adapted = attach(save_head(path, model))
    reference = network_of(model)
    assert_close(block_outputs(adapted), block_outputs(reference), bound=0)
    assert torch.equal(adapted(PIXELS), reference(PIXELS))
    assert_differs([adapted(PIXELS)], [make_backbone()(PIXELS)])


def test_output_norm_of_the_adapter_can_be_read_like_any_norm(path: Path) -> None:
    model = train_adapter(modules_to_save=["norm"])
    adapted = attach(save_head(path, model))
    trained = get_peft_model_state_dict(model)["base_model.model.norm.weight"]
    assert torch.equal(adapted.norm.weight, trained)
    assert adapted.norm.eps == 1e-5


def test_data_driven_initialisation_is_not_run_again(path: Path) -> None:
    content = head_content(train_adapter())
    content["peft"]["config"] |= {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "tau": 1}}
    torch.save(content, path)
    reference = merge_lora(make_backbone(), train_adapter(), scale=2)
    assert_close(block_outputs(attach(path)), block_outputs(reference))


def test_dropout_is_off(path: Path) -> None:
    model = train_adapter(lora_dropout=0.5)
    adapted = attach(save_head(path, model))
    assert_close(block_outputs(adapted), block_outputs(merge_lora(make_backbone(), model, scale=2)))


def test_adapter_in_half_precision_is_computed_in_float32(path: Path) -> None:
    content = head_content(train_adapter())
    state = content["peft"]["state_dict"]
    content["peft"]["state_dict"] = {name: tensor.half() for name, tensor in state.items()}
    torch.save(content, path)
    adapted = attach(path)
    assert {parameter.dtype for parameter in adapted.parameters()} == {torch.float32}
    merged = merge_lora(make_backbone(), train_adapter(), scale=2)
    assert_close(block_outputs(adapted), block_outputs(merged), bound=1e-3)


def test_adapted_backbone_is_ready_to_measure(path: Path) -> None:
    adapted = attach(save_head(path, train_adapter()))
    assert isinstance(adapted, DinoVisionTransformer)
    assert not any(module.training for module in adapted.modules())
    assert not any(parameter.requires_grad for parameter in adapted.parameters())


def in_a_wrapper(name: str) -> str:
    return name.replace("base_model.model.", "base_model.model.net.backbone.")


def with_adapter_name(name: str) -> str:
    return name.replace(".weight", ".default.weight")


def without_prefix(name: str) -> str:
    return name.removeprefix("base_model.model.")


@pytest.mark.parametrize("rename", [in_a_wrapper, with_adapter_name, without_prefix])
@pytest.mark.parametrize("use_dora", [False, True], ids=["LoRA", "DoRA"])
def test_names_are_understood_however_the_backbone_was_wrapped(
    path: Path, rename: Callable[[str], str], use_dora: bool
) -> None:
    model = train_adapter(target_modules=["blocks.1.attn.qkv"], use_dora=use_dora)
    content = head_content(model)
    state = content["peft"]["state_dict"]
    content["peft"]["state_dict"] = {rename(name): tensor for name, tensor in state.items()}
    if rename is in_a_wrapper:
        content["peft"]["config"]["target_modules"] = {"net.backbone.blocks.1.attn.qkv"}
    torch.save(content, path)
    assert_close(block_outputs(attach(path)), block_outputs(network_of(model)), bound=0)


def test_peft_folder_is_the_same_adapter_as_the_head(tmp_path: Path) -> None:
    model = train_adapter(use_dora=True, target_modules=["qkv", "proj"])
    model.save_pretrained(str(tmp_path / "adapter"))
    head = save_head(tmp_path / "head.pt", model)
    ours, from_folder = attach_adapter(make_backbone, tmp_path / "adapter", {})
    _, from_head = attach_adapter(make_backbone, head, {})
    assert from_folder.used_lora
    assert from_folder.sha256 == from_head.sha256
    assert_close(block_outputs(ours), block_outputs(network_of(model)), bound=0)


def test_state_describes_the_adapter_in_plain_types(path: Path) -> None:
    save_head(path, train_adapter(target_modules=["qkv", "proj"], use_dora=True))
    _, state = attach_adapter(make_backbone, path, {})
    assert state.head_path == path
    assert state.warnings == []
    summary = dict(state.summary)
    assert isinstance(summary.pop("peft_version"), str)
    assert summary == {
        "method": "DoRA",
        "rank": 4,
        "least_rank": 4,
        "alpha": 8,
        "targets": ["proj", "qkv"],
        "blocks": [0, 1],
        "modules": 5,
        # qkv: A 4x48, B 144x4, m 144; proj: A 4x48, B 48x4, m 48; patch: A 4x3x16x16, B 48x4, m 48
        "parameters": 2 * (192 + 576 + 144) + 2 * (192 + 192 + 48) + (3072 + 192 + 48),
        "trained_whole": [],
        "source": str(path),
    }


# --- no adapter


def assert_frozen(backbone: Any, state: AdapterState) -> None:
    assert not state.used_lora
    assert not any("lora" in name for name, _ in backbone.named_modules())
    assert_close(block_outputs(backbone), block_outputs(make_backbone()), bound=0)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_no_head_is_the_frozen_backbone() -> None:
    backbone, state = attach_adapter(make_backbone, None, {"peft": {"enabled": True}})
    assert_frozen(backbone, state)
    assert state == AdapterState()


@pytest.mark.parametrize("absent", [{}, {"peft": None}, {"peft": {}}], ids=str)
def test_head_without_adapter_is_the_frozen_backbone(path: Path, absent: dict[str, Any]) -> None:
    torch.save({"state_dict": {}, "meta": {}} | absent, path)
    backbone, state = attach_adapter(make_backbone, path, {})
    assert_frozen(backbone, state)
    assert (state.lora_error, state.sha256, state.head_path) == (None, None, path)


# --- broken adapters: the run goes on with the frozen backbone, and says why

Peft = dict[str, Any]


def drop_a_tensor(peft: Peft) -> None:
    del peft["state_dict"]["base_model.model.blocks.1.attn.qkv.lora_B.weight"]


def add_a_tensor(peft: Peft) -> None:
    peft["state_dict"]["base_model.model.blocks.7.attn.qkv.lora_A.weight"] = torch.zeros(4, 48)


def reshape_a_tensor(peft: Peft) -> None:
    peft["state_dict"]["base_model.model.blocks.1.attn.qkv.lora_A.weight"] = torch.zeros(4, 47)


def change_the_rank(peft: Peft) -> None:
    peft["config"]["r"] = 8


def reach_further(peft: Peft) -> None:
    peft["config"]["target_modules"] = {"qkv", "proj"}


def put_in_a_nan(peft: Peft) -> None:
    peft["state_dict"]["base_model.model.blocks.1.attn.qkv.lora_A.weight"][0, 0] = torch.nan


def miss_every_module(peft: Peft) -> None:
    peft["config"]["target_modules"] = {"nowhere"}


def split_the_projections(peft: Peft) -> None:
    peft["config"]["target_modules"] = {"q_proj", "v_proj"}


def split_the_tensors(peft: Peft) -> None:
    name = "base_model.model.model.layer.0.attention.k_proj.lora_A.weight"
    peft["state_dict"] = {name: torch.zeros(4, 48)}


def be_another_kind(peft: Peft) -> None:
    peft["config"]["peft_type"] = "LOHA"


def lack_the_settings(peft: Peft) -> None:
    peft["config"] = None


def lack_the_tensors(peft: Peft) -> None:
    peft["state_dict"] = {}


def hold_numbers(peft: Peft) -> None:
    peft["state_dict"]["base_model.model.blocks.1.attn.qkv.lora_A.weight"] = 3


def hold_integers(peft: Peft) -> None:
    name = "base_model.model.blocks.1.attn.qkv.lora_A.weight"
    peft["state_dict"][name] = torch.zeros(4, 48, dtype=torch.int8)


def need_training_data(peft: Peft) -> None:
    peft["config"]["init_lora_weights"] = "corda"


def have_a_senseless_rank(peft: Peft) -> None:
    peft["config"]["r"] = -1


def have_a_rank_in_words(peft: Peft) -> None:
    peft["config"]["r"] = "four"


def have_a_huge_rank(peft: Peft) -> None:
    peft["config"]["r"] = 60_000


def have_a_scale_in_words(peft: Peft) -> None:
    peft["config"]["lora_alpha"] = "x"


def have_a_pattern_without_end(peft: Peft) -> None:
    peft["config"]["target_modules"] = r"(.|.|.|.)*!"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (drop_a_tensor, "1 missing: blocks.1.attn.qkv.lora_B.weight"),
        (add_a_tensor, "1 without a place: blocks.7.attn.qkv.lora_A.weight"),
        (reshape_a_tensor, "blocks.1.attn.qkv.lora_A.weight [4, 47] instead of [4, 48]"),
        (change_the_rank, "4 of another shape: "),
        (reach_further, "6 missing: "),
        (put_in_a_nan, "NaN or infinite values in blocks.1.attn.qkv.lora_A.weight"),
        (miss_every_module, "nowhere"),
        (split_the_projections, "(its target_modules: ['q_proj', 'v_proj'])"),
        (split_the_tensors, "1 without a place: model.layer.0.attention.k_proj.lora_A.weight"),
        (be_another_kind, "LOHA"),
        (lack_the_settings, "peft.config is missing"),
        (lack_the_tensors, "peft.state_dict is missing"),
        (hold_numbers, "not floating-point tensors: base_model.model.blocks.1"),
        (hold_integers, "not floating-point tensors: base_model.model.blocks.1"),
        (need_training_data, "corda"),
        (have_a_senseless_rank, "-1"),
        (have_a_rank_in_words, "its r is 'four', expected a whole number"),
        (have_a_huge_rank, "4 of another shape: "),
        (have_a_scale_in_words, "its lora_alpha is 'x', expected a number"),
        (have_a_pattern_without_end, "take more than"),
    ],
)
def test_broken_adapter_leaves_the_backbone_frozen_and_says_why(
    path: Path, spoil: Callable[[Peft], None], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_patterns, "SECONDS", 0.5)
    content = head_content(train_adapter())
    spoil(content["peft"])
    torch.save(content, path)
    backbone, state = attach_adapter(make_backbone, path, {})
    assert_frozen(backbone, state)
    assert state.lora_error is not None
    assert state.lora_error.startswith(f"{path}: ")
    assert expected in state.lora_error
    assert "\n" not in state.lora_error


@pytest.mark.parametrize("spoil", [drop_a_tensor, miss_every_module, have_a_rank_in_words])
def test_old_backbone_is_gone_before_the_new_one_is_built(
    path: Path, spoil: Callable[[Peft], None]
) -> None:
    """Two of the largest do not fit into one machine."""
    content = head_content(train_adapter())
    spoil(content["peft"])
    torch.save(content, path)
    built: list[weakref.ref[DinoVisionTransformer]] = []

    def build() -> DinoVisionTransformer:
        assert all(backbone() is None for backbone in built)
        backbone = make_backbone()
        built.append(weakref.ref(backbone))
        return backbone

    attach_adapter(build, path, {})
    assert len(built) == 2


def test_adapter_of_another_size_names_ten_tensors_and_the_total(path: Path) -> None:
    wide = make_backbone(tiny_variant(depth=6, dim=96))
    save_head(path, train_adapter(wide))
    backbone, state = attach_adapter(lambda: make_backbone(tiny_variant(depth=6)), path, {})
    assert not any("lora" in name for name, _ in backbone.named_modules())
    assert state.lora_error is not None
    assert "(12 in all)" in state.lora_error
    assert state.lora_error.count(" instead of ") == 10


def test_peft_that_cannot_be_imported_is_a_broken_adapter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_head(path, train_adapter())
    monkeypatch.setitem(sys.modules, "peft", None)
    backbone, state = attach_adapter(make_backbone, path, {})
    assert_frozen(backbone, state)
    assert state.lora_error is not None
    assert "peft cannot be imported" in state.lora_error


def test_error_from_deep_inside_the_import_of_peft_is_a_broken_adapter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a torchvision that does not match torch makes it: RuntimeError, not ImportError."""
    save_head(path, train_adapter())
    (path.parent / "peft.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.delitem(sys.modules, "peft")
    monkeypatch.syspath_prepend(path.parent)
    backbone, state = attach_adapter(make_backbone, path, {})
    assert_frozen(backbone, state)
    assert state.lora_error is not None
    assert "operator nms does not exist" in state.lora_error


# --- heads that cannot be read stop the run


def test_missing_head_is_an_error_before_the_backbone_is_built(path: Path) -> None:
    def build() -> DinoVisionTransformer:
        raise AssertionError("a backbone may take minutes to load")

    with pytest.raises(AdapterError, match="no such file"):
        attach_adapter(build, path, {})


# --- adapters of a network around the backbone


class Classifier(nn.Module):
    def __init__(self, backbone: DinoVisionTransformer) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(48, 3)


WRAPPED: dict[str, dict[str, Any]] = {
    "classifier trained too": {"target_modules": ["qkv"], "modules_to_save": ["classifier"]},
    "all linear layers": {"target_modules": "all-linear"},
    "pattern": {"target_modules": r"backbone\.blocks\.\d+\.attn\.(qkv|proj)"},
    "pattern with any start": {"target_modules": r".*\.mlp\.fc[12]"},
    "layers without pattern": {"target_modules": ["qkv"], "layers_to_transform": [1]},
    "one layer by pattern": {
        "target_modules": ["qkv"],
        "layers_to_transform": 1,
        "layers_pattern": "blocks",
    },
    "excluded by pattern": {"target_modules": ["qkv"], "exclude_modules": r".*blocks\.0\..*"},
    "excluded by name": {"target_modules": ["qkv"], "exclude_modules": ["blocks.0.attn.qkv"]},
    "rank by pattern": {
        "target_modules": ["qkv"],
        "rank_pattern": {r"backbone\.blocks\.1\.attn\.qkv": 7},
        "alpha_pattern": {r"blocks\.[01]\.attn\.qkv": 3},
    },
    "DoRA": {"target_modules": ["qkv", "classifier"], "use_dora": True},
    "norm trained too": {"target_modules": ["qkv"], "modules_to_save": ["norm", "classifier"]},
}


def train_wrapped(settings: dict[str, Any]) -> PeftModel:
    return train_adapter(Classifier(make_backbone()), **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("settings", WRAPPED.values(), ids=WRAPPED.keys())
@torch.no_grad()
def test_adapter_of_a_classifier_is_used_for_its_backbone(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    model = train_wrapped(settings)
    model.save_pretrained(str(tmp_path))
    adapted, state = attach_adapter(make_backbone, tmp_path, {})
    assert state.lora_error is None
    reference = network_of(model).backbone
    assert torch.equal(adapted(PIXELS), reference(PIXELS))
    aside = [name for name in get_peft_model_state_dict(model) if "classifier" in name]
    assert len(state.warnings) == bool(aside)
    assert all("classifier" in warning for warning in state.warnings)


@torch.no_grad()
def test_adapter_of_a_compiled_network_is_used(tmp_path: Path) -> None:
    model = train_adapter(Classifier(make_backbone()), target_modules=r".*attn\.qkv")  # pyright: ignore[reportArgumentType]
    content = head_content(model)
    state = content["peft"]["state_dict"]
    content["peft"]["state_dict"] = {
        name.replace("backbone.", "backbone._orig_mod."): tensor for name, tensor in state.items()
    }
    content["peft"]["config"]["target_modules"] = r"backbone\._orig_mod\.blocks\.\d+\.attn\.qkv"
    torch.save(content, tmp_path / "head.pt")
    assert torch.equal(attach(tmp_path / "head.pt")(PIXELS), network_of(model).backbone(PIXELS))


def test_adapter_with_a_name_is_used(tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=["qkv"], init_lora_weights=False)
    model = get_peft_model(make_backbone(), config, adapter_name="pasture")
    model.save_pretrained(str(tmp_path))
    assert (tmp_path / "pasture").is_dir()
    adapted = attach(tmp_path)
    assert_close(block_outputs(adapted), block_outputs(network_of(model.eval())), bound=0)


# --- LoRA tensors in files that are no heads

TRAINING = {"peft": {"enabled": True, "r": 4, "lora_alpha": 8}}


@torch.no_grad()
def test_checkpoint_with_lora_tensors_is_used_with_the_scale_of_the_config(path: Path) -> None:
    model = train_wrapped({"target_modules": ["qkv"], "rank_pattern": {"blocks.1.attn.qkv": 2}})
    checkpoint = {f"net.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": checkpoint, "callbacks": {"n": Counter()}}, path)
    adapted, state = attach_adapter(make_backbone, path, TRAINING)
    assert state.lora_error is None
    assert torch.equal(adapted(PIXELS), network_of(model).backbone(PIXELS))
    assert "this is no head but another file; the 4 LoRA tensors" in state.warnings[0]
    assert "lora_alpha 8 is taken from the training config" in " ".join(state.warnings)


def in_json(config: Any) -> str:
    return json.dumps(config, default=list)


SETTINGS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "of peft": lambda config: {"peft_config": config},
    "of peft in JSON": lambda config: {"extra": {"adapter_config": in_json(config)}},
    "by adapter": lambda config: {"peft_config": {"default": config, "other": {"lora_alpha": 5}}},
    "of a script": lambda _: {"hyper_parameters": {"lr": 0.1, "lora_r": 4, "lora_alpha": 12}},
    "of a training config": lambda _: {"cfg": {"peft": {"lora_alpha": 12, "last_k_blocks": 9}}},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@torch.no_grad()
def test_settings_in_the_checkpoint_itself_are_used(
    path: Path, settings: Callable[[Any], dict[str, Any]]
) -> None:
    model = train_adapter(lora_alpha=12)
    content = {"state_dict": model.state_dict(), **settings(head_content(model)["peft"]["config"])}
    torch.save(content, path)
    adapted, state = attach_adapter(make_backbone, path, TRAINING | {"peft": {"lora_alpha": 99}})
    assert state.lora_error is None
    assert torch.equal(adapted(PIXELS), network_of(model)(PIXELS))


@torch.no_grad()
def test_settings_in_the_header_of_a_safetensors_file_are_used(tmp_path: Path) -> None:
    model = train_adapter(lora_alpha=12)
    content = head_content(model)["peft"]
    metadata = {"format": "pt", "lora_adapter_metadata": in_json(content["config"])}
    save_file(content["state_dict"], tmp_path / "lora.safetensors", metadata)
    assert torch.equal(attach(tmp_path / "lora.safetensors")(PIXELS), network_of(model)(PIXELS))


@torch.no_grad()
def test_settings_of_a_head_may_be_json(path: Path) -> None:
    model = train_adapter(lora_alpha=12)
    content = head_content(model)
    content["peft"]["config"] = in_json(content["peft"]["config"])
    torch.save(content, path)
    assert torch.equal(attach(path)(PIXELS), network_of(model)(PIXELS))


def test_unlike_settings_in_one_file_are_of_no_use(path: Path) -> None:
    content = {"a": {"lora_alpha": 1}, "b": {"lora_alpha": 2}}
    torch.save({"state_dict": train_adapter().state_dict(), **content}, path)
    _, state = attach_adapter(make_backbone, path, TRAINING)
    assert "unlike settings (a, b)" in " ".join(state.warnings)
    assert "lora_alpha 8 is taken from the training config" in " ".join(state.warnings)


def test_lora_beside_a_head_s_own_tensors_is_not_overlooked(path: Path) -> None:
    content = head_content(model := train_adapter())
    del content["peft"]
    torch.save(content | {"lora": model.state_dict()}, path)
    _, state = attach_adapter(make_backbone, path, TRAINING)
    assert state.used_lora


def test_checkpoint_with_lora_tensors_of_unknown_scale_leaves_the_backbone_frozen(
    path: Path,
) -> None:
    torch.save({"state_dict": train_adapter().state_dict()}, path)
    backbone, state = attach_adapter(make_backbone, path, {"peft": {"enabled": True}})
    assert_frozen(backbone, state)
    assert state.lora_error is not None
    assert "peft.lora_alpha" in state.lora_error
