"""Stage 4: refinement on the model's own rollouts.

Three forces on one model. (1) Flow matching on real chunks keeps what stage 2 learned. (2) Flow matching towards the
real chunk from a context that the model generated itself teaches it to recover from its own errors. (3) A discriminator
looks at chunks sampled with few steps, gradients running through the whole sampler, so that unseen areas are sampled
sharply instead of being averaged to fog.

The result is a mean of the weights before and after: between the two, sharpness of unseen areas trades smoothly
against PSNR of seen ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import softplus

from li_env.worlds.common.transformer import BlockCache
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel
from li_env.worlds.freedoom.sampler import sample_chunk
from li_env.worlds.freedoom.training import checkpoint
from li_env.worlds.freedoom.training.discriminator import Discriminator
from li_env.worlds.freedoom.training.dynamics import DynamicsStage, chunk_loss, compile_blocks, draw_window, flow_loss
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress, averaged, combine_gradients
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks
from li_env.worlds.freedoom.training.rollout import Grounding, chunk_cameras, chunk_context, roll_out, window_at
from li_env.worlds.freedoom.training.store import GROUP, LatentStore

BUDGETS: tuple[tuple[int, int], ...] = ((12, 8), (4, 4), (4, 8), (8, 4))
"""(recent, memory) budgets of the rollouts, drawn with equal chance."""

SCAN_BUDGETS: tuple[tuple[int, int, int], ...] = ((12, 0, 8), (12, 0, 8), (4, 0, 8), (8, 4, 8), (4, 0, 16))
"""(recent, memory, views) budgets of the rollouts in scanned places: half of all where there are scans."""


@dataclass(frozen=True)
class RefineStage:
    """Settings of the stage.

    ``adversarial_share``: size of the adversarial gradient relative to the flow-matching gradient. ``blend``: weight of
    the refined parameters in the result, the rest is the model that came in. ``blends``: other weights, measured at the
    end. Results with all of them lie on a straight line from the model that came in.
    """

    steps: int = 600
    max_seconds: float | None = None
    batch: int = 64
    chunks: int = 8
    muon_rate: float = 4e-4
    adam_rate: float = 2e-4
    judge_rate: float = 1e-4
    adversarial_share: float = 0.2
    warmup: int = 150
    smoothness: float = 1.0
    smoothness_noise: float = 0.05
    label: float = 0.0
    ema: float = 0.995
    blend: float = 0.55
    blends: tuple[float, ...] = ()
    measure_every: int = 150
    save_seconds: float = 120.0
    schedules: tuple[tuple[float, ...], ...] = ((1.0, 0.75, 0.5, 0.25, 0.0), (1.0, 0.25, 0.0))


@dataclass(frozen=True)
class OwnChunk:
    """A chunk of an own rollout: everything before it was generated, except the real start."""

    history: torch.Tensor
    real: torch.Tensor
    poses: torch.Tensor
    chunk: int
    budget: tuple[int, int]
    grounding: Grounding | None = None

    @property
    def known(self) -> torch.Tensor:
        """Whether the first latent of the chunk is given: bool [B, 1]."""
        return torch.full((len(self.real), 1), self.chunk == 0, device=self.real.device)

    @property
    def target(self) -> torch.Tensor:
        """The real latents of the chunk [B, T, n, C]."""
        return self.real[:, self.chunk * GROUP :]

    def cameras(self, model: DynamicsModel) -> Cameras:
        """Make the chunk's own cameras."""
        return chunk_cameras(model, self.poses, self.chunk)

    def context(self, model: DynamicsModel, label: float) -> list[BlockCache] | None:
        """Compute keys and values of the generated past and the views; None in a first chunk without views."""
        window = window_at(self.chunk, *self.budget)
        return chunk_context(model, self.history, self.poses, self.chunk, window, label, self.grounding)


def own_rollouts(
    model: DynamicsModel, store: LatentStore, stage: RefineStage, generator: torch.Generator, choice: torch.Generator
) -> OwnChunk:
    """Roll out a batch from real starts and pick the chunk to learn from."""
    device = store.device

    def pick(count: int) -> int:
        return int(torch.randint(count, (1,), generator=choice))

    chunk = pick(stage.chunks)
    real_chunks = pick(chunk + 1)
    (recent, memory), views = BUDGETS[pick(len(BUDGETS))], 0
    if store.has_views and pick(2):
        recent, memory, views = SCAN_BUDGETS[pick(len(SCAN_BUDGETS))]
    budget = recent, memory
    sigmas = stage.schedules[pick(len(stage.schedules))]
    length = (chunk + 1) * GROUP
    track = torch.randint(store.count, (stage.batch,), device=device, generator=generator)
    offset = torch.randint(store.length - length + 1, (stage.batch, 1), device=device, generator=generator)
    frames = offset + torch.arange(length, device=device)
    latents, poses = store.latents[track[:, None], frames], store.poses[track[:, None], frames]
    grounding = Grounding(store, track, offset[:, 0], views, generator) if views else None
    history = roll_out(
        model, latents[:, 0], poses, chunk, sigmas, generator, *budget, stage.label, latents, real_chunks, grounding
    )
    return OwnChunk(history, latents.float(), poses, chunk, budget, grounding)


def sample_last(
    model: DynamicsModel, own: OwnChunk, stage: RefineStage, sigmas: tuple[float, ...], generator: torch.Generator
) -> torch.Tensor:
    """Sample the chunk after an own history with gradients through all steps: [B, T, n, C]."""
    target = own.target
    noise = torch.randn(target.shape, device=target.device, generator=generator)
    known = target[:, :1] if own.chunk == 0 else None
    return sample_chunk(model, noise, known, sigmas, own.cameras(model), own.context(model, stage.label)).float()


def own_flow_loss(
    model: DynamicsModel, own: OwnChunk, stage: RefineStage, flow: DynamicsStage, generator: torch.Generator
) -> torch.Tensor:
    """Compute the flow-matching loss towards the real chunk from the generated context."""
    context = own.context(model, stage.label)
    return chunk_loss(model, own.target, own.cameras(model), context, own.known, flow, generator)[0]


def judge_loss(
    judge: nn.Module,
    real: torch.Tensor,
    fake: torch.Tensor,
    cameras: Cameras,
    stage: RefineStage,
    generator: torch.Generator,
) -> torch.Tensor:
    """Compute the relativistic logistic loss and a penalty on verdicts that change under small noise."""
    real_verdict, fake_verdict = judge(real, cameras), judge(fake, cameras)
    loss = softplus(fake_verdict - real_verdict).mean()
    penalty = torch.zeros((), device=real.device)
    for latents, verdict in ((real, real_verdict), (fake, fake_verdict)):
        noise = torch.randn(latents.shape, device=latents.device, generator=generator)
        shifted = latents + stage.smoothness_noise * noise
        penalty = penalty + (judge(shifted, cameras) - verdict).square().mean()
    return loss + stage.smoothness * penalty


def train_refine(
    model: DynamicsModel,
    store: LatentStore,
    stage: RefineStage,
    flow: DynamicsStage,
    log: Callable[[dict[str, float]], None],
    evaluate: Callable[[DynamicsModel], dict[str, float]],
    state_path: Path,
    seed: int = 1,
    ranks: Ranks = ALONE,
) -> DynamicsModel:
    """Refine in place and return ``model`` with averaged weights; continues from ``state_path`` if it exists."""
    device = store.device
    stage = replace(stage, batch=ranks.share(stage.batch))
    generator, choice = torch.Generator(device).manual_seed(ranks.seed(seed)), torch.Generator().manual_seed(seed)
    judge = Discriminator().to(device)
    optimizer = Optimizer(model, stage.muon_rate, stage.adam_rate, ranks=ranks)
    judge_optimizer = Optimizer(judge, None, stage.judge_rate, momentum=0.0, ranks=ranks)
    ema = Ema(model, stage.ema)
    before = [value.clone() for value in ema.values]
    progress = Progress(stage.steps, stage.max_seconds, ranks, device)
    if state_path.exists():
        state = checkpoint.load(state_path, str(device))
        model.load_state_dict(state["model"])
        judge.load_state_dict(state["judge"])
        ema.values, ema.updates = state["ema"], state["updates"]
        progress.resume(state["done"], state["seconds"])
        generator.manual_seed(ranks.seed(seed + progress.done))
        choice.manual_seed(seed + progress.done)
    next_save = progress.seconds + stage.save_seconds
    if device.type == "cuda":
        compile_blocks(model)
    parameters = list(model.parameters())
    ratio = torch.zeros((), device=device)
    while not progress.finished:
        amp = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
        # Each block of work has its own autocast scope: a scope keeps cast weights, and casts made without gradients
        # must not be reused where gradients are needed.
        # Without gradients every shape would be compiled once more: not worth it for a quarter of the work.
        with amp, torch.compiler.set_stance("force_eager"):
            own = own_rollouts(model, store, stage, generator, choice)
        with amp:
            window = draw_window(store.has_views, choice)
            loss = flow_loss(model, store.sample(window, stage.batch, generator), flow, generator)[0]
            own_loss = own_flow_loss(model, own, stage, flow, generator)
        (loss + own_loss).backward()
        sigmas = stage.schedules[int(torch.randint(len(stage.schedules), (1,), generator=choice))]
        with amp:
            fake = sample_last(model, own, stage, sigmas, generator)
        real, cameras = own.target, own.cameras(model)
        with amp:
            verdict_loss = judge_loss(judge, real, fake.detach(), cameras, stage, generator)
        verdict_loss.backward()
        judge_optimizer.step(progress.rate())
        gap = torch.zeros((), device=device)
        if progress.done >= stage.warmup:
            flow_gradients = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                parameter.grad = None
            with amp:
                real_verdict = judge(real, cameras).detach()
                fake_verdict = judge(fake, cameras)
                adversarial = softplus(real_verdict - fake_verdict).mean()
                gap = (real_verdict - fake_verdict).mean()
            adversarial.backward()
            judge_optimizer.clear()
            ratio = combine_gradients(parameters, flow_gradients, stage.adversarial_share)
        norm = optimizer.step(progress.rate())
        ema.update()
        progress.done += 1
        if progress.done % 100 == 0:
            log(
                {
                    "step": progress.done,
                    "flow": loss.item(),
                    "own_flow": own_loss.item(),
                    "judge": verdict_loss.item(),
                    "gap": gap.item(),
                    "ratio": ratio.item(),
                    "norm": norm.item(),
                    "chunk": own.chunk,
                    "fraction": progress.fraction,
                }
            )
        if ranks.first and progress.seconds > next_save:
            next_save = progress.seconds + stage.save_seconds
            checkpoint.save(
                state_path,
                {
                    "model": model.state_dict(),
                    "judge": judge.state_dict(),
                    "ema": ema.values,
                    "updates": ema.updates,
                    "done": progress.done,
                    "seconds": progress.seconds,
                },
            )
        if progress.done % stage.measure_every == 0:
            log({"step": progress.done} | averaged(model, ema, evaluate))
    refined = ema.values

    def blended(weight: float) -> dict[str, float]:
        ema.values = list(torch._foreach_lerp(before, refined, weight))
        ema.copy_to(model)
        return {"step": progress.done, "blend": weight} | evaluate(model)

    for weight in stage.blends:
        log(blended(weight))
    log(blended(stage.blend) | {"final": 1.0})
    return model
