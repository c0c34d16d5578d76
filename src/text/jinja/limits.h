// What a template may cost. Far above every published template and conversation, and low enough
// that a hostile one ends within a second and a quarter of a gigabyte. Reasons:
// docs/chat-templates.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moescope::text::jinja {

inline constexpr size_t kMaxSourceBytes = size_t{1} << 20;
inline constexpr size_t kMaxTokens = size_t{1} << 18;
inline constexpr size_t kMaxNodes = 100'000;
// Nesting of the source, and of what is being evaluated (macros call each other); a level of either
// takes at most about 2 KiB of stack, 6 KiB with sanitizers.
inline constexpr int kMaxSyntaxDepth = 200;
inline constexpr int kMaxEvaluationDepth = 600;
inline constexpr int kMaxValueDepth = 100;  // lists in lists

inline constexpr int64_t kMaxSteps = 10'000'000;
// Scanning is charged a step for so many bytes; one for so many words of memory looked at.
inline constexpr size_t kBytesPerStep = 64;
inline constexpr size_t kWordsPerStep = 8;
inline constexpr size_t kMaxOutputBytes = size_t{64} << 20;
inline constexpr size_t kMaxValueBytes = size_t{64} << 20;  // all values of one rendering
inline constexpr size_t kMaxListItems = size_t{1} << 20;
inline constexpr int64_t kMaxRange = 100'000;  // jinja2's own bound in its sandbox

}  // namespace moescope::text::jinja
