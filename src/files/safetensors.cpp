#include "files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "base/error.h"
#include "base/tensor/convert_rows.h"
#include "files/json_events.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

struct ElementType {
  std::string_view name;
  uint64_t bytes;
};
constexpr ElementType kElementTypes[] = {
    {"F32", 4},     {"F16", 2},  {"BF16", 2}, {"F64", 8}, {"F8_E4M3", 1},
    {"F8_E5M2", 1}, {"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"U16", 2},
    {"I16", 2},     {"U32", 4},  {"I32", 4},  {"U64", 8}, {"I64", 8},
};

[[noreturn]] void Corrupt(const std::string& path, const std::string& reason) {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read safetensors: {}: {}; fetch the file again", path, reason));
}

// Collects the header: { name: {dtype, shape: [..], data_offsets: [begin, end]}, __metadata__: {..}
// }.
class HeaderHandler : public JsonHandler {
 public:
  HeaderHandler(const std::string& path, std::vector<SafetensorsTensor>& tensors)
      : path_(path), tensors_(tensors) {}

  void BeginObject() override {
    if (depth_ == 1 && !in_metadata_) {
      if (tensors_.size() >= kMaxTensors) {
        Corrupt(path_, fmt::format("expected at most {} tensors, found more", kMaxTensors));
      }
      if (key_.size() > kMaxTensorNameBytes) {
        Corrupt(path_, fmt::format("tensor '{}...': expected a name of at most {} bytes, found {}",
                                   Shown(key_), kMaxTensorNameBytes, key_.size()));
      }
      tensors_.push_back({.name = key_, .dtype = {}, .shape = {}});
      offsets_.clear();
      seen_ = 0;
    } else if (depth_ != 0 && !(depth_ == 1 && in_metadata_)) {
      Misplaced("an object");
    }
    ++depth_;
  }
  void EndObject() override {
    --depth_;
    if (depth_ != 1) return;
    if (!in_metadata_) FinishTensor();
    in_metadata_ = false;
  }
  void BeginArray() override {
    if (depth_ != 2 || in_metadata_ || (field_ != Field::kShape && field_ != Field::kOffsets)) {
      Misplaced("a list");
    }
    in_array_ = true;
  }
  void EndArray() override { in_array_ = false; }
  void Key(const std::string& key) override {
    if (depth_ == 1) {
      key_ = key;
      in_metadata_ = key == "__metadata__";
      return;
    }
    if (in_metadata_) {
      if (++n_metadata_ > kMaxKeys) {
        Corrupt(path_, fmt::format("expected at most {} metadata keys, found more", kMaxKeys));
      }
      return;
    }
    field_ = key == "dtype"          ? Field::kDType
             : key == "shape"        ? Field::kShape
             : key == "data_offsets" ? Field::kOffsets
                                     : Field::kNone;
    if (field_ == Field::kNone) {
      Corrupt(path_, fmt::format("tensor '{}': expected dtype, shape and data_offsets, found '{}'",
                                 Shown(tensors_.back().name), Shown(key)));
    }
    seen_ |= 1u << static_cast<int>(field_);
  }
  void String(const std::string& value) override {
    if (depth_ == 2 && in_metadata_) return;
    if (depth_ != 2 || field_ != Field::kDType || in_array_) Misplaced("a string");
    tensors_.back().dtype = value;
  }
  void Unsigned(uint64_t value) override {
    if (!in_array_) Misplaced("a number");
    if (field_ == Field::kOffsets) {
      if (offsets_.size() == 2) Misplaced("a third offset");
      offsets_.push_back(value);
      return;
    }
    std::vector<int64_t>& shape = tensors_.back().shape;
    if (shape.size() == static_cast<size_t>(kMaxRank)) {
      Corrupt(path_, fmt::format("tensor '{}': expected at most {} dimensions, found more",
                                 Shown(tensors_.back().name), kMaxRank));
    }
    if (value > uint64_t{INT64_MAX}) Misplaced("a dimension of 2^63 or more");
    shape.push_back(static_cast<int64_t>(value));
  }
  void Other(std::string_view what) override { Misplaced(what); }

 private:
  enum class Field { kNone, kDType, kShape, kOffsets };

  // Names come from the file: messages show their beginning only.
  static std::string Shown(const std::string& name) { return name.substr(0, 100); }
  [[noreturn]] void Misplaced(std::string_view what) const {
    Corrupt(path_, fmt::format("header, near '{}': expected a table of tensors, found {}",
                               Shown(key_), what.substr(0, 60)));
  }
  void FinishTensor() {
    SafetensorsTensor& tensor = tensors_.back();
    if (seen_ != 0b1110 || offsets_.size() != 2) {
      Corrupt(path_,
              fmt::format("tensor '{}': expected dtype, shape and two data_offsets, found less",
                          Shown(tensor.name)));
    }
    const auto* type =
        std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                     [&](const ElementType& known) { return known.name == tensor.dtype; });
    if (type == std::end(kElementTypes)) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("cannot read safetensors: {}: tensor '{}': unknown dtype '{}'", path_,
                              Shown(tensor.name), Shown(tensor.dtype)));
    }
    std::optional<uint64_t> bytes = type->bytes;
    for (int64_t dimension : tensor.shape) {
      bytes = CheckedMultiply(*bytes, static_cast<uint64_t>(dimension));
      if (!bytes)
        Corrupt(path_, fmt::format("tensor '{}': its size overflows", Shown(tensor.name)));
    }
    if (offsets_[0] > offsets_[1] || offsets_[1] - offsets_[0] != *bytes) {
      Corrupt(path_,
              fmt::format("tensor '{}': expected {} bytes for {} [{}], found offsets {} to {}",
                          Shown(tensor.name), *bytes, tensor.dtype, fmt::join(tensor.shape, ", "),
                          offsets_[0], offsets_[1]));
    }
    tensor.offset = offsets_[0];
    tensor.n_bytes = *bytes;
  }

  const std::string& path_;
  std::vector<SafetensorsTensor>& tensors_;
  int depth_ = 0;
  bool in_metadata_ = false;
  bool in_array_ = false;
  uint64_t n_metadata_ = 0;
  std::string key_;
  Field field_ = Field::kNone;
  unsigned seen_ = 0;  // bit per Field
  std::vector<uint64_t> offsets_;
};

// Sorts by offset and checks that the tensors cover [0, data_bytes) without gaps or overlaps.
void CheckCover(const std::string& path, std::vector<SafetensorsTensor>& tensors,
                uint64_t header_bytes, uint64_t data_bytes) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.n_bytes < b.n_bytes;
  });
  uint64_t covered = 0;
  for (SafetensorsTensor& tensor : tensors) {
    if (tensor.offset != covered) {
      Corrupt(path, fmt::format("tensor '{}': expected to begin at data offset {}, found {}",
                                tensor.name.substr(0, 100), covered, tensor.offset));
    }
    if (tensor.n_bytes > data_bytes - covered) {
      Corrupt(path,
              fmt::format("tensor '{}'@{}: expected {} bytes, found {}: the file is cut short",
                          tensor.name.substr(0, 100), header_bytes + covered, tensor.n_bytes,
                          data_bytes - covered));
    }
    covered += tensor.n_bytes;
    tensor.offset += header_bytes;
  }
  if (covered != data_bytes) {
    Corrupt(path, fmt::format("expected {} bytes of tensors, found {} bytes of data", covered,
                              data_bytes));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::shared_ptr<const RandomAccessFile> file)
    : file_(std::move(file)) {
  const std::string& path = file_->path();
  if (file_->size() < 8) {
    Corrupt(path, fmt::format("expected at least 8 bytes, found {}", file_->size()));
  }
  uint64_t length = 0;
  file_->Read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxSafetensorsHeaderBytes || length > file_->size() - 8) {
    Corrupt(path, fmt::format("header length@0: expected at most {} bytes, found {}",
                              std::min(kMaxSafetensorsHeaderBytes, file_->size() - 8), length));
  }
  std::string header(length, '\0');
  file_->Read(8, std::as_writable_bytes(std::span(header)));
  if (header.empty() || header[0] != '{') {
    Corrupt(path, "header@8: expected a JSON object");
  }
  HeaderHandler handler(path, tensors_);
  ReadJson(header, path, handler, 8);
  header_bytes_ = 8 + length;
  CheckCover(path, tensors_, header_bytes_, file_->size() - header_bytes_);
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
}

SafetensorsFile SafetensorsFile::Open(const std::string& path) {
  return SafetensorsFile(OpenFile(path));
}

const SafetensorsTensor* SafetensorsFile::Find(std::string_view name) const {
  auto at = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [this](size_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

const SafetensorsTensor& SafetensorsFile::Get(std::string_view name) const {
  const SafetensorsTensor* tensor = Find(name);
  if (tensor == nullptr) {
    throw Error(ErrorKind::kNotFound,
                fmt::format("cannot read tensor: {}: no tensor '{}'", file_->path(), name));
  }
  return *tensor;
}

std::vector<std::byte> SafetensorsFile::ReadBytes(const SafetensorsTensor& tensor) const {
  std::vector<std::byte> bytes(tensor.n_bytes);
  file_->Read(tensor.offset, bytes);
  return bytes;
}

std::vector<float> SafetensorsFile::ReadFloats(std::string_view name) const {
  const SafetensorsTensor& tensor = Get(name);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (tensor.dtype != Name(dtype)) continue;
    std::vector<std::byte> bytes = ReadBytes(tensor);
    std::vector<float> values(bytes.size() / static_cast<size_t>(Info(dtype).block_bytes));
    if (!values.empty()) DequantiseRow(dtype, bytes.data(), values);
    return values;
  }
  throw Error(ErrorKind::kUnsupported, fmt::format("cannot read tensor: {}: '{}' is {}, not floats",
                                                   file_->path(), name, tensor.dtype));
}

std::vector<int64_t> SafetensorsFile::ReadInts(std::string_view name) const {
  const SafetensorsTensor& tensor = Get(name);
  std::vector<std::byte> bytes = ReadBytes(tensor);
  auto widen = [&]<typename T>(T) {
    std::vector<int64_t> values(bytes.size() / sizeof(T));
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): I8 is a number and its sign is meant
    for (size_t i = 0; i < values.size(); ++i) values[i] = LoadUnaligned<T>(bytes, i * sizeof(T));
    return values;
  };
  if (tensor.dtype == "U8" || tensor.dtype == "BOOL") return widen(uint8_t{});
  if (tensor.dtype == "I8") return widen(int8_t{});
  if (tensor.dtype == "I16") return widen(int16_t{});
  if (tensor.dtype == "I32") return widen(int32_t{});
  if (tensor.dtype == "I64") return widen(int64_t{});
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot read tensor: {}: '{}' is {}, not integers", file_->path(), name,
                          tensor.dtype));
}

}  // namespace moescope::files
