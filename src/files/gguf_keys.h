// Metadata of a GGUF file by key, type and range.
#pragma once

#include <cstdint>
#include <string>

#include "files/gguf.h"

namespace moescope::files {

// Typed access; messages name file and key. Each throws Error(kBadInput) for another type or a
// value out of range, and without `Or` for a key that is not there. The file must outlive it.
class GgufKeys {
 public:
  explicit GgufKeys(const GgufFile& file) : file_(file) {}

  int Integer(const std::string& key, int64_t low, int64_t high) const;
  int IntegerOr(const std::string& key, int64_t low, int64_t high, int fallback) const;
  double Number(const std::string& key) const;
  double NumberOr(const std::string& key, double fallback) const;
  std::string TextOr(const std::string& key, const std::string& fallback) const;
  bool BooleanOr(const std::string& key, bool fallback) const;
  const GgufArray& Array(const std::string& key) const;
  bool Has(const std::string& key) const { return file_.Find(key) != nullptr; }

  // Throws Error(kBadInput).
  [[noreturn]] void Refuse(const std::string& key, const std::string& expected,
                           const std::string& found) const;
  // Throws Error(kUnsupported).
  [[noreturn]] void Unsupported(const std::string& key, const std::string& supported,
                                const std::string& found) const;

 private:
  int Checked(const std::string& key, const GgufValue& value, int64_t low, int64_t high) const;
  const GgufFile& file_;
};

}  // namespace moescope::files
