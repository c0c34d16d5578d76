#include "files/safetensors_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace moescope::files {

void SafetensorsWriter::DeclareTensor(std::string_view name, DType dtype,
                                      const std::vector<int64_t>& shape) {
  MOESCOPE_CHECK(Info(dtype).block_elements == 1);
  auto n_bytes = static_cast<uint64_t>(Info(dtype).block_bytes);
  for (int64_t dimension : shape) n_bytes *= static_cast<uint64_t>(dimension);
  table_ += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        nlohmann::json(name).dump(), Name(dtype), fmt::join(shape, ","),
                        data_bytes_, data_bytes_ + n_bytes);
  data_bytes_ += n_bytes;
}

std::string SafetensorsWriter::Header() const {
  // transformers refuses files that do not say which framework's layout they have.
  std::string header = R"({"__metadata__":{"format":"pt"})" + table_ + "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return header;
}

uint64_t SafetensorsWriter::TotalBytes() const {
  return sizeof(uint64_t) + Header().size() + data_bytes_;
}

void SafetensorsWriter::Begin(const std::string& path) {
  RequireFreeSpace(path, TotalBytes());
  file_ = std::make_unique<DurableFileWriter>(path);
  const std::string header = Header();
  const uint64_t length = header.size();
  file_->Append(std::as_bytes(std::span(&length, 1)));
  file_->Append(AsBytes(header));
}

void SafetensorsWriter::Append(ByteSpan bytes) {
  MOESCOPE_CHECK(file_ != nullptr && bytes.size() <= data_bytes_ - appended_bytes_);
  file_->Append(bytes);
  appended_bytes_ += bytes.size();
}

void SafetensorsWriter::Commit() {
  MOESCOPE_CHECK(file_ != nullptr && appended_bytes_ == data_bytes_);
  file_->Commit();
}

}  // namespace moescope::files
