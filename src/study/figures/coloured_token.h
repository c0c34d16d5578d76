// A piece of text on the colour of an expert, for a terminal.
#pragma once

#include <string>

namespace moescope::study {

// "₁₂"; nothing for a negative number.
std::string SubscriptNumber(int number);

struct ExpertMark {
  int expert = -1;           // -1: none, pale grey
  bool colour = true;        // 24-bit escape codes
  bool with_number = false;  // the expert's number behind the text; always without colour
};
// `text` may hold line ends, which are never coloured; an empty text stays empty.
std::string MarkText(const std::string& text, const ExpertMark& mark);

}  // namespace moescope::study
