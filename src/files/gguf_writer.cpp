#include "files/gguf_writer.h"

#include <algorithm>

#include "base/error.h"
#include "files/gguf.h"

namespace moescope::files {
namespace {

uint64_t PaddingOf(uint64_t n) {
  return (kGgufDefaultAlignment - n % kGgufDefaultAlignment) % kGgufDefaultAlignment;
}

template <typename T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void PutText(std::string& out, std::string_view text) {
  Put(out, static_cast<uint64_t>(text.size()));
  out.append(text);
}

constexpr uint32_t Number(GgufType type) {
  return static_cast<uint32_t>(type);
}

}  // namespace

void GgufWriter::Key(std::string_view key, uint32_t type) {
  PutText(keys_, key);
  Put(keys_, type);
  ++n_keys_;
}

void GgufWriter::Array(std::string_view key, uint32_t type, uint64_t count) {
  Key(key, Number(GgufType::kArray));
  Put(keys_, type);
  Put(keys_, count);
}

void GgufWriter::AddText(std::string_view key, std::string_view value) {
  Key(key, Number(GgufType::kString));
  PutText(keys_, value);
}

void GgufWriter::AddU32(std::string_view key, uint32_t value) {
  Key(key, Number(GgufType::kU32));
  Put(keys_, value);
}

void GgufWriter::AddF32(std::string_view key, float value) {
  Key(key, Number(GgufType::kF32));
  Put(keys_, value);
}

void GgufWriter::AddBool(std::string_view key, bool value) {
  Key(key, Number(GgufType::kBool));
  Put(keys_, static_cast<uint8_t>(value));
}

void GgufWriter::AddTexts(std::string_view key, const std::vector<std::string_view>& values) {
  Array(key, Number(GgufType::kString), values.size());
  for (std::string_view value : values) PutText(keys_, value);
}

void GgufWriter::AddF32s(std::string_view key, const std::vector<float>& values) {
  Array(key, Number(GgufType::kF32), values.size());
  for (float value : values) Put(keys_, value);
}

void GgufWriter::AddI32s(std::string_view key, const std::vector<int32_t>& values) {
  Array(key, Number(GgufType::kI32), values.size());
  for (int32_t value : values) Put(keys_, value);
}

void GgufWriter::DeclareTensor(std::string_view name, DType dtype,
                               const std::vector<int64_t>& shape) {
  uint64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= static_cast<uint64_t>(shape[i]);
  std::optional<uint64_t> row_bytes = RowBytes(dtype, static_cast<uint64_t>(shape.back()));
  MOESCOPE_CHECK(row_bytes.has_value());
  uint64_t n_bytes = rows * *row_bytes;
  tensors_.push_back({std::string(name), dtype, shape, n_bytes, data_bytes_});
  data_bytes_ += n_bytes + PaddingOf(n_bytes);
}

std::string GgufWriter::Header() const {
  std::string header(kGgufMagic);
  Put(header, uint32_t{3});
  Put(header, static_cast<uint64_t>(tensors_.size()));
  Put(header, n_keys_);
  header += keys_;
  for (const Declared& tensor : tensors_) {
    PutText(header, tensor.name);
    Put(header, static_cast<uint32_t>(tensor.shape.size()));
    for (auto at = tensor.shape.rbegin(); at != tensor.shape.rend(); ++at) {
      Put(header, static_cast<uint64_t>(*at));
    }
    Put(header, GgufTypeOf(tensor.dtype).number);
    Put(header, tensor.offset);
  }
  header.append(PaddingOf(header.size()), '\0');
  return header;
}

uint64_t GgufWriter::TotalBytes() const {
  return Header().size() + data_bytes_;
}

void GgufWriter::Begin(const std::string& path) {
  RequireFreeSpace(path, TotalBytes());
  file_ = std::make_unique<DurableFileWriter>(path);
  file_->Append(AsBytes(Header()));
}

void GgufWriter::Append(ByteSpan bytes) {
  MOESCOPE_CHECK(file_ != nullptr);
  while (!bytes.empty()) {
    MOESCOPE_CHECK(current_ < tensors_.size());
    const Declared& tensor = tensors_[current_];
    ByteSpan part = bytes.first(std::min<uint64_t>(bytes.size(), tensor.n_bytes - current_bytes_));
    file_->Append(part);
    current_bytes_ += part.size();
    bytes = bytes.subspan(part.size());
    if (current_bytes_ < tensor.n_bytes) continue;
    Pad(PaddingOf(tensor.n_bytes));
    ++current_;
    current_bytes_ = 0;
  }
}

void GgufWriter::Pad(uint64_t n) {
  const std::byte zeros[kGgufDefaultAlignment] = {};
  file_->Append(ByteSpan(zeros, n));
}

void GgufWriter::Commit() {
  MOESCOPE_CHECK(file_ != nullptr && current_ == tensors_.size());
  file_->Commit();
}

}  // namespace moescope::files
