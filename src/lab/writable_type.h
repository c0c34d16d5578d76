// The element types that `convert` can turn values into.
#pragma once

#include <string>

#include "base/tensor/dtype.h"

namespace moescope::lab {

bool IsWritable(DType dtype);
// "q8_0", "F16", ... Throws Error(kBadInput) with the list of types that can be written.
DType ParseWritableType(const std::string& name);

}  // namespace moescope::lab
