// The four normalisation forms, with offsets. They follow Unicode 9 whatever ICU knows: characters
// assigned later stay as they are, as in the library that vocabularies were made with.
#pragma once

#include <string>
#include <string_view>

#include "text/offset_map.h"

namespace moescope::text {

enum class UnicodeForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };

// Returns false, with `out` and `map` empty, where the text is in that form; otherwise fills both.
// Broken bytes are kept and separate. Linear, but for sorting a run of combining marks: n log n.
bool ApplyUnicodeForm(UnicodeForm form, std::string_view text, std::string& out, OffsetMap& map);

}  // namespace moescope::text
