#include "text/regex_matcher.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

// An expression looks at a window of the text that doubles only when it reaches its end, so what it
// has looked at is known, and a text may be looked at this many times over all matches.
constexpr size_t kFirstWindow = 64;
constexpr uint64_t kLooksPerByte = 16 * kFirstWindow;
constexpr uint64_t kLooksPerText = uint64_t{1} << 20;
// Backtracking of one match. Words of published vocabularies take 4 steps a character.
constexpr uint32_t kStepsPerByte = 16;
constexpr uint32_t kStepsPerMatch = 512;
constexpr uint32_t kHeapKibibytes = 64 << 10;
constexpr uint32_t kParenthesesDepth = 100;

std::string Shown(const std::string& expression) {
  return expression.size() <= 100 ? expression : expression.substr(0, 100) + "...";
}

[[noreturn]] void RefuseExpression(const std::string& expression, const std::string& reason) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("cannot use the split expression '{}': {}", Shown(expression), reason));
}

// What Oniguruma, which vocabularies are written for, reads in another way than PCRE2.
void RefuseOtherSyntax(const std::string& expression) {
  bool in_class = false;
  for (size_t i = 0; i < expression.size(); ++i) {
    const std::string_view rest = std::string_view(expression).substr(i);
    if (rest[0] == '\\') {
      if (rest.starts_with("\\h") || rest.starts_with("\\H")) RefuseExpression(expression, "\\h");
      ++i;
    } else if (in_class && rest[0] == '[' && !rest.starts_with("[:")) {
      RefuseExpression(expression, "a set within a set");
    } else if (in_class && rest.starts_with("&&")) {
      RefuseExpression(expression, "an intersection of sets");
    } else if (rest[0] == '[' && !in_class) {
      in_class = true;
      // A bracket that comes first is a member.
      if (rest.substr(1, 1) == "^") ++i;
      if (i + 1 < expression.size() && expression[i + 1] == ']') ++i;
    } else if (rest[0] == '[' && in_class) {
      i = std::min(expression.find(":]", i), expression.size() - 1) + 1;
    } else if (rest[0] == ']') {
      in_class = false;
    } else if (!in_class && rest.starts_with("(?")) {
      const size_t flags_end = std::min(rest.find_first_not_of("imx-", 2), rest.size());
      if (rest.substr(2, flags_end - 2).find_first_of("mx") != std::string_view::npos) {
        RefuseExpression(expression, "the flags m and x");
      }
    } else if (!in_class && rest.starts_with("(*")) {
      RefuseExpression(expression, "a verb");
    }
  }
}

}  // namespace

struct RegexMatcher::Code {
  std::string expression;
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

RegexMatcher::RegexMatcher(const std::string& expression) : code_(std::make_unique<Code>()) {
  RefuseOtherSyntax(expression);
  code_->expression = expression;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  if (context == nullptr) throw std::bad_alloc();
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, kParenthesesDepth);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // ^ and $ are those of lines, as in Oniguruma.
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                              &error, &offset, context);
  pcre2_compile_context_free(context);
  if (code_->code != nullptr) {
    uint32_t may_be_empty = 0;
    pcre2_pattern_info(code_->code, PCRE2_INFO_MATCHEMPTY, &may_be_empty);
    if (may_be_empty != 0) RefuseExpression(expression, "it may match nothing");
    return;
  }
  unsigned char message[256] = {};
  pcre2_get_error_message(error, message, sizeof(message));
  RefuseExpression(expression,
                   fmt::format("{} at {}", reinterpret_cast<const char*>(message), offset));
}

RegexMatcher::~RegexMatcher() = default;
RegexMatcher::RegexMatcher(RegexMatcher&&) noexcept = default;

struct RegexMatcher::Workspace::State {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
};

RegexMatcher::Workspace::Workspace() : state_(std::make_unique<State>()) {
  if (state_->data == nullptr || state_->context == nullptr) throw std::bad_alloc();
  pcre2_set_heap_limit(state_->context, kHeapKibibytes);
}
RegexMatcher::Workspace::~Workspace() = default;

void RegexMatcher::Search::Refuse(size_t at) const {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot tokenise: byte {} of a part of {} bytes: the split expression "
                          "'{}' takes more steps than are allowed; use another tokenizer",
                          at, text_.size(), Shown(code_.expression)));
}

int RegexMatcher::Search::MatchWindow(size_t from, size_t window_end) {
  const size_t window = window_end - from;
  n_looked_ += window;
  if (n_looked_ > kLooksPerText + kLooksPerByte * text_.size()) Refuse(from);
  const auto limit = static_cast<uint32_t>(
      std::min<uint64_t>(kStepsPerMatch + uint64_t{kStepsPerByte} * window, UINT32_MAX));
  pcre2_set_match_limit(workspace_.context, limit);
  const uint32_t partial = window_end == valid_end_ ? 0u : PCRE2_PARTIAL_HARD;
  // What lies before `from` is seen by expressions that look back.
  const char* subject = text_.data() + valid_begin_;
  return pcre2_match(code_.code, reinterpret_cast<PCRE2_SPTR>(subject), window_end - valid_begin_,
                     from - valid_begin_, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | partial,
                     workspace_.data, workspace_.context);
}

RegexMatcher::Search::Match RegexMatcher::Search::NextInValid(size_t from) {
  size_t window = kFirstWindow;
  while (from < valid_end_) {
    size_t window_end = from + std::min(window, valid_end_ - from);
    while (window_end < valid_end_ && (static_cast<uint8_t>(text_[window_end]) & 0xC0) == 0x80) {
      ++window_end;
    }
    const int result = MatchWindow(from, window_end);
    if (result > 0) {
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(workspace_.data);
      return {valid_begin_ + range[0], valid_begin_ + range[1]};
    }
    if (result == PCRE2_ERROR_PARTIAL) {
      window *= 2;
    } else if (result == PCRE2_ERROR_NOMATCH) {
      from = window_end;
    } else {
      Refuse(from);
    }
  }
  return {valid_end_, valid_end_};
}

// Broken bytes end a text for an expression and are matched by none.
RegexMatcher::Search::Match RegexMatcher::Search::Next(size_t from) {
  while (from < text_.size()) {
    if (from >= valid_end_) {
      while (from < text_.size() && !StepUtf8(text_, from).valid) ++from;
      const size_t broken = FindBrokenUtf8(text_.substr(from));
      valid_begin_ = from;
      valid_end_ = broken == std::string_view::npos ? text_.size() : from + broken;
    }
    const Match match = NextInValid(from);
    if (match.begin < match.end) return match;
    from = valid_end_;
  }
  return {text_.size(), text_.size()};
}

}  // namespace moescope::text
