"""DINOv3 vision transformers: their sizes, the network, its weights and its adapters.

`variants` is a table without torch; `vit` is the network in the official parameter names;
`checkpoints` reads every weights format into it; `adapters` attaches the LoRA of a head file.
"""
