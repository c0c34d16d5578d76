// Memory of an encoding under construction.
#pragma once

#include <cstddef>

#include "text/tokenizer.h"

namespace moescope::text {

// Room for the whole text at the rate of tokens so far: doubling would hold three times what a huge
// text needs. n_source: bytes of the text, of which `source_at` are encoded.
void MakeRoom(Encoding& out, size_t n_source, size_t source_at, size_t max_tokens);

void Truncate(Encoding& out, size_t n_tokens);

}  // namespace moescope::text
