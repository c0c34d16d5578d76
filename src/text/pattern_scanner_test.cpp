#include "text/pattern_scanner.h"

#include <gtest/gtest.h>
#include <unicode/uchar.h>

#include <random>

#include "base/error.h"
#include "files/vocabulary.h"
#include "text/regex_matcher.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using Ends = std::vector<size_t>;

Ends EndsOfScanner(const PatternScanner& scanner, std::string_view text) {
  Ends ends;
  for (size_t at = 0; at < text.size();) ends.push_back(at = scanner.EndOfPart(text, at));
  return ends;
}

// The expression itself; a gap between matches would be a part too.
Ends EndsOfExpression(const RegexMatcher& matcher, std::string_view text) {
  Ends ends;
  RegexMatcher::Workspace workspace;
  RegexMatcher::Search search(matcher, text, workspace);
  for (size_t at = 0; at < text.size();) {
    const RegexMatcher::Search::Match match = search.Next(at);
    if (match.begin > at) ends.push_back(match.begin);
    if (match.end > match.begin) ends.push_back(match.end);
    at = match.end;
  }
  return ends;
}

// PCRE2's tables may be of Unicode 14.
bool IsOld(uint32_t code_point) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(code_point), age);
  return age[0] >= 1 && age[0] <= 14;
}

const char* const kExpressions[] = {files::kGpt2Pattern, files::kLlama3Pattern,
                                    files::kQwen2Pattern};

TEST(PatternScanner, CutsRandomTextsAsItsExpressionDoes) {
  std::mt19937 random(11);
  const std::string parts[] = {"a",      "B",          "\u00e9", "\u4e2d", "1",      "\u0663",
                               "\u00bd", " ",          " ",      "\n",     "\r",     "\t",
                               "'",      "'s",         "'LL",    "'re",    "'v",     "\u017f",
                               ".",      "!",          "$",      "\u0301", "\u00a0", "\u2028",
                               "\u3000", "\U0001F600", "\u0085", "_",      "'\u017f"};
  for (const char* expression : kExpressions) {
    const PatternScanner scanner(FindKnownPattern(expression));
    const RegexMatcher matcher(expression);
    for (int round = 0; round < 20000; ++round) {
      std::string text;
      for (size_t n = random() % 24; n > 0; --n) text += parts[random() % std::size(parts)];
      ASSERT_EQ(EndsOfScanner(scanner, text), EndsOfExpression(matcher, text))
          << expression << "\n'" << text << "'";
    }
  }
}

TEST(PatternScanner, TakesEveryCharacterForWhatItsExpressionDoes) {
  for (const char* expression : kExpressions) {
    const PatternScanner scanner(FindKnownPattern(expression));
    const RegexMatcher matcher(expression);
    for (uint32_t code_point = 0; code_point < 0x110000; ++code_point) {
      const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
      if (surrogate || !IsOld(code_point) || code_point == 0x180E) continue;
      std::string text = "a";
      AppendUtf8(code_point, text);
      text += "b 1";
      AppendUtf8(code_point, text);
      AppendUtf8(code_point, text);
      text += ".'";
      AppendUtf8(code_point, text);
      text += " ";
      AppendUtf8(code_point, text);
      ASSERT_EQ(EndsOfScanner(scanner, text), EndsOfExpression(matcher, text))
          << expression << " " << std::hex << code_point;
    }
  }
}

TEST(PatternScanner, CountsBrokenBytesAsNoLetterOrSpace) {
  const PatternScanner scanner(KnownPattern::kGpt2);
  EXPECT_EQ(EndsOfScanner(scanner, "a\xff\xff b \xc3"), (Ends{1, 3, 5, 7}));
}

TEST(UnicodeClasses, AreThoseOfUnicode16) {
  const UnicodeClasses& classes = UnicodeClasses::Get();
  size_t n[4] = {}, n_numeric = 0, n_word = 0;
  for (uint32_t code_point = 0; code_point < 0x110000; ++code_point) {
    ++n[static_cast<int>(classes.Of(code_point))];
    n_numeric += classes.IsNumeric(code_point);
    n_word += classes.IsWord(code_point);
  }
  EXPECT_EQ(n[static_cast<int>(CharacterClass::kLetter)], 141028u);
  EXPECT_EQ(n[static_cast<int>(CharacterClass::kNumber)], 1911u);
  EXPECT_EQ(n[static_cast<int>(CharacterClass::kSpace)], 25u);
  EXPECT_EQ(n_numeric, 1924u);
  EXPECT_GT(n_word, n[static_cast<int>(CharacterClass::kLetter)]);
}

TEST(RegexMatcher, RefusesWhatOnigurumaReadsInAnotherWay) {
  for (const char* expression :
       {"[a[bc]]", "[a&&b]", "\\h+", "(?m:.)", "(*ACCEPT)", "a*", "(", ""}) {
    EXPECT_THROW(RegexMatcher{expression}, Error) << expression;
  }
  for (const char* expression : {"[]a]", "[^]]+", "[[:alpha:]]+", "[\\[\\]]", "(?i:x)|\\s+$"}) {
    EXPECT_NO_THROW(RegexMatcher{expression}) << expression;
  }
}

TEST(RegexMatcher, SeesPastTheEndOfItsWindow) {
  // Matches far longer than the first window, and looking ahead and behind across its edges.
  const RegexMatcher matcher("a+(?=b)|(?<=a)b+$|c");
  for (const size_t n : {1u, 62u, 63u, 64u, 65u, 5000u}) {
    const std::string text = std::string(n, 'a') + std::string(n, 'b');
    EXPECT_EQ(EndsOfExpression(matcher, text), (Ends{n, 2 * n})) << n;
    EXPECT_EQ(EndsOfExpression(matcher, std::string(n, 'x') + "c"), (Ends{n, n + 1})) << n;
  }
}

}  // namespace
}  // namespace moescope::text
