// JSON documents with one member spoilt: replaced by values that break parsers, doubled, left out.
// For tests of malformed files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace moescope::files {

// Values that have broken parsers: zero, one, all bits, sign bit, and sizes past 32 bits.
inline constexpr uint64_t kNastyValues[] = {
    0,
    1,
    ~uint64_t{0},
    ~uint64_t{0} - 1,
    uint64_t{1} << 63,
    uint64_t{1} << 31,
    uint64_t{1} << 32,
    (uint64_t{1} << 42) + 1,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0xfffffffe,
    0x7f800000,
    0x7fc00000,
};

// Every place where a member of an object begins: offset of its key's quote, and of its value's
// end.
struct Member {
  std::string key;
  size_t begin, value, end;
};

// Members of all objects of a document that is known to be well-formed and has no escapes.
std::vector<Member> Members(const std::string& text);

// Values of JSON, and some that are none.
const std::vector<std::string>& NastyJson();

// Replaces, removes and doubles each member of `text` whose key is in question.
void ForEachSpoiltMember(const std::string& text, const std::function<bool(const Member&)>& wanted,
                         const std::function<void(const std::string& what, const Member&,
                                                  const std::string& spoilt)>& use);

}  // namespace moescope::files
