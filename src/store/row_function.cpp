// Database::AddTableFunction: a RowSource as a table function of DuckDB.
#include <duckdb.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/error.h"
#include "store/database.h"
#include "store/database_state.h"
#include "store/row_source.h"

namespace moescope::store {
namespace {

duckdb_type TypeOf(ColumnType type) {
  switch (type) {
    case ColumnType::kBool:
      return DUCKDB_TYPE_BOOLEAN;
    case ColumnType::kInt8:
      return DUCKDB_TYPE_TINYINT;
    case ColumnType::kInt16:
      return DUCKDB_TYPE_SMALLINT;
    case ColumnType::kInt32:
      return DUCKDB_TYPE_INTEGER;
    case ColumnType::kInt64:
      return DUCKDB_TYPE_BIGINT;
    case ColumnType::kFloat:
      return DUCKDB_TYPE_FLOAT;
    case ColumnType::kText:
      return DUCKDB_TYPE_VARCHAR;
    case ColumnType::kBytes:
      return DUCKDB_TYPE_BLOB;
    case ColumnType::kFloats:
      return DUCKDB_TYPE_LIST;
  }
  return DUCKDB_TYPE_INVALID;
}

// Columns of a DuckDB chunk as a RowSink.
class ChunkSink final : public RowSink {
 public:
  ChunkSink(duckdb_data_chunk chunk, const std::vector<Column>& columns, int64_t n_rows) {
    for (size_t i = 0; i < columns.size(); ++i) {
      Target& target = targets_.emplace_back();
      target.vector = duckdb_data_chunk_get_vector(chunk, i);
      target.values = duckdb_vector_get_data(target.vector);
      if (columns[i].type == ColumnType::kFloats) PrepareList(columns[i], n_rows, target);
    }
  }

  void* values(int column) override { return targets_[static_cast<size_t>(column)].values; }

  void SetNull(int column, int64_t row) override {
    Target& target = targets_[static_cast<size_t>(column)];
    if (target.validity == nullptr) {
      duckdb_vector_ensure_validity_writable(target.vector);
      target.validity = duckdb_vector_get_validity(target.vector);
    }
    duckdb_validity_set_row_invalid(target.validity, static_cast<idx_t>(row));
  }

  void SetText(int column, int64_t row, std::string_view text) override {
    duckdb_vector_assign_string_element_len(targets_[static_cast<size_t>(column)].vector,
                                            static_cast<idx_t>(row), text.data(), text.size());
  }

 private:
  struct Target {
    duckdb_vector vector = nullptr;
    void* values = nullptr;
    uint64_t* validity = nullptr;
  };

  // All rows of a list column have the same number of values, side by side in the child vector.
  static void PrepareList(const Column& column, int64_t n_rows, Target& target) {
    auto size = static_cast<uint64_t>(column.list_size);
    auto* entries = static_cast<duckdb_list_entry*>(target.values);
    for (int64_t row = 0; row < n_rows; ++row) {
      entries[row] = {static_cast<uint64_t>(row) * size, size};
    }
    uint64_t total = static_cast<uint64_t>(n_rows) * size;
    if (duckdb_list_vector_reserve(target.vector, total) == DuckDBError ||
        duckdb_list_vector_set_size(target.vector, total) == DuckDBError) {
      throw Error(ErrorKind::kResource, "out of memory for a batch of rows");
    }
    target.values = duckdb_vector_get_data(duckdb_list_vector_get_child(target.vector));
  }

  std::vector<Target> targets_;
};

// What DuckDB hands back to the callbacks.
struct Function {
  RowSource* rows;
  Database::State* state;
};

struct Scan {
  std::vector<Column> columns;
  int64_t n_rows = 0;
  int64_t next = 0;
};

void Bind(duckdb_bind_info info) {
  const auto* function = static_cast<const Function*>(duckdb_bind_get_extra_info(info));
  for (const Column& column : function->rows->columns()) {
    duckdb_logical_type type = nullptr;
    if (column.type == ColumnType::kFloats) {
      duckdb_logical_type child = duckdb_create_logical_type(DUCKDB_TYPE_FLOAT);
      type = duckdb_create_list_type(child);
      duckdb_destroy_logical_type(&child);
    } else {
      type = duckdb_create_logical_type(TypeOf(column.type));
    }
    duckdb_bind_add_result_column(info, column.name.c_str(), type);
    duckdb_destroy_logical_type(&type);
  }
  duckdb_bind_set_cardinality(info, static_cast<idx_t>(function->rows->n_rows()), true);
}

void Init(duckdb_init_info info) {
  const auto* function = static_cast<const Function*>(duckdb_init_get_extra_info(info));
  auto scan = std::make_unique<Scan>();
  scan->columns = function->rows->columns();
  scan->n_rows = function->rows->n_rows();
  duckdb_init_set_init_data(info, scan.release(), [](void* p) { delete static_cast<Scan*>(p); });
  duckdb_init_set_max_threads(info, 1);  // rows keep their order
}

void Read(duckdb_function_info info, duckdb_data_chunk output) {
  const auto* function = static_cast<const Function*>(duckdb_function_get_extra_info(info));
  auto* scan = static_cast<Scan*>(duckdb_function_get_init_data(info));
  try {
    int64_t n = std::min(static_cast<int64_t>(duckdb_vector_size()), scan->n_rows - scan->next);
    if (n > 0) {
      ChunkSink sink(output, scan->columns, n);
      function->rows->Fill(scan->next, n, sink);
    }
    scan->next += n;
    duckdb_data_chunk_set_size(output, static_cast<idx_t>(n));
  } catch (...) {
    // Exceptions must not pass through DuckDB's C interface.
    function->state->row_failure = std::current_exception();
    duckdb_function_set_error(info, "rows could not be read");
  }
}

}  // namespace

void Database::AddTableFunction(const std::string& name, RowSource& rows) {
  duckdb_table_function table = duckdb_create_table_function();
  duckdb_table_function_set_name(table, name.c_str());
  duckdb_table_function_set_extra_info(table, new Function{&rows, state_.get()},
                                       [](void* p) { delete static_cast<Function*>(p); });
  duckdb_table_function_set_bind(table, Bind);
  duckdb_table_function_set_init(table, Init);
  duckdb_table_function_set_function(table, Read);
  duckdb_state registered = duckdb_register_table_function(state_->connection, table);
  duckdb_destroy_table_function(&table);
  MOESCOPE_CHECK(registered == DuckDBSuccess);
}

}  // namespace moescope::store
