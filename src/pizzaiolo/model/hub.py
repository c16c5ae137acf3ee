"""Weights that others published: from the hub, or from what it left on this disk."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from ..errors import WorkError
from .embedded import EMBEDDED
from .torchvision_fix import timm

OFFLINE_CHOICES = (*EMBEDDED, "cnn")
PLAIN, SAFE = "pytorch_model.bin", "model.safetensors"


def fetch(name: str, options: Mapping[str, Any]) -> nn.Module:
    """A network with weights from the hub or from its cache on this disk.

    `options` are those of timm's `create_model`. Raises `WorkError` where the weights can't be had
    or are damaged.
    """
    try:
        with _hub_or_cache():
            network: nn.Module = timm().create_model(name, pretrained=True, **options)
    except (TypeError, AssertionError):  # of the architecture, which does not know its options
        raise
    except Exception as error:  # the hub's client raises many kinds when it is out of reach
        reason = shorten(str(error), 120, placeholder=" ...") or type(error).__name__
        raise _unavailable(name, reason) from None
    return network


def _unavailable(name: str, reason: str) -> WorkError:
    here = weights_file(name)
    if here is not None:
        return WorkError(
            f"the weights of {name!r} on this disk can't be used: {reason}",
            hint=f"delete {here} and they will be downloaded again",
            code="weights_unavailable",
        )
    return WorkError(
        f"the weights of {name!r} are not on this disk and can't be fetched: {reason}",
        hint=f"offline there are {', '.join(OFFLINE_CHOICES)}; or --weights FILE, --no-pretrained",
        code="weights_unavailable",
    )


def weights_file(name: str) -> Path | None:
    """The file of these published weights on this disk, where it was fetched before."""
    from huggingface_hub import try_to_load_from_cache

    config = timm().get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        return None
    if not config.hf_hub_id:
        file = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(config.url).path))
        return file if file.is_file() else None
    repository, _, revision = config.hf_hub_id.partition("@")
    plain = config.hf_hub_filename or PLAIN
    for choice in (plain.replace(PLAIN, SAFE), plain):  # as timm prefers them
        found = try_to_load_from_cache(repository, choice, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


@contextmanager
def _hub_or_cache() -> Iterator[None]:
    """Leave the hub's client to its cache where the hub is out of reach: it retries a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(address: str, timeout: float = 4.0) -> bool:
    request = urllib.request.Request(address, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except urllib.error.HTTPError as answer:  # an answer all the same
        answer.close()
    except OSError:
        return False
    return True
