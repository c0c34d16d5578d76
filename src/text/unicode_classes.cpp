#include "text/unicode_classes.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <map>

namespace moescope::text {
namespace {

struct Range {
  uint32_t first, last;
};

// Assigned after Unicode 15.0, up to 16.0. Source: DerivedGeneralCategory.txt.
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                 {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                 {0x1E5F1, 0x1E5FA}};
// Numbers of Unicode 17.
constexpr Range kNumbersOf17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};
// Marks and other parts of words, assigned after Unicode 15.0, up to 16.0.
constexpr Range kNewWordCharacters[] = {
    {0x897, 0x897},     {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},
    {0x105C0, 0x105F3}, {0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85},
    {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC}, {0x11380, 0x11389}, {0x1138B, 0x1138B},
    {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2},
    {0x116D0, 0x116E3}, {0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A},
    {0x13460, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79},
    {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D}};

template <size_t n>
bool Contains(const Range (&ranges)[n], uint32_t code_point) {
  const auto after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](uint32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

// Whether Unicode 15.0 has it: a later ICU knows more, and the tables above are to be followed.
bool IsOld(uint32_t code_point) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(code_point), age);
  return age[0] < 15 || (age[0] == 15 && age[1] == 0);
}

bool Has(uint32_t code_point, uint32_t mask) {
  return (U_MASK(u_charType(static_cast<UChar32>(code_point))) & mask) != 0;
}

CharacterClass Classify(uint32_t code_point) {
  if (u_hasBinaryProperty(static_cast<UChar32>(code_point), UCHAR_WHITE_SPACE)) {
    return CharacterClass::kSpace;
  }
  if (Has(code_point, U_GC_L_MASK | U_GC_N_MASK) && IsOld(code_point)) {
    return Has(code_point, U_GC_L_MASK) ? CharacterClass::kLetter : CharacterClass::kNumber;
  }
  if (Contains(kNewLetters, code_point)) return CharacterClass::kLetter;
  if (Contains(kNewNumbers, code_point)) return CharacterClass::kNumber;
  return CharacterClass::kOther;
}

}  // namespace

UnicodeClasses::UnicodeClasses() {
  using Page = std::array<CharacterClass, 256>;
  std::map<Page, uint16_t> known;
  for (uint32_t first = 0; first < 0x110000; first += 256) {
    Page page;
    for (uint32_t i = 0; i < 256; ++i) page[i] = Classify(first + i);
    const auto [at, is_new] = known.try_emplace(page, static_cast<uint16_t>(known.size()));
    if (is_new) cells_.insert(cells_.end(), page.begin(), page.end());
    pages_.push_back(at->second);
  }
}

const UnicodeClasses& UnicodeClasses::Get() {
  static const UnicodeClasses classes;
  return classes;
}

bool UnicodeClasses::IsNumeric(uint32_t code_point) const {
  return Of(code_point) == CharacterClass::kNumber || Contains(kNumbersOf17, code_point);
}

bool UnicodeClasses::IsWord(uint32_t code_point) const {
  const bool old_word = Has(code_point, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
                        u_hasBinaryProperty(static_cast<UChar32>(code_point), UCHAR_ALPHABETIC) ||
                        u_hasBinaryProperty(static_cast<UChar32>(code_point), UCHAR_JOIN_CONTROL);
  return (old_word && IsOld(code_point)) || Contains(kNewWordCharacters, code_point);
}

}  // namespace moescope::text
