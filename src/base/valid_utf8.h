// Text that Parquet and JSON accept.
#pragma once

#include <string>
#include <string_view>

namespace moescope {

// The text with each byte that is not part of a well-formed UTF-8 character replaced by U+FFFD.
std::string ValidUtf8(std::string_view text);

}  // namespace moescope
