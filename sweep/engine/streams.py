"""The random streams of a trial: every draw comes from its seed, its purpose and its epoch, and from nothing else."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A CPU generator at the start of the stream. purpose: "init", "order", "dropout" or "labels"; epoch: from 1."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
