"""What can go wrong, as exceptions with fields. Every one of them is a Llama2Error."""

from __future__ import annotations

__all__ = [
    "CancelledError",
    "CheckpointError",
    "ClosedError",
    "ContextOverflowError",
    "DeviceError",
    "FileError",
    "FileMissingError",
    "HubError",
    "HubMissingError",
    "InsufficientMemoryError",
    "InvalidArgumentError",
    "Llama2Error",
    "NumericError",
    "PackageMissingError",
    "TargetExistsError",
    "TextError",
    "TokenizerError",
]


class Llama2Error(Exception):
    """The base of them all.

    status: the C core's pinned number for this kind of failure; 0 where the core has no part in it.
    message: one line that says what was wrong, where, what was found and what was expected.
    """

    status: int = 0

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ClosedError(Llama2Error):
    """The object was closed; make a new one."""


class InvalidArgumentError(Llama2Error, ValueError):
    """An argument is out of its range."""

    status = 1


class FileError(Llama2Error, OSError):
    """A file cannot be opened, read or written."""

    status = 2


class FileMissingError(FileError, FileNotFoundError):
    """There is no such file."""


class TargetExistsError(FileError, FileExistsError):
    """There is a file of that name already, and it was not asked to replace it."""


class HubError(FileError):
    """What is on the Hugging Face Hub cannot be had: no network, no right to it, no room for it."""


class HubMissingError(HubError, FileMissingError):
    """The Hub has no such repository, revision or file."""


class CheckpointError(Llama2Error):
    """A checkpoint is damaged, or not of a known format."""

    status = 3


class TokenizerError(Llama2Error):
    """A tokenizer is damaged, missing, or of another vocabulary than the model's."""

    status = 4


class TextError(Llama2Error, ValueError):
    """A text cannot be written as UTF-8."""

    status = 5


class _SizedError(Llama2Error):
    def __init__(self, message: str, required: int = 0, available: int = 0) -> None:
        super().__init__(message)
        self.required = required
        self.available = available


class InsufficientMemoryError(_SizedError, MemoryError):
    """The memory that is free does not suffice; `required` and `available` are bytes."""

    status = 6


class ContextOverflowError(_SizedError):
    """More tokens than the context holds; `required` and `available` are tokens."""

    status = 7


class CancelledError(Llama2Error):
    """The computation was ended from outside, by close() in another thread."""

    status = 8


class DeviceError(Llama2Error):
    """The instruction set that was asked for is not known or not there."""

    status = 9


class NumericError(Llama2Error):
    """The model gave logits, or has weights, that are not finite numbers."""

    status = 10


class PackageMissingError(Llama2Error, ImportError):
    """What was asked for takes a package that is not installed; the message says which."""
