#include "lab/writable_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace moescope::lab {
namespace {

constexpr DType kWritable[] = {DType::kQ8_0, DType::kBF16, DType::kF16, DType::kF32};

}  // namespace

bool IsWritable(DType dtype) {
  return std::find(std::begin(kWritable), std::end(kWritable), dtype) != std::end(kWritable);
}

DType ParseWritableType(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (DType dtype : kWritable) {
    if (upper == Name(dtype)) return dtype;
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("not a type: '{}': expected q8_0, bf16, f16 or f32", name.substr(0, 60)));
}

}  // namespace moescope::lab
