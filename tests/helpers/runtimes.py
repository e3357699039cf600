"""Every runtime and precision by its name, and a judge that knows them all."""

from pathlib import Path

from optimize.judge import Judge
from optimize.precision import FP32
from optimize.quant.bf16 import Bf16
from optimize.quant.fp16 import Fp16
from optimize.quant.int8 import Int8
from optimize.runtime.litert import LiteRT
from optimize.runtime.ncnn import Ncnn
from optimize.runtime.onnxruntime import OnnxRuntime
from optimize.runtime.openvino import OpenVino
from optimize.runtime.tensorrt import TensorRT
from optimize.runtime.torch import Torch

ALL = {one.info.name: one for one in (Torch(), OnnxRuntime(), OpenVino(), TensorRT(), Ncnn(), LiteRT())}
PRECISIONS = {one.name: one for one in (FP32, Bf16.precision, Fp16.precision, Int8.precision)}
JUDGE = Judge(data=None, runtimes=tuple(ALL.values()), store=Path("store"), threads=1, rounds=1, seed=0)
