#include "text/jinja/value.h"

#include <algorithm>
#include <cstring>

namespace moescope::text::jinja {

std::string_view Name(Kind kind) {
  switch (kind) {
    case Kind::kUndefined:
      return "something undefined";
    case Kind::kNone:
      return "none";
    case Kind::kBoolean:
      return "a boolean";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a float";
    case Kind::kString:
      return "a string";
    case Kind::kList:
      return "a list";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kView:
      return "a view of a dict";
    case Kind::kIterator:
      return "a generator";
    case Kind::kRange:
      return "a range";
    case Kind::kDict:
      return "a dict";
    case Kind::kNamespace:
      return "a namespace";
    case Kind::kLoop:
      return "a loop";
    case Kind::kMacro:
      return "a macro";
    case Kind::kMethod:
      return "a method";
    case Kind::kFunction:
      return "a function";
  }
  return "";
}

char* Arena::Allocate(size_t n_bytes, size_t align) {
  constexpr size_t kChunkBytes = 32 << 10;
  used_ += n_bytes;
  const size_t gap = (align - reinterpret_cast<uintptr_t>(at_) % align) % align;
  if (at_ == nullptr || gap + n_bytes > static_cast<size_t>(end_ - at_)) {
    // A large text gets a chunk to itself, with room to grow if it is one being put together.
    const size_t size = std::max(kChunkBytes, n_bytes + std::min(n_bytes, limit_ - used_));
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    begin_ = at_ = chunks_.back().get();
    end_ = at_ + size;
  } else {
    at_ += gap;
  }
  char* const result = at_;
  at_ += n_bytes;
  return result;
}

bool Arena::Extend(std::string_view text, std::string_view more) {
  const bool is_last = !text.empty() && text.data() >= begin_ && text.data() + text.size() == at_;
  if (!is_last || more.size() > static_cast<size_t>(end_ - at_)) return false;
  std::memmove(at_, more.data(), more.size());
  at_ += more.size();
  used_ += more.size();
  return true;
}

}  // namespace moescope::text::jinja
