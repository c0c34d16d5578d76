#include "lab/eval/few_shot.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace moescope::lab {

std::vector<size_t> DrawExamples(const FewShot& few_shot, size_t item, size_t pool, int64_t own) {
  Random random(Combine(Combine(KeyOfName("few-shot"), few_shot.seed), item));
  std::vector<size_t> drawn;
  while (drawn.size() < static_cast<size_t>(few_shot.n)) {
    const size_t place = random.Below(pool);
    const bool seen = std::find(drawn.begin(), drawn.end(), place) != drawn.end();
    if (!seen && static_cast<int64_t>(place) != own) drawn.push_back(place);
  }
  return drawn;
}

void CheckFewShot(const FewShot& few_shot, size_t n_others, const std::string& where) {
  if (few_shot.n >= 0 && static_cast<size_t>(few_shot.n) <= n_others) return;
  throw Error(ErrorKind::kBadInput, fmt::format("--few-shot: {}: expected from 0 to {} examples, "
                                                "found {}",
                                                where, n_others, few_shot.n));
}

}  // namespace moescope::lab
