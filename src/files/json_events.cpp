#include "files/json_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

// nlohmann's SAX interface on one side, ours and the limits on the other.
class BoundedSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  BoundedSax(const std::string& path, uint64_t base_offset, uint64_t max_keys, JsonHandler& handler)
      : path_(path), base_offset_(base_offset), max_keys_(max_keys), handler_(handler) {}

  bool null() override {
    return Value([&] { handler_.Other("null"); });
  }
  bool boolean(bool value) override {
    return Value([&] { handler_.Other(value ? "true" : "false"); });
  }
  bool number_integer(number_integer_t value) override {
    return Value([&] { handler_.Other(std::to_string(value)); });
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Value([&] { handler_.Unsigned(value); });
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Value([&] { handler_.Other(text); });
  }
  bool string(string_t& value) override {
    return Value([&] { handler_.String(value); });
  }
  bool binary(binary_t&) override { return false; }  // does not occur in text

  bool start_object(size_t) override {
    Open();
    handler_.BeginObject();
    return true;
  }
  bool key(string_t& name) override {
    if (++n_keys_ > max_keys_) Refuse(fmt::format("at most {} keys", max_keys_), "more");
    if (!keys_.back().insert(name).second) {
      Refuse("keys that differ", fmt::format("'{}' twice in one object", name));
    }
    handler_.Key(name);
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    handler_.EndObject();
    return true;
  }
  bool start_array(size_t) override {
    Open();
    handler_.BeginArray();
    return true;
  }
  bool end_array() override {
    keys_.pop_back();
    handler_.EndArray();
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    // The library's text is "[json.exception.parse_error.101] parse error at line 1, column 2:
    // ...".
    std::string reason = error.what();
    size_t colon = reason.find(": ");
    if (colon != std::string::npos) reason = reason.substr(colon + 2);
    throw Error(ErrorKind::kCorrupt, fmt::format("cannot read JSON: {}@{}: {}", path_,
                                                 base_offset_ + position, reason.substr(0, 200)));
  }

 private:
  template <typename F>
  bool Value(F&& deliver) {
    deliver();
    return true;
  }
  void Open() {
    if (keys_.size() >= static_cast<size_t>(kMaxJsonDepth)) {
      Refuse(fmt::format("at most {} levels", kMaxJsonDepth), "more");
    }
    keys_.emplace_back();
  }
  [[noreturn]] void Refuse(const std::string& expected, const std::string& found) const {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read JSON: {}: expected {}, found {}", path_, expected, found));
  }

  const std::string& path_;
  uint64_t base_offset_;
  uint64_t max_keys_;
  JsonHandler& handler_;
  std::vector<std::unordered_set<std::string>> keys_;  // of the containers that are open
  uint64_t n_keys_ = 0;
};

class Ignore : public JsonHandler {
 public:
  void BeginObject() override {}
  void EndObject() override {}
  void BeginArray() override {}
  void EndArray() override {}
  void Key(const std::string&) override {}
  void String(const std::string&) override {}
  void Unsigned(uint64_t) override {}
  void Other(std::string_view) override {}
};

// The library copies the token it reads, however long. One pass beforehand bounds them: strings,
// and what lies between punctuation outside of strings (numbers, words, white space).
void CheckTokenLengths(std::string_view text, const std::string& path, uint64_t base_offset,
                       size_t max_string_bytes) {
  constexpr size_t kMaxJsonTokenBytes = size_t{64} << 10;
  auto refuse = [&](size_t begin, size_t limit, std::string_view what) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read JSON: {}@{}: expected {} of at most {} "
                            "bytes, found a longer one",
                            path, base_offset + begin, what, limit));
  };
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find_first_of("\"{}[],:", at), text.size());
    if (end - at > kMaxJsonTokenBytes) refuse(at, kMaxJsonTokenBytes, "a number or white space");
    at = end + 1;
    if (end == text.size() || text[end] != '"') continue;
    for (; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
    if (at - end > max_string_bytes) refuse(end, max_string_bytes, "a string");
    ++at;
  }
}

}  // namespace

void ReadJson(std::string_view text, const std::string& path, JsonHandler& handler,
              uint64_t base_offset, size_t max_string_bytes, uint64_t max_keys) {
  CheckTokenLengths(text, path, base_offset, max_string_bytes);
  BoundedSax sax(path, base_offset, max_keys, handler);
  nlohmann::json::sax_parse(text.begin(), text.end(), &sax);
}

void CheckJson(std::string_view text, const std::string& path) {
  Ignore handler;
  ReadJson(text, path, handler);
}

}  // namespace moescope::files
