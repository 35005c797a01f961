"""Weights of every format give the same network; whatever does not fit is named and refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from analysis.collect.backbone.variants import VARIANTS, Variant
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import load_backbone
from analysis.errors import CheckpointError, ConfigError
from tests.factories.backbones import make_backbone, tiny_variant

State = dict[str, Tensor]

TINY = {
    "tiny_mlp": tiny_variant(2, 48, 3, "mlp", name="tiny_mlp"),
    "tiny_swiglu": tiny_variant(2, 48, 3, "swiglu", name="tiny_swiglu"),
    "tiny_biasless": tiny_variant(2, 48, 3, "swiglu", name="tiny_biasless", qkv_bias=False),
}


@pytest.fixture(autouse=True)
def _tiny_variants_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, variant in TINY.items():
        monkeypatch.setitem(VARIANTS, name, variant)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt"


def official_state(name: str = "tiny_mlp", **options: Any) -> State:
    """Return the state dict of a backbone whose K bias is zero, as every other format implies."""
    backbone = make_backbone(TINY[name], **options)
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    for key in state:
        if key.endswith("attn.qkv.bias"):
            state[key].chunk(3)[1].zero_()
    return state


def assert_holds(backbone: DinoVisionTransformer, state: State) -> None:
    loaded = backbone.state_dict()
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        assert value.dtype == torch.float32
        # Evaluation never reads the mask token; no file needs to have it.
        assert key == "mask_token" or torch.equal(value, state[key].float()), key


def refusal(name: str, path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_backbone(name, path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path.parent) in message
    return message


# --- how others would write the same weights (written here, not taken from the tables)


def plain(state: State) -> Any:
    return state


def in_state_dict(state: State) -> Any:
    return {"epoch": 3, "loss": torch.tensor(0.1), "state_dict": state}


def official_training(state: State) -> Any:
    heads = {
        "dino_head.mlp.0.weight": torch.zeros(3),
        "ibot_head.last_layer.weight": state["norm.bias"],
    }
    return {"teacher": {f"backbone.{key}": value for key, value in state.items()} | heads}


def student_and_teacher(state: State) -> Any:
    student = {f"student.backbone.{key}": value + 1 for key, value in state.items()}
    return {"model": student | {f"teacher.backbone.{key}": v for key, v in state.items()}}


def teacher_beside_student(state: State) -> Any:
    return {"model": {key: value + 1 for key, value in state.items()}, "teacher": state}


def lightning(state: State) -> Any:
    model = {f"model.backbone.{key}": value for key, value in state.items()}
    return {
        "pytorch-lightning_version": "2.5.0",
        "epoch": 9,
        "state_dict": model | {"model.head.weight": torch.zeros(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
        "hyper_parameters": {"lr": 1e-4},
    }


def lightning_with_lora(state: State) -> Any:
    prefix = "feature_extractor.backbone.base_model.model."
    model = {}
    for key, value in state.items():
        model[prefix + key.replace("attn.qkv.", "attn.qkv.base_layer.")] = value
    model[f"{prefix}blocks.0.attn.qkv.lora_A.default.weight"] = torch.ones(4, 48)
    return {"state_dict": model}


def compiled(state: State) -> Any:
    return {
        f"module.{key.replace('.attn.', '._orig_mod.attn.')}": value for key, value in state.items()
    }


def local_crops(state: State) -> Any:
    extra = {"local_cls_norm.weight": torch.full((48,), torch.nan)}
    return {key: value for key, value in state.items() if key != "mask_token"} | extra


def as_transformers(state: State) -> State:
    renames = {
        "attn.proj": "attention.o_proj",
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
        "mlp.fc1": "mlp.up_proj",
        "mlp.fc2": "mlp.down_proj",
        "mlp.w1": "mlp.gate_proj",
        "mlp.w2": "mlp.up_proj",
        "mlp.w3": "mlp.down_proj",
        "blocks.": "layer.",
        "cls_token": "embeddings.cls_token",
        "storage_tokens": "embeddings.register_tokens",
        "patch_embed.proj": "embeddings.patch_embeddings",
    }
    theirs = {"embeddings.mask_token": torch.zeros(1, 1, 48)}
    for key, value in state.items():
        if key == "mask_token" or key.endswith(("periods", "bias_mask")):
            continue
        for old, new in renames.items():
            key = key.replace(old, new)
        if "attn.qkv" in key:
            q, k, v = value.chunk(3)
            split = {"q": q, "v": v} if key.endswith("bias") else {"q": q, "k": k, "v": v}
            for letter, part in split.items():
                theirs[key.replace("attn.qkv", f"attention.{letter}_proj")] = part.clone()
        else:
            theirs[key] = value
    return theirs


def as_timm(state: State) -> State:
    theirs = {}
    for key, value in state.items():
        if key == "mask_token" or key.endswith(("periods", "bias_mask")):
            continue
        if key.endswith("qkv.bias"):
            q, _, v = value.chunk(3)
            theirs[key.replace("qkv.bias", "q_bias")] = q.clone()
            theirs[key.replace("qkv.bias", "v_bias")] = v.clone()
            continue
        key = key.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2")
        key = key.replace("storage_tokens", "reg_token").replace("mlp.w1", "mlp.fc1_g")
        key = key.replace("mlp.w2", "mlp.fc1_x").replace("mlp.w3", "mlp.fc2")
        theirs[key] = value
    return theirs


# --- every format


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(
    ("write", "found_as", "said"),
    [
        (plain, "official", ""),
        (in_state_dict, "official under state_dict.", ""),
        (official_training, "official under teacher.backbone.", ""),
        (student_and_teacher, "official under model.teacher.backbone.", "several backbones"),
        (teacher_beside_student, "official under teacher.", "teacher is measured"),
        (lightning, "official under state_dict.model.backbone.", "state_dict.model.head.weight"),
        (compiled, "official under module.", ""),
        (local_crops, "official", ""),
    ],
)
def test_official_weights_load_from_every_kind_of_file(
    path: Path, name: str, write: Callable[[State], Any], found_as: str, said: str
) -> None:
    state = official_state(name)
    torch.save(write(state), path)
    backbone, info = load_backbone(name, path)
    assert_holds(backbone, state)
    assert (info.format, info.untied_norms) == (found_as, False)
    assert len(info.notices) == bool(said)
    assert said in "".join(info.notices)


@pytest.mark.parametrize("write", [as_transformers, as_timm])
@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_of_other_libraries_load(
    tmp_path: Path, name: str, write: Callable[[State], State], suffix: str
) -> None:
    state = official_state(name)
    # These formats do not store the periods: the formula gives them, unrounded.
    state["rope_embed.periods"] = 100.0 ** (torch.arange(4) / 4)
    path = tmp_path / f"model{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(write(state), path)
    backbone, info = load_backbone(name, path)
    assert_holds(backbone, state)
    assert info.format.startswith(write.__name__.removeprefix("as_"))


def test_backbone_is_ready_to_measure(path: Path) -> None:
    torch.save(official_state(), path)
    backbone, _ = load_backbone("tiny_mlp", path)
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_file_may_be_overwritten_after_loading(path: Path) -> None:
    state = official_state()
    torch.save(state, path)
    backbone, _ = load_backbone("tiny_mlp", path)
    with path.open("r+b") as file:  # in place: a memory map would see it
        file.write(b"\0" * path.stat().st_size)
    assert_holds(backbone, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_is_loaded_into_float32(path: Path, dtype: torch.dtype) -> None:
    stored = {key: value.to(dtype) for key, value in official_state().items()}
    torch.save(stored, path)
    assert_holds(load_backbone("tiny_mlp", path)[0], stored)


def test_stored_periods_and_key_bias_win_over_the_formula(path: Path) -> None:
    state = make_backbone(TINY["tiny_mlp"]).state_dict()
    state["rope_embed.periods"] = torch.tensor([1.0, 3.0, 9.0, 27.0])
    torch.save(state, path)
    assert_holds(load_backbone("tiny_mlp", path)[0], state)


def test_separate_output_norm_of_the_cls_token_is_found(path: Path) -> None:
    state = official_state(untied_norms=True)
    torch.save(state, path)
    backbone, info = load_backbone("tiny_mlp", path)
    assert info.untied_norms
    assert_holds(backbone, state)


def test_adapter_in_the_weights_file_is_left_aside_and_said(path: Path) -> None:
    state = official_state()
    torch.save(lightning_with_lora(state), path)
    backbone, info = load_backbone("tiny_mlp", path)
    assert_holds(backbone, state)
    assert len(info.notices) == 1
    assert "1 tensors of an adapter" in info.notices[0]


def test_timm_model_without_qkv_bias_has_zero_biases(path: Path) -> None:
    state = official_state()
    torch.save(
        {k: v for k, v in as_timm(state).items() if not k.endswith(("q_bias", "v_bias"))}, path
    )
    backbone, info = load_backbone("tiny_mlp", path)
    assert info.format == "timm without qkv bias"
    for block in range(2):
        assert not backbone.state_dict()[f"blocks.{block}.attn.qkv.bias"].any()


def test_timm_file_with_one_bias_missing_is_refused(path: Path) -> None:
    theirs = as_timm(official_state())
    del theirs["blocks.1.attn.q_bias"]
    torch.save(theirs, path)
    assert "1 missing: blocks.1.attn.q_bias" in refusal("tiny_mlp", path)


# --- the real transformers model


def save_transformers(folder: Path, variant: Variant, **options: Any) -> DINOv3ViTModel:
    gated = variant.ffn == "swiglu"
    config = DINOv3ViTConfig(
        hidden_size=variant.embed_dim,
        intermediate_size=variant.ffn_hidden,
        num_hidden_layers=variant.depth,
        num_attention_heads=variant.n_heads,
        num_register_tokens=variant.n_storage_tokens,
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
    )
    torch.manual_seed(0)
    model = DINOv3ViTModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    model.save_pretrained(folder, **options)
    return model


@pytest.mark.parametrize("shard", ["1GB", "30KB"], ids=["one file", "shards"])
@pytest.mark.parametrize("name", ["tiny_mlp", "tiny_swiglu"])
@torch.no_grad()
def test_folder_saved_by_transformers_computes_what_transformers_computes(
    tmp_path: Path, name: str, shard: str
) -> None:
    theirs = save_transformers(tmp_path, TINY[name], max_shard_size=shard)
    backbone, info = load_backbone(name, tmp_path)
    pixels = torch.randn(2, 3, 48, 64)
    torch.testing.assert_close(backbone(pixels), theirs(pixels).last_hidden_state)
    assert info.format == "transformers"


def test_digest_of_a_folder_covers_every_shard(tmp_path: Path) -> None:
    save_transformers(tmp_path, TINY["tiny_mlp"], max_shard_size="30KB")
    before = load_backbone("tiny_mlp", tmp_path)[1].sha256
    shard = sorted(tmp_path.glob("*.safetensors"))[-1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert load_backbone("tiny_mlp", tmp_path)[1].sha256 != before


def test_digest_of_a_file_is_its_sha256(path: Path) -> None:
    torch.save(official_state(), path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_backbone("tiny_mlp", path)[1].sha256 == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_attention_heads", 6),
        ("rope_theta", 10.0),
        ("layer_norm_eps", 1e-6),
        ("hidden_act", "relu"),
    ],
)
def test_config_that_names_and_shapes_do_not_show_is_compared(
    tmp_path: Path, key: str, value: object
) -> None:
    save_transformers(tmp_path, TINY["tiny_mlp"])
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    assert f"{key} is {value!r}" in refusal("tiny_mlp", tmp_path)
    assert key in refusal("tiny_mlp", tmp_path / "model.safetensors")


def test_folder_with_a_shard_missing_is_refused(tmp_path: Path) -> None:
    save_transformers(tmp_path, TINY["tiny_mlp"], max_shard_size="30KB")
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    shard.unlink()
    assert shard.name in refusal("tiny_mlp", tmp_path)


@pytest.mark.parametrize("target", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_index_that_points_out_of_its_folder_is_refused(tmp_path: Path, target: str) -> None:
    index = {"weight_map": {"norm.weight": target}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "weight_map" in refusal("tiny_mlp", tmp_path)


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert "model.safetensors" in refusal("tiny_mlp", tmp_path)


# --- what does not fit


def test_unknown_backbone_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="dinov3_vitl16"):
        load_backbone("resnet50", path)


def test_missing_tensor_is_named(path: Path) -> None:
    state = official_state()
    del state["blocks.1.ls2.gamma"]
    torch.save(state, path)
    message = refusal("tiny_mlp", path)
    assert "1 missing: blocks.1.ls2.gamma." in message
    assert "unexpected" not in message


def test_missing_buffer_of_an_official_file_is_named(path: Path) -> None:
    state = official_state()
    del state["rope_embed.periods"]
    torch.save(state, path)
    assert "1 missing: rope_embed.periods." in refusal("tiny_mlp", path)


def test_unexpected_tensor_is_named(path: Path) -> None:
    torch.save(official_state() | {"blocks.0.gate.weight": torch.zeros(3)}, path)
    assert "1 without a place: blocks.0.gate.weight." in refusal("tiny_mlp", path)


def test_misshaped_tensor_is_named_with_both_shapes(path: Path) -> None:
    state = official_state()
    state["norm.bias"] = torch.zeros(47)
    torch.save(state, path)
    assert "1 of another shape: norm.bias [47] instead of [48]." in refusal("tiny_mlp", path)


def test_third_of_a_fused_tensor_is_checked_on_its_own(path: Path) -> None:
    theirs = as_transformers(official_state())
    # Q one row too long, K one too short: stacked they would fit.
    q, k = "layer.0.attention.q_proj.weight", "layer.0.attention.k_proj.weight"
    theirs[q], theirs[k] = torch.zeros(49, 48), torch.zeros(47, 48)
    torch.save(theirs, path)
    message = refusal("tiny_mlp", path)
    assert f"{q} [49, 48] instead of [48, 48]" in message
    assert f"{k} [47, 48] instead of [48, 48]" in message


def test_many_faults_are_counted_and_ten_are_named(path: Path) -> None:
    state = official_state()
    kept = {key: value for key, value in state.items() if not key.startswith("blocks.0.mlp.fc")}
    kept |= {f"blocks.0.mlp.w{i}.extra{j}": torch.zeros(1) for i in range(3) for j in range(7)}
    torch.save(kept, path)
    message = refusal("tiny_mlp", path)
    assert "4 missing: " in message
    assert "21 without a place: " in message
    assert "(21 in all)" in message
    assert message.count(".extra") == 10


@pytest.mark.parametrize("write", [plain, as_transformers, as_timm])
def test_weights_of_another_variant_are_recognised(
    path: Path, write: Callable[[State], Any]
) -> None:
    torch.save(write(official_state("tiny_swiglu")), path)
    message = refusal("tiny_mlp", path)
    assert "not those of tiny_mlp" in message
    assert "look like tiny_swiglu (48 channels, 2 blocks, swiglu of width 128)" in message


def test_weights_of_no_variant_are_described(path: Path) -> None:
    state = make_backbone(tiny_variant(depth=3)).state_dict()
    torch.save(state, path)
    message = refusal("tiny_mlp", path)
    assert "(48 channels, 3 blocks, mlp of width 192)" in message
    assert "15 without a place: blocks.2.norm1.weight, " in message


def test_finite_values_whose_sum_is_not_are_taken(path: Path) -> None:
    state = official_state()
    state["blocks.1.mlp.fc2.weight"].fill_(3e38)
    torch.save(state, path)
    backbone, _ = load_backbone("tiny_mlp", path)
    assert (backbone.state_dict()["blocks.1.mlp.fc2.weight"] == 3e38).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_value_that_is_not_finite_is_refused_by_the_name_of_its_tensor(
    path: Path, value: float
) -> None:
    state = official_state()
    state["blocks.1.mlp.fc2.weight"][3, 5] = value
    torch.save(state, path)
    message = refusal("tiny_mlp", path)
    assert "blocks.1.mlp.fc2.weight holds 1 NaN or infinite" in message


def test_value_that_overflows_float32_is_refused(path: Path) -> None:
    state = {key: value.double() for key, value in official_state().items()}
    state["norm.bias"][0] = 1e300
    torch.save(state, path)
    assert "norm.bias" in refusal("tiny_mlp", path)


def test_values_that_evaluation_never_reads_may_be_anything(path: Path) -> None:
    state = official_state()
    torch.save(state | {"mask_token": torch.full((7,), torch.nan)}, path)
    assert_holds(load_backbone("tiny_mlp", path)[0], state)


def test_quantised_weights_are_refused(path: Path) -> None:
    state = official_state()
    state["blocks.0.attn.proj.weight"] = state["blocks.0.attn.proj.weight"].to(torch.int8)
    torch.save(state, path)
    assert "blocks.0.attn.proj.weight is torch.int8" in refusal("tiny_mlp", path)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        torch.zeros(3),
        {"state_dict": None},
        {"stages.0.gamma": torch.zeros(3)},
        {1: torch.zeros(3)},
    ],
    ids=["empty dict", "list", "tensor", "no state", "convnext", "number as name"],
)
def test_file_without_a_backbone_is_refused(path: Path, content: object) -> None:
    torch.save(content, path)
    assert "no DINOv3 vision transformer" in refusal("tiny_mlp", path)


def test_dict_that_contains_itself_is_refused(path: Path) -> None:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    torch.save(content, path)
    assert "contains itself" in refusal("tiny_mlp", path)


@pytest.mark.parametrize("part", [0.3, 0.99])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_weights_are_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"weights{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(official_state(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert "again" in refusal("tiny_mlp", path)


def test_missing_weights_are_refused(path: Path) -> None:
    assert "no such file" in refusal("tiny_mlp", path)
