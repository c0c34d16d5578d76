#include "text/normaliser.h"

#include <unicode/uchar.h>

#include "text/unicode_classes.h"
#include "text/unicode_forms.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

using files::NormaliserStep;
using Kind = NormaliserStep::Kind;

// Each of these returns false if the text stays as it is; otherwise `out` and `map` are filled.
// Requires: both are empty.

bool Prepend(const std::string& prefix, std::string_view text, std::string& out, OffsetMap& map) {
  if (text.empty() || prefix.empty()) return false;
  out.reserve(prefix.size() + text.size());
  out.append(prefix).append(text);
  map.Replace(0, 0, 0, prefix.size());
  return true;
}

bool Replace(const NormaliserStep& step, std::string_view text, std::string& out, OffsetMap& map) {
  size_t found = text.find(step.text);
  if (found == std::string_view::npos) return false;
  size_t at = 0;
  for (; found != std::string_view::npos; found = text.find(step.text, at)) {
    out.append(text.substr(at, found - at));
    map.Replace(found, step.text.size(), out.size(), step.replacement.size());
    out.append(step.replacement);
    at = found + step.text.size();
  }
  out.append(text.substr(at));
  return true;
}

bool Strip(const NormaliserStep& step, std::string_view text, std::string& out, OffsetMap& map) {
  const UnicodeClasses& classes = UnicodeClasses::Get();
  const auto is_space = [&](const Utf8Step& character) {
    return character.valid && classes.IsSpace(character.code_point);
  };
  size_t begin = 0, end = 0;
  bool leading = step.left;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step character = StepUtf8(text, at);
    const bool space = is_space(character);
    at += character.n_bytes;
    leading = leading && space;
    if (leading) begin = at;
    if (!space || !step.right) end = at;
  }
  end = std::max(begin, end);
  if (begin == 0 && end == text.size()) return false;
  if (begin > 0) map.Replace(0, begin, 0, 0);
  out.append(text.substr(begin, end - begin));
  if (end < text.size()) map.Replace(end, text.size() - end, out.size(), 0);
  return true;
}

// Lower case by character. Letters assigned after Unicode 15.0 are left as they are.
std::string LowerOf(uint32_t code_point) {
  std::string lower;
  AppendUtf8(static_cast<uint32_t>(u_tolower(static_cast<UChar32>(code_point))), lower);
  if (code_point == 0x130) lower += "\xCC\x87";  // its dot stays
  return lower;
}

bool Lowercase(std::string_view text, std::string& out, OffsetMap& map) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = StepUtf8(text, at);
    if (!step.valid) {
      out.push_back(text[at]);
    } else if (step.code_point < 0x80) {
      const char c = text[at];
      out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c);
    } else {
      const std::string lower = LowerOf(step.code_point);
      if (lower.size() != step.n_bytes) map.Replace(at, step.n_bytes, out.size(), lower.size());
      out.append(lower);
    }
    at += step.n_bytes;
  }
  return out != text;
}

bool ApplyStep(const NormaliserStep& step, std::string_view text, std::string& out,
               OffsetMap& map) {
  switch (step.kind) {
    case Kind::kNfc:
      return ApplyUnicodeForm(UnicodeForm::kNfc, text, out, map);
    case Kind::kNfd:
      return ApplyUnicodeForm(UnicodeForm::kNfd, text, out, map);
    case Kind::kNfkc:
      return ApplyUnicodeForm(UnicodeForm::kNfkc, text, out, map);
    case Kind::kNfkd:
      return ApplyUnicodeForm(UnicodeForm::kNfkd, text, out, map);
    case Kind::kPrepend:
      return Prepend(step.text, text, out, map);
    case Kind::kReplace:
      return Replace(step, text, out, map);
    case Kind::kLowercase:
      return Lowercase(text, out, map);
    case Kind::kStrip:
      return Strip(step, text, out, map);
  }
  return false;
}

}  // namespace

size_t NormalisedText::EndInSource(size_t at) {
  for (size_t i = n_maps_; i-- > 0;) at = maps_[i].EndInSource(at, cursors_[i]);
  return at;
}

size_t NormalisedText::BeginInSource(size_t at) {
  for (size_t i = n_maps_; i-- > 0;) at = maps_[i].BeginInSource(at, cursors_[i]);
  return at;
}

void Normaliser::Apply(std::string_view text, NormalisedText& out) const {
  out.text_ = text;
  out.n_maps_ = 0;
  size_t next = 0;
  for (const NormaliserStep& step : steps_) {
    if (out.maps_.size() == out.n_maps_) out.maps_.emplace_back();
    OffsetMap& map = out.maps_[out.n_maps_];
    std::string& buffer = out.buffers_[next];
    map.clear();
    buffer.clear();
    if (!ApplyStep(step, out.text_, buffer, map)) continue;
    out.text_ = buffer;
    ++out.n_maps_;
    next = 1 - next;
  }
  out.cursors_.assign(out.n_maps_, {});
}

}  // namespace moescope::text
