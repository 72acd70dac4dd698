"""Imports MindIR files of mind_ir_version 0 to 3."""

from __future__ import annotations

import os
from pathlib import Path

from converter.errors import Problem, SourceFormatError, UnsupportedError
from converter.importers.mindir.build import Builder
from converter.importers.mindir.checkpoint import read_checkpoint
from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.program import index, undefined_names
from converter.importers.mindir.reader import Key, decryption, read_model
from converter.importers.mindir.tensors import TensorStore, separate_parameters
from converter.ir.graph import Model

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    decrypt_key: Key = "",
    decrypt_mode: str = "AES-GCM",
    weight_file: str | os.PathLike[str] = "",
    allow_custom: bool = False,
) -> Model:
    """Reads a MindIR file into the converter's graph.

    Args:
        path: the ``.mindir`` file; ``<name>_graph.mindir`` when its weights lie in ``<name>_variables/``.
        decrypt_key: key of an encrypted file: 16, 24 or 32 bytes, or those in hexadecimal.
        decrypt_mode: "AES-GCM" or "AES-CBC".
        weight_file: the folder with the weights of a split model, or a file in it, where it was moved; or a
            checkpoint (``.ckpt``) whose values replace those of the model's parameters of the same names.
        allow_custom: make Custom nodes, where that is possible, of those that cannot be translated.

    Raises UnsupportedError listing every node that cannot be translated, SourceFileError, SourceFormatError,
    DecryptError or UsageError.
    """
    source = Path(path)
    decrypt = decryption(decrypt_key, decrypt_mode)
    model, raw = read_model(source, decrypt)
    checkpoint = Path(weight_file) if os.fspath(weight_file).endswith(".ckpt") else None
    weights = None if checkpoint else _weights_folder(weight_file)
    try:
        parameters = separate_parameters(source, decrypt, weights) if undefined_names(model) else []
        program = index(model, raw, parameters, TensorStore(source, decrypt, weights))
        kept = program.replace_weights(read_checkpoint(checkpoint)) if checkpoint else []
        result = Builder(program, str(source), allow_custom).model()
        if kept:
            result.notes.append(f"{checkpoint} has no value for {', '.join(kept)}: the model's own are kept")
        return result
    except Malformed as fault:
        raise SourceFormatError(f"{source}: {fault}") from None
    except Refusal as refusal:
        problem = Problem("", "model", refusal.reason, refusal.attribute, refusal.suggestion)
        raise UnsupportedError(str(source), [problem]) from None
    except UnicodeDecodeError as error:
        raise SourceFormatError(
            f"{source}: a name in the model is not valid text ({error.reason}): it is damaged"
        ) from None


def _weights_folder(weight_file: str | os.PathLike[str]) -> Path | None:
    if not os.fspath(weight_file):
        return None
    path = Path(weight_file)
    return path if path.is_dir() else path.parent
