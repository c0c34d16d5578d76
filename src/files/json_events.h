// JSON as a stream of events: headers of 100 MB are read without a tree, and every document of ours
// meets the same limits (depth, number of keys, no duplicate keys, valid UTF-8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace moescope::files {

// Receives a document in order. Each call may throw Error to stop.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual void BeginObject() = 0;
  virtual void EndObject() = 0;
  virtual void BeginArray() = 0;
  virtual void EndArray() = 0;
  virtual void Key(const std::string& key) = 0;
  virtual void String(const std::string& value) = 0;
  virtual void Unsigned(uint64_t value) = 0;
  // Anything else that is not a container: negative and fractional numbers, true, false, null.
  virtual void Other(std::string_view what) = 0;
};

// base_offset: where the text begins in its file, for messages. max_string_bytes: of one string as
// written; reading it takes three copies of it, so headers are held to little, documents are not.
// Throws Error(kCorrupt) with path and offset for what is not one JSON document, or has a duplicate
// key in an object, containers nested deeper than 64, more than `max_keys` keys, a longer string or
// another token beyond 64 KiB. Linear, no recursion.
void ReadJson(std::string_view text, const std::string& path, JsonHandler& handler,
              uint64_t base_offset = 0, size_t max_string_bytes = size_t{1} << 20,
              uint64_t max_keys = uint64_t{1} << 20);

// ReadJson without a receiver: afterwards the text is safe to parse into a tree.
void CheckJson(std::string_view text, const std::string& path);

}  // namespace moescope::files
