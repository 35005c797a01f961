"""Run the backbone once over the images and collect the statistics of every block output.

    images -> backbone -> collector -> payload

Block outputs are consumed one by one as the forward pass makes them; nothing but the running
moments is kept, and nothing is copied to the host before the last batch. Under `torchrun` every
rank measures its own batches and the first one merges them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from analysis.collect.images.batches import PastureDataModule
from analysis.collect.images.pool import DecodePool
from analysis.collect.plan.image_columns import ImageColumns, read_columns
from analysis.collect.plan.request import ExtractionPlan
from analysis.collect.run.devices import choose_device
from analysis.collect.run.fold import BatchFolder, is_out_of_memory, too_little_memory
from analysis.collect.run.network import FOOTPRINT_CHANNELS, load_network
from analysis.collect.run.prepare import begin_preparation, plan_batch_size, will_fuse
from analysis.collect.run.progress import ProgressReporter
from analysis.collect.run.ranks import Ranks
from analysis.collect.run.record import build_payload, describe_outcome
from analysis.collect.run.resume import Checkpoint
from analysis.collect.run.tally import Tally, merge_tallies
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.image_vectors import check_room, choose_images
from analysis.errors import ConfigError, ImageError
from analysis.files.processes import free_memory
from analysis.language import N_
from analysis.payload.file import save_payload
from analysis.payload.image_vectors import ImageVectors
from analysis.vocabulary import SCHEMA_VERSION

PROOF_IMAGES = 8
"""Images on which the adapter's effect is measured."""
FOOTPRINT_IMAGES = 4
"""Images that choose the channels whose footprint is kept."""

log = logging.getLogger("analysis")


def collect_payload(
    plan: ExtractionPlan,
    reporter: ProgressReporter,
    ranks: Ranks | None = None,
    *,
    pool: DecodePool | None = None,
) -> dict[str, Any] | None:
    """Run one extraction and return its payload (CPU tensors and plain types).

    Args:
        plan: What to run.
        reporter: Told about every step; may ask to finish early.
        ranks: Which process this is; a lone one by default. All but the first return None.
        pool: Decodes the images of the plan already; ended when they are read.

    Raises:
        InputError: If the device, the weights, the images or (with ``strict``) a single image
            cannot be used. A broken adapter is not an error: the frozen backbone is measured, and
            the payload and the log say so.
    """
    found = collect(plan, reporter, ranks, pool=pool)
    return None if found is None else found[0]


def collect(
    plan: ExtractionPlan,
    reporter: ProgressReporter,
    ranks: Ranks | None = None,
    *,
    pool: DecodePool | None = None,
) -> tuple[dict[str, Any], ImageVectors | None] | None:
    """Do what `collect_payload` does, and return the vectors of single images too, if any."""
    with torch.inference_mode():
        extraction = _Extraction(plan, reporter, ranks or Ranks(), pool)
        extraction.run()
        payload = extraction.finish()
        return None if payload is None else (payload, extraction.describe_images())


class _Extraction:
    """One run: what is loaded, what has been counted, and the steps from one to the other."""

    def __init__(
        self,
        plan: ExtractionPlan,
        reporter: ProgressReporter,
        ranks: Ranks,
        pool: DecodePool | None,
    ) -> None:
        for notice in plan.notices:
            log.warning("%s", notice)
        self.plan, self.reporter, self.ranks = plan, reporter, ranks
        reporter.say("preparing", N_("loading the backbone"))
        device = choose_device(plan.request.device or "auto", ranks.local_rank)
        preparation = begin_preparation(plan, device) if will_fuse(plan, device) else None
        self.network = load_network(plan, device)
        if preparation is not None:
            preparation.network.result()
        self.data = self._open_images(plan_batch_size(plan, device), pool)
        self.proof = self._prove_adapter() if ranks.is_first else None
        self.watched: Tensor | None = ranks.share(self._choose_channels())
        self.keep = choose_images(
            plan.request.image_features or ("auto" if plan.request.extras else "0"),
            len(plan.images.entries),
            self.network.backbone.depth,
            self.network.backbone.embed_dim,
        )
        backbone = self.network.backbone
        check_room(
            self.keep,
            backbone.depth,
            backbone.embed_dim,
            free=free_memory(),
            share=ranks.world_size,
        )
        if preparation is not None:
            preparation.statistics.result()
        self.collector = self._new_collector()
        self.checkpoint = Checkpoint(
            plan.output, self._identify, ranks, plan.request.checkpoint_every
        )
        resumed = self.checkpoint.resume(self.collector) if plan.request.resume else None
        self.tally = resumed or Tally()

    def run(self) -> None:
        """Measure this rank's images that are not counted yet."""
        tally, reporter, ranks = self.tally, self.reporter, self.ranks
        share = self.data.count_images(ranks.rank, ranks.world_size)
        seen = tally.num_images + len(tally.skipped)
        if seen:
            log.info("resuming after %d images", seen)
        folder = BatchFolder(self.network, self.collector, self.plan.request.compile)
        reporter.begin(total=share, done=seen)
        start = time.perf_counter() - tally.seconds
        for batch in self.data.train_batches(tally.next_batch, ranks.rank, ranks.world_size):
            for index, reason in batch.failures:
                log.warning("skipped %s: %s", self.plan.images.entries[index].path, reason)
            counted = len(batch.indices) - len(batch.failures)
            if counted:
                folder.fold(batch, images_left=share - reporter.progress.done)
                tally.num_images += counted
                tally.num_batches += 1
            tally.skipped += batch.failures
            tally.cut_images += batch.cut
            tally.next_batch = int(batch.indices[-1]) // self.data.batch_size + 1
            tally.seconds = time.perf_counter() - start
            reporter.advance(len(batch.indices))
            if self.checkpoint.save_if_due(self.collector, tally):
                self._preview()
            if reporter.finish_early and reporter.progress.done < share:
                tally.notices.append(
                    f"Finished early, as asked: {reporter.progress.done} of {share} images."
                )
                break
        if self.network.device.type == "cuda":
            torch.cuda.synchronize(self.network.device)
        tally.seconds = time.perf_counter() - start
        tally.notices += folder.notices

    def finish(self) -> dict[str, Any] | None:
        """Merge all ranks into the payload; None on all but the first."""
        self.reporter.say("saving", N_("finishing the statistics"))
        gathered = self.ranks.gather((self.collector.state_dict(), self.tally))
        if gathered is None:
            return None
        for state, _ in gathered[1:]:
            other = self._new_collector()
            other.load_state_dict(state)
            self.collector.merge(other)
        tally = merge_tallies([tally for _, tally in gathered])
        if tally.num_images == 0:
            index, reason = tally.skipped[0]
            raise ImageError(
                f"{self.plan.images.entries[index].path}: {reason}. None of the "
                f"{len(tally.skipped)} images can be read; check data.root and the image files."
            )
        payload = self._build(tally)
        lost = payload["meta"]["run"]["nonfinite_tokens"]
        for warning in describe_outcome(tally, lost, self.proof):
            log.warning("%s", warning)
        return payload

    def describe_images(self) -> ImageVectors | None:
        """Return the kept vectors of all ranks, with what the CSV says of their images."""
        if not len(self.keep):
            return None
        places, vectors = self.collector.vectors().values()
        images = self.keep[places]
        entries = [self.plan.images.entries[index] for index in images.tolist()]
        columns = ImageColumns({}, {})
        if self.plan.request.targets and self.plan.settings.train_csv is not None:
            keys = [(entry.image_id, entry.relative) for entry in entries]
            columns = read_columns(self.plan.settings.train_csv, keys)
        norm = self.network.norm_parameters()
        weights = {
            "gamma": norm.gamma,
            "beta": norm.beta,
            "cls_gamma": norm.cls_gamma,
            "cls_beta": norm.cls_beta,
        }
        return ImageVectors(
            images.numpy(),
            vectors.numpy(),
            [entry.relative for entry in entries],
            columns.targets,
            columns.categories,
            {key: part.float().cpu().numpy() for key, part in weights.items() if part is not None},
        )

    def _build(self, tally: Tally) -> dict[str, Any]:
        statistics = self.collector.finalize(self.network.norm_parameters())
        return build_payload(
            self.plan,
            self.network,
            self.data,
            tally,
            statistics,
            proof=self.proof,
            world_size=self.ranks.world_size,
        )

    def _preview(self) -> None:
        """Write what has been counted so far as a payload of its own, if asked to."""
        preview, tally = self.plan.request.preview, self.tally
        if preview is None or not self.ranks.is_first or tally.num_images == 0:
            return
        sentence = f"Partial: {tally.num_images} images counted so far, the run goes on."
        try:
            save_payload(self._build(replace(tally, notices=[*tally.notices, sentence])), preview)
        except ConfigError as error:  # a full disk, say: no reason to lose the run
            log.warning("no preview: %s", error)

    def _open_images(self, batch_size: int, pool: DecodePool | None) -> PastureDataModule:
        plan, backbone = self.plan, self.network.backbone
        width, height = plan.settings.image_size
        backbone.patch_grid(height, width)  # refuses images smaller than a patch
        data = PastureDataModule(
            plan.settings,
            plan.images,
            batch_size=batch_size,
            num_workers=plan.request.num_workers,
            strict=plan.request.strict,
            pin_memory=self.network.device.type == "cuda",
            pool=pool,
        )
        for warning in data.warnings:
            log.warning("%s", warning)
        return data

    def _prove_adapter(self) -> list[float] | None:
        if not self.network.adapter.used_lora:
            return None
        self.reporter.say("preparing", N_("measuring what the adapter changes"))
        pixels = self.data.first_images(PROOF_IMAGES)
        return None if pixels is None else self.network.prove_adapter(pixels)

    def _choose_channels(self) -> Tensor | None:
        """Return the channels of each layer whose footprint is to be kept; the first rank does."""
        if not self.plan.request.extras or not self.ranks.is_first:
            return None
        self.reporter.say("preparing", N_("looking for the largest channels"))
        pixels = self.data.first_images(FOOTPRINT_IMAGES)
        if pixels is None:
            return None
        try:
            rows = min(self.data.batch_size, len(self.plan.images.entries))
            return self.network.find_largest_channels(pixels, FOOTPRINT_CHANNELS, rows)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise too_little_memory(self.network.device) from error
            raise

    def _new_collector(self) -> StatisticsCollector:
        backbone = self.network.backbone
        grid = backbone.patch_grid(*reversed(self.data.network_size))
        return StatisticsCollector(
            backbone.depth,
            backbone.embed_dim,
            backbone.n_storage_tokens,
            self.network.device,
            extras=self.plan.request.extras,
            image_groups=torch.tensor(self.plan.image_groups),
            keep=self.keep,
            watched=self.watched,
            grid=grid,
        )

    def _identify(self) -> dict[str, Any]:
        """Return what must be equal for an interrupted run to be continued."""
        settings, adapter = self.plan.settings, self.network.adapter
        return {
            "schema_version": SCHEMA_VERSION,
            "backbone": settings.backbone_name,
            "weights_sha256": self.network.weights.sha256,
            "adapter_sha256": adapter.sha256 if adapter.used_lora else None,
            "images": self.plan.images.fingerprint,
            "image_features": len(self.keep),
            "image_groups": hashlib.sha256(bytes(self.plan.image_groups)).hexdigest(),
            "image_size": list(settings.image_size),
            "normalization": [list(settings.mean), list(settings.std)],
            "precision": self.network.precision,
            "batch_size": self.data.batch_size,
            "extras": self.plan.request.extras,
        }
