// Rows of ours as DuckDB reads them: the way from buffers and journals into Parquet files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::store {

enum class ColumnType { kBool, kInt8, kInt16, kInt32, kInt64, kFloat, kText, kBytes, kFloats };

struct Column {
  std::string name;
  ColumnType type = ColumnType::kInt64;
  int list_size = 0;  // of kFloats: every row has so many values
};

// Where one batch of rows is put. Not thread-safe.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // The values of a column in the width of its type, `batch_rows` of them (kFloats: times
  // list_size). Not for kText and kBytes.
  virtual void* values(int column) = 0;
  virtual void SetNull(int column, int64_t row) = 0;
  // kText must be valid UTF-8.
  virtual void SetText(int column, int64_t row, std::string_view text) = 0;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual std::vector<Column> columns() const = 0;
  virtual int64_t n_rows() const = 0;
  // Puts rows [first, first + n) into `sink`, n <= 2048. What it throws is thrown by
  // Database::Execute.
  virtual void Fill(int64_t first, int64_t n, RowSink& sink) = 0;
};

}  // namespace moescope::store
