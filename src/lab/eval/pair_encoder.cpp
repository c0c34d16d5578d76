#include "lab/eval/pair_encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace moescope::lab {

bool PairEncoder::Encode(const std::string& context, const std::string& continuation,
                         const std::string& where, ScoredSequence& out) {
  const size_t kept = context.find_last_not_of(" \t\n\r\f\v") + 1;  // npos + 1 is 0
  tokenizer_.Encode(context.substr(0, kept), encoding_);
  const size_t n_context = encoding_.ids.size();
  tokenizer_.Encode(context + continuation, encoding_);
  const std::vector<int32_t>& ids = encoding_.ids;
  if (continuation.empty() || ids.empty()) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot score: {}: expected text to score, found none", where));
  }
  const size_t n_scored = ids.size() - std::min(n_context, ids.size() - 1);
  int32_t start = options_.bos && tokenizer_.adds_bos() ? tokenizer_.bos_id() : -1;
  if (start < 0 && n_scored == ids.size()) {
    start = tokenizer_.eos_id() >= 0 ? tokenizer_.eos_id() : tokenizer_.bos_id();
    if (start < 0) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("cannot score: {}: expected a context, found none, and the tokenizer "
                              "has no BOS",
                              where));
    }
  }
  const size_t n_start = start >= 0 ? 1 : 0;
  const size_t room = static_cast<size_t>(options_.context) - n_start;
  // One token at least must stand before the first that is scored.
  if (n_scored + 1 > static_cast<size_t>(options_.context)) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot score: {}: expected at most {} tokens after the context, found "
                            "{}",
                            where, options_.context - 1, n_scored));
  }
  const size_t n_kept = std::min(ids.size(), room);
  if (n_start == 1) out.ids.push_back(start);
  out.ids.insert(out.ids.end(), ids.end() - static_cast<ptrdiff_t>(n_kept), ids.end());
  out.first_scored = out.ids.size() - n_scored;
  return n_kept < ids.size();
}

}  // namespace moescope::lab
