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
  struct Code;

 public:
  // The syntax of both PCRE2 and Oniguruma; what they read differently is refused.
  // Throws Error(kUnsupported) naming the expression.
  explicit RegexMatcher(const std::string& expression);
  ~RegexMatcher();
  RegexMatcher(RegexMatcher&&) noexcept;

  // Memory that matching works in, for one match at a time; making it costs more than a match.
  class Workspace {
   public:
    Workspace();
    ~Workspace();

   private:
    friend class RegexMatcher;
    struct State;
    std::unique_ptr<State> state_;
  };

  // The next matches in one text. Searches may share a workspace, also while both go on.
  class Search {
   public:
    // Requires: all three outlive this.
    Search(const RegexMatcher& matcher, std::string_view text, Workspace& workspace)
        : code_(*matcher.code_), text_(text), workspace_(*workspace.state_) {}
    struct Match {
      size_t begin, end;
    };
    // The first match that is not empty and begins at `from` or later; begin == end: none.
    // Throws Error(kBadInput) when the expression takes more steps than its limit.
    Match Next(size_t from);

   private:
    Match NextInValid(size_t from);
    int MatchWindow(size_t from, size_t window_end);
    [[noreturn]] void Refuse(size_t at) const;

    const Code& code_;
    std::string_view text_;
    Workspace::State& workspace_;
    uint64_t n_looked_ = 0;
    size_t valid_begin_ = 0, valid_end_ = 0;  // the text is UTF-8 from here to there
  };

 private:
  std::unique_ptr<Code> code_;
};

}  // namespace moescope::text
