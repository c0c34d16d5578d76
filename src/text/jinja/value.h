// What an expression of a template evaluates to. Values are small, immutable and never own
// anything: texts and containers lie in an Arena, or in the template or request that outlives the
// rendering.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moescope::text::jinja {

enum class Kind : uint8_t {
  kUndefined,  // carries the name that has no value
  kNone,
  kBoolean,
  kInteger,
  kFloat,
  kString,
  kList,
  kTuple,
  kView,      // what a dict's keys(), values() and items() give: counted, but not indexed
  kIterator,  // what map, select and others give: can be walked over once
  kRange,
  kDict,
  kNamespace,
  kLoop,
  kMacro,
  kMethod,
  kFunction,
};

struct Value;
struct List {
  const Value* items = nullptr;
  size_t n = 0;
};
struct Entry;
struct Dict {
  const Entry* entries = nullptr;
  size_t n = 0;
};
struct Iterator {
  List list;
  size_t next = 0;
};
struct Range {
  int64_t start = 0, step = 1;
  size_t n = 0;
};
struct Namespace;
struct Loop;
struct Macro;
struct Method;
// Functions that templates find under a name.
enum class Function : uint8_t { kRange, kNamespace, kDict, kRaiseException, kStrftimeNow };

struct Value {
  Kind kind = Kind::kUndefined;
  uint32_t n_bytes = 0;  // kString, kUndefined
  union {
    const char* bytes = nullptr;
    bool boolean;
    int64_t integer;
    double number;
    const List* list;
    Iterator* iterator;
    const Range* range;
    const Dict* dict;
    Namespace* name_space;
    Loop* loop;
    const Macro* macro;
    const Method* method;
    Function function;
  };

  static Value Undefined(std::string_view name) { return OfBytes(Kind::kUndefined, name); }
  static Value None() { return OfKind(Kind::kNone); }
  static Value Boolean(bool value) {
    Value result = OfKind(Kind::kBoolean);
    result.boolean = value;
    return result;
  }
  static Value Integer(int64_t value) {
    Value result = OfKind(Kind::kInteger);
    result.integer = value;
    return result;
  }
  static Value Float(double value) {
    Value result = OfKind(Kind::kFloat);
    result.number = value;
    return result;
  }
  // Requires: `value` outlives the result, fewer than 2^32 bytes.
  static Value String(std::string_view value) { return OfBytes(Kind::kString, value); }
  static Value OfFunction(Function value) {
    Value result = OfKind(Kind::kFunction);
    result.function = value;
    return result;
  }
  static Value OfKind(Kind kind) {
    Value result;
    result.kind = kind;
    return result;
  }

  bool is(Kind other) const { return kind == other; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_undefined() const { return kind == Kind::kUndefined; }
  bool is_list_like() const {
    return kind == Kind::kList || kind == Kind::kTuple || kind == Kind::kView;
  }
  // Booleans count as numbers, as in Python.
  bool is_integral() const { return kind == Kind::kInteger || kind == Kind::kBoolean; }
  bool is_number() const { return is_integral() || kind == Kind::kFloat; }
  // Requires: is_integral().
  int64_t as_integer() const { return kind == Kind::kBoolean ? boolean : integer; }
  // Requires: is_number().
  double as_float() const {
    return kind == Kind::kFloat ? number : static_cast<double>(as_integer());
  }
  // The text, or the name of what is undefined.
  std::string_view text() const { return {bytes, n_bytes}; }

 private:
  static Value OfBytes(Kind kind, std::string_view value) {
    Value result = OfKind(kind);
    result.bytes = value.data();
    result.n_bytes = static_cast<uint32_t>(value.size());
    return result;
  }
};
static_assert(sizeof(Value) == 16);

struct Entry {
  Value key, value;
};
struct Namespace {
  std::vector<std::pair<std::string_view, Value>> attributes;
};

// "a string", "none", ... for messages.
std::string_view Name(Kind kind);

// Memory of one rendering: freed all at once, so values need no counts and cycles do no harm.
class Arena {
 public:
  // `limit_bytes` bounds all that is ever allocated.
  explicit Arena(size_t limit_bytes) : limit_(limit_bytes) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  bool Fits(size_t n_bytes) const { return n_bytes <= limit_ - used_; }
  // Counts memory that lies elsewhere. Requires: Fits.
  void Count(size_t n_bytes) { used_ += n_bytes; }
  // Requires: Fits(n_bytes + align), `align` a power of two of at most 8.
  char* Allocate(size_t n_bytes, size_t align = 8);
  // Appends to a text in place if it is what was allocated last; false if it is not, or if there is
  // no room behind it. Requires: Fits(more.size()).
  bool Extend(std::string_view text, std::string_view more);

 private:
  size_t limit_, used_ = 0;
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* begin_ = nullptr;  // of the last chunk
  char* at_ = nullptr;     // its free part
  char* end_ = nullptr;
};

}  // namespace moescope::text::jinja
