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

// A value of a result: null, integer, real, text, or bytes of a BLOB (as text).
using Value = std::variant<std::monostate, int64_t, double, std::string>;

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Value>> rows;
};

// Columns of one chunk of a streamed result, converted to the widths analyses use.
class Chunk {
 public:
  virtual ~Chunk() = default;
  virtual int64_t n_rows() const = 0;
  // Column `i` as 64-bit integers or doubles; `nulls[r]` is set where null. Valid until the next chunk.
  virtual std::span<const int64_t> Integers(int column) = 0;
  virtual std::span<const double> Reals(int column) = 0;
  virtual bool IsNull(int column, int64_t row) const = 0;
};

struct DatabaseOptions {
  uint64_t memory_bytes = uint64_t{1} << 30;
  int n_threads = 0;          // 0: all cores
  double timeout_seconds = 0; // 0: none; a query past it throws Error(kCancelled)
};

// An in-process database. Not thread-safe.
class Database {
 public:
  explicit Database(const DatabaseOptions& options);
  ~Database();

  // Runs a statement of ours. Throws Error(kInternal) with DuckDB's message.
  void Execute(const std::string& sql);
  // Runs a query; throws Error(kBadInput) with DuckDB's message (a user's SQL is input).
  Table Query(const std::string& sql);
  // The same, chunk by chunk in row order, for large results.
  void Stream(const std::string& sql, FunctionRef<void(Chunk&)> on_chunk);
  // From here on: no file outside the run, no settings, no extensions.
  void LockDown();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moescope::store
