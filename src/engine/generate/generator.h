// Text that goes on from a prompt: a session, a sampler and what ends it, in one loop.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/sampler.h"
#include "engine/generate/session.h"
#include "text/tokenizer.h"

namespace moescope::engine {

struct GenerateOptions {
  int max_tokens = 128;
  SamplingOptions sampling;
  std::vector<std::string> stop;  // strings that end the text, not shown
  std::set<int32_t> end_ids;      // tokens that do, not shown
};

enum class EndReason { kEndToken, kStopString, kMaxTokens, kContextFull };
std::string_view Name(EndReason reason);  // "end token", "stop string", ...

struct Generated {
  std::vector<int32_t> ids;  // what was sampled, an end token included
  std::string text;          // what was shown
  EndReason end = EndReason::kMaxTokens;
  double prompt_seconds = 0, seconds = 0;  // running the prompt; the rest
};

// A sampled token and the text that has become certain with it (often its own; nothing while a
// character or a possible stop string is incomplete); id -1: what was left at the end.
using TokenReceiver = std::function<void(int32_t id, const std::string& text)>;

// Appends `prompt` to the session and generates. Afterwards the session holds prompt and all tokens
// but the last one sampled. `history`: the tokens in the session before the prompt, for the
// repetition penalty. Requires: the prompt is not empty.
// Throws Error(kBadInput) when the prompt does not fit, and as Session::Advance; kCancelled.
Generated Generate(Session& session, const text::Tokenizer& tokenizer,
                   std::span<const int32_t> history, std::span<const int32_t> prompt,
                   const GenerateOptions& options, const TokenReceiver& receive,
                   std::span<routing::Probe* const> probes = {});

// All tokens that end a text according to the model and its tokenizer.
std::set<int32_t> EndTokens(const files::ModelConfig& config, const text::Tokenizer& tokenizer);

}  // namespace moescope::engine
