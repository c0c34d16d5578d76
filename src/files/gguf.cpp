#include "files/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/bytes.h"
#include "base/error.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

// A type that we know by name is one that we read.
constexpr GgufTensorType Type(uint32_t number, std::string_view name, uint64_t block_elements,
                              uint64_t block_bytes) {
  return {number, name, block_elements, block_bytes, FindDType(name)};
}

// Source: ggml.h (enum ggml_type) and ggml-common.h (block layouts). Numbers that are missing
// belonged to types that were withdrawn.
constexpr GgufTensorType kTensorTypes[] = {
    Type(0, "F32", 1, 4),         Type(1, "F16", 1, 2),         Type(2, "Q4_0", 32, 18),
    Type(3, "Q4_1", 32, 20),      Type(6, "Q5_0", 32, 22),      Type(7, "Q5_1", 32, 24),
    Type(8, "Q8_0", 32, 34),      Type(9, "Q8_1", 32, 36),      Type(10, "Q2_K", 256, 84),
    Type(11, "Q3_K", 256, 110),   Type(12, "Q4_K", 256, 144),   Type(13, "Q5_K", 256, 176),
    Type(14, "Q6_K", 256, 210),   Type(15, "Q8_K", 256, 292),   Type(16, "IQ2_XXS", 256, 66),
    Type(17, "IQ2_XS", 256, 74),  Type(18, "IQ3_XXS", 256, 98), Type(19, "IQ1_S", 256, 50),
    Type(20, "IQ4_NL", 32, 18),   Type(21, "IQ3_S", 256, 110),  Type(22, "IQ2_S", 256, 82),
    Type(23, "IQ4_XS", 256, 136), Type(24, "I8", 1, 1),         Type(25, "I16", 1, 2),
    Type(26, "I32", 1, 4),        Type(27, "I64", 1, 8),        Type(28, "F64", 1, 8),
    Type(29, "IQ1_M", 256, 56),   Type(30, "BF16", 1, 2),       Type(34, "TQ1_0", 256, 54),
    Type(35, "TQ2_0", 256, 66),   Type(39, "MXFP4", 32, 17),    Type(40, "NVFP4", 64, 36),
};

// Names, keys and string values of one header; published files have well under 1 MiB.
constexpr uint64_t kMaxHeaderTextBytes = uint64_t{64} << 20;
// An array of strings is walked element by element; this many are walked in a fraction of a second.
constexpr uint64_t kMaxArrayStrings = uint64_t{1} << 23;

uint64_t ElementBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
    case GgufType::kString:
      return 8;  // a string begins with its length
    case GgufType::kArray:
      return 12;
  }
  return 0;
}

// Reads forward through a buffer; knows where it is, for messages.
class Cursor {
 public:
  Cursor(const RandomAccessFile& file, uint64_t offset) : file_(file), offset_(offset) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return file_.size() - offset_; }

  template <typename T>
  T Number(std::string_view what) {
    Need(sizeof(T), what);
    if (offset_ < begin_ || offset_ + sizeof(T) > begin_ + buffer_.size()) Fill();
    T value = LoadUnaligned<T>(buffer_, offset_ - begin_);
    offset_ += sizeof(T);
    return value;
  }
  std::string Text(std::string_view what, uint64_t limit = kMaxStringBytes) {
    uint64_t length = TextLength(what, limit);
    std::string text(length, '\0');
    if (offset_ >= begin_ && offset_ + length <= begin_ + buffer_.size()) {
      std::memcpy(text.data(), buffer_.data() + (offset_ - begin_), length);
    } else {
      file_.Read(offset_, std::as_writable_bytes(std::span(text)));
    }
    offset_ += length;
    return text;
  }
  void SkipText(std::string_view what) { offset_ += TextLength(what, kMaxStringBytes); }
  void Skip(uint64_t n, std::string_view what) {
    Need(n, what);
    offset_ += n;
  }
  [[noreturn]] void Corrupt(std::string_view what, const std::string& expected,
                            const std::string& found) const {
    throw Error(
        ErrorKind::kCorrupt,
        fmt::format("cannot read GGUF: {}@{}: {}: expected {}, found {}; fetch the file again",
                    file_.path(), offset_, what.substr(0, 100), expected, found));
  }

 private:
  void Need(uint64_t n, std::string_view what) const {
    if (n > remaining())
      Corrupt(what, fmt::format("{} more bytes", n), std::to_string(remaining()));
  }
  void Fill() {
    begin_ = offset_;
    buffer_.resize(std::min<uint64_t>(remaining(), uint64_t{64} << 10));
    file_.Read(begin_, buffer_);
  }
  uint64_t TextLength(std::string_view what, uint64_t limit) {
    auto length = Number<uint64_t>(what);
    if (length > limit)
      Corrupt(what, fmt::format("a string of at most {} bytes", limit), std::to_string(length));
    Need(length, what);
    return length;
  }

  const RandomAccessFile& file_;
  uint64_t offset_;
  uint64_t begin_ = 0;
  std::vector<std::byte> buffer_;
};

GgufType ReadType(Cursor& cursor, std::string_view key) {
  auto type = cursor.Number<uint32_t>(key);
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    cursor.Corrupt(key, "a value type from 0 to 12", std::to_string(type));
  }
  return static_cast<GgufType>(type);
}

GgufArray ReadArray(Cursor& cursor, std::string_view key) {
  GgufArray array;
  array.type = ReadType(cursor, key);
  if (array.type == GgufType::kArray)
    cursor.Corrupt(key, "an array of plain values", "one of arrays");
  array.count = cursor.Number<uint64_t>(key);
  array.offset = cursor.offset();
  std::optional<uint64_t> bytes = CheckedMultiply(array.count, ElementBytes(array.type));
  if (!bytes || *bytes > cursor.remaining()) {
    cursor.Corrupt(key, fmt::format("an array within the {} bytes left", cursor.remaining()),
                   fmt::format("{} elements", array.count));
  }
  if (array.type != GgufType::kString) {
    cursor.Skip(*bytes, key);
    return array;
  }
  if (array.count > kMaxArrayStrings) {
    cursor.Corrupt(key, fmt::format("at most {} strings", kMaxArrayStrings),
                   std::to_string(array.count));
  }
  for (uint64_t i = 0; i < array.count; ++i) cursor.SkipText(key);
  return array;
}

GgufValue ReadValue(Cursor& cursor, std::string_view key) {
  switch (ReadType(cursor, key)) {
    case GgufType::kU8:
      return uint64_t{cursor.Number<uint8_t>(key)};
    case GgufType::kI8:
      return int64_t{cursor.Number<int8_t>(key)};
    case GgufType::kU16:
      return uint64_t{cursor.Number<uint16_t>(key)};
    case GgufType::kI16:
      return int64_t{cursor.Number<int16_t>(key)};
    case GgufType::kU32:
      return uint64_t{cursor.Number<uint32_t>(key)};
    case GgufType::kI32:
      return int64_t{cursor.Number<int32_t>(key)};
    case GgufType::kF32:
      return double{cursor.Number<float>(key)};
    case GgufType::kBool: {
      auto value = cursor.Number<uint8_t>(key);
      if (value > 1) cursor.Corrupt(key, "0 or 1", std::to_string(value));
      return value == 1;
    }
    case GgufType::kString:
      return cursor.Text(key);
    case GgufType::kArray:
      return ReadArray(cursor, key);
    case GgufType::kU64:
      return cursor.Number<uint64_t>(key);
    case GgufType::kI64:
      return cursor.Number<int64_t>(key);
    case GgufType::kF64:
      return cursor.Number<double>(key);
  }
  MOESCOPE_CHECK(false);
  return {};
}

void CheckVersion(Cursor& cursor, const std::string& path) {
  auto version = cursor.Number<uint32_t>("version");
  if (version == 2 || version == 3) return;
  if (version == 1 || __builtin_bswap32(version) <= 3) {
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot read GGUF: {}@4: supported are versions 2 and 3, little-endian, "
                    "found {}; convert the model again",
                    path, version == 1 ? "version 1" : "a big-endian file"));
  }
  cursor.Corrupt("version", "2 or 3", std::to_string(version));
}

// Name, dimensions, type and offset of one tensor; the extent is checked later.
GgufTensor ReadTensor(Cursor& cursor) {
  GgufTensor tensor;
  tensor.name = cursor.Text("tensor name", kMaxTensorNameBytes);
  auto rank = cursor.Number<uint32_t>(tensor.name);
  if (rank < 1 || rank > static_cast<uint32_t>(kMaxRank)) {
    cursor.Corrupt(tensor.name, fmt::format("1 to {} dimensions", kMaxRank), std::to_string(rank));
  }
  std::optional<uint64_t> elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    auto dimension = cursor.Number<uint64_t>(tensor.name);
    if (dimension > uint64_t{INT64_MAX})
      cursor.Corrupt(tensor.name, "a dimension below 2^63", std::to_string(dimension));
    tensor.shape.push_back(static_cast<int64_t>(dimension));
    if (elements) elements = CheckedMultiply(*elements, dimension);
  }
  auto number = cursor.Number<uint32_t>(tensor.name);
  tensor.type = FindGgufTensorType(number);
  if (tensor.type == nullptr)
    cursor.Corrupt(tensor.name, "a known tensor type", std::to_string(number));
  uint64_t row = static_cast<uint64_t>(tensor.shape[0]);
  if (row % tensor.type->block_elements != 0) {
    cursor.Corrupt(tensor.name,
                   fmt::format("rows of whole {} blocks of {}", tensor.type->name,
                               tensor.type->block_elements),
                   fmt::format("{} elements", row));
  }
  std::optional<uint64_t> bytes;
  if (elements)
    bytes = CheckedMultiply(*elements / tensor.type->block_elements, tensor.type->block_bytes);
  if (!bytes) cursor.Corrupt(tensor.name, "a size below 2^64 bytes", "more");
  tensor.n_bytes = *bytes;
  tensor.offset = cursor.Number<uint64_t>(tensor.name);
  // The file lists the fastest dimension first; everything of ours, the slowest.
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  return tensor;
}

uint64_t CheckedAlignment(const GgufValue& value, const Cursor& cursor) {
  const auto* alignment = std::get_if<uint64_t>(&value);
  if (alignment == nullptr || !std::has_single_bit(*alignment) || *alignment < 8 ||
      *alignment > 4096) {
    cursor.Corrupt("general.alignment", "a power of two from 8 to 4096",
                   alignment == nullptr ? "another type" : std::to_string(*alignment));
  }
  return *alignment;
}

}  // namespace

const GgufTensorType* FindGgufTensorType(uint32_t number) {
  for (const GgufTensorType& type : kTensorTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

std::string ReadableGgufTypes() {
  std::string names;
  for (const GgufTensorType& type : kTensorTypes) {
    if (!type.dtype) continue;
    if (!names.empty()) names += ", ";
    names += type.name;
  }
  return names;
}

const GgufTensorType& GgufTypeOf(DType dtype) {
  for (const GgufTensorType& type : kTensorTypes) {
    if (type.dtype == dtype) return type;
  }
  MOESCOPE_CHECK(false);
  return kTensorTypes[0];
}

GgufFile::GgufFile(std::shared_ptr<const RandomAccessFile> file) : file_(std::move(file)) {
  Cursor cursor(*file_, 0);
  if (file_->size() < 24)
    cursor.Corrupt("file", "at least 24 bytes", std::to_string(file_->size()));
  std::string magic(4, '\0');
  for (char& c : magic) c = cursor.Number<char>("magic");
  if (magic != kGgufMagic) cursor.Corrupt("magic", "'GGUF'", "other bytes");
  CheckVersion(cursor, file_->path());
  auto n_tensors = cursor.Number<uint64_t>("tensor count");
  if (n_tensors > kMaxTensors) {
    cursor.Corrupt("tensor count", fmt::format("at most {}", kMaxTensors),
                   std::to_string(n_tensors));
  }
  auto n_keys = cursor.Number<uint64_t>("key count");
  if (n_keys > kMaxKeys) {
    cursor.Corrupt("key count", fmt::format("at most {}", kMaxKeys), std::to_string(n_keys));
  }
  uint64_t text_bytes = 0;
  auto count_text = [&](std::string_view what, const std::string& text) {
    text_bytes += text.size();
    if (text_bytes > kMaxHeaderTextBytes) {
      cursor.Corrupt(what, fmt::format("at most {} bytes of names and values", kMaxHeaderTextBytes),
                     "more");
    }
  };
  for (uint64_t i = 0; i < n_keys; ++i) {
    std::string key = cursor.Text("key");
    count_text("key", key);
    GgufValue value = ReadValue(cursor, key);
    if (const auto* text = std::get_if<std::string>(&value)) count_text(key, *text);
    if (key == "general.alignment") alignment_ = CheckedAlignment(value, cursor);
    if (!values_.try_emplace(key, std::move(value)).second)
      cursor.Corrupt(key, "one such key", "two");
  }
  std::set<std::string_view> names;
  tensors_.reserve(n_tensors);  // views into the names stay valid
  for (uint64_t i = 0; i < n_tensors; ++i) {
    tensors_.push_back(ReadTensor(cursor));
    const std::string& name = tensors_.back().name;
    count_text("tensor name", name);
    if (!names.insert(name).second) cursor.Corrupt(name, "one such tensor", "two");
  }
  header_bytes_ = (cursor.offset() + alignment_ - 1) / alignment_ * alignment_;
  CheckExtents();
}

// In order of their bytes the tensors follow each other, padded to the alignment, up to the end of
// the file; so a changed size or offset shows, wherever it is.
void GgufFile::CheckExtents() {
  std::vector<size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    const GgufTensor &x = tensors_[a], &y = tensors_[b];
    return x.offset != y.offset ? x.offset < y.offset : x.n_bytes < y.n_bytes;
  });
  auto refuse = [this](const std::string& what, const std::string& expected,
                       const std::string& found) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read GGUF: {}: {}: expected {}, found {}; fetch the file again",
                            file_->path(), what, expected, found));
  };
  auto pad = [this](uint64_t n) { return (n + alignment_ - 1) / alignment_ * alignment_; };
  uint64_t data_bytes = file_->size() - std::min(header_bytes_, file_->size());
  uint64_t end = 0;
  for (size_t i : order) {
    GgufTensor& tensor = tensors_[i];
    std::string what = fmt::format("tensor '{}'", tensor.name.substr(0, 100));
    if (tensor.offset != pad(end)) {
      refuse(what, fmt::format("data offset {}", pad(end)), std::to_string(tensor.offset));
    }
    if (tensor.offset > data_bytes || tensor.n_bytes > data_bytes - tensor.offset) {
      refuse(fmt::format("{}@{}", what, header_bytes_ + tensor.offset),
             fmt::format("{} bytes", tensor.n_bytes),
             fmt::format("{}: the file is cut short",
                         data_bytes - std::min(tensor.offset, data_bytes)));
    }
    end = tensor.offset + tensor.n_bytes;
    tensor.offset += header_bytes_;
  }
  if (data_bytes > pad(end)) {
    refuse("file", fmt::format("{} bytes", header_bytes_ + pad(end)),
           std::to_string(file_->size()));
  }
}

const GgufValue* GgufFile::Find(std::string_view key) const {
  auto at = values_.find(key);
  return at == values_.end() ? nullptr : &at->second;
}

std::vector<std::string> GgufFile::ReadStrings(const GgufArray& array, uint64_t limit_bytes) const {
  MOESCOPE_CHECK(array.type == GgufType::kString);
  Cursor cursor(*file_, array.offset);
  std::vector<std::string> strings;
  uint64_t total = 0;
  for (uint64_t i = 0; i < array.count; ++i) {
    strings.push_back(cursor.Text("string"));
    total += strings.back().size();
    if (total > limit_bytes) {
      cursor.Corrupt("strings", fmt::format("at most {} bytes together", limit_bytes), "more");
    }
  }
  return strings;
}

std::vector<float> GgufFile::ReadF32s(const GgufArray& array) const {
  MOESCOPE_CHECK(array.type == GgufType::kF32);
  std::vector<float> values(array.count);
  file_->Read(array.offset, std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<int32_t> GgufFile::ReadI32s(const GgufArray& array) const {
  MOESCOPE_CHECK(array.type == GgufType::kI32 || array.type == GgufType::kU32);
  std::vector<int32_t> values(array.count);
  file_->Read(array.offset, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace moescope::files
