#include "text/unicode_forms.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

bool Composes(UnicodeForm form) {
  return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
}

UProperty QuickCheckOf(UnicodeForm form) {
  switch (form) {
    case UnicodeForm::kNfc:
      return UCHAR_NFC_QUICK_CHECK;
    case UnicodeForm::kNfd:
      return UCHAR_NFD_QUICK_CHECK;
    case UnicodeForm::kNfkc:
      return UCHAR_NFKC_QUICK_CHECK;
    case UnicodeForm::kNfkd:
      return UCHAR_NFKD_QUICK_CHECK;
  }
  return UCHAR_NFC_QUICK_CHECK;
}

bool IsOld(uint32_t code_point) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(code_point), age);
  return age[0] <= 9;
}

struct Character {
  uint32_t code_point;
  uint8_t combining_class;
};

const icu::Normalizer2* InstanceOf(UnicodeForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = nullptr;
  switch (form) {
    case UnicodeForm::kNfc:
      instance = icu::Normalizer2::getNFCInstance(status);
      break;
    case UnicodeForm::kNfd:
      instance = icu::Normalizer2::getNFDInstance(status);
      break;
    case UnicodeForm::kNfkc:
      instance = icu::Normalizer2::getNFKCInstance(status);
      break;
    case UnicodeForm::kNfkd:
      instance = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  MOESCOPE_CHECK(U_SUCCESS(status) && instance != nullptr);
  return instance;
}

// ICU's data as of Unicode 9: characters that came later have none.
class FormData {
 public:
  explicit FormData(UnicodeForm form)
      : quick_check_(QuickCheckOf(form)), instance_(InstanceOf(form)) {}
  uint8_t CombiningClass(uint32_t code_point) const {
    if (code_point < 0x300) return 0;
    const uint8_t value = instance_->getCombiningClass(static_cast<UChar32>(code_point));
    return value == 0 || IsOld(code_point) ? value : 0;
  }
  // Whether nothing before the character combines with it.
  bool BeginsSegment(uint32_t code_point) const {
    return code_point < 0x300 || !IsOld(code_point) ||
           instance_->hasBoundaryBefore(static_cast<UChar32>(code_point)) != 0;
  }
  // Whether the character may change, or change with what comes before it.
  bool MayChange(uint32_t code_point) const {
    if (code_point < 0xA0) return false;
    const auto answer = u_getIntPropertyValue(static_cast<UChar32>(code_point), quick_check_);
    return answer != UNORM_YES && IsOld(code_point);
  }
  void Decompose(uint32_t code_point, std::vector<Character>& out) const {
    icu::UnicodeString parts;
    if (code_point < 0xA0 || !IsOld(code_point) ||
        instance_->getDecomposition(static_cast<UChar32>(code_point), parts) == 0) {
      out.push_back({code_point, CombiningClass(code_point)});
      return;
    }
    for (int32_t i = 0; i < parts.length(); i += U16_LENGTH(parts.char32At(i))) {
      const auto part = static_cast<uint32_t>(parts.char32At(i));
      out.push_back({part, CombiningClass(part)});
    }
  }
  // The character two others make, or a negative number.
  int32_t Compose(uint32_t first, uint32_t second) const {
    const UChar32 composed =
        instance_->composePair(static_cast<UChar32>(first), static_cast<UChar32>(second));
    return composed < 0 || !IsOld(static_cast<uint32_t>(composed)) ? -1 : composed;
  }

 private:
  UProperty quick_check_;
  const icu::Normalizer2* instance_;
};

// Marks of one base in the order of their classes, equal classes as they came.
void Order(std::vector<Character>& characters) {
  const auto is_starter = [](const Character& c) { return c.combining_class == 0; };
  for (auto begin = characters.begin(); begin != characters.end();) {
    const auto end = std::find_if(begin, characters.end(), is_starter);
    std::stable_sort(begin, end, [](const Character& a, const Character& b) {
      return a.combining_class < b.combining_class;
    });
    begin = end == characters.end() ? end : end + 1;
  }
}

// Source: Unicode Standard, section 3.11, D117.
void Compose(const FormData& data, std::vector<Character>& characters) {
  constexpr size_t kNoStarter = SIZE_MAX;
  size_t starter = kNoStarter, n = 0;
  int last_class = -1;  // of what was kept since the starter
  for (const Character& character : characters) {
    const int own_class = character.combining_class;
    const bool blocked = last_class >= own_class && last_class != -1;
    if (starter != kNoStarter && !blocked) {
      const int32_t composed = data.Compose(characters[starter].code_point, character.code_point);
      if (composed >= 0) {
        characters[starter].code_point = static_cast<uint32_t>(composed);
        continue;
      }
    }
    if (own_class == 0) starter = n;
    last_class = own_class == 0 ? -1 : own_class;
    characters[n++] = character;
  }
  characters.resize(n);
}

// A stretch of the text that no character outside takes part in.
struct Segment {
  size_t begin, end;
  bool may_change;
};

// The segment at `at`: a character that nothing before combines with, and those that may combine.
Segment SegmentAt(const FormData& data, std::string_view text, size_t at) {
  Segment segment = {at, at, false};
  uint8_t last_class = 0;
  bool first = true;
  while (segment.end < text.size()) {
    const Utf8Step step = StepUtf8(text, segment.end);
    if (!step.valid) {
      if (first) segment.end += step.n_bytes;
      break;
    }
    if (!first && data.BeginsSegment(step.code_point)) break;
    const uint8_t own_class = data.CombiningClass(step.code_point);
    segment.may_change = segment.may_change || data.MayChange(step.code_point) ||
                         (own_class != 0 && own_class < last_class);
    last_class = own_class;
    first = false;
    segment.end += step.n_bytes;
  }
  return segment;
}

const FormData& DataOf(UnicodeForm form) {
  static const FormData kData[] = {FormData(UnicodeForm::kNfc), FormData(UnicodeForm::kNfd),
                                   FormData(UnicodeForm::kNfkc), FormData(UnicodeForm::kNfkd)};
  return kData[static_cast<int>(form)];
}

}  // namespace

bool ApplyUnicodeForm(UnicodeForm form, std::string_view text, std::string& out, OffsetMap& map) {
  const FormData& data = DataOf(form);
  std::vector<Character> characters;
  std::string normalised;
  size_t copied = 0;  // of the text, to `out`
  for (size_t at = 0; at < text.size();) {
    // ASCII before ASCII is a segment of its own.
    if (static_cast<uint8_t>(text[at]) < 0x80 &&
        (at + 1 == text.size() || static_cast<uint8_t>(text[at + 1]) < 0x80)) {
      ++at;
      continue;
    }
    const Segment segment = SegmentAt(data, text, at);
    const std::string_view source = text.substr(segment.begin, segment.end - segment.begin);
    at = segment.end;
    if (!segment.may_change) continue;
    characters.clear();
    for (size_t i = 0; i < source.size();) {
      const Utf8Step step = StepUtf8(source, i);
      data.Decompose(step.code_point, characters);
      i += step.n_bytes;
    }
    Order(characters);
    if (Composes(form)) Compose(data, characters);
    normalised.clear();
    for (const Character& each : characters) AppendUtf8(each.code_point, normalised);
    if (normalised == source) continue;
    out.append(text.substr(copied, segment.begin - copied));
    map.Replace(segment.begin, source.size(), out.size(), normalised.size());
    out.append(normalised);
    copied = segment.end;
  }
  if (copied == 0 && out.empty()) return false;
  out.append(text.substr(copied));
  return true;
}

}  // namespace moescope::text
