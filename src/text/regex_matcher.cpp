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

struct RegexMatcher::Search::State {
  State(const Code& its_code, std::string_view its_text)
      : code(its_code),
        text(its_text),
        data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        looks_left(kLooksPerText + kLooksPerByte * its_text.size()) {
    if (data == nullptr || context == nullptr) throw std::bad_alloc();
    pcre2_set_heap_limit(context, kHeapKibibytes);
  }
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  [[noreturn]] void Refuse(size_t at) const {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot tokenise: byte {} of a part of {} bytes: the split expression "
                            "'{}' takes more steps than are allowed; use another tokenizer",
                            at, text.size(), Shown(code.expression)));
  }
  Match NextInValid(size_t from, size_t end);
  int MatchWindow(size_t from, size_t window_end, bool whole);

  const Code& code;
  std::string_view text;
  pcre2_match_data* data;
  pcre2_match_context* context;
  uint64_t looks_left;
  size_t valid_end = 0;  // the text is UTF-8 from valid_begin up to here
  size_t valid_begin = 0;
};

RegexMatcher::Search::Search(const RegexMatcher& matcher, std::string_view text)
    : state_(std::make_unique<State>(*matcher.code_, text)) {}
RegexMatcher::Search::~Search() = default;

int RegexMatcher::Search::State::MatchWindow(size_t from, size_t window_end, bool whole) {
  const size_t window = window_end - from;
  const auto limit = static_cast<uint32_t>(
      std::min<uint64_t>(kStepsPerMatch + uint64_t{kStepsPerByte} * window, UINT32_MAX));
  pcre2_set_match_limit(context, limit);
  if (looks_left < window) Refuse(from);
  looks_left -= window;
  // What lies before `from` is seen by expressions that look back.
  const char* subject = text.data() + valid_begin;
  return pcre2_match(code.code, reinterpret_cast<PCRE2_SPTR>(subject), window_end - valid_begin,
                     from - valid_begin,
                     PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | (whole ? 0u : PCRE2_PARTIAL_HARD), data,
                     context);
}

RegexMatcher::Search::Match RegexMatcher::Search::State::NextInValid(size_t from, size_t end) {
  size_t window = kFirstWindow;
  while (from < end) {
    size_t window_end = from + std::min(window, end - from);
    while (window_end < end && (static_cast<uint8_t>(text[window_end]) & 0xC0) == 0x80) {
      ++window_end;
    }
    const bool whole = window_end == end;
    const int result = MatchWindow(from, window_end, whole);
    if (result > 0) {
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data);
      return {valid_begin + range[0], valid_begin + range[1]};
    }
    if (result == PCRE2_ERROR_PARTIAL) {
      window *= 2;
    } else if (result == PCRE2_ERROR_NOMATCH) {
      from = window_end;
    } else {
      Refuse(from);
    }
  }
  return {end, end};
}

// Broken bytes end a text for an expression and are matched by none.
RegexMatcher::Search::Match RegexMatcher::Search::Next(size_t from) {
  State& state = *state_;
  while (from < state.text.size()) {
    if (from >= state.valid_end) {
      while (from < state.text.size() && !StepUtf8(state.text, from).valid) ++from;
      const size_t broken = FindBrokenUtf8(state.text.substr(from));
      state.valid_begin = from;
      state.valid_end = broken == std::string_view::npos ? state.text.size() : from + broken;
    }
    const Match match = state.NextInValid(from, state.valid_end);
    if (match.begin < match.end) return match;
    from = state.valid_end;
  }
  return {state.text.size(), state.text.size()};
}

}  // namespace moescope::text
