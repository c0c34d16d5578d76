#include "engine/kernels/avx512/kernels.h"

#if defined(__AVX512F__) || defined(MOESCOPE_EMULATE_AVX512)
#include "engine/kernels/avx512/vector.h"
// After the vector it is written over.
#include "engine/kernels/vector_kernels.h"
#endif

namespace moescope::engine {

#if defined(MOESCOPE_EMULATE_AVX512)
const KernelTable* EmulatedAvx512Kernels() {
  static constexpr KernelTable kTable = MakeKernelTable(KernelLevel::kAvx512, {});
  return &kTable;
}
#else
const KernelTable* Avx512Kernels() {
#if defined(__AVX512F__)
  static constexpr KernelTable kTable = MakeKernelTable(KernelLevel::kAvx512, {});
  return &kTable;
#else
  return nullptr;
#endif
}
#endif

}  // namespace moescope::engine
