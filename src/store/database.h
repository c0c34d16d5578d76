// DuckDB behind a small interface: a locked-down connection and typed results.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/function_ref.h"

namespace moescope::store {

class RowSource;

// A value of a result: null, integer, real, text, or bytes of a BLOB (as text). Booleans are 0 and
// 1; dates, lists and other types come as the text DuckDB casts them to.
using Value = std::variant<std::monostate, int64_t, double, std::string>;

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Value>> rows;
  bool truncated = false;  // the query had more rows than asked for
};

// Columns of one chunk of a streamed result, converted to the widths analyses use.
class Chunk {
 public:
  virtual ~Chunk() = default;
  virtual int64_t n_rows() const = 0;
  // A column as 64-bit integers or doubles, 0 where null. Valid until the next chunk, however many
  // columns are asked for. Throws Error(kInternal) when the column has no such values.
  virtual std::span<const int64_t> Integers(int column) = 0;
  virtual std::span<const double> Reals(int column) = 0;
  virtual bool IsNull(int column, int64_t row) const = 0;
};

// The rows of a running query, one at a time. The database must outlive it and run nothing else
// meanwhile.
class RowCursor {
 public:
  virtual ~RowCursor() = default;
  // False at the end. Throws as Database::Query.
  virtual bool Next(std::vector<Value>& row) = 0;
};

struct DatabaseOptions {
  uint64_t memory_bytes = uint64_t{1} << 30;
  int n_threads = 0;           // 0: all cores
  double timeout_seconds = 0;  // 0: none; a query past it throws Error(kCancelled)
};

// An in-process database that never spills to disk and never loads an extension. Not thread-safe.
// Queries end with Error(kCancelled) when the user interrupts or the time is over, and with
// Error(kResource) when memory_bytes do not suffice.
class Database {
 public:
  explicit Database(const DatabaseOptions& options);
  ~Database();

  // Runs a statement of ours. Throws Error(kInternal) with DuckDB's message; kIo as the system
  // says.
  void Execute(const std::string& sql);
  // Runs a query; throws Error(kBadInput) with DuckDB's message (a user's SQL is input).
  // Rows past `max_rows` (0: none) are not fetched.
  Table Query(const std::string& sql, int64_t max_rows = 0);
  // The same row by row, for results of any size: first the names of the columns, then each row
  // until `on_row` returns false.
  void ForEachRow(const std::string& sql,
                  FunctionRef<void(const std::vector<std::string>&)> on_columns,
                  FunctionRef<bool(std::vector<Value>&)> on_row);
  // The same, for readers that ask for the next row when they want it; no time limit.
  std::unique_ptr<RowCursor> Open(const std::string& sql);
  // The same, chunk by chunk in row order, for large results.
  void Stream(const std::string& sql, FunctionRef<void(Chunk&)> on_chunk);

  // Makes `rows` readable as the table function NAME(), by one thread in order. `rows` must outlive
  // the last statement that uses it.
  void AddTableFunction(const std::string& name, RowSource& rows);

  // From here on: single SELECT statements only, which read no file but `readable_files`; no
  // settings, no extensions.
  void LockDown(const std::vector<std::string>& readable_files = {});

  struct State;

 private:
  std::unique_ptr<State> state_;
};

// 'it''s': a string literal of SQL.
std::string Quoted(std::string_view text);

}  // namespace moescope::store
