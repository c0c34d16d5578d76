#include "lab/capture_files.h"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "store/row_source.h"

namespace moescope::lab {
namespace {

// Format 1.0 with the header padded to 128 bytes, so that it can be written again at the end.
// Source: NumPy, "A simple file format for NumPy arrays" (NEP 1).
constexpr size_t kHeaderBytes = 128;

std::string ArrayHeader(int64_t n_rows, int dim) {
  std::string header("\x93NUMPY\x01\x00\x76\x00", 10);  // 118 bytes follow
  header +=
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows, dim);
  header.resize(kHeaderBytes - 1, ' ');
  return header + '\n';
}

// The rows for DuckDB, their values read back from the array.
class CapturedRows : public store::RowSource {
 public:
  CapturedRows(const std::vector<CapturedRow>& rows, std::FILE* array, const std::string& path,
               int dim)
      : rows_(rows), array_(array), path_(path), dim_(dim) {}

  std::vector<store::Column> columns() const override {
    using store::ColumnType;
    std::vector<store::Column> columns = {
        {"token", ColumnType::kInt64},    {"layer", ColumnType::kInt16},
        {"slot", ColumnType::kInt16},     {"expert", ColumnType::kInt16},
        {"weight", ColumnType::kFloat},   {"token_id", ColumnType::kInt32},
        {"sequence", ColumnType::kInt64}, {"position", ColumnType::kInt32}};
    if (array_ != nullptr) columns.push_back({"values", ColumnType::kFloats, dim_});
    return columns;
  }
  int64_t n_rows() const override { return static_cast<int64_t>(rows_.size()); }

  void Fill(int64_t first, int64_t n, store::RowSink& sink) override {
    auto* token = static_cast<int64_t*>(sink.values(0));
    auto* layer = static_cast<int16_t*>(sink.values(1));
    auto* slot = static_cast<int16_t*>(sink.values(2));
    auto* expert = static_cast<int16_t*>(sink.values(3));
    auto* weight = static_cast<float*>(sink.values(4));
    auto* token_id = static_cast<int32_t*>(sink.values(5));
    auto* sequence = static_cast<int64_t*>(sink.values(6));
    auto* position = static_cast<int32_t*>(sink.values(7));
    for (int64_t i = 0; i < n; ++i) {
      const CapturedRow& row = rows_[static_cast<size_t>(first + i)];
      token[i] = row.token;
      layer[i] = row.layer;
      slot[i] = row.slot;
      expert[i] = row.expert;
      weight[i] = row.weight;
      token_id[i] = row.token_id;
      sequence[i] = row.sequence;
      position[i] = row.position;
      if (row.slot < 0) sink.SetNull(2, i);
      if (row.expert >= 0) continue;
      sink.SetNull(3, i);
      sink.SetNull(4, i);
    }
    if (array_ == nullptr) return;
    const auto dim = static_cast<size_t>(dim_);
    const auto offset = static_cast<off_t>(kHeaderBytes + static_cast<size_t>(first) * dim * 4);
    const size_t wanted = static_cast<size_t>(n) * dim;
    if (fseeko(array_, offset, SEEK_SET) != 0 ||
        std::fread(sink.values(8), sizeof(float), wanted, array_) != wanted) {
      ThrowErrno(errno != 0 ? errno : EIO, "read", path_);
    }
  }

 private:
  const std::vector<CapturedRow>& rows_;
  std::FILE* array_;
  const std::string& path_;
  int dim_;
};

}  // namespace

CaptureFiles::CaptureFiles(const std::string& folder, const std::string& name, int dim)
    : array_path_(folder + "/" + name + ".npy"),
      parquet_path_(folder + "/" + name + ".parquet"),
      dim_(dim),
      file_(std::fopen(array_path_.c_str(), "w+b"), std::fclose) {
  if (!file_) ThrowErrno(errno, "write", array_path_);
  WriteHeader();
}

void CaptureFiles::WriteHeader() {
  const std::string header = ArrayHeader(n_rows(), dim_);
  if (fseeko(file_.get(), 0, SEEK_SET) != 0 ||
      std::fwrite(header.data(), 1, header.size(), file_.get()) != header.size()) {
    ThrowErrno(errno, "write", array_path_);
  }
}

void CaptureFiles::Add(const CapturedRow& row, std::span<const float> values) {
  MOESCOPE_CHECK(values.size() == static_cast<size_t>(dim_));
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_.get()) != values.size()) {
    ThrowErrno(errno, "write", array_path_);
  }
  rows_.push_back(row);
}

void CaptureFiles::Finish(store::Database& database, bool with_values) {
  WriteHeader();
  if (std::fflush(file_.get()) != 0) ThrowErrno(errno, "write", array_path_);
  CapturedRows rows(rows_, with_values ? file_.get() : nullptr, array_path_, dim_);
  const std::string function = "captured_" + std::filesystem::path(parquet_path_).stem().string();
  database.AddTableFunction(function, rows);
  database.Execute(fmt::format("COPY (SELECT * FROM {}()) TO {} (FORMAT parquet, COMPRESSION zstd)",
                               function, store::Quoted(parquet_path_)));
  file_.reset();
  if (with_values) std::filesystem::remove(array_path_);
}

}  // namespace moescope::lab
