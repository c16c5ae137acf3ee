"""What the graph in a .ts or .pt2 file may do: arithmetic on tensors, by names on a list.

PyTorch has operators that read and write files, and a file's graph could name them. What is not
listed here is refused before PyTorch is given the file.
"""

from __future__ import annotations

from ..errors import ModelFileError

# Of the namespace `aten`. None takes a path or leaves anything behind; those that work in place
# (`relu_`) go by the name without the underscore at its end.
_NAMES = """
abs absolute acos acosh adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d
adaptive_max_pool1d adaptive_max_pool2d add addbmm addcdiv addcmul addmm addmv
affine_grid_generator alias all alpha_dropout amax amin aminmax __and__ any arange argmax argmin
argsort asin asinh _assert_tensor_metadata atan atan2 atanh avg_pool1d avg_pool2d baddbmm
batch_norm bitwise_and bitwise_not bitwise_or bitwise_xor blackman_window bmm broadcast_tensors
broadcast_to cat cdist ceil celu channel_shuffle chunk clamp clamp_max clamp_min clip clone concat
concatenate constant_pad_nd __contains__ contiguous conv1d conv2d conv_transpose1d
conv_transpose2d _convolution convolution copy cos cosh cosine_similarity count_nonzero cross
cummax cummin cumprod cumsum deg2rad detach diag diag_embed diagonal diff dim div divide dot
dropout einsum elu embedding eq erf erfc erfinv exp exp2 expand expand_as expm1 eye
feature_dropout fill flatten flip fliplr flipud FloatImplicit floor floor_divide floordiv fmax
fmin fmod frac frobenius_norm full full_like gather ge geglu gelu ger __getitem__ glu grid_sampler
grid_sampler_2d group_norm gt hamming_window hann_window hardshrink hardsigmoid hardswish hardtanh
im2col index index_add index_copy index_fill index_put index_select inner instance_norm
IntImplicit isclose isfinite isinf isnan item kron layer_norm le leaky_relu lerp lift_fresh
lift_fresh_copy linalg_inv linalg_norm linalg_solve linalg_vector_norm linear linspace log log10
log1p log2 log_sigmoid _log_softmax log_softmax logaddexp logcumsumexp logical_and logical_not
logical_or logical_xor logit logsumexp lt masked_fill masked_select matmul max max_pool1d
max_pool2d maximum mean median meshgrid min minimum mish mm moveaxis movedim mul multiply mv
nan_to_num narrow native_batch_norm _native_batch_norm_legit_no_training native_group_norm
native_layer_norm _native_multi_head_attention ne neg negative new_full new_ones new_zeros nonzero
norm normalize numel numpy_T one_hot ones ones_like __or__ outer pad permute pixel_shuffle
pixel_unshuffle polar positive pow prelu prod rad2deg real reciprocal reflection_pad1d
reflection_pad2d relu relu6 remainder repeat repeat_interleave replication_pad1d replication_pad2d
reshape reshape_as rms_norm roll rot90 round rsqrt rsub _safe_softmax scalar_tensor ScalarImplicit
scaled_dot_product_attention scatter scatter_add select selu sgn sigmoid sign silu sin sinc sinh
size slice _softmax softmax softmin softplus softshrink softsign sort split split_with_sizes sqrt
square squeeze stack std std_mean sub subtract sum swapaxes swapdims sym_numel sym_size t take
take_along_dim tan tanh tensor tensor_split tensordot threshold tile to _to_copy topk trace
_transformer_encoder_layer_fwd transpose tril triu true_divide trunc type_as unbind unflatten
unfold unsafe_chunk unsafe_split _unsafe_view unsqueeze upsample_bicubic2d _upsample_bicubic2d_aa
upsample_bilinear2d _upsample_bilinear2d_aa upsample_nearest1d upsample_nearest2d var var_mean
vdot view view_as where xlogy zeros zeros_like
"""
OPERATORS = frozenset(_NAMES.split())
# Of Python's own module `operator`, on sizes
_SIZES = "add sub mul floordiv truediv mod neg pow getitem eq ne lt le gt ge"
ON_SIZES = frozenset(_SIZES.split())


def is_known(name: str) -> bool:
    """Whether an operator of `aten`, without its overload, is on the list."""
    return name in OPERATORS or (name.endswith("_") and name[:-1] in OPERATORS)


def unknown(name: str) -> ModelFileError:
    """The error for an operator that is not on the list."""
    return ModelFileError(
        f"its graph calls {name[:100]}, which is not among the operators that are safe to run",
        hint="export it as .onnx, which needs no such list",
    )
