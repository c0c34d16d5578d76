// Typed access to the members of a JSON object, where a member that nobody asked for is refused: a
// setting that is not followed must not be passed over.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "files/json_tree.h"

namespace moescope::files {

// Messages name file and member ("normalizer.normalizers[1].prepend").
class JsonMembers {
 public:
  // Requires: value and path outlive this. Throws Error(kCorrupt) if `value` is no object.
  JsonMembers(const JsonValue& value, std::string where, const std::string& path);

  bool Has(const std::string& key) const;
  // Throws Error(kCorrupt) if absent or of another type. Absent or null: the fallback.
  bool Boolean(const std::string& key, std::optional<bool> fallback = std::nullopt);
  std::string Text(const std::string& key);
  std::string TextOr(const std::string& key, const std::string& fallback);
  uint64_t Unsigned(const std::string& key, uint64_t high);
  const JsonValue& Any(const std::string& key);
  // Null value if absent.
  const JsonValue& AnyOrNull(const std::string& key);
  const std::vector<JsonValue>& List(const std::string& key);
  // Asked for, whatever it is: it changes nothing here.
  void Ignore(const std::string& key) { asked_.insert(key); }
  // Throws Error(kUnsupported) for the first member not asked for.
  void RefuseOthers() const;

  const std::string& path() const { return path_; }
  std::string Where(const std::string& key) const;
  [[noreturn]] void Corrupt(const std::string& key, std::string_view expected,
                            std::string_view found) const;
  [[noreturn]] void Unsupported(const std::string& key, std::string_view supported,
                                std::string_view found) const;

 private:
  const JsonValue& value_;
  std::string where_;
  const std::string& path_;
  std::set<std::string> asked_;
};

}  // namespace moescope::files
