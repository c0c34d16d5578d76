// The files of one captured site: an array that NumPy reads, and what its rows are.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/database.h"

namespace moescope::lab {

struct CapturedRow {
  int64_t token = 0, sequence = 0;
  int32_t position = 0, token_id = 0;
  int16_t layer = 0, slot = -1, expert = -1;  // -1: null
  float weight = 0;                           // null where expert is
};

class CaptureFiles {
 public:
  // Begins FOLDER/NAME.npy. Throws Error(kIo).
  CaptureFiles(const std::string& folder, const std::string& name, int dim);

  // values [dim]. Throws Error(kIo).
  void Add(const CapturedRow& row, std::span<const float> values);
  // Completes the array, and writes FOLDER/NAME.parquet; with_values: each row's values too, in a
  // column `values`, in place of the array, which is removed.
  void Finish(store::Database& database, bool with_values);

  int64_t n_rows() const { return static_cast<int64_t>(rows_.size()); }

 private:
  void WriteHeader();
  std::string array_path_, parquet_path_;
  int dim_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::vector<CapturedRow> rows_;
};

}  // namespace moescope::lab
