"""Which inputs of a primitive are attributes: one form for both dialects of MindIR.

MindSpore 2.0 keeps most parameters of an operator as attributes of its primitive and passes the rest as
trailing constant inputs; MindSpore 2.10 passes nearly all of them as trailing inputs. Each line below names
the data operands of a primitive and, after the bar, the inputs that are parameters, in order. ``split``
turns both dialects into operands and named attributes.

Primitives that are not listed have operands only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converter.importers.mindir.memory import IN_PLACE

_TABLE = """
AdaptiveAvgPool2D: x | output_size
AdaptiveAvgPool2DExt: x | output_size
AdaptiveMaxPool2D: x | output_size
AddExt: x y | alpha
AddLayerNorm: x y gamma beta | epsilon
AddScalar: x y | alpha
Arange: | start end step dtype
ArgMaxExt: x | axis keep_dims
ArgMinExt: x | axis keep_dims
ArgMaxWithValue: x | axis keep_dims
ArgMinWithValue: x | axis keep_dims
Argmax: x | axis output_type
Argmin: x | axis output_type
AvgPool2D: x | kernel_size strides padding ceil_mode count_include_pad divisor_override
AvgPool: x | kernel_size strides pad_mode format
BatchMatMul: x y | transpose_a transpose_b
BatchNorm: x scale bias mean variance | is_training epsilon momentum format
BatchNormExt: x scale bias mean variance | is_training momentum epsilon
BiasAdd: x bias | format
BroadcastTo: x | shape
Cast: x | dtype
CeLU: x | alpha
Chunk: x | chunks axis
ClampScalar: x | min max
Concat: tensors | axis
ConstantPadND: x | padding value
Conv1DExt: x weight bias | stride padding dilation groups
Conv2DExt: x weight bias | stride padding dilation groups
Convolution: x weight bias | stride padding dilation transposed output_padding groups
ConvolutionStr: x weight bias | stride padding dilation transposed output_padding groups
Conv2DPadding: x weight bias | stride padding dilation groups
Conv2DTranspose: x weight | input_size
Conv2DBackpropInput: x weight | input_size
CumSum: x | axis exclusive reverse
CumsumExt: x | axis dtype
Dropout: x | keep_prob Seed0 Seed1
DropoutExt: x | p seed offset
Elu: x | alpha
EluExt: x | alpha
Embedding: indices weight | padding_idx max_norm norm_type scale_grad_by_freq
ExpandDims: x | axis
Fill: | dtype shape value
FillV2: | shape value
FillScalar: | shape value dtype
Flatten: x
FlattenExt: x | start_dim end_dim
Gather: x indices | axis batch_dims
GatherD: x | axis index
GeluExt: x | approximate
GLU: x | axis
GroupNorm: x | num_groups gamma beta epsilon
HShrink: x | lambd
Hardtanh: x | min_val max_val
InplaceCopy: x y | non_blocking
IndexSelect: x | axis index
L2Normalize: x | axis epsilon
LayerNorm: x gamma beta | begin_norm_axis begin_params_axis epsilon
LayerNormExt: x | normalized_shape gamma beta epsilon
LeakyReLUExt: x | alpha
LogSoftmax: x | axis
LogSoftmaxExt: x | axis dtype
LpNorm: x | axis p keep_dims epsilon
LpNormV2: x | p axis keep_dims epsilon
MatMul: x y | transpose_a transpose_b
MaxDim: x | axis keep_dims
MaxPoolWithIndices: x | kernel_size strides pads dilation ceil_mode argmax_type
MaxPoolWithMask: x | kernel_size strides pads dilation ceil_mode argmax_type
MeanExt: x | axis keep_dims dtype
MinDim: x | axis keep_dims
Meshgrid: tensors | indexing
MirrorPad: x | paddings
Narrow: x | axis start length
Ones: | shape dtype
OneHot: x | depth on_value off_value axis
OneHotExt: x | depth on_value off_value axis
PadV3: x | paddings constant_value
PixelShuffle: x | upscale_factor
PowScalarTensor: x y
ProdExt: x | axis keep_dims dtype
Range: | start limit delta maxlen
ReduceAll: x | axis keep_dims
ReduceAny: x | axis keep_dims
ReduceMax: x | axis keep_dims
ReduceMean: x | axis keep_dims
ReduceMin: x | axis keep_dims
ReduceProd: x | axis keep_dims
ReduceSum: x | axis keep_dims skip_mode
ReflectionPad2D: x | padding
Reshape: x | shape
ResizeBilinear: x | size align_corners half_pixel_centers
ResizeBilinearV2: x | size align_corners half_pixel_centers
ResizeNearestNeighbor: x | size align_corners half_pixel_centers
ResizeNearestNeighborV2: x | size align_corners half_pixel_centers
ReduceStd: x | axis unbiased keep_dims
ReverseV2: x | axis
RmsNorm: x gamma | epsilon
Round: x | decimals
ScalarToTensor: x | dtype
SelectExtView: x | axis index
Slice: x | begin size
SliceExt: x | axis start end step
Softmax: x | axis
SoftplusExt: x | beta threshold
SoftShrink: x | lambd
Split: x | axis output_num
SplitTensor: x | split_size axis
SplitWithSize: x | split_size axis
Squeeze: x | axis
StackExt: tensors | axis
StridedSlice: x | begin end strides begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask
SubExt: x y | alpha
SubScalar: x y | alpha
SumExt: x | axis keep_dims dtype
Swiglu: x | axis
Tile: x | multiples
TopK: x | k
TopkExt: x | k axis largest sorted
Transpose: x | perm
TransposeExtView: x | dim0 dim1
Tril: x | diagonal
Triu: x | diagonal
TupleToTensor: x | dtype
UnstackExtView: x | axis
UpsampleBilinear2D: x | size scales align_corners
UpsampleNearest2D: x | size scales
Zeros: | shape dtype
"""

# Names that changed between versions, to the one that the tables of this package use.
_RENAMED: dict[str, dict[str, str]] = {
    "": {"data_format": "format", "dst_type": "dtype", "DstT": "dtype"},
    "MaxPool": {"ksize": "kernel_size", "padding": "pad_mode"},
    "AvgPool": {"ksize": "kernel_size", "padding": "pad_mode"},
    "MaxPoolWithArgmax": {"ksize": "kernel_size", "padding": "pad_mode"},
    "MaxPool3DWithArgmax": {"ksize": "kernel_size"},
    "Conv3D": {"group": "groups"},
    "Unstack": {"num": "output_num"},
}

# The same operator under the name of an older or newer version.
_SYNONYMS = {
    **IN_PLACE,
    "Adds": "AddScalar",
    "Depthwise": "DepthwiseConv2dNative",
    "Elementwise": "Eltwise",
    "Gelu": "GeLU",
    "GatherV2": "Gather",
    "LayerNormV3": "LayerNorm",
    "MakeList": "MakeTuple",
    "make_list": "MakeTuple",
    "make_tuple": "MakeTuple",
    "ListGetItem": "TupleGetItem",
    "list_getitem": "TupleGetItem",
    "tuple_getitem": "TupleGetItem",
    "MishExt": "Mish",
    "ReLUV2": "ReLU",
    "ReLUV3": "ReLU",
    "TensorAdd": "Add",
    "BroadcastToView": "BroadcastTo",
    "DynamicBroadcastTo": "BroadcastTo",
    "ChunkView": "Chunk",
    "TransposeView": "Transpose",
    "SliceExtView": "SliceExt",
    "NarrowView": "Narrow",
    "SplitTensorView": "SplitTensor",
    "SplitWithSizeView": "SplitWithSize",
    "ExpandDimsView": "ExpandDims",
    "View": "Reshape",
    "TrilExt": "Tril",
    "EqualExt": "Equal",
    "BatchMatMulExt": "MatMulExt",
    "Mm": "MatMulExt",
}


def _parsed() -> dict[str, tuple[int, tuple[str, ...]]]:
    table = {}
    for line in _TABLE.split("\n"):
        op, colon, rest = line.partition(":")
        if colon:
            operands, _, attributes = rest.partition("|")
            table[op] = (len(operands.split()), tuple(attributes.split()))
    return table


_SIGNATURES = _parsed()


def canonical(op: str) -> str:
    """The name of a primitive that this package's tables use."""
    return _SYNONYMS.get(op, op)


def split(op: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Operands and named attributes of a node, the same for every dialect.

    ``op`` is canonical. Inputs beyond those a primitive can have stay operands (its function then complains).
    """
    renamed = {**_RENAMED[""], **_RENAMED.get(op, {})}
    named = {renamed.get(key, key): value for key, value in attributes.items()}
    if op not in _SIGNATURES:
        return list(inputs), named
    count, names = _SIGNATURES[op]
    parameters = inputs[count:]
    named.update(zip(names, parameters))
    return [*inputs[:count], *parameters[len(names) :]], named
