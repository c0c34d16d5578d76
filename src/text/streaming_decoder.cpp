#include "text/tokenizer.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string ReplaceBroken(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Step step = StepUtf8(bytes, at);
    text += step.valid ? bytes.substr(at, step.n_bytes) : kReplacement;
    at += step.n_bytes;
  }
  return text;
}

}  // namespace

std::string StreamingDecoder::Push(int32_t id) {
  pending_ += tokenizer_.NextBytes(id, at_start_);
  const size_t certain = pending_.size() - IncompleteTail(pending_);
  std::string text = ReplaceBroken(std::string_view(pending_).substr(0, certain));
  pending_.erase(0, certain);
  return text;
}

std::string StreamingDecoder::Flush() {
  std::string text = ReplaceBroken(pending_);
  pending_.clear();
  return text;
}

}  // namespace moescope::text
