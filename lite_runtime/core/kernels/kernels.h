// The table of vectorised inner loops. One implementation per instruction-set tier (see tiers.h);
// kernels() returns the table chosen for this CPU. Everything else in the engine is portable C++.
//
// All pointers may be unaligned unless stated. Kernels never read or write outside the stated ranges.
// In-place use (y == x) is allowed where the contract says so.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lr {

// Element-wise float functions y[i] = f(x[i]; a, b); y may equal x. Their errors are stated in unary.cc and
// activation.cc.
// Those whose name does not say all:
//   round      half to even
//   gelu       with erf; gelu_tanh is the approximation with tanh
//   clamp      min(max(x, a), b); NaN stays
//   leaky_relu x < 0 ? a * x : x
//   elu        x < 0 ? a * (e^x - 1) : x
//   affine     a * x + b
// clang-format off
#define LR_ACTIVATION_KERNELS(X) \
  X(exp) X(erf) X(tanh) X(sigmoid) X(swish) X(gelu) X(gelu_tanh) X(hswish) X(hsigmoid) X(clamp) X(leaky_relu)
#define LR_UNARY_KERNELS(X) \
  X(abs) X(neg) X(sign) X(square) X(sqrt) X(rsqrt) X(reciprocal) X(floor) X(ceil) X(round) \
  X(log) X(sin) X(cos) X(softplus) X(softsign) X(mish) X(elu) X(affine) \
  LR_ACTIVATION_KERNELS(X)
// clang-format on

// Element-wise float functions of two arrays; z may equal x or y; NaN in either operand gives NaN.
// Each exists as vv (both arrays), vs (y is one value) and sv (x is one value).
#define LR_BINARY_KERNELS(X) X(add) X(sub) X(mul) X(div) X(max) X(min) X(squared_difference)

// Reductions of n contiguous floats to one. max and min: NaN if there is one; -inf and +inf for n = 0.
#define LR_REDUCE_KERNELS(X) X(sum) X(max) X(min) X(sum_square) X(sum_abs)

// One call of the GEMM micro-kernel: for up to gemm_mr rows and n columns,
//   c[r][j] = clamp(bias[j] + sum over taps t, channels k of a[t * rows + r][k] * w[t][k][j], lo, hi)
// A convolution passes one pointer per output pixel and filter tap (a pointer to zeros for padding), a
// matrix product passes taps = 1.
template <class T>
struct Gemm {
  const T* const* a;  // taps x rows pointers, each to `k` values
  size_t rows;        // 1 .. gemm_mr
  size_t taps, k, n;
  const T* w;  // packed by pack_gemm_f32: per panel of gemm_nr columns: nr biases, taps*k*nr weights
  T* c;        // row r at c + r * c_stride (in values)
  size_t c_stride;
  float lo, hi;  // clamp; -inf, +inf for none
  // What will be read next, for the caches: after i of the taps * k steps of a panel, about ahead + i * ahead_step
  // (bytes). Any address will do.
  const char* ahead = nullptr;
  size_t ahead_step = 0;
};
using GemmF32 = Gemm<float>;

// A panel of gemm_nr columns of weights kept as integers of 8 or 4 bits: for each block of values of k gemm_nr scales
// and, with offsets, as many of these; then the integers, in one of two orders. A weight is integer * scale + offset.
//   pairs   those of two values of k together: with 8 bits gemm_nr of the first and of the second, with 4 bits the
//           second in the upper halves
//   quads   (Kernels::quads) those of four values of k of a column side by side, column by column; with 4 bits those
//           of the next four in the upper halves, and in the lower ones the integers plus 8. Blocks are filled up with
//           any integers to whole steps of kPartStep values of k
struct PanelQ {
  const void* packed;
  size_t k, block;
  int bits;
  bool offsets;
};

// What multiply_row_q reads of a row: its floats, their sums over the blocks of k, which are only read with offsets,
// and what split_row_q made of it or null.
struct RowQ {
  const float *a, *sums;
  const void* digits;
};

// What split_row_q makes of a row for quads: of each block of k parts of up to kPart values, the last one filled up
// with zeros to whole steps; of a part this, then of each step the first digits and the second ones, of which
//   value = (first * 254 + second) * scale
// is within 1.6e-5 of the part's greatest. More than kPart products of 4 bits would not fit 16-bit sums.
constexpr size_t kPart = 64, kPartStep = 16;
struct PartQ {
  enum Place : uint32_t { kInBlock, kEndsBlock, kEndsRow };
  float scale;
  int32_t start;  // of a sum: takes off again what the lower halves of bytes have too much
  uint32_t steps;
  Place place;
};
constexpr size_t part_q_bytes(size_t n) { return sizeof(PartQ) + (n + kPartStep - 1) / kPartStep * 2 * kPartStep; }
// Of a row, in floats; 0 without quads.
inline size_t row_q_floats(size_t k, size_t block, bool quads) {
  const auto bytes = [](size_t n) {
    return n / kPart * part_q_bytes(kPart) + (n % kPart ? part_q_bytes(n % kPart) : 0);
  };
  const size_t last = k % block;
  return quads ? (k / block * bytes(block) + bytes(last)) / sizeof(float) : 0;
}

// One row of `count` output pixels of a depthwise convolution, all channels:
//   y[i][c] = clamp(bias[c] + sum over taps t of x[i * step + t][c] * w[t][c], lo, hi)
// where x holds one pointer per output pixel and tap; consecutive pixels are `step` pointers apart, so
// overlapping columns may share pointers. 3x3 and 5x5 windows of stride 1 and 2 are fastest with the taps in
// column-major order and step = kernel height * stride.
template <class T>
struct Depthwise {
  const T* packed;  // bias and weights, by pack_depthwise_f32
  const T* const* x;
  size_t step, taps, channels, count;
  T* y;  // pixel i at y + i * y_stride
  size_t y_stride;
  float lo, hi;
};
using DepthwiseF32 = Depthwise<float>;

// Pooling over taps, same pointer scheme as DepthwiseF32. `scale` (average only) has one factor per pixel.
struct PoolF32 {
  const float* const* x;
  size_t step, taps, channels, count;
  const float* scale;
  float* y;
  size_t y_stride;
  float lo, hi;
  size_t begin = 0;  // only the channels [begin, channels) are computed
};

// The transform B' d B of one 6 x 6 patch of pixels d, for each channel. Result (i, j) of channel c goes to
// y[(6 * i + j) * y_stride + c].
struct WinogradInputF32 {
  const float* const* x;  // 36 pixels, row by row
  size_t channels;
  float* y;
  size_t y_stride;
};

// The transform A' m A to one 4 x 4 block of pixels, for each channel, then bias and clamp. m is laid out
// like the result of the input transform.
struct WinogradOutputF32 {
  const float* x;
  size_t x_stride;
  const float* bias;  // may be null
  size_t channels;
  float* const* y;  // 16 pixels, row by row; null where nothing is to be stored
  float lo, hi;
};

// Quantised results, in all integer kernels: the product of the int32 sum (converted to float32) and a float32
// scale is rounded to the nearest integer, half to even; the zero point is added; the result is limited to
// [lo, hi], which lies within int8. Sums wrap around. Every tier gives the same bits.

// The integer GEMM micro-kernel: for up to gemm_i8_mr rows and n columns,
//   c[r][j] = quantised (bias[j] + sum over taps t, k of a[t * step + r][k] * w[t][k][j]) * scale[j]
// The zero points of the operands are the caller's business: bias carries them, padding reads the input's.
struct GemmI8 {
  const int8_t* const* a;  // taps x step pointers, each to `k` values
  size_t step, rows;       // 1 .. gemm_i8_mr rows
  size_t taps, k, n;
  const int8_t* w;      // packed by pack_gemm_i8
  const int32_t* bias;  // n rounded up to gemm_i8_nr
  const float* scale;   // likewise
  bool narrow;          // no weight is -128, which some tiers compute faster
  int8_t* c;            // row r at c + r * c_stride
  size_t c_stride;
  int32_t zero, lo, hi;
};

// The same with float results:
//   c[r][j] = clamp((sum of a * w) * scale[j] + offset[j], lo, hi)
struct GemmI8F32 {
  const int8_t* const* a;
  size_t step, rows, taps, k, n;
  const int8_t* w;
  const float *scale, *offset;  // n rounded up to gemm_i8_nr each
  bool narrow;
  float* c;
  size_t c_stride;
  float lo, hi;
};

// Taps of a column of a window with so many, as the integer depthwise kernels see it: windows of 3x3 and 5x5 are
// square, of any others all taps are one column.
constexpr size_t depthwise_i8_column(size_t taps) { return taps == 9 ? 3 : taps == 25 ? 5 : taps; }

// As DepthwiseF32, with quantised results.
struct DepthwiseI8 {
  const int8_t* packed;  // by pack_depthwise_i8
  const int32_t* bias;   // per channel, at least `lanes` of them
  const float* scale;    // likewise
  const int8_t* const* x;
  size_t step, taps, channels, count;
  int8_t* y;
  size_t y_stride;
  int32_t zero, lo, hi;
};

// One pixel of pooling: the channels from `first` on of x[t], for all taps t; y is their first one.
struct PoolI8 {
  const int8_t* const* x;
  size_t taps, first, channels;
};

// Element-wise arithmetic: x and y less their zero points, then
//   add_i8  quantised x * x_scale + y * y_scale
//   mul_i8  quantised x * y * x_scale
struct BinaryI8 {
  int32_t x_zero, y_zero;
  float x_scale, y_scale;
  int32_t zero, lo, hi;
};

// All other kernels: X(name, result, parameters). Contracts:
//   gemm_f32 depthwise_f32 max_pool_f32 avg_pool_f32   see the structs; a NaN tap gives a NaN maximum
//   depthwise_5x5_f32   depthwise_f32 for windows of 25 taps
//   split_row_q      puts the digits of a row (RowQ) where row_q_floats have place; false, and nothing that could be
//                    used, without quads and where digits cannot hold it: with values that are not finite, or parts of
//                    which the greatest is 2^120 and more or 2^-90 and less but not zero
//   multiply_row_q   y[j] = sum over k of a[k] * w[k][j] for the gemm_nr columns of a panel
//   expand_q         y[k][j] = w[k][j], as gemm_f32 reads them behind the biases
//   scale_shift_f32  y[i] = x[i] * scale[i] + shift[i]; y may equal x
//   prelu_f32        y[i] = x[i] < 0 ? x[i] * slope[i] : x[i]; y may equal x
//   axpy_f32         acc[i] += a * x[i]
//   dot_f32          sum of x[i] * y[i]
//   softmax_f32      softmax of one row; y may equal x
//   log_softmax_f32  its logarithm; y may equal x
//   layer_norm_f32   y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over one row; gamma and beta may be
//                    null; y may equal x
//   transpose_32     dst[c][r] = src[r][c] for 4-byte elements; strides in elements
//   copy_rows_32     dst[r][c] = src[r][c] for 4-byte elements that do not overlap; strides in elements
//   f16_to_f32       exact; NaN becomes some quiet NaN
//   f32_to_f16       to nearest, half to even; NaN becomes some quiet NaN
//   gemm_i8, gemm_i8_f32, depthwise_i8, add_i8, mul_i8  see the structs; z may equal x or y
//   quantize_i8      y[i] = quantised x[i] / scale; not-a-number becomes the zero point
//   dequantize_i8    y[i] = (x[i] - zero) * scale
//   max_pool_i8      y[c] = the greatest x[t][first + c], limited to [lo, hi]
//   sum_pool_i8      y[c] = the sum of x[t][first + c]
//   look_up_u8       y[i] = table[x[i]] of 256 entries; y may equal x, the table must lie apart
//   multiply_add_f32  rounds of independent multiply-adds on registers; returns the operations done
//   winograd_input_f32, winograd_output_f32: the transforms of convolution as F(4x4, 3x3), see their arguments
#define LR_OTHER_KERNELS(X) \
  LR_FLOAT_KERNELS(X)       \
  LR_STORED_KERNELS(X)      \
  LR_SHARED_KERNELS(X)      \
  LR_INT8_KERNELS(X)

// A tier may share kernels with another and have of its own (table.h) those of floats, with the activations and
// reducing ones, or also those of integers.
#define LR_FLOAT_KERNELS(X)                                                                                           \
  X(gemm_f32, void, (const GemmF32& g))                                                                               \
  X(depthwise_f32, void, (const DepthwiseF32& d))                                                                     \
  X(depthwise_5x5_f32, void, (const DepthwiseF32& d))                                                                 \
  X(winograd_input_f32, void, (const WinogradInputF32& t))                                                            \
  X(winograd_output_f32, void, (const WinogradOutputF32& t))                                                          \
  X(dot_f32, float, (const float* x, const float* y, size_t n))                                                       \
  X(softmax_f32, void, (const float* x, float* y, size_t n))                                                          \
  X(log_softmax_f32, void, (const float* x, float* y, size_t n))                                                      \
  X(layer_norm_f32, void, (const float* x, const float* gamma, const float* beta, float epsilon, float* y, size_t n)) \
  X(multiply_add_f32, double, (size_t rounds))

// Come with those of floats, and where they compute in integers (LR_QUADS) again with those.
#define LR_STORED_KERNELS(X)                                            \
  X(split_row_q, bool, (const PanelQ& p, const float* a, void* digits)) \
  X(multiply_row_q, void, (const PanelQ& p, const RowQ& row, float* y)) \
  X(expand_q, void, (const PanelQ& p, float* y))

#define LR_SHARED_KERNELS(X)                                                                              \
  X(max_pool_f32, void, (const PoolF32& p))                                                               \
  X(avg_pool_f32, void, (const PoolF32& p))                                                               \
  X(scale_shift_f32, void, (const float* x, const float* scale, const float* shift, float* y, size_t n))  \
  X(prelu_f32, void, (const float* x, const float* slope, float* y, size_t n))                            \
  X(axpy_f32, void, (float a, const float* x, float* acc, size_t n))                                      \
  X(transpose_32, void,                                                                                   \
    (const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride, size_t rows, size_t cols)) \
  X(copy_rows_32, void,                                                                                   \
    (const uint32_t* src, size_t src_stride, uint32_t* dst, size_t dst_stride, size_t rows, size_t cols)) \
  X(f16_to_f32, void, (const uint16_t* x, float* y, size_t n))                                            \
  X(f32_to_f16, void, (const float* x, uint16_t* y, size_t n))

#define LR_INT8_KERNELS(X)                                                                    \
  X(gemm_i8, void, (const GemmI8& g))                                                         \
  X(gemm_i8_f32, void, (const GemmI8F32& g))                                                  \
  X(depthwise_i8, void, (const DepthwiseI8& d))                                               \
  X(max_pool_i8, void, (const PoolI8& p, int8_t* y, int32_t lo, int32_t hi))                  \
  X(sum_pool_i8, void, (const PoolI8& p, int32_t* y))                                         \
  X(quantize_i8, void, (const float* x, int8_t* y, size_t n, float scale, int32_t zero))      \
  X(dequantize_i8, void, (const int8_t* x, float* y, size_t n, float scale, int32_t zero))    \
  X(add_i8, void, (const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b)) \
  X(mul_i8, void, (const int8_t* x, const int8_t* y, int8_t* z, size_t n, const BinaryI8& b)) \
  X(look_up_u8, void, (const uint8_t* x, uint8_t* y, size_t n, const uint8_t* table))

#define LR_UNARY_PARAMETERS (const float* x, float* y, size_t n, float a, float b)
#define LR_REDUCE_PARAMETERS (const float* x, size_t n)
#define LR_VV_PARAMETERS (const float* x, const float* y, float* z, size_t n)
#define LR_VS_PARAMETERS (const float* x, float y, float* z, size_t n)
#define LR_SV_PARAMETERS (float x, const float* y, float* z, size_t n)
// A kernel as the functions it is in a tier: LR_FUNCTION(name, result, parameters), which the user defines.
#define LR_UNARY_FUNCTION(name) LR_FUNCTION(unary_##name, void, LR_UNARY_PARAMETERS)
#define LR_REDUCE_FUNCTION(name) LR_FUNCTION(reduce_##name, float, LR_REDUCE_PARAMETERS)
#define LR_BINARY_FUNCTIONS(name)                       \
  LR_FUNCTION(binary_vv_##name, void, LR_VV_PARAMETERS) \
  LR_FUNCTION(binary_vs_##name, void, LR_VS_PARAMETERS) \
  LR_FUNCTION(binary_sv_##name, void, LR_SV_PARAMETERS)
#define LR_FUNCTIONS                    \
  LR_OTHER_KERNELS(LR_FUNCTION)         \
  LR_UNARY_KERNELS(LR_UNARY_FUNCTION)   \
  LR_REDUCE_KERNELS(LR_REDUCE_FUNCTION) \
  LR_BINARY_KERNELS(LR_BINARY_FUNCTIONS)

#ifdef LR_OPS
// In a build with some operators only, a kernel is not a pointer of the table but found through a symbol of its own:
// the linker leaves out all tiers' kernels that no operator names.
size_t chosen_tier();
#define LR_FUNCTION(name, result, parameters)                             \
  extern result(*const* const name##_of_tiers[]) parameters;              \
  struct name##_kernel {                                                  \
    using Function = result(*) parameters;                                \
    operator Function() const { return *name##_of_tiers[chosen_tier()]; } \
  };
LR_FUNCTIONS
#undef LR_FUNCTION
#define LR_TABLE_ROW(name, function, result, parameters) function##_kernel name;
#else
#define LR_TABLE_ROW(name, function, result, parameters) result(*name) parameters;
#endif

struct Kernels {
  const char* tier;
  size_t lanes;                                  // floats in a vector of the depthwise kernel
  size_t gemm_mr, gemm_nr;                       // rows and columns of the GEMM tile
  size_t gemm_i8_mr, gemm_i8_nr, gemm_i8_depth;  // of the integer GEMM, and values of k packed together
  int32_t gemm_i8_shift;                         // what it adds to the left operand to make it unsigned
  size_t depthwise_i8_lanes;                     // int32 sums in a vector of the integer depthwise kernel
  size_t depthwise_i8_depth;                     // taps of a column it takes packed together
  bool quads;                                    // the order of integers in a PanelQ

#define LR_DECLARE(name, result, parameters) LR_TABLE_ROW(name, name, result, parameters)
  LR_OTHER_KERNELS(LR_DECLARE)
#undef LR_DECLARE

#define LR_DECLARE(name) LR_TABLE_ROW(name, unary_##name, void, LR_UNARY_PARAMETERS)
  struct Unary {
    LR_UNARY_KERNELS(LR_DECLARE)
  } unary;
#undef LR_DECLARE

  struct Binary {
    void(*vv) LR_VV_PARAMETERS;
    void(*vs) LR_VS_PARAMETERS;
    void(*sv) LR_SV_PARAMETERS;
  };
#ifdef LR_OPS
#define LR_DECLARE(name)                                   \
  struct {                                                 \
    binary_vv_##name##_kernel vv;                          \
    binary_vs_##name##_kernel vs;                          \
    binary_sv_##name##_kernel sv;                          \
    operator Binary() const { return Binary{vv, vs, sv}; } \
  } name;
#else
#define LR_DECLARE(name) Binary name;
#endif
  struct BinaryTable {
    LR_BINARY_KERNELS(LR_DECLARE)
  } binary;
#undef LR_DECLARE

#define LR_DECLARE(name) LR_TABLE_ROW(name, reduce_##name, float, LR_REDUCE_PARAMETERS)
  struct Reduce {
    LR_REDUCE_KERNELS(LR_DECLARE)
  } reduce;
#undef LR_DECLARE
};
#undef LR_TABLE_ROW

// The table of this CPU's best tier, or of the tier named by the environment variable LITE_RUNTIME_ISA.
const Kernels& kernels();

// Bytes of, and packing into, the panel layout that gemm_f32 reads: n columns rounded up to panels of
// gemm_nr (missing columns are zero). Weight (tap, k, column j) is at w + tap*tap_stride + k*k_stride +
// j*n_stride. bias may be null (zeros).
size_t packed_gemm_f32_bytes(size_t taps, size_t k, size_t n);
void pack_gemm_f32(const float* w, size_t tap_stride, size_t k_stride, size_t n_stride, const float* bias, size_t taps,
                   size_t k, size_t n, float* packed);

// Values of k in a group of integers that is filled up, and bytes of a panel as multiply_row_q reads it.
constexpr size_t group_q(bool quads) { return quads ? kPartStep : 2; }
inline size_t panel_q_bytes(size_t k, size_t block, int bits, bool offsets, size_t nr, bool quads) {
  const size_t blocks = (k + block - 1) / block, last = k - (blocks - 1) * block, group = group_q(quads);
  const size_t groups = (blocks - 1) * ((block + group - 1) / group) + (last + group - 1) / group;
  return nr * (blocks * (offsets ? 2 : 1) * sizeof(float) + groups * group * static_cast<size_t>(bits) / 8);
}

// The same for depthwise_f32: channels rounded up to whole vectors. Weight (tap, channel c) is at
// w + tap*tap_stride + c*channel_stride. bias may be null (zeros).
size_t packed_depthwise_f32_bytes(size_t taps, size_t channels);
void pack_depthwise_f32(const float* w, size_t tap_stride, size_t channel_stride, const float* bias, size_t taps,
                        size_t channels, float* packed);

// The same for the integer kernels. k is rounded up to gemm_i8_depth, the taps of a column to depthwise_i8_depth; what
// is missing is zero. A panel of the GEMM begins with what takes gemm_i8_shift off the sums again, an int32 per column,
// if it is not 0. A column that is a multiple of gemm_i8_nr begins at packed_gemm_i8_bytes(taps, k, column).
size_t packed_gemm_i8_bytes(size_t taps, size_t k, size_t n);
void pack_gemm_i8(const int8_t* w, size_t tap_stride, size_t k_stride, size_t n_stride, size_t taps, size_t k, size_t n,
                  int8_t* packed);
size_t packed_depthwise_i8_bytes(size_t taps, size_t channels);
void pack_depthwise_i8(const int8_t* w, size_t tap_stride, size_t channel_stride, size_t taps, size_t channels,
                       int8_t* packed);

}  // namespace lr
