// Split expressions that have no scanner: PCRE2 under limits that keep work linear in the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace moescope::text {

// A compiled expression. Immutable and thread-safe.
class RegexMatcher {
 public:
  // The syntax of both PCRE2 and Oniguruma; what they read differently is refused.
  // Throws Error(kUnsupported) naming the expression.
  explicit RegexMatcher(const std::string& expression);
  ~RegexMatcher();
  RegexMatcher(RegexMatcher&&) noexcept;

  // The next matches in one text.
  class Search {
   public:
    explicit Search(const RegexMatcher& matcher, std::string_view text);
    ~Search();
    struct Match {
      size_t begin, end;
    };
    // The first match that is not empty and begins at `from` or later; begin == end: none.
    // Throws Error(kBadInput) when the expression takes more steps than its limit.
    Match Next(size_t from);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace moescope::text
