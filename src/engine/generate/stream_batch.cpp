#include "engine/generate/stream_batch.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/units.h"
#include "engine/model/sweep_buffers.h"

namespace moescope::engine {
namespace {

// Fewer positions are run rather than copied or waited for: they hardly lengthen a wave. Prompts of
// chats have a few tokens in common anyway.
constexpr int64_t kWorthSharing = 16;

int64_t WaveRows(const StreamBatchOptions& options) {
  const int64_t all = int64_t{options.max_streams} * options.context;
  return std::min<int64_t>(std::max(options.wave_rows, options.max_streams), all);
}

// The options, checked against the model and memory.
StreamBatchOptions Checked(const Model& model, const ThreadPool& pool,
                           const StreamBatchOptions& options) {
  MOESCOPE_CHECK(options.max_streams > 0 && options.wave_rows > 0);
  const files::ModelConfig& config = model.config();
  if (options.context < 1 || options.context > config.context) {
    throw Error(ErrorKind::kBadInput, "cannot start a session: expected a context of 1 to " +
                                          std::to_string(config.context) + " tokens, found " +
                                          std::to_string(options.context));
  }
  CheckKvType(config, options.precision, options.kv);
  const uint64_t needed = StreamBatch::Bytes(config, options, pool.n_threads());
  const uint64_t available = model.memory_left().value_or(
      options.memory_bytes > 0 ? options.memory_bytes : AvailableMemoryBytes());
  if (needed > available) {
    throw Error(ErrorKind::kResource,
                "not enough memory for " +
                    (options.max_streams == 1
                         ? "a session"
                         : FormatCount(static_cast<uint64_t>(options.max_streams)) + " streams") +
                    ": a context of " + FormatCount(static_cast<uint64_t>(options.context)) +
                    " tokens needs " + FormatBytes(needed) + ", available " +
                    FormatBytes(available) + "; give a smaller one with -c");
  }
  return options;
}

int64_t CommonLength(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

uint64_t StreamBatch::Bytes(const files::ModelConfig& config, const StreamBatchOptions& options,
                            int n_threads) {
  const int k =
      options.experts_per_token > 0 ? options.experts_per_token : config.experts_per_token;
  const uint64_t of_a_stream = KvCache::Bytes(config, options.context, options.kv) +
                               static_cast<uint64_t>(options.context) * sizeof(int32_t) +
                               static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  return static_cast<uint64_t>(options.max_streams) * of_a_stream +
         SweepShape::Of(config, k, WaveRows(options), options.context, n_threads, options.precision)
             .TotalBytes();
}

StreamBatch::StreamBatch(const Model& model, const KernelTable& kernels, ThreadPool& pool,
                         const StreamBatchOptions& options)
    : pool_(pool),
      context_(Checked(model, pool, options).context),
      wave_rows_(WaveRows(options)),
      vocab_size_(model.config().vocab_size),
      mixes_phases_(options.precision == Precision::kExact || kernels.tiles == nullptr),
      sweep_(model, kernels, pool,
             {.wave_rows = wave_rows_,
              .max_sequence = options.context,
              .losses = false,
              .experts_per_token = options.experts_per_token,
              .precision = options.precision,
              .profile = options.profile}) {
  const auto n_streams = static_cast<size_t>(options.max_streams);
  streams_.reserve(n_streams);
  for (size_t i = 0; i < n_streams; ++i) {
    streams_.push_back({.cache = KvCache(model.config(), context_, options.kv), .ids = {}});
    streams_.back().ids.reserve(static_cast<size_t>(context_));
  }
  prompts_.reserve(n_streams);
  last_rows_.reserve(n_streams);
  logits_.resize(n_streams * static_cast<size_t>(vocab_size_));
  wave_.Reserve(static_cast<size_t>(wave_rows_), n_streams);
}

const StreamBatch::Stream& StreamBatch::At(int stream) const {
  MOESCOPE_CHECK(0 <= stream && stream < max_streams());
  const Stream& found = streams_[static_cast<size_t>(stream)];
  MOESCOPE_CHECK(found.in_use);
  return found;
}

StreamBatch::Stream& StreamBatch::At(int stream) {
  return const_cast<Stream&>(std::as_const(*this).At(stream));
}

// The place that holds most of `ids`, so that nothing needs to be copied; else the oldest.
StreamBatch::Stream& StreamBatch::FreeStream(std::span<const int32_t> ids) {
  Stream* best = nullptr;
  int64_t best_common = -1;
  for (Stream& stream : streams_) {
    if (stream.in_use) continue;
    int64_t common = CommonLength(stream.ids, ids);
    if (common < kWorthSharing) common = 0;
    if (common > best_common || (common == best_common && stream.turn < best->turn)) {
      best = &stream;
      best_common = common;
    }
  }
  if (best == nullptr) {
    throw Error(ErrorKind::kResource, "no place for another stream: all " +
                                          std::to_string(max_streams()) +
                                          " are in use; remove one first");
  }
  return *best;
}

void StreamBatch::CheckTokens(int64_t n_before, std::span<const int32_t> ids) const {
  if (n_before + std::ssize(ids) > context_) {
    throw Error(ErrorKind::kBadInput, "the context is full: " + std::to_string(context_) +
                                          " positions, " + std::to_string(n_before) + " used, " +
                                          std::to_string(ids.size()) +
                                          " more wanted; give a larger one with -c");
  }
  for (int32_t id : ids) {
    if (0 <= id && id < vocab_size_) continue;
    throw Error(ErrorKind::kBadInput,
                "cannot run a token: expected an id below " + std::to_string(vocab_size_) +
                    ", found " + std::to_string(id) + "; is it another model's tokenizer?");
  }
}

int StreamBatch::Add(std::span<const int32_t> ids) {
  CheckTokens(0, ids);
  Stream& stream = FreeStream(ids);
  // The last token is run in any case: its logits are not kept.
  const int64_t common = std::min(CommonLength(stream.ids, ids), std::ssize(ids) - 1);
  stream.cache.set_length(std::max<int64_t>(common, 0));
  stream.ids.assign(ids.begin(), ids.end());
  stream.in_use = true;
  stream.phase = Phase::kPrefill;
  stream.turn = ++turn_;
  stream.logits_row = -1;
  return static_cast<int>(&stream - streams_.data());
}

void StreamBatch::Append(int stream, std::span<const int32_t> ids, Phase phase) {
  Stream& to = At(stream);
  const bool waits = n_waiting(stream) > 0;
  CheckTokens(std::ssize(to.ids), ids);
  if (ids.empty()) return;
  // What follows a prompt that waits is a part of it.
  if (!waits) to.phase = ids.size() == 1 ? phase : Phase::kPrefill;
  to.ids.insert(to.ids.end(), ids.begin(), ids.end());
  to.logits_row = -1;
}

void StreamBatch::Truncate(int stream, int64_t length) {
  Stream& to = At(stream);
  MOESCOPE_CHECK(0 <= length && length <= std::ssize(to.ids));
  if (length < to.cache.length()) to.logits_row = -1;
  to.cache.set_length(std::min(length, to.cache.length()));
  to.ids.resize(static_cast<size_t>(length));
}

void StreamBatch::Remove(int stream) {
  Truncate(stream, length(stream));  // what has been run stays, for another that begins with it
  Stream& removed = At(stream);
  removed.in_use = false;
  removed.turn = ++turn_;
}

// Copies what another place has run of the tokens that wait.
void StreamBatch::Share(Stream& to) {
  const int64_t begin = to.cache.length();
  const Stream* best = nullptr;
  int64_t end = begin + kWorthSharing - 1;
  for (const Stream& from : streams_) {
    if (&from == &to || from.cache.length() <= end) continue;
    const int64_t common =
        std::min({CommonLength(from.ids, to.ids), from.cache.length(), std::ssize(to.ids) - 1});
    if (common <= end) continue;
    best = &from;
    end = common;
  }
  if (best == nullptr) return;
  pool_.Run(to.cache.n_layers(), [&](int64_t layer, int) {
    to.cache.CopyLayer(best->cache, static_cast<int>(layer), begin, end);
  });
  to.cache.set_length(end);
  n_copied_ += end - begin;
}

// Whether an earlier prompt is about to run what this stream waits for.
bool StreamBatch::ShouldWait(const Stream& stream) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const Stream& other) {
    if (!other.in_use || other.turn >= stream.turn) return false;
    const int64_t common =
        std::min(CommonLength(other.ids, stream.ids), std::ssize(stream.ids) - 1);
    return common >= stream.cache.length() + kWorthSharing && common > other.cache.length();
  });
}

void StreamBatch::AddToWave(int stream, int64_t most_rows) {
  Stream& added = At(stream);
  const int64_t begin = added.cache.length();
  const int64_t n = std::min(std::ssize(added.ids) - begin, most_rows);
  wave_.Add(stream, /*branch=*/0,
            std::span(added.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(n)),
            &added.cache);
  if (begin + n < std::ssize(added.ids)) return;
  added.logits_row = std::ssize(last_rows_);
  last_rows_.push_back(wave_.n_rows() - 1);
}

void StreamBatch::FillWave() {
  wave_.clear();
  last_rows_.clear();
  prompts_.clear();
  bool decodes = false;
  for (int i = 0; i < max_streams(); ++i) {
    Stream& stream = streams_[static_cast<size_t>(i)];
    stream.logits_row = -1;
    if (!stream.in_use || n_waiting(i) == 0) continue;
    if (stream.phase == Phase::kPrefill) {
      prompts_.push_back(i);
    } else {
      decodes = true;
    }
  }
  // Both wait and may not meet: in turn.
  const bool turns = decodes && !prompts_.empty() && !mixes_phases_;
  const bool runs_decodes = decodes && (!turns || last_phase_ == Phase::kPrefill);
  const bool runs_prompts = !turns || !runs_decodes;
  for (int i = 0; runs_decodes && i < max_streams(); ++i) {
    const Stream& stream = streams_[static_cast<size_t>(i)];
    if (stream.in_use && stream.phase == Phase::kDecode && n_waiting(i) > 0) AddToWave(i, 1);
  }
  wave_.phase = last_phase_ =
      runs_decodes && (turns || prompts_.empty()) ? Phase::kDecode : Phase::kPrefill;
  if (!runs_prompts) return;
  std::sort(prompts_.begin(), prompts_.end(),
            [&](int a, int b) { return At(a).turn < At(b).turn; });
  for (int i : prompts_) {
    const int64_t room = wave_rows_ - wave_.n_rows();
    if (room == 0) break;
    Share(At(i));
    if (!ShouldWait(At(i))) AddToWave(i, room);
  }
}

int64_t StreamBatch::Step(std::span<routing::Probe* const> probes) {
  FillWave();
  if (wave_.n_rows() == 0) return 0;
  try {
    sweep_.Run(wave_, probes);
    sweep_.Logits(last_rows_, logits_);
  } catch (...) {
    for (Stream& stream : streams_) stream.logits_row = -1;
    for (size_t s = 0; s < wave_.caches.size(); ++s) {
      wave_.caches[s]->set_length(
          wave_.rows[static_cast<size_t>(wave_.sequence_begin[s])].position);
    }
    throw;
  }
  return wave_.n_rows();
}

bool StreamBatch::HasLogits(int stream) const {
  return At(stream).logits_row >= 0;
}

std::span<const float> StreamBatch::Logits(int stream) const {
  MOESCOPE_CHECK(HasLogits(stream));
  const auto vocab = static_cast<size_t>(vocab_size_);
  const auto logits =
      std::span(logits_).subspan(static_cast<size_t>(At(stream).logits_row) * vocab, vocab);
  const auto finite = [](float logit) { return std::isfinite(logit); };
  if (!std::all_of(logits.begin(), logits.end(), finite)) {
    throw Error(ErrorKind::kCorrupt,
                "cannot go on at position " + std::to_string(length(stream) - 1) +
                    ": expected finite logits, found NaN or infinity; the final norm or the output "
                    "head is damaged");
  }
  return logits;
}

}  // namespace moescope::engine
