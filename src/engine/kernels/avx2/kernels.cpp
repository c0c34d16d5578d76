#include "engine/kernels/avx2/kernels.h"

#if defined(__AVX2__)
#include "engine/kernels/avx2/vector.h"
// After the vector it is written over.
#include "engine/kernels/vector_kernels.h"
#endif

namespace moescope::engine {

const KernelTable* Avx2Kernels() {
#if defined(__AVX2__)
  static constexpr KernelTable kTable = MakeKernelTable(KernelLevel::kAvx2);
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace moescope::engine
