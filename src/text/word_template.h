// Sentences with one open place, `{}`, for words to be compared in the same surroundings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::text {

// What stands before the word and after it.
struct WordTemplate {
  std::string before, after;
  std::string Fill(std::string_view word) const { return before + std::string(word) + after; }
};

// What a file of templates may have at most: far beyond what is worth running.
inline constexpr uint64_t kMaxTemplateFileBytes = 1 << 20;
inline constexpr size_t kMaxTemplateBytes = 4096;
inline constexpr size_t kMaxTemplates = 1000;

// A template a line, in any order; blank lines, a byte order mark and CR before LF are passed over.
// `name` is what errors call the text. Throws Error(kBadInput) with the line's number when `{}` is
// not in it exactly once, when it is too long, or when it has been there before; also for more than
// kMaxTemplates and for none.
std::vector<WordTemplate> ParseWordTemplates(std::string_view text, const std::string& name);

// Plain English sentences in which a noun can stand, of no kind in particular (no person, place or
// thing is called for), with tokens before the place and after it.
const std::vector<WordTemplate>& PlainSentences();

}  // namespace moescope::text
