"""Llama inference with a pure-C core.

    import llama2py

    with llama2py.Llama() as llama:  # or Llama("stories15M.bin")
        for chunk in llama.stream("Once upon a time", temperature=0.8):
            print(chunk, end="", flush=True)

Any number of threads gives the same text for the same seed, and so does any machine.
"""

from llama2py._core import cpu_count, version
from llama2py.box import model_in_the_box
from llama2py.convert import convert
from llama2py.errors import (
    CancelledError,
    CheckpointError,
    ClosedError,
    ContextOverflowError,
    DeviceError,
    FileError,
    FileMissingError,
    HubError,
    HubMissingError,
    InsufficientMemoryError,
    InvalidArgumentError,
    Llama2Error,
    NumericError,
    PackageMissingError,
    TargetExistsError,
    TextError,
    TokenizerError,
)
from llama2py.hub import Pulled, pull
from llama2py.info import (
    ArrayInfo,
    Contents,
    EngineState,
    ModelInfo,
    Plan,
    TensorInfo,
    TypeTotal,
    VocabularyInfo,
    describe,
    inspect,
    plan,
)
from llama2py.limits import Limits, measure_limits
from llama2py.llama import Llama, generate
from llama2py.perplexity import Perplexity, perplexity
from llama2py.quantize import QUANTIZE_TYPES, QuantizedTensor, QuantizeResult, quantize
from llama2py.result import Chunk, FinishReason, Result
from llama2py.session import Session
from llama2py.stream import Stream
from llama2py.tokenizer import Tokenizer

__all__ = [
    "QUANTIZE_TYPES",
    "ArrayInfo",
    "CancelledError",
    "CheckpointError",
    "Chunk",
    "ClosedError",
    "Contents",
    "ContextOverflowError",
    "DeviceError",
    "EngineState",
    "FileError",
    "FileMissingError",
    "FinishReason",
    "HubError",
    "HubMissingError",
    "InsufficientMemoryError",
    "InvalidArgumentError",
    "Limits",
    "Llama",
    "Llama2Error",
    "ModelInfo",
    "NumericError",
    "PackageMissingError",
    "Perplexity",
    "Plan",
    "Pulled",
    "QuantizeResult",
    "QuantizedTensor",
    "Result",
    "Session",
    "Stream",
    "TargetExistsError",
    "TensorInfo",
    "TextError",
    "Tokenizer",
    "TokenizerError",
    "TypeTotal",
    "VocabularyInfo",
    "__version__",
    "convert",
    "cpu_count",
    "describe",
    "generate",
    "inspect",
    "measure_limits",
    "model_in_the_box",
    "perplexity",
    "plan",
    "pull",
    "quantize",
]

__version__ = version()
