// Colours for experts, the same on a terminal and in a page.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace moescope::study {

struct Colour {
  uint8_t red, green, blue;
};

// Paul Tol's "light" scheme: nine pale colours that stay apart for colour-blind readers and under
// black text, made for filling labelled cells. The ninth (pale grey) marks "no expert".
// Source: Tol, "Colour schemes", technical note SRON/EPS/TN/09-002.
inline constexpr std::array<Colour, 8> kExpertColours = {{{0x77, 0xaa, 0xdd},
                                                          {0xee, 0x88, 0x66},
                                                          {0xee, 0xdd, 0x88},
                                                          {0xff, 0xaa, 0xbb},
                                                          {0x99, 0xdd, 0xff},
                                                          {0x44, 0xbb, 0x99},
                                                          {0xbb, 0xcc, 0x33},
                                                          {0xaa, 0xaa, 0x00}}};
inline constexpr Colour kNoExpertColour = {0xdd, 0xdd, 0xdd};

// Beyond eight experts colours repeat, and whoever draws them writes the number beside them: no
// palette of more than about ten stays readable for everybody.
constexpr Colour ExpertColour(int expert) {
  return expert < 0 ? kNoExpertColour
                    : kExpertColours[static_cast<size_t>(expert) % kExpertColours.size()];
}

// "#77aadd".
inline std::string HexColour(Colour colour) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "#";
  for (uint8_t part : {colour.red, colour.green, colour.blue}) {
    text += kDigits[part >> 4];
    text += kDigits[part & 15];
  }
  return text;
}

}  // namespace moescope::study
