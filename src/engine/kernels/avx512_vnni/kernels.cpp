#include "engine/kernels/avx512_vnni/kernels.h"

#if defined(__AVX512VNNI__) || defined(MOESCOPE_EMULATE_AVX512)
#include "engine/kernels/avx512_vnni/columns.h"
// After the columns it is written over.
#include "engine/kernels/vector_rounded.h"
#endif

namespace moescope::engine {

#if defined(MOESCOPE_EMULATE_AVX512)
const RoundedKernels* EmulatedVnniKernels() {
  static constexpr RoundedKernels kKernels = {
      .round = nullptr, .multiply = MultiplyRounded, .peak = BytePeak};
  return &kKernels;
}
#else
const RoundedKernels* VnniKernels() {
#if defined(__AVX512VNNI__)
  static constexpr RoundedKernels kKernels = {
      .round = nullptr, .multiply = MultiplyRounded, .peak = BytePeak};
  return &kKernels;
#else
  return nullptr;
#endif
}
#endif

}  // namespace moescope::engine
