#include "text/jinja/python_text.h"

#include <fmt/format.h>
#include <unicode/ucasemap.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::text::jinja {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

// The last code point of a text that is not empty.
Utf8Step StepBack(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return StepUtf8(text, begin);
}

template <typename Drop>
std::string_view Strip(std::string_view text, Side side, Drop drop) {
  while (side != Side::kRight && !text.empty()) {
    const Utf8Step step = StepUtf8(text, 0);
    if (!drop(step.code_point)) break;
    text.remove_prefix(step.n_bytes);
  }
  while (side != Side::kLeft && !text.empty()) {
    const Utf8Step step = StepBack(text);
    if (!drop(step.code_point)) break;
    text.remove_suffix(step.n_bytes);
  }
  return text;
}

using CaseMapping = int32_t (*)(const UCaseMap*, char*, int32_t, const char*, int32_t, UErrorCode*);

// Full mappings of the root locale: a letter may become several.
std::string MapCase(std::string_view text, CaseMapping mapping) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UCaseMap, decltype(&ucasemap_close)> map(ucasemap_open("", 0, &status),
                                                                 &ucasemap_close);
  std::string result(text.size() + text.size() / 2 + 16, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    status = U_ZERO_ERROR;
    const int32_t n = mapping(map.get(), result.data(), static_cast<int32_t>(result.size()),
                              text.data(), static_cast<int32_t>(text.size()), &status);
    const bool fits = static_cast<size_t>(n) <= result.size();
    result.resize(static_cast<size_t>(n));
    if (fits) break;
  }
  MOESCOPE_CHECK(U_SUCCESS(status));
  return result;
}

std::string TitleOfCharacter(std::string_view character) {
  if (IsAscii(character)) return Upper(character);
  const uint32_t code = StepUtf8(character, 0).code_point;
  std::string simple;
  AppendCodePoint(static_cast<uint32_t>(u_totitle(static_cast<UChar32>(code))), simple);
  // Characters without a simple mapping may have a full one ("ß" to "Ss", ligatures).
  if (simple != character) return simple;
  const std::string upper = Upper(character);
  if (upper == character) return simple;
  const size_t first = StepUtf8(upper, 0).n_bytes;
  return upper.substr(0, first) + Lower(std::string_view(upper).substr(first));
}

bool IsCased(uint32_t code_point) {
  return u_hasBinaryProperty(static_cast<UChar32>(code_point), UCHAR_CASED) != 0;
}

bool IsLineEnd(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool IsPrintable(uint32_t code_point) {
  switch (u_charType(static_cast<UChar32>(code_point))) {
    case U_UNASSIGNED:
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_PRIVATE_USE_CHAR:
    case U_SURROGATE:
    case U_SPACE_SEPARATOR:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
      return code_point == ' ';
    default:
      return true;
  }
}

}  // namespace

bool IsSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

size_t CountCodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

size_t ByteOfCodePoint(std::string_view text, size_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
    if (index-- == 0) break;
  }
  return at;
}

std::string Reversed(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t n = StepBack(text).n_bytes;
    result.append(text.substr(text.size() - n));
    text.remove_suffix(n);
  }
  return result;
}

std::string_view StripSpace(std::string_view text, Side side) {
  return Strip(text, side, IsSpace);
}

std::string_view StripAny(std::string_view text, std::string_view characters, Side side) {
  std::vector<uint32_t> set;
  for (size_t at = 0; at < characters.size();) {
    const Utf8Step step = StepUtf8(characters, at);
    set.push_back(step.code_point);
    at += step.n_bytes;
  }
  std::sort(set.begin(), set.end());
  return Strip(text, side,
               [&](uint32_t code) { return std::binary_search(set.begin(), set.end(), code); });
}

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = StepUtf8(text, at);
    const size_t end = at;
    at += step.n_bytes;
    if (!IsLineEnd(step.code_point)) continue;
    if (step.code_point == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, end - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string_view> SplitSpace(std::string_view text, size_t n_splits) {
  std::vector<std::string_view> words;
  text = StripSpace(text, Side::kLeft);
  while (!text.empty()) {
    if (words.size() == n_splits) {
      words.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      const Utf8Step step = StepUtf8(text, end);
      if (IsSpace(step.code_point)) break;
      end += step.n_bytes;
    }
    words.push_back(text.substr(0, end));
    text = StripSpace(text.substr(end), Side::kLeft);
  }
  return words;
}

std::string Lower(std::string_view text) {
  if (!IsAscii(text)) return MapCase(text, ucasemap_utf8ToLower);
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return result;
}

std::string Upper(std::string_view text) {
  if (!IsAscii(text)) return MapCase(text, ucasemap_utf8ToUpper);
  std::string result(text);
  for (char& c : result) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return result;
}

std::string Capitalised(std::string_view text) {
  if (text.empty()) return "";
  const std::string_view first = text.substr(0, StepUtf8(text, 0).n_bytes);
  // Lowered as a whole: what a final sigma becomes depends on what stands before it.
  const std::string lowered = Lower(text);
  const std::string lowered_first = Lower(first);
  return lowered.starts_with(lowered_first)
             ? TitleOfCharacter(first) + lowered.substr(lowered_first.size())
             : TitleOfCharacter(first) + Lower(text.substr(first.size()));
}

std::string TitleOfWords(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    while (at < text.size()) {
      const Utf8Step step = StepUtf8(text, at);
      if (!IsCased(step.code_point)) break;
      at += step.n_bytes;
    }
    if (at > begin) {
      result += Capitalised(text.substr(begin, at - begin));
    } else {
      const size_t n = StepUtf8(text, at).n_bytes;
      result += text.substr(at, n);
      at += n;
    }
  }
  return result;
}

std::string TitleFilter(std::string_view text) {
  const auto separates = [](uint32_t c) {
    return IsSpace(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                          std::string_view::npos);
  };
  std::string result;
  for (size_t at = 0; at < text.size();) {
    Utf8Step step = StepUtf8(text, at);
    const std::string_view first = text.substr(at, step.n_bytes);
    at += step.n_bytes;
    result += Upper(first);
    if (separates(step.code_point)) continue;
    const size_t begin = at;
    while (at < text.size()) {
      step = StepUtf8(text, at);
      if (separates(step.code_point)) break;
      at += step.n_bytes;
    }
    result += Lower(text.substr(begin, at - begin));
  }
  return result;
}

void AppendCodePoint(uint32_t code, std::string& out) {
  const auto trail = [&](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += trail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    (out += trail(6)) += trail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    ((out += trail(12)) += trail(6)) += trail(0);
  }
}

void AppendQuoted(std::string_view text, std::string& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = StepUtf8(text, at);
    const uint32_t c = step.code_point;
    if (c == static_cast<uint8_t>(quote) || c == '\\') {
      (out += '\\') += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      (out += '\\') += c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
    } else if (IsPrintable(c)) {
      out += text.substr(at, step.n_bytes);
    } else {
      out += c < 0x100     ? fmt::format("\\x{:02x}", c)
             : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                           : fmt::format("\\U{:08x}", c);
    }
    at += step.n_bytes;
  }
  out += quote;
}

std::string FormatFloat(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view written(buffer, static_cast<size_t>(scientific.ptr - buffer));
  int exponent = 0;
  const size_t e = written.find('e');
  const bool negative = written[e + 1] == '-';
  std::from_chars(buffer + e + 2, scientific.ptr, exponent);
  if (negative) exponent = -exponent;
  if (exponent < -4 || exponent >= 16) return std::string(written);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string result(buffer, fixed.ptr);
  return result.find('.') == std::string::npos ? result + ".0" : result;
}

}  // namespace moescope::text::jinja
