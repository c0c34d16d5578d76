#include "store/part_cutter.h"

#include <fmt/format.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>

#include "base/error.h"
#include "base/platform/durable_file.h"
#include "base/platform/file.h"
#include "base/valid_utf8.h"
#include "store/row_source.h"

namespace moescope::store {
namespace {

namespace fs = std::filesystem;

// Rows of a Parquet row group. Queries skip whole groups by their ranges of `token`, and DuckDB's
// threads take one group each; the writer holds a group in memory, hence fewer rows where they are
// wide. A function of the columns alone: bytes must not depend on the memory there is.
int64_t RowGroupRows(int64_t row_bytes) {
  constexpr int64_t kVectorRows = 2'048;  // DuckDB wants multiples of it
  constexpr int64_t kMaxRows = 60 * kVectorRows;
  constexpr int64_t kGroupBytes = int64_t{6} << 20;
  return std::clamp(kGroupBytes / row_bytes / kVectorRows * kVectorRows, kVectorRows, kMaxRows);
}

// Bytes of a row before compression; texts as if short.
int64_t RowBytes(const std::vector<Column>& columns) {
  int64_t bytes = 0;
  for (const Column& column : columns) {
    switch (column.type) {
      case ColumnType::kBool:
      case ColumnType::kInt8:
        bytes += 1;
        break;
      case ColumnType::kInt16:
        bytes += 2;
        break;
      case ColumnType::kInt32:
      case ColumnType::kFloat:
        bytes += 4;
        break;
      case ColumnType::kInt64:
        bytes += 8;
        break;
      case ColumnType::kText:
      case ColumnType::kBytes:
        bytes += 32;
        break;
      case ColumnType::kFloats:
        bytes += 16 + 4 * column.list_size;
        break;
    }
  }
  return bytes;
}

constexpr uint64_t kLeastMemoryBytes = uint64_t{32} << 20;

// The one table function of the cutter; what it reads is exchanged from file to file.
class Forward final : public RowSource {
 public:
  RowSource* target = nullptr;
  std::vector<Column> columns() const override { return target->columns(); }
  int64_t n_rows() const override { return target->n_rows(); }
  void Fill(int64_t first, int64_t n, RowSink& sink) override { target->Fill(first, n, sink); }
};

class VocabularyRows final : public RowSource {
 public:
  explicit VocabularyRows(const std::vector<VocabularyEntry>& entries) : entries_(entries) {}
  std::vector<Column> columns() const override {
    return {{"token_id", ColumnType::kInt32},
            {"bytes", ColumnType::kBytes},
            {"text", ColumnType::kText}};
  }
  int64_t n_rows() const override { return static_cast<int64_t>(entries_.size()); }
  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    for (int64_t i = 0; i < n; ++i) {
      const VocabularyEntry& entry = entries_[static_cast<size_t>(first + i)];
      static_cast<int32_t*>(sink.values(0))[i] = static_cast<int32_t>(first + i);
      sink.SetText(1, i, entry.bytes);
      sink.SetText(2, i, ValidUtf8(entry.text));
    }
  }

 private:
  const std::vector<VocabularyEntry>& entries_;
};

class DocumentRows final : public RowSource {
 public:
  explicit DocumentRows(const std::vector<DocumentRecord>& documents) : documents_(documents) {}
  std::vector<Column> columns() const override {
    return {{"document", ColumnType::kInt64}, {"dataset", ColumnType::kText},
            {"source", ColumnType::kText},    {"unit", ColumnType::kText},
            {"n_bytes", ColumnType::kInt64},  {"first_token", ColumnType::kInt64},
            {"n_tokens", ColumnType::kInt64}, {"hash", ColumnType::kText}};
  }
  int64_t n_rows() const override { return static_cast<int64_t>(documents_.size()); }
  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    for (int64_t i = 0; i < n; ++i) {
      const DocumentRecord& document = documents_[static_cast<size_t>(first + i)];
      static_cast<int64_t*>(sink.values(0))[i] = document.document;
      sink.SetText(1, i, ValidUtf8(document.dataset));
      sink.SetText(2, i, ValidUtf8(document.source));
      sink.SetText(3, i, ValidUtf8(document.unit));
      static_cast<int64_t*>(sink.values(4))[i] = static_cast<int64_t>(document.n_bytes);
      static_cast<int64_t*>(sink.values(5))[i] = document.first_token;
      static_cast<int64_t*>(sink.values(6))[i] = document.n_tokens;
      sink.SetText(7, i, fmt::format("{:016x}", document.hash));
    }
  }

 private:
  const std::vector<DocumentRecord>& documents_;
};

class TokenRows final : public RowSource {
 public:
  TokenRows(const PartRows& part, bool has_losses) : part_(part), has_losses_(has_losses) {}
  std::vector<Column> columns() const override {
    return {{"token", ColumnType::kInt64},    {"document", ColumnType::kInt64},
            {"sequence", ColumnType::kInt64}, {"position", ColumnType::kInt32},
            {"token_id", ColumnType::kInt32}, {"byte_start", ColumnType::kInt64},
            {"byte_end", ColumnType::kInt64}, {"special", ColumnType::kBool},
            {"phase", ColumnType::kInt8},     {"loss", ColumnType::kFloat}};
  }
  int64_t n_rows() const override { return part_.n_tokens; }
  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    records_.resize(static_cast<size_t>(n));
    part_.journal.ReadTokens(part_.first_token + first, n, records_.data());
    for (int64_t i = 0; i < n; ++i) {
      const TokenRecord& record = records_[static_cast<size_t>(i)];
      static_cast<int64_t*>(sink.values(0))[i] = record.token;
      static_cast<int64_t*>(sink.values(1))[i] = record.document;
      static_cast<int64_t*>(sink.values(2))[i] = record.sequence;
      static_cast<int32_t*>(sink.values(3))[i] = record.position;
      static_cast<int32_t*>(sink.values(4))[i] = record.token_id;
      static_cast<int64_t*>(sink.values(5))[i] = record.byte_start;
      static_cast<int64_t*>(sink.values(6))[i] = record.byte_end;
      static_cast<bool*>(sink.values(7))[i] = record.special != 0;
      static_cast<int8_t*>(sink.values(8))[i] = static_cast<int8_t>(record.phase);
      static_cast<float*>(sink.values(9))[i] = record.loss;
      if (record.token_id < 0) {
        for (int column : {4, 5, 6}) sink.SetNull(column, i);
      }
      if (!has_losses_ || std::isnan(record.loss)) sink.SetNull(9, i);
    }
  }

 private:
  const PartRows& part_;
  bool has_losses_;
  std::vector<TokenRecord> records_;
};

class RouteRows final : public RowSource {
 public:
  RouteRows(const PartRows& part, int layer) : part_(part), layer_(layer) {}

  std::vector<Column> columns() const override {
    const JournalShape& shape = part_.journal.shape();
    std::vector<Column> columns = {{"token", ColumnType::kInt64}};
    ColumnType expert = narrow() ? ColumnType::kInt8 : ColumnType::kInt16;
    for (int slot = 0; slot < shape.experts_per_token; ++slot) {
      columns.push_back({fmt::format("expert_{}", slot), expert});
    }
    for (int slot = 0; slot < shape.experts_per_token; ++slot) {
      columns.push_back({fmt::format("weight_{}", slot), ColumnType::kFloat});
    }
    columns.push_back({"margin", ColumnType::kFloat});
    columns.push_back({"entropy", ColumnType::kFloat});
    if (shape.has_logits) columns.push_back({"logits", ColumnType::kFloats, shape.n_experts});
    return columns;
  }

  int64_t n_rows() const override { return part_.n_tokens; }

  void Fill(int64_t first, int64_t n, RowSink& sink) override {
    const JournalShape& shape = part_.journal.shape();
    int k = shape.experts_per_token;
    int64_t token = part_.first_token + first;
    experts_.resize(static_cast<size_t>(n * k));
    weights_.resize(static_cast<size_t>(n * k));
    part_.journal.ReadExperts(layer_, token, n, experts_.data());
    part_.journal.ReadWeights(layer_, token, n, weights_.data());
    for (int64_t i = 0; i < n; ++i) static_cast<int64_t*>(sink.values(0))[i] = token + i;
    for (int slot = 0; slot < k; ++slot) FillSlot(slot, n, sink);
    auto* margins = static_cast<float*>(sink.values(2 * k + 1));
    part_.journal.ReadMargins(layer_, token, n, margins);
    Round(margins, n, 2 * k + 1, sink);
    auto* entropies = static_cast<float*>(sink.values(2 * k + 2));
    part_.journal.ReadEntropies(layer_, token, n, entropies);
    Round(entropies, n, 2 * k + 2, sink);
    if (shape.has_logits) {
      part_.journal.ReadLogits(layer_, token, n, static_cast<float*>(sink.values(2 * k + 3)));
    }
  }

 private:
  bool narrow() const { return part_.journal.shape().n_experts <= 128; }

  void FillSlot(int slot, int64_t n, RowSink& sink) {
    int k = part_.journal.shape().experts_per_token;
    void* experts = sink.values(1 + slot);
    auto* weights = static_cast<float*>(sink.values(1 + k + slot));
    for (int64_t i = 0; i < n; ++i) {
      auto from = static_cast<size_t>(i * k + slot);
      int16_t expert = experts_[from];
      if (narrow())
        static_cast<int8_t*>(experts)[i] = static_cast<int8_t>(expert);
      else
        static_cast<int16_t*>(experts)[i] = expert;
      weights[i] = weights_[from];
      if (expert < 0) sink.SetNull(1 + slot, i);
      if (expert < 0 || !std::isfinite(weights_[from])) sink.SetNull(1 + k + slot, i);
    }
  }

  static void Round(float* values, int64_t n, int column, RowSink& sink) {
    for (int64_t i = 0; i < n; ++i) {
      if (!std::isfinite(values[i])) sink.SetNull(column, i);
      values[i] = RoundedTo12Bits(values[i]);
    }
  }

  const PartRows& part_;
  int layer_;  // counted from 0
  std::vector<int16_t> experts_;
  std::vector<float> weights_;
};

// Removes the file unless told that it is kept.
struct TemporaryFile {
  explicit TemporaryFile(std::string name) : path(std::move(name)) {}
  ~TemporaryFile() {
    if (!kept) unlink(path.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path;
  bool kept = false;
};

}  // namespace

float RoundedTo12Bits(float value) {
  if (!std::isfinite(value)) return value;
  constexpr uint32_t kDropped = 23 - 12;
  uint32_t bits = std::bit_cast<uint32_t>(value);
  // Half of the last kept place, less one unit where that place is even: ties go to even. A carry
  // into the exponent is the right rounding, except past the largest float.
  uint32_t half = (1u << (kDropped - 1)) - 1 + ((bits >> kDropped) & 1);
  float rounded = std::bit_cast<float>((bits + half) & ~((1u << kDropped) - 1));
  return std::isfinite(rounded) ? rounded : value;
}

FileHash HashFile(const std::string& path) {
  std::shared_ptr<RandomAccessFile> file = OpenFile(path);
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (uint64_t at = 0; at < file->size();) {
    std::span<std::byte> piece(buffer.data(), std::min<uint64_t>(file->size() - at, buffer.size()));
    file->Read(at, piece);
    XXH3_64bits_update(&state, piece.data(), piece.size());
    at += piece.size();
  }
  return {fmt::format("{:016x}", XXH3_64bits_digest(&state)), file->size()};
}

PartCutter::PartCutter(const std::string& directory, const RunDescription& description,
                       uint64_t memory_bytes)
    : directory_(directory),
      description_(description),
      layers_(description.LayerNumbers()),
      // One thread: the order of rows and the cuts between row groups are then those of the source.
      database_({.memory_bytes = std::max(memory_bytes, kLeastMemoryBytes), .n_threads = 1}),
      current_(std::make_unique<Forward>()) {
  database_.AddTableFunction("moescope_rows", *current_);
  if (memory_bytes >= 4 * kLeastMemoryBytes && layers_.size() > 1) {
    second_ = std::make_unique<PartCutter>(directory, description, kLeastMemoryBytes);
  }
}

FileEntry PartCutter::WriteFile(const std::string& path, RowSource& rows) {
  static_cast<Forward&>(*current_).target = &rows;
  std::string final_path = (fs::path(directory_) / path).string();
  std::string parent = fs::path(final_path).parent_path().string();
  std::error_code failed;
  fs::create_directories(parent, failed);
  if (failed) ThrowErrno(failed.value(), "create", parent);
  TemporaryFile temporary(final_path + ".partial");
  int64_t row_bytes = RowBytes(rows.columns());
  // Version 1 pages: PLAIN and dictionary encodings, which every reader has.
  std::string sql = fmt::format(
      "COPY (SELECT * FROM moescope_rows()) TO {} (FORMAT parquet, COMPRESSION zstd, "
      "PARQUET_VERSION v1, ROW_GROUP_SIZE {}, USE_TMP_FILE false)",
      Quoted(temporary.path), RowGroupRows(row_bytes));
  try {
    database_.Execute(sql);
  } catch (const Error& error) {
    // DuckDB says what the system said, in words.
    bool full = std::string_view(error.what()).find(std::strerror(ENOSPC)) != std::string::npos;
    if (error.kind() != ErrorKind::kIo || !full) throw;
    ThrowWriteError(ENOSPC, final_path, static_cast<uint64_t>(rows.n_rows() * row_bytes));
  }
  SyncFile(temporary.path);
  FileHash hash = HashFile(temporary.path);
  if (std::rename(temporary.path.c_str(), final_path.c_str()) != 0) {
    ThrowErrno(errno, "rename", temporary.path);
  }
  temporary.kept = true;
  SyncDirectory(parent);
  return {path, rows.n_rows(), hash.bytes, hash.xxh3};
}

FileEntry PartCutter::WriteVocabulary(const std::vector<VocabularyEntry>& vocabulary) {
  VocabularyRows rows(vocabulary);
  return WriteFile(kVocabularyPath, rows);
}

void PartCutter::WriteEveryOtherLayer(size_t first, int64_t index, const PartRows& rows,
                                      std::span<FileEntry> files) {
  for (size_t i = first; i < layers_.size(); i += 2) {
    RouteRows routes(rows, static_cast<int>(i));
    files[i] = WriteFile(RoutesPath(layers_[i], index), routes);
  }
}

PartEntry PartCutter::WritePart(int64_t index, const PartRows& rows) {
  PartEntry part;
  part.first_token = rows.first_token;
  part.n_tokens = rows.n_tokens;
  part.first_document = rows.first_document;
  part.n_documents = static_cast<int64_t>(rows.documents.size());
  DocumentRows documents(rows.documents);
  part.files.push_back(WriteFile(DocumentsPath(index), documents));
  TokenRows tokens(rows, description_.has_losses);
  part.files.push_back(WriteFile(TokensPath(index), tokens));
  const size_t n_others = part.files.size();
  part.files.resize(n_others + layers_.size());
  std::span<FileEntry> files = std::span(part.files).subspan(n_others);
  if (!second_) {
    WriteEveryOtherLayer(0, index, rows, files);
    WriteEveryOtherLayer(1, index, rows, files);
    return part;
  }
  std::future<void> odd_layers =
      std::async(std::launch::async, [&] { second_->WriteEveryOtherLayer(1, index, rows, files); });
  WriteEveryOtherLayer(0, index, rows, files);
  odd_layers.get();
  return part;
}

}  // namespace moescope::store
