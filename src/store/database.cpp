#include "store/database.h"

#include <duckdb.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/units.h"
#include "store/database_state.h"

namespace moescope::store {
namespace {

// DuckDB's messages are several lines: the cause, hints, the query with a caret. One line is
// enough.
std::string FirstLine(const char* message) {
  std::string text = message == nullptr ? "unknown error" : message;
  std::string line = text.substr(0, text.find('\n'));
  size_t candidates = text.find("\nCandidate bindings");
  if (candidates != std::string::npos) {
    std::string hint = text.substr(candidates + 1);
    line += "; " + hint.substr(0, hint.find('\n'));
  }
  return line;
}

// Interrupts the connection when time is over or the user wants to stop.
class Watchdog {
 public:
  Watchdog(duckdb_connection connection, double timeout_seconds)
      : connection_(connection), timeout_seconds_(timeout_seconds), thread_([this] { Watch(); }) {}
  ~Watchdog() { Stop(); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void Stop() {
    if (!thread_.joinable()) return;
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  bool timed_out() const { return timed_out_; }  // after Stop

 private:
  void Watch() {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, std::chrono::milliseconds(20), [this] { return done_; })) {
      double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (timeout_seconds_ > 0 && seconds > timeout_seconds_) timed_out_ = true;
      // Again and again: a statement that is being planned forgets an interrupt.
      if (timed_out_ || CancellationRequested()) duckdb_interrupt(connection_);
    }
  }

  duckdb_connection connection_;
  double timeout_seconds_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  bool timed_out_ = false;
  std::thread thread_;  // last: it uses the members above
};

[[noreturn]] void ThrowQueryError(const std::string& message, duckdb_error_type type,
                                  const DatabaseOptions& options, bool timed_out,
                                  ErrorKind otherwise) {
  if (timed_out) {
    throw Error(
        ErrorKind::kCancelled,
        fmt::format("query stopped: expected an answer within {}, found none; give a longer "
                    "--timeout or ask for less",
                    FormatSeconds(options.timeout_seconds)));
  }
  if (type == DUCKDB_ERROR_INTERRUPT) ThrowIfCancelled();
  if (type == DUCKDB_ERROR_OUT_OF_MEMORY) {
    throw Error(ErrorKind::kResource,
                fmt::format("DuckDB needs more than the {} of memory it may use; give a larger "
                            "--memory or ask for less",
                            FormatBytes(options.memory_bytes)));
  }
  if (otherwise == ErrorKind::kInternal && type == DUCKDB_ERROR_IO) otherwise = ErrorKind::kIo;
  throw Error(otherwise, "SQL: " + message);
}

// Statements of one SQL text; destroyed with the object.
class Statements {
 public:
  Statements(duckdb_connection connection, const std::string& sql, ErrorKind otherwise) {
    // An embedded NUL would silently cut the text.
    if (sql.find('\0') != std::string::npos) {
      throw Error(otherwise, "SQL: expected text, found a NUL byte");
    }
    count_ = duckdb_extract_statements(connection, sql.c_str(), &statements_);
    if (count_ > 0) return;
    const char* message = duckdb_extract_statements_error(statements_);
    std::string line = message == nullptr ? "expected a statement, found none" : FirstLine(message);
    duckdb_destroy_extracted(&statements_);
    throw Error(otherwise, "SQL: " + line);
  }
  ~Statements() { duckdb_destroy_extracted(&statements_); }
  Statements(const Statements&) = delete;
  Statements& operator=(const Statements&) = delete;

  idx_t count() const { return count_; }
  duckdb_extracted_statements get() const { return statements_; }

 private:
  duckdb_extracted_statements statements_ = nullptr;
  idx_t count_ = 0;
};

struct Prepared {
  Prepared() = default;
  ~Prepared() { duckdb_destroy_prepare(&statement); }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;
  duckdb_prepared_statement statement = nullptr;
};

struct Result {
  Result() = default;
  ~Result() { duckdb_destroy_result(&result); }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  duckdb_result result = {};
};

bool IsScalarType(duckdb_type type) {
  switch (type) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB:
    case DUCKDB_TYPE_SQLNULL:
      return true;
    default:
      return false;
  }
}

double HugeToDouble(const duckdb_hugeint& value) {
  return static_cast<double>(value.upper) * 0x1p64 + static_cast<double>(value.lower);
}

// One column of a chunk of a result.
struct ColumnView {
  duckdb_type type = DUCKDB_TYPE_INVALID;
  const void* data = nullptr;
  uint64_t* validity = nullptr;

  bool IsNull(int64_t row) const {
    return type == DUCKDB_TYPE_SQLNULL ||
           (validity != nullptr &&
            !duckdb_validity_row_is_valid(validity, static_cast<idx_t>(row)));
  }

  template <typename T>
  T At(int64_t row) const {
    return static_cast<const T*>(data)[row];
  }

  // Calls fn with the value of `row` as it is stored; false when the type is no number.
  template <typename Fn>
  bool WithNumber(int64_t row, const Fn& fn) const {
    switch (type) {
      case DUCKDB_TYPE_BOOLEAN:
        fn(static_cast<int64_t>(At<bool>(row)));
        return true;
      case DUCKDB_TYPE_TINYINT:
        fn(int64_t{At<int8_t>(row)});
        return true;
      case DUCKDB_TYPE_SMALLINT:
        fn(int64_t{At<int16_t>(row)});
        return true;
      case DUCKDB_TYPE_INTEGER:
        fn(int64_t{At<int32_t>(row)});
        return true;
      case DUCKDB_TYPE_BIGINT:
        fn(At<int64_t>(row));
        return true;
      case DUCKDB_TYPE_UTINYINT:
        fn(int64_t{At<uint8_t>(row)});
        return true;
      case DUCKDB_TYPE_USMALLINT:
        fn(int64_t{At<uint16_t>(row)});
        return true;
      case DUCKDB_TYPE_UINTEGER:
        fn(int64_t{At<uint32_t>(row)});
        return true;
      case DUCKDB_TYPE_UBIGINT: {
        uint64_t value = At<uint64_t>(row);
        if (value <= INT64_MAX)
          fn(static_cast<int64_t>(value));
        else
          fn(static_cast<double>(value));
        return true;
      }
      case DUCKDB_TYPE_HUGEINT: {
        duckdb_hugeint value = At<duckdb_hugeint>(row);
        auto low = static_cast<int64_t>(value.lower);
        if (value.upper == (low < 0 ? -1 : 0))
          fn(low);
        else
          fn(HugeToDouble(value));
        return true;
      }
      case DUCKDB_TYPE_FLOAT:
        fn(double{At<float>(row)});
        return true;
      case DUCKDB_TYPE_DOUBLE:
        fn(At<double>(row));
        return true;
      default:
        return false;
    }
  }

  Value Get(int64_t row) const {
    if (IsNull(row)) return {};
    Value value;
    if (WithNumber(row, [&](auto number) { value = number; })) return value;
    duckdb_string_t text = At<duckdb_string_t>(row);
    return std::string(duckdb_string_t_data(&text), duckdb_string_t_length(text));
  }
};

class ResultChunk final : public Chunk {
 public:
  explicit ResultChunk(int n_columns)
      : columns_(static_cast<size_t>(n_columns)),
        integers_(static_cast<size_t>(n_columns)),
        reals_(static_cast<size_t>(n_columns)) {}
  ~ResultChunk() override { duckdb_destroy_data_chunk(&chunk_); }
  ResultChunk(const ResultChunk&) = delete;
  ResultChunk& operator=(const ResultChunk&) = delete;

  // Takes the chunk over.
  void Reset(duckdb_data_chunk chunk, duckdb_result* result) {
    duckdb_destroy_data_chunk(&chunk_);
    chunk_ = chunk;
    n_rows_ = static_cast<int64_t>(duckdb_data_chunk_get_size(chunk));
    for (size_t i = 0; i < columns_.size(); ++i) {
      duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
      columns_[i] = {duckdb_column_type(result, i), duckdb_vector_get_data(vector),
                     duckdb_vector_get_validity(vector)};
    }
  }

  int64_t n_rows() const override { return n_rows_; }
  bool IsNull(int column, int64_t row) const override { return view(column).IsNull(row); }
  std::span<const int64_t> Integers(int column) override {
    return Convert(column, integers_[static_cast<size_t>(column)]);
  }
  std::span<const double> Reals(int column) override {
    return Convert(column, reals_[static_cast<size_t>(column)]);
  }
  const ColumnView& view(int column) const { return columns_.at(static_cast<size_t>(column)); }

 private:
  template <typename T>
  std::span<const T> Convert(int column, std::vector<T>& out) {
    const ColumnView& from = view(column);
    out.assign(static_cast<size_t>(n_rows_), T{0});
    for (int64_t row = 0; row < n_rows_; ++row) {
      if (from.IsNull(row)) continue;
      T& value = out[static_cast<size_t>(row)];
      bool is_number = from.WithNumber(row, [&](auto number) { value = static_cast<T>(number); });
      if (!is_number) {
        throw Error(ErrorKind::kInternal,
                    fmt::format("column {} of a streamed query has no numbers", column));
      }
    }
    return out;
  }

  duckdb_data_chunk chunk_ = nullptr;
  int64_t n_rows_ = 0;
  std::vector<ColumnView> columns_;
  std::vector<std::vector<int64_t>> integers_;
  std::vector<std::vector<double>> reals_;
};

void Prepare(duckdb_connection connection, const Statements& statements, idx_t index,
             Prepared& prepared, ErrorKind otherwise) {
  if (duckdb_prepare_extracted_statement(connection, statements.get(), index,
                                         &prepared.statement) == DuckDBError) {
    throw Error(otherwise, "SQL: " + FirstLine(duckdb_prepare_error(prepared.statement)));
  }
}

// Streams one prepared statement; on_chunk returns false to stop early.
void RunPrepared(Database::State& state, const Prepared& prepared, ErrorKind otherwise,
                 FunctionRef<bool(ResultChunk&)> on_chunk) {
  Watchdog watchdog(state.connection, state.options.timeout_seconds);
  auto fail = [&](duckdb_result& result) {
    watchdog.Stop();
    if (state.row_failure) std::rethrow_exception(std::exchange(state.row_failure, nullptr));
    ThrowQueryError(FirstLine(duckdb_result_error(&result)), duckdb_result_error_type(&result),
                    state.options, watchdog.timed_out(), otherwise);
  };
  Result result;
  if (duckdb_execute_prepared_streaming(prepared.statement, &result.result) == DuckDBError) {
    fail(result.result);
  }
  ResultChunk chunk(static_cast<int>(duckdb_column_count(&result.result)));
  while (duckdb_data_chunk next = duckdb_fetch_chunk(result.result)) {
    chunk.Reset(next, &result.result);
    if (chunk.n_rows() == 0) break;
    if (!on_chunk(chunk)) return;
  }
  const char* message = duckdb_result_error(&result.result);
  if (message != nullptr && *message != '\0') fail(result.result);
}

// A query of which columns of unusual types are replaced by their text.
std::optional<std::string> WithTextColumns(const Prepared& prepared, const std::string& sql) {
  idx_t n_columns = duckdb_prepared_statement_column_count(prepared.statement);
  bool all_scalar = true;
  std::string list;
  for (idx_t i = 0; i < n_columns; ++i) {
    duckdb_type type = duckdb_prepared_statement_column_type(prepared.statement, i);
    if (!list.empty()) list += ", ";
    if (IsScalarType(type)) {
      list += fmt::format("#{}", i + 1);
    } else {
      all_scalar = false;
      list +=
          fmt::format("CAST(#{} AS {})", i + 1, type == DUCKDB_TYPE_DECIMAL ? "DOUBLE" : "VARCHAR");
    }
  }
  if (all_scalar) return std::nullopt;
  std::string body = sql;
  // The last ; may be followed by blanks; the line break ends a trailing comment.
  size_t end = body.find_last_not_of(" \t\r\n;");
  body.resize(end == std::string::npos ? 0 : end + 1);
  return fmt::format("SELECT {} FROM ({}\n)", list, body);
}

}  // namespace

Database::State::~State() {
  duckdb_disconnect(&connection);
  duckdb_close(&database);
}

Database::Database(const DatabaseOptions& options) : state_(std::make_unique<State>(options)) {
  duckdb_config config = nullptr;
  if (duckdb_create_config(&config) == DuckDBError) {
    throw Error(ErrorKind::kResource, "cannot start DuckDB: out of memory");
  }
  auto set = [&](const char* name, const std::string& value) {
    MOESCOPE_CHECK(duckdb_set_config(config, name, value.c_str()) == DuckDBSuccess);
  };
  if (options.n_threads > 0) set("threads", std::to_string(options.n_threads));
  set("memory_limit", fmt::format("{}KiB", options.memory_bytes >> 10));
  set("temp_directory", "");  // no spilling: an answer fits in memory or is refused
  set("autoinstall_known_extensions", "false");
  set("autoload_known_extensions", "false");
  set("allow_community_extensions", "false");
  set("allow_persistent_secrets", "false");  // nothing is looked for in the home directory
  char* message = nullptr;
  duckdb_state opened = duckdb_open_ext(nullptr, &state_->database, config, &message);
  duckdb_destroy_config(&config);
  if (opened == DuckDBError) {
    std::string line = FirstLine(message);
    duckdb_free(message);
    throw Error(ErrorKind::kInternal, "cannot start DuckDB: " + line);
  }
  MOESCOPE_CHECK(duckdb_connect(state_->database, &state_->connection) == DuckDBSuccess);
}

Database::~Database() = default;

void Database::Execute(const std::string& sql) {
  Statements statements(state_->connection, sql, ErrorKind::kInternal);
  for (idx_t i = 0; i < statements.count(); ++i) {
    Prepared prepared;
    Prepare(state_->connection, statements, i, prepared, ErrorKind::kInternal);
    RunPrepared(*state_, prepared, ErrorKind::kInternal, [](ResultChunk&) { return true; });
  }
}

namespace {

// Table functions a user's query may call: those that only compute or describe the catalogue. Of
// the others some read files, which external access guards, and some act when they are read:
// enable_logging opens a file of the caller's choice, outside that guard.
constexpr std::array<std::string_view, 20> kUserTableFunctions = {
    "READ_PARQUET",     "PARQUET_SCAN", "RANGE",          "GENERATE_SERIES",
    "REPEAT",           "REPEAT_ROW",   "UNNEST",         "JSON_EACH",
    "JSON_TREE",        "SUMMARY",      "PRAGMA_VERSION", "PRAGMA_TABLE_INFO",
    "DUCKDB_TABLES",    "DUCKDB_VIEWS", "DUCKDB_COLUMNS", "DUCKDB_CONSTRAINTS",
    "DUCKDB_FUNCTIONS", "DUCKDB_TYPES", "DUCKDB_SCHEMAS", "DUCKDB_DATABASES"};

// Looks for them in the plan, since SQL has many ways to write a call. A text of the query cannot
// pose as one: its quotes are escaped there.
void CheckTableFunctions(Database::State& state, const std::string& sql) {
  Statements statements(state.connection, "EXPLAIN (FORMAT json) " + sql, ErrorKind::kBadInput);
  Prepared prepared;
  Prepare(state.connection, statements, 0, prepared, ErrorKind::kBadInput);
  std::string plan;
  RunPrepared(state, prepared, ErrorKind::kBadInput, [&](ResultChunk& chunk) {
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      plan += std::get<std::string>(chunk.view(1).Get(row));
    }
    return true;
  });
  constexpr std::string_view kKey = "\"Function\": \"";
  for (size_t at = plan.find(kKey); at != std::string::npos; at = plan.find(kKey, at)) {
    at += kKey.size();
    std::string name = plan.substr(at, plan.find('"', at) - at);
    if (std::find(kUserTableFunctions.begin(), kUserTableFunctions.end(), name) ==
        kUserTableFunctions.end()) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("SQL: expected functions that read the run, found {}", name));
    }
  }
}

// Prepares the one query of `sql`, which must be a harmless SELECT once the database is locked.
void PrepareQuery(Database::State& state, const std::string& sql, Prepared& prepared) {
  Statements statements(state.connection, sql, ErrorKind::kBadInput);
  if (statements.count() != 1) {
    throw Error(ErrorKind::kBadInput, fmt::format("SQL: expected one statement, found {}",
                                                  static_cast<uint64_t>(statements.count())));
  }
  Prepare(state.connection, statements, 0, prepared, ErrorKind::kBadInput);
  if (!state.locked) return;
  if (duckdb_prepared_statement_type(prepared.statement) != DUCKDB_STATEMENT_TYPE_SELECT) {
    throw Error(ErrorKind::kBadInput,
                "SQL: expected a SELECT, found another statement; a run is only read");
  }
  CheckTableFunctions(state, sql);
}

}  // namespace

Table Database::Query(const std::string& sql, int64_t max_rows) {
  Table table;
  auto add = [&](std::vector<Value>& row) {
    table.truncated = max_rows > 0 && static_cast<int64_t>(table.rows.size()) == max_rows;
    if (!table.truncated) table.rows.push_back(std::move(row));
    return !table.truncated;
  };
  ForEachRow(
      sql, [&](const std::vector<std::string>& columns) { table.columns = columns; }, add);
  return table;
}

void Database::ForEachRow(const std::string& sql,
                          FunctionRef<void(const std::vector<std::string>&)> on_columns,
                          FunctionRef<bool(std::vector<Value>&)> on_row) {
  Prepared prepared;
  PrepareQuery(*state_, sql, prepared);
  Prepared with_text;
  const Prepared* chosen = &prepared;
  if (std::optional<std::string> rewritten = WithTextColumns(prepared, sql)) {
    PrepareQuery(*state_, *rewritten, with_text);
    chosen = &with_text;
  }
  std::vector<std::string> columns;
  for (idx_t i = 0; i < duckdb_prepared_statement_column_count(prepared.statement); ++i) {
    const char* name = duckdb_prepared_statement_column_name(prepared.statement, i);
    columns.emplace_back(name == nullptr ? "" : name);
    duckdb_free(const_cast<char*>(name));
  }
  on_columns(columns);
  auto pass = [&](ResultChunk& chunk) {
    for (int64_t row = 0; row < chunk.n_rows(); ++row) {
      std::vector<Value> values;
      values.reserve(columns.size());
      for (size_t i = 0; i < columns.size(); ++i) {
        values.push_back(chunk.view(static_cast<int>(i)).Get(row));
      }
      if (!on_row(values)) return false;
    }
    return true;
  };
  RunPrepared(*state_, *chosen, ErrorKind::kBadInput, pass);
}

namespace {

class ResultCursor final : public RowCursor {
 public:
  // Takes a query of scalar columns that is prepared.
  ResultCursor(const DatabaseOptions& options, const Prepared& prepared) : options_(options) {
    if (duckdb_execute_prepared_streaming(prepared.statement, &result_.result) == DuckDBError) {
      Fail();
    }
    chunk_.emplace(static_cast<int>(duckdb_column_count(&result_.result)));
  }

  bool Next(std::vector<Value>& row) override {
    while (at_ == n_rows_) {
      ThrowIfCancelled();
      duckdb_data_chunk next = duckdb_fetch_chunk(result_.result);
      if (next == nullptr) {
        const char* message = duckdb_result_error(&result_.result);
        if (message != nullptr && *message != '\0') Fail();
        return false;
      }
      chunk_->Reset(next, &result_.result);
      at_ = 0;
      n_rows_ = chunk_->n_rows();
    }
    row.clear();
    for (idx_t i = 0; i < duckdb_column_count(&result_.result); ++i) {
      row.push_back(chunk_->view(static_cast<int>(i)).Get(at_));
    }
    ++at_;
    return true;
  }

 private:
  [[noreturn]] void Fail() {
    ThrowQueryError(FirstLine(duckdb_result_error(&result_.result)),
                    duckdb_result_error_type(&result_.result), options_, false,
                    ErrorKind::kBadInput);
  }

  const DatabaseOptions& options_;
  Result result_;
  std::optional<ResultChunk> chunk_;
  int64_t at_ = 0;
  int64_t n_rows_ = 0;
};

}  // namespace

std::unique_ptr<RowCursor> Database::Open(const std::string& sql) {
  Prepared prepared;
  PrepareQuery(*state_, sql, prepared);
  MOESCOPE_CHECK(!WithTextColumns(prepared, sql));
  return std::make_unique<ResultCursor>(state_->options, prepared);
}

void Database::Stream(const std::string& sql, FunctionRef<void(Chunk&)> on_chunk) {
  Prepared prepared;
  PrepareQuery(*state_, sql, prepared);
  auto pass = [&](ResultChunk& chunk) {
    on_chunk(chunk);
    return true;
  };
  RunPrepared(*state_, prepared, ErrorKind::kBadInput, pass);
}

void Database::LockDown(const std::vector<std::string>& readable_files) {
  std::string list;
  for (const std::string& path : readable_files) {
    list += (list.empty() ? "" : ", ") + Quoted(path);
  }
  Execute(
      fmt::format("SET allowed_paths = [{}]; SET enable_external_access = false; "
                  "SET lock_configuration = true",
                  list));
  state_->locked = true;
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace moescope::store
