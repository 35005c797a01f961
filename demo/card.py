"""The model card of the trained demo weights, with the numbers that were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.biomass import TARGETS
from demo.quadrats import COVERS

_CARD = """\
# Weights of the embedded demo

| file | what it is |
|---|---|
| `dinov3_vitt16_demo_pretrain_quadrats.pth` | backbone `dinov3_vitt16_demo`, fp16, official names |
| `head/infer_head.pt` | head and LoRA adapter (r 8 on `qkv`), fp16, for autumn: `demo-autumn` |
| `head_winter/infer_head.pt` | the same for winter: `demo-winter` |
| `metrics.json` | what the training run measured |

`python -m demo train` makes all of it, this page, the images and their table included, from a
fixed seed (`demo/train.py`). On the same machine with the same packages the weights come out the
same bit by bit; another GPU or torch rounds differently and gives slightly other numbers.

## What they are, and what they are not

**A stand-in. These are not Meta's weights.** The backbone has the architecture of the DINOv3 vision
transformers at a size that needs no GPU (48 pictures of 480 x 240 took 3.2 s on two cores): 192
channels, 12 blocks, 3 heads, 4 storage tokens, SwiGLU, 5.5 M parameters. It was trained with
labels, not self-supervised, on {pictures} painted pasture quadrats of spring and summer, whose
cover shares and biomass are known because the painter counted them; {steps} steps,
{minutes:.0f} minutes for everything on one {device}. It has never seen a photograph.
It shows what the pages of the dashboard look like; it says nothing about DINOv3 or about pastures.

**The massive channels are planted.** Trained DINOv3 backbones hold a few channels of the residual
stream far above all others. So small a model, trained so briefly, is not expected to grow them, so
training *starts* from parameters with four such channels (`demo/backbone.py`). No term of the loss
mentions them, no weight decay holds them, and every parameter was free to remove them.
What was left of them after training, largest over median magnitude of the patch channels:

| block | {blocks} |
|---|{rules}|
| largest / median | {ratios} |

## What they learned

R² on {held_out} painted pictures of each kind that were not trained on, whole, 480 x 240:

| | {targets} | cover of patches (mean of {covers}) |
|---|{target_rules}|---|
{fits}

R² below 0 is worse than always guessing the mean. "Backbone" is the frozen backbone with the head
of spring and summer. Each adapter learned from {season_pictures} pictures of its season together
with a head of its own, so its row shows what both do.

Relative change of each block's output, adapter on against off (the massive channels, which hardly
move, make up most of an output's length from block 2 on):

| block | {blocks} |
|---|{rules}|
{changes}
{failed}
## Use the real ones

Ask for the DINOv3 weights at <https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/>
(or the `facebook/dinov3-*` repositories on Hugging Face), under Meta's DINOv3 License
(<https://ai.meta.com/resources/models-and-libraries/dinov3-license/>). Put the file into
`dinov3_weights/` or `weights/` of your project dir under the name it comes with, which starts with
the backbone's name, or give its path with `--dino-weights-pt`:

| `model.backbone` | file |
|---|---|
| `dinov3_vits16` | `dinov3_vits16_pretrain_lvd1689m-08c60483.pth` |
| `dinov3_vits16plus` | `dinov3_vits16plus_pretrain_lvd1689m-4057cbaa.pth` |
| `dinov3_vitb16` | `dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth` |
| `dinov3_vitl16` | `dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth` |
| `dinov3_vith16plus` | `dinov3_vith16plus_pretrain_lvd1689m-7c1da9a5.pth` |
| `dinov3_vit7b16` | `dinov3_vit7b16_pretrain_lvd1689m-a955f4ea.pth` |

Weights in the formats of `transformers` and timm are read as well.
"""


def write_card(metrics: Mapping[str, Any]) -> str:
    """Write the model card (Markdown) from what `demo.train` measured."""
    backbone = metrics["backbone"]
    rows = {
        "spring and summer, backbone": backbone["r2"]["home"],
        "autumn, backbone": backbone["r2"]["autumn"],
        "autumn, with its adapter": metrics["autumn"]["r2"],
        "winter, backbone": backbone["r2"]["winter"],
        "winter, with its adapter": metrics["winter"]["r2"],
    }
    ratios = [row["ratio"] for row in backbone["massive_channels"]]
    failures = metrics["failed_checks"]
    missed = "".join(f"\n- missed: {failure}" for failure in failures)
    return _CARD.format(
        pictures=metrics["pictures"]["home"],
        season_pictures=metrics["pictures"]["autumn"],
        held_out=metrics["held_out_pictures"],
        steps=backbone["run"]["steps"],
        minutes=metrics["machine"]["minutes"],
        device=metrics["machine"]["device"],
        blocks=" | ".join(str(block) for block in range(len(ratios))),
        rules="|".join("---" for _ in ratios),
        ratios=" | ".join(f"{ratio:.0f}" for ratio in ratios),
        targets=" | ".join(f"`{target}`" for target in TARGETS),
        target_rules="|".join("---" for _ in TARGETS),
        covers=", ".join(COVERS),
        fits="\n".join(_fit_row(name, fit) for name, fit in rows.items()),
        changes="\n".join(
            f"| {season} | "
            + " | ".join(f"{change:.0%}" for change in metrics[season]["relative_change"])
            + " |"
            for season in ("autumn", "winter")
        ),
        failed=f"\nWhat this run promised and did not reach:\n{missed}\n" if missed else "",
    )


def _fit_row(name: str, fit: Mapping[str, float]) -> str:
    cover = sum(fit[f"patch_{cover}"] for cover in COVERS) / len(COVERS)
    return (
        f"| {name} | "
        + " | ".join(f"{fit[target]:.3f}" for target in TARGETS)
        + f" | {cover:.3f} |"
    )
