# DuckDB's C library: DUCKDB_ROOT (cache variable or environment) with duckdb.h and libduckdb.so side
# by side, as in DuckDB's release archive; otherwise .deps/duckdb, where the set-up script puts them.
set(DUCKDB_ROOT "$ENV{DUCKDB_ROOT}" CACHE PATH "Folder with duckdb.h and libduckdb.so")
set(_duckdb_places ${DUCKDB_ROOT} ${PROJECT_SOURCE_DIR}/.deps/duckdb)
find_path(DuckDB_INCLUDE_DIR duckdb.h PATHS ${_duckdb_places} NO_DEFAULT_PATH)
find_library(DuckDB_LIBRARY duckdb PATHS ${_duckdb_places} NO_DEFAULT_PATH)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DuckDB
  REQUIRED_VARS DuckDB_LIBRARY DuckDB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run './dev setup' once, or set DUCKDB_ROOT")
if(DuckDB_FOUND AND NOT TARGET DuckDB::duckdb)
  add_library(DuckDB::duckdb SHARED IMPORTED)
  set_target_properties(DuckDB::duckdb PROPERTIES
    IMPORTED_LOCATION ${DuckDB_LIBRARY} IMPORTED_NO_SONAME ON
    INTERFACE_INCLUDE_DIRECTORIES ${DuckDB_INCLUDE_DIR})
endif()
