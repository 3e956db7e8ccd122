"""Seals on folders: the size and the digest of every file in them, by which a reader checks them.

TensorFlow checks weights when it loads them, but takes a graph whose constants have changed for another graph.
"""

import hashlib
import json
import os
from collections.abc import Iterator

import tensorflow as tf

from events.shards import DamageError

SEAL = "seal.json"
IN_MODEL = "assets.extra/seal.json"  # of a SavedModel, where TF Serving and the model's identity leave it alone
BLOCK_BYTES = 1 << 20


def seal(folder: str, name: str = SEAL) -> None:
    """Writes down what is in a folder.

    Args:
      folder: on any file system that TensorFlow knows; complete.
      name: of the seal in it.
    """
    files = {path: list(_describe(os.path.join(folder, path))) for path in _walk(folder) if path != name}
    path = os.path.join(folder, name)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        json.dump(files, file)


def check_seal(folder: str, name: str = SEAL, artifact: str = "") -> None:
    """Checks that a folder is there and, if it was sealed, what is in it unchanged.

    Args:
      folder: with the seal.
      name: of the seal in it.
      artifact: the folder to delete if it is not; the same if empty.

    Raises:
      DamageError: it is not.
    """
    if fault := find_fault(folder, name):
        artifact = artifact or folder
        remedy = f"Delete the folder {artifact} and run" if tf.io.gfile.exists(artifact) else "Run"
        raise DamageError(f"What a stage made must be as it was written. Received: {fault}. {remedy} again.")


def find_fault(folder: str, name: str = SEAL) -> str:
    """The first thing that is not as it was sealed; empty if there is none, or no seal."""
    return next(_faults(folder, os.path.join(folder, name)), "")


def _faults(folder: str, seal_path: str) -> Iterator[str]:
    if not tf.io.gfile.isdir(folder):
        yield f"no folder {folder}"
    if not tf.io.gfile.exists(seal_path):
        return
    try:
        with tf.io.gfile.GFile(seal_path) as file:
            sealed = {os.path.join(folder, path): tuple(written) for path, written in json.load(file).items()}
    except (ValueError, TypeError, AttributeError, tf.errors.OpError):
        yield f"no list of files in {seal_path}"
        return
    for path, written in sealed.items():
        if not tf.io.gfile.exists(path):
            yield f"no file {path}"
        elif _describe(path) != written:
            yield f"other content in {path}"


def _walk(folder: str) -> Iterator[str]:
    """The paths of all files below a folder, relative to it."""
    for inside, _, names in tf.io.gfile.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(inside, name), folder)


def _describe(path: str) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    digest, n_bytes = hashlib.sha256(), 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            n_bytes += len(block)
    return n_bytes, digest.hexdigest()
