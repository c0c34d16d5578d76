#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "text/jinja/limits.h"
#include "text/jinja/python_text.h"
#include "text/jinja/runtime.h"
#include "text/utf8.h"

namespace moescope::text::jinja {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsNameBegin(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view origin, std::deque<std::string>& strings)
      : source_(source), origin_(origin), strings_(strings) {}

  std::vector<Token> Run() {
    while (at_ < source_.size()) {
      const size_t tag = FindTag();
      if (tag == source_.size()) {
        AddData(source_.substr(at_));
        Advance(tag);
        break;
      }
      const size_t begin = at_;
      Advance(tag);
      ReadTag(begin);
    }
    Add(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool LooksAt(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void Advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  void SkipSpace() { Advance(SpaceEnd(at_)); }
  size_t SpaceEnd(size_t at) const {
    while (at < source_.size()) {
      const Utf8Step step = StepUtf8(source_, at);
      if (!IsSpace(step.code_point)) break;
      at += step.n_bytes;
    }
    return at;
  }

  [[noreturn]] void Refuse(const std::string& message) const {
    RefuseTemplate(origin_, line_, message);
  }
  Token& Add(TokenKind kind, std::string_view text) {
    if (tokens_.size() == kMaxTokens) {
      Refuse(fmt::format("expected at most {} words, found more", kMaxTokens));
    }
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = text;
    return tokens_.emplace_back(token);
  }
  void AddData(std::string_view text) {
    if (!text.empty()) Add(TokenKind::kData, text);
  }

  // Where the next tag begins, or the end of the source.
  size_t FindTag() const {
    for (size_t at = source_.find('{', at_); at != std::string_view::npos;
         at = source_.find('{', at + 1)) {
      if (at + 1 == source_.size()) break;
      const char next = source_[at + 1];
      if (next == '%' || next == '#' || next == '{') return at;
    }
    return source_.size();
  }

  // The text between `begin` and the tag, as the tag's sign leaves it.
  std::string_view Before(size_t begin, char sign, bool strips_line) const {
    const std::string_view text = source_.substr(begin, at_ - begin);
    if (sign == '-') return StripSpace(text, Side::kRight);
    if (sign == '+' || !strips_line) return text;
    const size_t newline = text.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return text;
    const bool blank = StripSpace(text.substr(line), Side::kRight).empty();
    return blank ? text.substr(0, line) : text;
  }

  // A tag begins here; the data in front of it began at `begin`.
  void ReadTag(size_t begin) {
    const char type = source_[at_ + 1];
    const char sign = Peek(2) == '-' || Peek(2) == '+' ? Peek(2) : '\0';
    if (const size_t raw = type == '%' ? RawBeginEnd() : 0; raw > 0) {
      AddData(Before(begin, sign, true));
      Advance(raw);
      line_starting_ = source_[at_ - 1] == '\n';
      return ReadRaw();
    }
    AddData(Before(begin, sign, type != '{'));
    if (type != '#') Add(type == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "{");
    Advance(at_ + (sign == '\0' ? 2 : 3));
    if (type == '#') return SkipComment();
    ReadWords(type == '%' ? "%}" : "}}");
  }

  // The end of "{% WORD %}" at `at`, or 0. `trims`: a closing tag takes a newline with it.
  size_t SimpleBlockEnd(size_t at, std::string_view word, bool trims) const {
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    at = SpaceEnd(at);
    if (!source_.substr(at).starts_with(word)) return 0;
    at = SpaceEnd(at + word.size());
    const std::string_view rest = source_.substr(at);
    if (rest.starts_with("-%}")) return SpaceEnd(at + 3);
    if (trims && rest.starts_with("+%}")) return at + 3;
    if (!rest.starts_with("%}")) return 0;
    return at + (trims && rest.size() > 2 && rest[2] == '\n' ? 3 : 2);
  }
  size_t RawBeginEnd() const { return SimpleBlockEnd(at_, "raw", false); }

  void ReadRaw() {
    const size_t begin = at_;
    const int line = line_;
    for (size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 2)) {
      const size_t end = SimpleBlockEnd(tag, "endraw", true);
      if (end == 0) continue;
      Advance(tag);
      const char sign = Peek(2) == '-' || Peek(2) == '+' ? Peek(2) : '\0';
      AddData(Before(begin, sign, true));
      Advance(end);
      line_starting_ = source_[at_ - 1] == '\n';
      return;
    }
    line_ = line;
    Refuse("expected {% endraw %}, found the end");
  }

  void SkipComment() {
    const size_t close = source_.find("#}", at_);
    if (close == std::string_view::npos) Refuse("expected #} to end a comment, found the end");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    Advance(close);
    EndTag(2, sign == '-' || sign == '+' ? sign : '\0', true);
  }

  // Behind a tag's last `n` bytes. `trims`: the newline after it goes too.
  void EndTag(size_t n, char sign, bool trims) {
    size_t end = at_ + n;
    if (sign == '-') {
      end = SpaceEnd(end);
    } else if (sign == '\0' && trims && end < source_.size() && source_[end] == '\n') {
      ++end;
    }
    Advance(end);
    line_starting_ = source_[at_ - 1] == '\n';
  }

  // What stands inside of a tag, up to its end.
  void ReadWords(std::string_view close) {
    const bool is_block = close == "%}";
    const int line = line_;
    std::string open;  // the closing brackets that are awaited
    while (true) {
      SkipSpace();
      if (at_ == source_.size()) {
        line_ = line;
        Refuse(fmt::format("expected {} to end the tag, found the end", close));
      }
      if (open.empty()) {
        const char sign = Peek() == '-' || (is_block && Peek() == '+') ? Peek() : '\0';
        const size_t skip = sign == '\0' ? 0 : 1;
        if (source_.substr(at_ + skip).starts_with(close)) {
          Add(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, close);
          return EndTag(2 + skip, sign, is_block);
        }
      }
      ReadWord(open);
    }
  }

  void ReadWord(std::string& open) {
    const char c = Peek();
    if (IsDigit(c)) return ReadNumber();
    if (IsNameBegin(c)) {
      size_t end = at_;
      while (end < source_.size() && (IsNameBegin(source_[end]) || IsDigit(source_[end]))) ++end;
      Add(TokenKind::kName, source_.substr(at_, end - at_));
      return Advance(end);
    }
    if (c == '\'' || c == '"') return ReadString();
    ReadOperator(open);
  }

  void ReadOperator(std::string& open) {
    size_t n = 0;
    for (const std::string_view two : {"//", "**", "==", "!=", ">=", "<="}) {
      if (LooksAt(two)) n = 2;
    }
    constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    if (n == 0 && kSingle.find(Peek()) != std::string_view::npos) n = 1;
    if (n == 0) {
      const Utf8Step step = StepUtf8(source_, at_);
      Refuse(fmt::format("unexpected character '{}'", source_.substr(at_, step.n_bytes)));
    }
    const char c = Peek();
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) {
        Refuse(open.empty() ? fmt::format("unexpected '{}'", c)
                            : fmt::format("expected '{}', found '{}'", open.back(), c));
      }
      open.pop_back();
    }
    Add(TokenKind::kOperator, source_.substr(at_, n));
    Advance(at_ + n);
  }

  // Digits with single underscores between them; where they end, or `at` if there are none.
  size_t DigitsEnd(size_t at, std::string_view digits = "0123456789") const {
    const auto is_digit = [&](size_t i) {
      return i < source_.size() && digits.find(source_[i]) != std::string_view::npos;
    };
    size_t end = at;
    while (is_digit(end) ||
           (end > at && end < source_.size() && source_[end] == '_' && is_digit(end + 1))) {
      ++end;
    }
    return end;
  }

  // Where a float that begins here ends; 0 if it is none.
  size_t FloatEnd() const {
    if (at_ > 0 && source_[at_ - 1] == '.') return 0;
    size_t end = DigitsEnd(at_);
    bool is_float = false;
    if (end < source_.size() && source_[end] == '.' && DigitsEnd(end + 1) > end + 1) {
      end = DigitsEnd(end + 1);
      is_float = true;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t digits = end + 1;
      if (digits < source_.size() && (source_[digits] == '+' || source_[digits] == '-')) ++digits;
      if (DigitsEnd(digits) > digits) return DigitsEnd(digits);
    }
    return is_float ? end : 0;
  }

  void ReadNumber() {
    const size_t float_end = FloatEnd();
    if (float_end > 0) return ReadFloat(float_end);
    int base = 10;
    size_t begin = at_, end = at_;
    const char type = static_cast<char>(Peek(1) | 0x20);
    if (Peek() == '0' && (type == 'x' || type == 'o' || type == 'b')) {
      base = type == 'x' ? 16 : type == 'o' ? 8 : 2;
      begin = at_ + 2;
      if (begin < source_.size() && source_[begin] == '_') ++begin;
      end = DigitsEnd(begin, std::string_view("0123456789abcdefABCDEF")
                                 .substr(0, base == 16 ? 22 : static_cast<size_t>(base)));
    }
    if (end == begin) {  // "0x" without digits is a zero and a name
      base = 10;
      begin = at_;
      end = Peek() == '0' ? DigitsEnd(at_, "0") : DigitsEnd(at_);
    }
    const std::string digits = WithoutUnderscores(begin, end);
    Token& token = Add(TokenKind::kInteger, source_.substr(at_, end - at_));
    const auto [at, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
    if (error != std::errc()) {
      UnsupportedTemplate(origin_, line_, "an integer beyond 64 bits");
    }
    Advance(end);
  }

  void ReadFloat(size_t end) {
    if (end - at_ > 1024) UnsupportedTemplate(origin_, line_, "a number of more than 1024 digits");
    const std::string digits = WithoutUnderscores(at_, end);
    Add(TokenKind::kFloat, source_.substr(at_, end - at_)).number =
        std::strtod(digits.c_str(), nullptr);
    Advance(end);
  }

  std::string WithoutUnderscores(size_t begin, size_t end) const {
    std::string digits(source_.substr(begin, end - begin));
    std::erase(digits, '_');
    return digits;
  }

  void ReadString() {
    const char quote = Peek();
    size_t end = at_ + 1;
    bool has_escapes = false;
    while (end < source_.size() && source_[end] != quote) {
      has_escapes = has_escapes || source_[end] == '\\';
      end += source_[end] == '\\' ? 2 : 1;
    }
    if (end >= source_.size())
      Refuse(fmt::format("expected {} to end a string, found the end", quote));
    std::string_view text = source_.substr(at_ + 1, end - at_ - 1);
    if (has_escapes) text = strings_.emplace_back(Unescape(text));
    Add(TokenKind::kString, text);
    Advance(end + 1);
  }

  // Python's escapes.
  std::string Unescape(std::string_view text) const {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      if (text[at] != '\\') {
        out += text[at++];
        continue;
      }
      at += 1;  // a string never ends in a backslash: it would be its closing quote's
      const char c = text[at++];
      constexpr std::string_view kLetters = "\\'\"abfnrtv";
      constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t index = kLetters.find(c); index != std::string_view::npos) {
        out += kMeanings[index];
      } else if (c == '\n') {
        continue;
      } else if (c >= '0' && c <= '7') {
        AppendOctal(text, at, out);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        AppendHex(text.substr(at, n), n, out);
        at += n;
      } else if (c == 'N') {
        UnsupportedTemplate(origin_, line_, "a character by its name (\\N)");
      } else if ((c & 0x80) != 0) {
        const Utf8Step step = StepUtf8(text, at - 1);
        // jinja2 writes such a character as an escape of its own, whose backslash is this one's.
        out += step.code_point < 0x100     ? fmt::format("\\x{:02x}", step.code_point)
               : step.code_point < 0x10000 ? fmt::format("\\u{:04x}", step.code_point)
                                           : fmt::format("\\U{:08x}", step.code_point);
        at += step.n_bytes - size_t{1};
      } else {
        (out += '\\') += c;
      }
    }
    return out;
  }

  // Up to three digits, of which the first is before `at`.
  static void AppendOctal(std::string_view text, size_t& at, std::string& out) {
    uint32_t code = static_cast<uint32_t>(text[at - 1] - '0');
    for (int i = 0; i < 2 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i) {
      code = code * 8 + static_cast<uint32_t>(text[at++] - '0');
    }
    AppendCodePoint(code, out);
  }

  void AppendHex(std::string_view digits, size_t n, std::string& out) const {
    uint32_t code = 0;
    const auto [at, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    const bool complete = digits.size() == n && at == digits.data() + n && error == std::errc();
    if (!complete || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      Refuse(fmt::format("expected {} hexadecimal digits of a character after a backslash", n));
    }
    AppendCodePoint(code, out);
  }

  std::string_view source_, origin_;
  std::deque<std::string>& strings_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // what was read last ended in a newline
};

}  // namespace

std::string NormaliseSource(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

std::vector<Token> Tokenise(std::string_view source, std::string_view origin,
                            std::deque<std::string>& strings) {
  return Lexer(source, origin, strings).Run();
}

}  // namespace moescope::text::jinja
