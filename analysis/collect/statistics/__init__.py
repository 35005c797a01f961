"""Channel statistics of block outputs: exact, mergeable, measured while the forward runs.

- `moments` - `ChannelMoments`: count, mean, m2, minimum and maximum per channel, and their merge.
- `state` - `CollectorState`: the accumulators of all layers as a few stacked tensors.
- `torch_engine` - one block output to the moments of its images in plain torch, on any device.
- `triton_engine`, `kernels`, `fold_kernels` - the same in Triton, for GPUs.
- `measured_norm` - LayerNorms of the network that hand the moments of their rows on.
- `batch` - `Batch`: the statistics of the batch under way, added only when it is complete.
- `collector` - `StatisticsCollector`: begin, observe, commit; what the forward loop calls.
- `view`, `summary`, `extras` - accumulators to the payload's ``layers`` and ``extras``.
- `norm` - `NormParameters`: what `global_ln` needs of the output LayerNorm.
"""
