// What the two files that call DuckDB share. DuckDB's own header stays in them.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "store/database.h"

struct _duckdb_database;  // as duckdb.h names what its handles point to
struct _duckdb_connection;

namespace moescope::store {

struct Database::State {
  explicit State(const DatabaseOptions& given) : options(given) {}
  ~State();

  DatabaseOptions options;
  _duckdb_database* database = nullptr;
  _duckdb_connection* connection = nullptr;
  bool locked = false;
  // What a RowSource threw: DuckDB carries text only, so the original waits here.
  std::exception_ptr row_failure;
};

}  // namespace moescope::store
