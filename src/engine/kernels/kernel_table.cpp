#include "engine/kernels/kernel_table.h"

#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/platform/cpu.h"
#include "engine/kernels/amx/kernels.h"
#include "engine/kernels/avx2/kernels.h"
#include "engine/kernels/avx512/kernels.h"
#include "engine/kernels/avx512_vnni/kernels.h"
#include "engine/kernels/scalar/kernels.h"

namespace moescope::engine {
namespace {

constexpr KernelLevel kLevels[] = {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512,
                                   KernelLevel::kAmx};

// AVX-512 with the best products of rounded activations there are: with VNNI, or else AVX2's.
const KernelTable* Avx512WithRounded() {
  const KernelTable* avx2 = Avx2Kernels();
  if (Avx512Kernels() == nullptr || avx2 == nullptr) return nullptr;
  static const KernelTable table = [avx2] {
    KernelTable combined = *Avx512Kernels();
    combined.rounded = avx2->rounded;
    if (DetectCpu().avx512_vnni && VnniKernels() != nullptr) {
      combined.rounded.multiply = VnniKernels()->multiply;
      combined.rounded.peak = VnniKernels()->peak;
    }
    return combined;
  }();
  return &table;
}

// AVX-512's kernels and, for `fast`, tiles. Its own level in names: a run at `fast` differs.
const KernelTable* AmxWithAvx512() {
  if (AmxKernels() == nullptr || Avx512WithRounded() == nullptr) return nullptr;
  static const KernelTable table = [] {
    KernelTable combined = *Avx512WithRounded();
    combined.level = KernelLevel::kAmx;
    combined.tiles = AmxKernels();
    return combined;
  }();
  return &table;
}

}  // namespace

std::string_view Name(KernelLevel level) {
  constexpr std::string_view kNames[] = {"scalar", "avx2", "avx512", "amx"};
  return kNames[static_cast<int>(level)];
}

const KernelTable* KernelsFor(KernelLevel level) {
  switch (level) {
    case KernelLevel::kScalar:
      return &ScalarKernels();
    case KernelLevel::kAvx2:
      return DetectCpu().avx2_fma ? Avx2Kernels() : nullptr;
    case KernelLevel::kAvx512:
      return DetectCpu().avx512 ? Avx512WithRounded() : nullptr;
    case KernelLevel::kAmx:
      return DetectCpu().amx_bf16 && RequestTilePermission() ? AmxWithAvx512() : nullptr;
  }
  return nullptr;
}

const KernelTable& SelectKernels() {
  const char* wanted = std::getenv("MOESCOPE_KERNELS");
  const KernelTable* best = nullptr;
  for (KernelLevel level : kLevels) {
    const KernelTable* kernels = KernelsFor(level);
    if (wanted != nullptr && *wanted != '\0' && Name(level) == wanted) {
      if (kernels != nullptr) return *kernels;
      throw Error(ErrorKind::kUnsupported,
                  std::string("MOESCOPE_KERNELS=") + wanted + ": this processor or build lacks it");
    }
    if (kernels != nullptr) best = kernels;
  }
  if (wanted != nullptr && *wanted != '\0') {
    throw Error(ErrorKind::kBadInput,
                std::string("MOESCOPE_KERNELS: expected scalar, avx2, avx512 or amx, found '") +
                    wanted + "'");
  }
  return *best;
}

}  // namespace moescope::engine
