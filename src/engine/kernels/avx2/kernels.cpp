#include "engine/kernels/avx2/kernels.h"

#if defined(__AVX2__)
#include "engine/kernels/avx2/columns.h"
#include "engine/kernels/avx2/rounding.h"
#include "engine/kernels/avx2/vector.h"
// After the vectors they are written over.
#include "engine/kernels/vector_kernels.h"
#include "engine/kernels/vector_rounded.h"
#endif

namespace moescope::engine {

const KernelTable* Avx2Kernels() {
#if defined(__AVX2__)
  static constexpr KernelTable kTable =
      MakeKernelTable(KernelLevel::kAvx2,
                      {.round = RoundActivations, .multiply = MultiplyRounded, .peak = BytePeak});
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace moescope::engine
