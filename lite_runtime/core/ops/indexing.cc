#include "ops/indexing.h"

namespace lr {
namespace {

constexpr int64_t kGrainBytes = 64 * 1024;

template <class T>
void gather_elements(const char* src, const int64_t* from, int64_t unit, char* dst, int64_t begin, int64_t end) {
  T* to = reinterpret_cast<T*>(dst);
  for (int64_t r = begin; r < end; ++r) to[r] = *reinterpret_cast<const T*>(src + from[r] * unit);
}

}  // namespace

void Indices::expect(const Node& node, size_t i) {
  if (!node.has(i)) node.invalid("input %zu is missing", i);
  const DType dtype = node.in[i]->dtype;
  if (dtype != DType::kInt32 && dtype != DType::kInt64) {
    node.unsupported("indices of type %s; offered: int32 and int64", dtype_name(dtype));
  }
}

int64_t Indices::position(int64_t i, int64_t size) const {
  const int64_t index = (*this)[i];
  if (index < -size || index >= size) {
    fail(LR_ERROR_RUN, "index %lld is outside an axis of size %lld", static_cast<long long>(index),
         static_cast<long long>(size));
  }
  return index < 0 ? index + size : index;
}

int64_t slice_size(const Node& node, const Shape& indices, const Shape& x) {
  if (indices.rank() == 0) node.invalid("the indices have no dimensions");
  if (indices.back() > x.rank()) {
    node.invalid("indices of shape %s name more axes than %s has", indices.str().c_str(), x.str().c_str());
  }
  return x.count(static_cast<int>(indices.back()), x.rank());
}

void slice_offsets(const Tensor& indices, const Shape& shape, int64_t* offsets) {
  const Indices index(indices);
  const Steps steps(shape);
  const auto length = static_cast<int>(indices.shape.back());
  const int64_t rows = indices.shape.count(0, indices.shape.rank() - 1);
  for (int64_t r = 0; r < rows; ++r) {
    offsets[r] = 0;
    for (int d = 0; d < length; ++d) offsets[r] += index.position(r * length + d, shape[d]) * steps[d];
  }
}

void gather_rows(const char* src, const int64_t* from, int64_t unit, char* dst, int64_t rows, int64_t bytes,
                 ThreadPool* pool) {
  if (bytes == 0) return;
  parallel(pool, rows, std::max<int64_t>(1, kGrainBytes / bytes), [&](int64_t begin, int64_t end, int) {
    // Single elements: rows lie at multiples of their own size.
    if (bytes == unit && bytes == 4) return gather_elements<uint32_t>(src, from, unit, dst, begin, end);
    if (bytes == unit && bytes == 1) return gather_elements<uint8_t>(src, from, unit, dst, begin, end);
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(dst + r * bytes, src + from[r] * unit, static_cast<size_t>(bytes));
    }
  });
}

}  // namespace lr
