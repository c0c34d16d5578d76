// The number in a written answer, as lm-evaluation-harness takes it for GSM8K.
#pragma once

#include <string>
#include <string_view>

namespace moescope::lab {

// What follows "#### " (strict match), or the last number of the text (flexible); "" where there is
// none. Without commas, dollar signs and a full stop at the end: "$1,200." is "1200".
// Source: lm_eval/tasks/gsm8k/gsm8k.yaml: "#### (\-?[0-9\.\,]+)", and
// "(-?[$0-9.,]{2,})|(-?[0-9]+)", the last of all.
std::string MarkedNumber(std::string_view text);
std::string LastNumber(std::string_view text);

}  // namespace moescope::lab
