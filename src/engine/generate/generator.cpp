#include "engine/generate/generator.h"

#include <chrono>

#include "base/cancellation.h"
#include "base/error.h"
#include "text/stop_strings.h"

namespace moescope::engine {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::string_view Name(EndReason reason) {
  constexpr std::string_view kNames[] = {"end token", "stop string", "number of tokens",
                                         "context full"};
  return kNames[static_cast<int>(reason)];
}

Generated Generate(Session& session, const text::Tokenizer& tokenizer,
                   std::span<const int32_t> history, std::span<const int32_t> prompt,
                   const GenerateOptions& options, const TokenReceiver& receive,
                   std::span<routing::Probe* const> probes) {
  MOESCOPE_CHECK(!prompt.empty());
  Sampler sampler(options.sampling);
  // The decoder sees the prompt too: what follows is in the middle of a text.
  text::StreamingDecoder decoder(tokenizer);
  for (int32_t id : prompt) decoder.Push(id);
  text::StopStrings stop(options.stop);
  Generated result;
  std::vector<int32_t> all(history.begin(), history.end());
  all.insert(all.end(), prompt.begin(), prompt.end());

  Clock::time_point start = Clock::now();
  std::span<const float> logits = session.Advance(prompt, probes);
  result.prompt_seconds = SecondsSince(start);
  start = Clock::now();
  while (static_cast<int>(result.ids.size()) < options.max_tokens) {
    ThrowIfCancelled();
    const int32_t id = sampler.Next(logits, all);
    result.ids.push_back(id);
    all.push_back(id);
    if (options.end_ids.contains(id)) {
      result.end = EndReason::kEndToken;
      break;
    }
    const std::string shown = stop.Push(decoder.Push(id));
    result.text += shown;
    receive(id, shown);
    if (stop.stopped()) {
      result.end = EndReason::kStopString;
      break;
    }
    if (static_cast<int>(result.ids.size()) == options.max_tokens) break;
    if (session.length() == session.capacity()) {
      result.end = EndReason::kContextFull;
      break;
    }
    logits = session.Decode(id, probes);
  }
  const std::string rest = stop.Push(decoder.Flush()) + stop.Flush();
  result.text += rest;
  if (!rest.empty()) receive(-1, rest);
  result.seconds = SecondsSince(start);
  return result;
}

std::set<int32_t> EndTokens(const files::ModelConfig& config, const text::Tokenizer& tokenizer) {
  std::set<int32_t> ids(config.end_ids.begin(), config.end_ids.end());
  for (int32_t id : {config.eos_id, tokenizer.eos_id()}) {
    if (id >= 0) ids.insert(id);
  }
  return ids;
}

}  // namespace moescope::engine
