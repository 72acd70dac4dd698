#include "storage.h"

#include <cstring>
#include <limits>

#include "kernels/kernels.h"
#include "schema_reader.h"
#include "selection.h"

namespace lr {

namespace {

[[noreturn]] void damaged(const char* what) { fail(LR_ERROR_FORMAT, "compressed weights are damaged: %s", what); }

// A stream of bit fields, most significant bit of each byte first.
class BitReader {
 public:
  BitReader(const uint8_t* data, size_t size) : data_(data), bits_(size * 8) {}

  uint32_t read(uint32_t count) {
    if (count > bits_ - at_) damaged("the stream ends early");
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; ++i, ++at_) value = value << 1 | (data_[at_ / 8] >> (7 - at_ % 8) & 1u);
    return value;
  }

  size_t left() const { return bits_ - at_; }

 private:
  const uint8_t* data_;
  size_t bits_;
  size_t at_ = 0;
};

uint32_t bits_for(uint32_t count) {  // of an index below count
  uint32_t bits = 0;
  while (bits < 32 && (uint64_t{1} << bits) < count) ++bits;
  return bits;
}

uint32_t weight_bits(const TensorDef& def) {
  const int32_t bits = def.quant.empty() ? 0 : def.quant[0].bits;
  if (bits < 1 || bits > 16) damaged("the number of bits is outside 1 to 16");
  return static_cast<uint32_t>(bits);
}

int64_t channels_of(const TensorDef& def) { return static_cast<int64_t>(def.quant.size()); }

// Index of the quantisation parameters of element i when channels lie along `axis`.
struct ChannelIndex {
  int64_t inner = 1, channels = 1;
  ChannelIndex(const TensorDef& def, int axis) : channels(channels_of(def)) {
    if (channels > 1) inner = def.shape.count(axis + 1, def.shape.rank());
  }
  size_t operator()(int64_t i) const { return channels == 1 ? 0 : static_cast<size_t>(i / inner % channels); }
};

// Integers of 4 bits, two in a byte, with an offset of 8. Only its places are what it may be used for.
struct Nibbles {
  struct Place {
    uint8_t* byte;
    uint32_t shift;
    void operator=(int32_t value) const {
      if (value < -8 || value > 7) damaged("a value does not fit 4 bits");
      const auto keep = static_cast<uint32_t>(*byte) & (15u << (4 - shift));
      *byte = static_cast<uint8_t>(keep | static_cast<uint32_t>(value + 8) << shift);
    }
  };
  uint8_t* data;
  Place operator[](size_t i) const { return {data + i / 2, i % 2 == 0 ? 0u : 4u}; }
};

// Values of `bits` bits from the one with number `first` on, stored with an offset, least significant bit first.
template <class T>
void unpack(const uint8_t* data, uint32_t bits, int32_t offset, size_t first, T* out, size_t n) {
  size_t at = first * bits / 8;
  const uint32_t skipped = first * bits % 8;
  uint64_t window = skipped == 0 ? 0 : data[at++] >> skipped;
  uint32_t held = skipped == 0 ? 0 : 8 - skipped;
  for (size_t i = 0; i < n; ++i) {
    while (held < bits) {
      window |= static_cast<uint64_t>(data[at++]) << held;
      held += 8;
    }
    out[i] = static_cast<T>(static_cast<int32_t>(window & ((1u << bits) - 1)) - offset);
    window >>= bits;
    held -= bits;
  }
}

// The distinct values of an indexed or sparse tensor: a count (0 stands for all 2^bits), then the values.
template <class T>
std::vector<T> read_values(BitReader& in, uint32_t bits) {
  const uint32_t stored = in.read(bits);
  std::vector<T> values(stored == 0 ? size_t{1} << bits : stored);
  if (values.size() * bits > in.left()) damaged("too few distinct values");
  for (T& value : values) value = static_cast<T>(static_cast<int32_t>(in.read(bits)) - (1 << (bits - 1)));
  return values;
}

template <class T>
T pick(const std::vector<T>& values, uint32_t index) {
  if (index >= values.size()) damaged("an index is out of range");
  return values[index];
}

template <class T, class Out>
void read_indexed(BitReader in, uint32_t bits, const Out& out, size_t n) {
  const std::vector<T> values = read_values<T>(in, bits);
  const uint32_t index_bits = bits_for(static_cast<uint32_t>(values.size()));
  if (index_bits > 0 && n > in.left() / index_bits) damaged("too few indices");
  for (size_t i = 0; i < n; ++i) out[i] = pick(values, in.read(index_bits));
}

// Elements not listed hold their channel's zero point.
template <class T, class Out>
void read_sparse(BitReader in, uint32_t bits, const TensorDef& def, const Out& out, size_t n) {
  const uint32_t run_bits = in.read(8);
  const uint32_t listed = in.read(32);
  if (run_bits > 32 || listed > n) damaged("the sparse header is out of range");
  const std::vector<T> values = read_values<T>(in, bits);
  const uint32_t index_bits = bits_for(static_cast<uint32_t>(values.size()));
  if (listed * uint64_t{index_bits + run_bits} > in.left()) damaged("too few sparse values");
  std::vector<T> nonzero(listed);
  for (T& value : nonzero) value = pick(values, in.read(index_bits));
  const ChannelIndex channel(def, channel_axis(def, 0));
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<T>(def.quant[channel(static_cast<int64_t>(i))].zero_point);
  size_t at = 0;
  for (T value : nonzero) {
    const size_t run = in.read(run_bits);
    if (run >= n - at) damaged("a run leaves the tensor");
    at += run;
    out[at++] = value;
  }
}

// Little-endian fields of a byte range.
class ByteReader {
 public:
  ByteReader(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  template <class T>
  T read() {
    T value;
    copy(&value, 1);
    return value;
  }
  template <class T>
  void copy(T* out, size_t count) {
    if (count > (size_ - at_) / sizeof(T)) damaged("the table ends early");
    if (count == 0) return;  // an empty table has no address
    std::memcpy(out, data_ + at_, count * sizeof(T));
    at_ += count * sizeof(T);
  }
  template <class T>
  std::vector<T> array(size_t count) {
    if (count > (size_ - at_) / sizeof(T)) damaged("the table ends early");
    std::vector<T> out(count);
    copy(out.data(), count);
    return out;
  }
  // Where `count` elements of `bytes` each lie.
  const uint8_t* skip(size_t count, size_t bytes) {
    if (count > (size_ - at_) / bytes) damaged("the table ends early");
    const uint8_t* from = data_ + at_;
    at_ += count * bytes;
    return from;
  }
  void align(size_t bytes) {
    at_ = (at_ + bytes - 1) / bytes * bytes;
    if (at_ > size_) damaged("the table ends early");
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

// A stack of bits held in `count` chunks of 64 bits and a last one; the last pushed field is popped first.
class BitStack {
 public:
  BitStack(const uint8_t* chunks, size_t count, uint64_t current, uint32_t bits)
      : chunks_(chunks), count_(count), current_(current), bits_(bits) {
    if (bits > 64) damaged("the bit stack is out of range");
  }

  uint32_t pop(uint32_t count) {
    uint64_t value = 0;
    uint32_t got = 0;
    while (got < count) {
      if (bits_ == 0) {
        if (count_ == 0) damaged("the bit stack ends early");
        std::memcpy(&current_, chunks_ + --count_ * sizeof current_, sizeof current_);
        bits_ = 64;
      }
      const uint32_t take = count - got < bits_ ? count - got : bits_;
      // The chunk is left-aligned: its last pushed bits lie just above bit 64 - bits_.
      const uint64_t field = current_ >> (64 - bits_) & (take == 64 ? ~uint64_t{0} : (uint64_t{1} << take) - 1);
      value |= field << got;
      got += take;
      bits_ -= take;
    }
    return static_cast<uint32_t>(value);
  }

 private:
  const uint8_t* chunks_;
  size_t count_;
  uint64_t current_;
  uint32_t bits_;
};

// Finite state entropy, Duda, "Asymmetric numeral systems" (2013), tabled variant; symbols come out last first.
struct FseTable {
  struct Entry {
    uint16_t symbol;
    uint8_t bits;
    uint32_t base;
  };
  std::vector<Entry> entries;

  FseTable(const std::vector<uint32_t>& frequency, uint32_t log) {
    const uint32_t size = 1u << log;
    uint64_t total = 0;
    for (uint32_t f : frequency) total += f;
    if (total != size) damaged("symbol frequencies do not add up");
    entries.resize(size);
    uint32_t at = 0;
    for (size_t s = 0; s < frequency.size(); ++s) {
      for (uint32_t k = 0; k < frequency[s]; ++k) {
        entries[at].symbol = static_cast<uint16_t>(s);
        at = (at + (size >> 1) + (size >> 3) + 3) & (size - 1);
      }
    }
    std::vector<uint32_t> next = frequency;
    for (Entry& entry : entries) {
      const uint32_t x = next[entry.symbol]++;
      uint32_t bits = log;
      while (x >> (log - bits + 1) != 0) --bits;
      entry.bits = static_cast<uint8_t>(bits);
      entry.base = (x << bits) - size;
    }
  }
};

// Values of the entropy decoder as the tensor has them.
inline void narrow(float from, float* to) { *to = from; }

template <class T>
void narrow(int32_t from, T* to) {
  *to = static_cast<T>(from);
  if (*to != from) damaged("a value does not fit the element type");
}

template <class Value, class T, class Out>
void read_fse(const uint8_t* data, size_t size, const Out& out, size_t n) {
  ByteReader in(data, size);
  const size_t symbols = in.read<uint16_t>();
  const uint32_t log = in.read<uint16_t>();
  const size_t chunks = in.read<uint32_t>();
  if (log < 3 || log > 15 || chunks == 0) damaged("the entropy table is out of range");
  const std::vector<uint32_t> frequency = in.array<uint32_t>(symbols);
  in.align(8);
  const std::vector<Value> values = in.array<Value>(symbols);
  std::vector<T> centroid(symbols);
  for (size_t s = 0; s < symbols; ++s) narrow(values[s], &centroid[s]);
  in.align(8);
  const uint8_t* full = in.skip(chunks - 1, sizeof(uint64_t));
  const uint64_t current = in.read<uint64_t>();
  const uint32_t current_bits = in.read<uint8_t>();
  BitStack stack(full, chunks - 1, current, current_bits);
  const FseTable table(frequency, log);
  uint32_t state = stack.pop(log);
  for (size_t i = n; i-- > 0;) {
    const FseTable::Entry& entry = table.entries[state];
    out[i] = centroid[entry.symbol];
    if (i == 0) break;
    state = entry.base + stack.pop(entry.bits);
    if (state >= table.entries.size()) damaged("an entropy state is out of range");
  }
}

// Forms in which a value has no place of its own.
template <class T, class Out>
void read_stream(const schema::Tensor& stored, const TensorDef& def, const Out& out) {
  const uint8_t* data = stored.data()->data();
  const size_t size = stored.data()->size();
  const size_t n = static_cast<size_t>(def.shape.count());
  switch (stored.weightQuantCompressType()) {
    case schema::WeightQuantCompressType_FSE_INT:
      return read_fse<int32_t, T>(data, size, out, n);
    case schema::WeightQuantCompressType_INDEXING:
      return read_indexed<T>(BitReader(data, size), weight_bits(def), out, n);
    default:
      return read_sparse<T>(BitReader(data, size), weight_bits(def), def, out, n);
  }
}

template <class T>
void decode_integers(const schema::Tensor& stored, TensorDef& def) {
  const uint32_t bits = weight_bits(def);
  const size_t n = static_cast<size_t>(def.shape.count());
  T* out = static_cast<T*>(own_storage(def, n * sizeof(T)));
  if (stored.weightQuantCompressType() != schema::WeightQuantCompressType_BITPACKING) {
    return read_stream<T>(stored, def, out);
  }
  unpack(stored.data()->data(), bits, 1 << (bits - 1), 0, out, n);
}

template <class T>
void dequantize_from(TensorDef& def, int axis) {
  const Buffer keep = def.owned;
  const auto* source = static_cast<const T*>(def.data);
  const int64_t n = def.shape.count();
  const ChannelIndex channel(def, channel_axis(def, axis));
  auto* out = static_cast<float*>(own_storage(def, static_cast<size_t>(n) * sizeof(float)));
  for (int64_t i = 0; i < n; ++i) {
    const QuantParam& q = def.quant[channel(i)];
    out[i] = static_cast<float>((source[i] - q.zero_point) * q.scale * q.var_corr + q.mean_corr);
  }
  def.dtype = DType::kFloat32;
}

}  // namespace

int channel_axis(const TensorDef& def, int preferred) {
  const int64_t channels = channels_of(def);
  if (channels <= 1) return 0;
  const int rank = def.shape.rank();
  for (int axis : {preferred, 0, rank - 1}) {
    if (axis >= 0 && axis < rank && def.shape[axis] == channels) return axis;
  }
  fail(LR_ERROR_FORMAT, "has %lld quantisation parameters, which fit no axis of its shape %s",
       static_cast<long long>(channels), def.shape.str().c_str());
}

void* own_storage(TensorDef& def, size_t bytes) {
  Buffer buffer = allocate_buffer(bytes);
  def.owned = buffer;
  def.data = buffer.get();
  def.bytes = bytes;
  return buffer.get();
}

namespace {

void widen_float16(TensorDef& def) {
  const Buffer keep = def.owned;
  const auto* source = static_cast<const uint16_t*>(def.data);
  const size_t n = def.bytes / sizeof(uint16_t);
  kernels().f16_to_f32(source, static_cast<float*>(own_storage(def, n * sizeof(float))), n);
  def.dtype = DType::kFloat32;
}

void decompress(const schema::Tensor& stored, TensorDef& def) {
  const size_t n = static_cast<size_t>(def.shape.count());
  if (stored.weightQuantCompressType() == schema::WeightQuantCompressType_FSE) {
    float* out = static_cast<float*>(own_storage(def, n * sizeof(float)));
    return read_fse<float, float>(stored.data()->data(), stored.data()->size(), out, n);
  }
  def.dtype == DType::kInt8 ? decode_integers<int8_t>(stored, def) : decode_integers<int16_t>(stored, def);
}

}  // namespace

bool is_encoded(const schema::Tensor& stored, const TensorDef& def) {
  const schema::WeightQuantCompressType form = stored.weightQuantCompressType();
  if (form == schema::WeightQuantCompressType_NONE) return false;
  const size_t n = static_cast<size_t>(def.shape.count()), size = stored.data()->size();
  // Every form spends at least a bit on a few elements, so this bounds what a small file can ask for.
  if (n / 4096 > size) damaged("too many elements for so few bytes");
  switch (form) {
    case schema::WeightQuantCompressType_FSE:
      if (def.dtype != DType::kFloat32) damaged("entropy-coded weights must be float32");
      return true;
    case schema::WeightQuantCompressType_BITPACKING:
      if (n > size * 8 / weight_bits(def)) damaged("too few packed values");
      break;
    case schema::WeightQuantCompressType_FSE_INT:
    case schema::WeightQuantCompressType_INDEXING:
    case schema::WeightQuantCompressType_SPARSE:
      break;
    default:
      fail(LR_ERROR_UNSUPPORTED, "compressed storage %s is not offered", schema::EnumNameWeightQuantCompressType(form));
  }
  if ((weight_bits(def) <= 8 && def.dtype == DType::kInt8) || def.dtype == DType::kInt16) return true;
  damaged("the element type does not fit the number of bits");
}

void place(TensorDef& def, const schema::Tensor& stored) {
  def.bytes = stored.data()->size();
  def.data = stored.data()->data();
  if (reinterpret_cast<uintptr_t>(def.data) % dtype_size(def.dtype) == 0) return;
  const void* source = def.data;
  std::memcpy(own_storage(def, def.bytes), source, def.bytes);
}

void decode(TensorDef& def) {
  const schema::Tensor* stored = kDecodes ? def.encoded : nullptr;
  if (stored == nullptr) return;
  def.encoded = nullptr;
  if (stored->weightQuantCompressType() != schema::WeightQuantCompressType_NONE) return decompress(*stored, def);
  place(def, *stored);
  if (def.dtype == DType::kFloat16) widen_float16(def);
}

Buffer decoded(const TensorDef& def) {
  TensorDef plain = def;
  plain.dtype = static_cast<DType>(def.encoded->dataType());
  decode(plain);
  if (def.dtype == DType::kFloat32) dequantize(plain, def.axis);
  return plain.owned != nullptr ? plain.owned : Buffer(const_cast<void*>(plain.data), [](void*) {});
}

StoredIntegers::StoredIntegers(const TensorDef& def) : data_(static_cast<const uint8_t*>(def.data)) {
  if (def.encoded == nullptr) return;
  if (def.encoded->weightQuantCompressType() != schema::WeightQuantCompressType_BITPACKING) return;
  data_ = def.encoded->data()->data();
  bits_ = weight_bits(def);
  offset_ = 1 << (bits_ - 1);
}

StoredIntegers::StoredIntegers(const TensorDef& def, Buffer decoded)
    : data_(static_cast<const uint8_t*>(decoded.get())), owned_(std::move(decoded)) {
  if (weight_bits(def) > 4) return;
  bits_ = 4;
  offset_ = 8;
}

void StoredIntegers::read(int64_t first, int64_t n, int8_t* out) const {
  const auto from = static_cast<size_t>(first), count = static_cast<size_t>(n);
  if (offset_ != 0) return unpack(data_, bits_, offset_, from, out, count);
  std::memcpy(out, data_ + from, count);
}

size_t small_bytes(const TensorDef& def) {
  const auto n = static_cast<size_t>(def.shape.count());
  return weight_bits(def) > 4 ? n : (n + 1) / 2;
}

Buffer decode_small(const TensorDef& def) {
  Buffer buffer = allocate_buffer(small_bytes(def));
  if (weight_bits(def) > 4) {
    read_stream<int8_t>(*def.encoded, def, static_cast<int8_t*>(buffer.get()));
  } else {
    read_stream<int8_t>(*def.encoded, def, Nibbles{static_cast<uint8_t*>(buffer.get())});
  }
  return buffer;
}

void dequantize(TensorDef& def, int axis) {
  if (def.quant.empty()) return;
  if (def.dtype == DType::kInt8) return dequantize_from<int8_t>(def, axis);
  if (def.dtype == DType::kInt16) return dequantize_from<int16_t>(def, axis);
}

}  // namespace lr
