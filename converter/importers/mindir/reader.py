"""Reads MindIR files: the only place that touches untrusted bytes before protobuf has parsed them.

A MindIR file is one serialised ModelProto. An encrypted one is a sequence of blocks, all integers
little-endian int32:

    AES-GCM: 0x7F3A5ED8 | tag[16] | length | iv_length | iv | cipher_length | cipher
    AES-CBC: 0x7F3A5ED9 |           length | iv_length | iv | cipher_length | cipher, PKCS#7 padded

where ``length`` counts what follows it. GCM takes the first 12 bytes of the iv as its nonce.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from google.protobuf.message import DecodeError

from converter.errors import DecryptError, SourceFileError, SourceFormatError, UsageError
from converter.importers.mindir.proto import Message, message_class
from converter.importers.mindir.wire import split_weights
from converter.importers.text import check_text

MAX_IR_VERSION = 3

_MODES = {0x7F3A5ED8: "AES-GCM", 0x7F3A5ED9: "AES-CBC", 0x7F3A5EDA: "SM4-CBC"}
_KINDS = {"mind_ir": "MindIR", "checkpoint": "checkpoint"}  # what a protobuf package describes
_TAG_BYTES = 16
_GCM_NONCE_BYTES = 12
_KEY_BYTES = (16, 24, 32)

Key = Union[str, bytes]


@dataclass(frozen=True)
class Decryption:
    """Key and mode of encrypted files; no key means that files must be plain."""

    key: bytes = b""
    mode: str = "AES-GCM"


def decryption(key: Key, mode: str) -> Decryption:
    """Checks what the user gave: 16, 24 or 32 bytes as bytes, as that many ASCII characters, or in hexadecimal.

    A string of twice as many hexadecimal digits is hexadecimal, as MindSpore Lite's --decryptKey wants it;
    32 hexadecimal digits therefore mean 16 bytes. Raises UsageError.
    """
    if mode not in ("AES-GCM", "AES-CBC"):
        raise UsageError(f"decryption mode '{mode}' is unknown: use AES-GCM or AES-CBC")
    if not key:
        return Decryption(mode=mode)
    raw = _key_bytes(key)
    if len(raw) not in _KEY_BYTES:
        raise UsageError(
            f"the decryption key has {len(raw)} bytes: AES keys have 16, 24 or 32 (twice that in hexadecimal)"
        )
    return Decryption(raw, mode)


def _key_bytes(key: Key) -> bytes:
    if isinstance(key, bytes):
        return key
    if len(key) in tuple(2 * n for n in _KEY_BYTES):
        try:
            return bytes.fromhex(key)
        except ValueError:
            pass  # not hexadecimal: 32 ASCII characters are a 256-bit key
    return key.encode()


def read_model(path: str | os.PathLike[str], decrypt: Decryption) -> tuple[Message, dict[str, memoryview]]:
    """The parsed model without its weights, and views of the weights in the file by parameter name.

    Raises SourceFileError, DecryptError or SourceFormatError.
    """
    skeleton, weights = split_weights(read_file(Path(path), decrypt))
    try:
        model = parse("ModelProto", skeleton, str(path))
    except SourceFormatError as error:
        if not decrypt.key:
            raise
        # A wrong key leaves valid CBC padding once in 256 times.
        raise DecryptError(f"{path}: the decryption key is wrong, or the file is damaged") from error
    if any(not info.name for info in model.graph.input):
        raise SourceFormatError(
            f"{path}: an input has no name: the file is damaged, or MindSpore 1.0 wrote it, whose format differs. "
            "Export the model again with a newer MindSpore"
        )
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise SourceFormatError(f"{path}: this is not a MindIR model (it holds no graph)")
    if not model.HasField("mind_ir_version") and re.match(r"[2-9]\.", model.model_version):
        # The last field of a file; without it the file would pass for one of an older MindSpore.
        raise SourceFormatError(f"{path}: the file is truncated: its last field, the MindIR version, is missing")
    if not 0 <= model.mind_ir_version <= MAX_IR_VERSION:
        raise SourceFormatError(
            f"{path}: MindIR version {model.mind_ir_version} is newer than version {MAX_IR_VERSION}, "
            "the newest this converter knows: update it, or export with MindSpore 2.10 or older"
        )
    if model.HasField("little_endian") and not model.little_endian:
        raise SourceFormatError(f"{path}: the weights are big-endian: export the model on a little-endian machine")
    named = zip(model.graph.parameter, weights)
    return model, {parameter.name: data for parameter, data in named if data is not None}


def read_file(path: Path, decrypt: Decryption) -> memoryview:
    """A file's bytes, decrypted when a key is given. Plain files are mapped, not read."""
    data = map_file(path)
    if not data:
        raise SourceFormatError(f"{path}: the file is empty")
    mode = _MODES.get(int.from_bytes(data[:4], "little"))
    if mode is None:
        if decrypt.key:
            raise DecryptError(f"{path}: the file is not encrypted, but a decryption key was given")
        return data
    if not decrypt.key:
        raise DecryptError(f"{path}: the model is encrypted ({mode}): give its key (--decryptKey)")
    if mode != decrypt.mode:
        raise DecryptError(f"{path}: the model is encrypted with {mode}, not {decrypt.mode} (--decryptMode)")
    return memoryview(_decrypted(data, path, decrypt))


def map_file(path: Path) -> memoryview:
    """A read-only map of a file (empty files: no bytes). Raises SourceFileError naming it."""
    try:
        if path.is_dir():
            raise SourceFileError(f"{path}: this is a folder, not a file")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceFileError(f"{path}: cannot read the file: {reason}") from error


def parse(message: str, data: bytes | memoryview, path: str, package: str = "mind_ir") -> Message:
    """Parses a message; anything protobuf rejects is a SourceFormatError."""
    try:
        parsed = message_class(message, package).FromString(bytes(data))
        check_text(parsed)
        return parsed
    except (DecodeError, ValueError) as error:
        raise SourceFormatError(
            f"{path}: this is not a {_KINDS[package]} file, or it is truncated or damaged ({error})"
        ) from error


def _decrypted(data: memoryview, path: Path, decrypt: Decryption) -> bytes:
    plain = bytearray()
    position = 0
    while position < len(data):
        block = _Block(data, position, path)
        plain += block.decrypt(decrypt)
        position = block.end
    return bytes(plain)


class _Block:
    """One encrypted block of a file; every length is checked against the file's size."""

    def __init__(self, data: memoryview, start: int, path: Path) -> None:
        self._data, self._at, self._path = data, start, path
        self.mode = _MODES.get(self._int())
        if self.mode not in ("AES-GCM", "AES-CBC"):
            raise self._damaged("an unknown block type")
        self.tag = self._bytes(_TAG_BYTES) if self.mode == "AES-GCM" else b""
        length = self._int()
        self.end = self._at + length
        self.iv = self._bytes(self._int())
        self.cipher = self._bytes(self._int())
        if self._at != self.end or not self.cipher:
            raise self._damaged("lengths that contradict each other")
        if len(self.iv) != 16:
            raise self._damaged(f"an initialisation vector of {len(self.iv)} bytes instead of 16")

    def decrypt(self, decrypt: Decryption) -> bytes:
        # Imported here: it takes a while, and most models are not encrypted.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives import padding
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        wrong = DecryptError(f"{self._path}: the decryption key is wrong, or the file is damaged")
        if self.mode != decrypt.mode:
            raise self._damaged("blocks of different modes")
        if self.mode == "AES-GCM":
            try:
                return AESGCM(decrypt.key).decrypt(self.iv[:_GCM_NONCE_BYTES], self.cipher + self.tag, None)
            except InvalidTag:
                raise wrong from None
        try:
            decryptor = Cipher(algorithms.AES(decrypt.key), modes.CBC(self.iv)).decryptor()
            padded = decryptor.update(self.cipher) + decryptor.finalize()
            unpadder = padding.PKCS7(128).unpadder()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise wrong from None

    def _int(self) -> int:
        value: int = struct.unpack("<i", self._bytes(4))[0]
        return value

    def _bytes(self, count: int) -> bytes:
        if count < 0 or count > len(self._data) - self._at:
            raise self._damaged("a block that reaches past its end")
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def _damaged(self, what: str) -> SourceFormatError:
        return SourceFormatError(f"{self._path}: the encrypted file is truncated or damaged: it has {what}")
