#include "lab/eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cancellation.h"
#include "base/error.h"
#include "lab/chat.h"

namespace moescope::lab {
namespace {

void CheckRange(std::string_view option, int64_t low, int64_t high, int64_t found) {
  if (low <= found && found <= high) return;
  throw Error(ErrorKind::kBadInput,
              fmt::format("{}: expected from {} to {} tokens, found {}", option, low, high, found));
}

// All of the text, document after document.
struct Corpus {
  std::vector<int32_t> ids;
  std::vector<uint32_t> n_bytes;  // of text that each token covers
  std::vector<size_t> begin;      // of each document, and the end
};

class Evaluation {
 public:
  Evaluation(EvalModel& model, const PerplexityOptions& options)
      : model_(model), options_(options) {
    ChooseLengths();
  }

  Perplexity Run(const text::ParquetOpener& open_parquet) {
    Read(open_parquet);
    PlaceWindows();
    auto make = [&](size_t i, ScoredSequence& sequence) {
      const Placed& placed = windows_[i];
      const int32_t* ids = corpus_.ids.data() + corpus_.begin[placed.document];
      sequence.ids.assign(ids + placed.window.begin, ids + placed.window.end);
      sequence.first_scored = sequence.ids.size() - static_cast<size_t>(placed.window.n_scored);
    };
    auto take = [&](const ScoredTokens& scored) { Take(scored); };
    result_.cost = ScoreSequences(model_, windows_.size(), make, take);
    return std::move(result_);
  }

 private:
  struct Placed {
    size_t document = 0, length = 0;
    Window window;
  };

  void ChooseLengths() {
    const int context = model_.config().context;
    constexpr int kLongest = 1 << 24;  // as contexts are limited to
    result_.lengths = options_.lengths;
    std::sort(result_.lengths.begin(), result_.lengths.end());
    const auto last = std::unique(result_.lengths.begin(), result_.lengths.end());
    result_.lengths.erase(last, result_.lengths.end());
    // A learned table of positions has an end; rotations go on.
    const bool learned = model_.opened.model->rope_frequencies().empty();
    for (int length : result_.lengths) {
      CheckRange("--lengths", 2, learned ? context : kLongest, length);
    }
    if (result_.lengths.empty()) {
      const int window = options_.window > 0 ? options_.window : context;
      CheckRange("--window", 2, context, window);
      result_.lengths = {window};
    }
    const int shortest = result_.lengths.front();
    result_.stride = options_.stride > 0 ? options_.stride : std::max(1, shortest / 2);
    CheckRange("--stride", 1, shortest - 1, result_.stride);
  }

  void Read(const text::ParquetOpener& open_parquet) {
    std::vector<text::DataSpec> specs = options_.data;
    UseChatTemplate(model_.opened, specs);
    text::SequencePolicy policy = options_.policy;
    policy.chunk = 0;
    text::SequenceReader reader(text::OpenDocuments(specs, open_parquet), *model_.opened.tokenizer,
                                policy);
    text::TokenisedDocument document;
    while (reader.Next(document)) {
      ThrowIfCancelled();
      corpus_.begin.push_back(corpus_.ids.size());
      corpus_.ids.insert(corpus_.ids.end(), document.ids.begin(), document.ids.end());
      for (size_t i = 0; i < document.ids.size(); ++i) {
        corpus_.n_bytes.push_back(document.byte_end[i] - document.byte_start[i]);
      }
      result_.documents.push_back({document.dataset, document.source, document.unit,
                                   static_cast<int64_t>(document.ids.size())});
    }
    corpus_.begin.push_back(corpus_.ids.size());
    result_.n_tokens = static_cast<int64_t>(corpus_.ids.size());
    for (const std::string& line : reader.Warnings()) fmt::print(stderr, "warning: {}\n", line);
  }

  void PlaceWindows() {
    const bool same_targets = !options_.lengths.empty();
    const int longest = result_.lengths.back();
    int64_t longest_document = 0;
    for (size_t d = 0; d < result_.documents.size(); ++d) {
      const int64_t n = result_.documents[d].n_tokens;
      longest_document = std::max(longest_document, n);
      const size_t before = windows_.size();
      for (size_t l = 0; l < result_.lengths.size(); ++l) {
        const int length = result_.lengths[l];
        for (const Window& window : same_targets ? CoverTargets(n, length, longest, result_.stride)
                                                 : CoverDocument(n, length, result_.stride)) {
          windows_.push_back({d, l, window});
        }
      }
      result_.n_too_short += windows_.size() == before;
    }
    if (!windows_.empty()) return;
    throw Error(ErrorKind::kBadInput,
                same_targets
                    ? fmt::format("--lengths: expected at most the {} tokens of the longest "
                                  "document, found {}",
                                  longest_document, longest)
                    : "cannot measure a loss: expected text, found no token after another; raise "
                      "--max-tokens");
  }

  void Take(const ScoredTokens& scored) {
    const Placed& placed = windows_[scored.sequence];
    std::vector<DocumentLoss>& losses = result_.losses;
    const auto document = static_cast<int32_t>(placed.document);
    const auto length = static_cast<int32_t>(placed.length);
    if (losses.empty() || losses.back().document != document || losses.back().length != length) {
      losses.push_back({.document = document, .length = length});
    }
    DocumentLoss& sums = losses.back();
    const size_t first = corpus_.begin[placed.document] +
                         static_cast<size_t>(placed.window.end - placed.window.n_scored);
    for (size_t i = 0; i < scored.losses.size(); ++i) {
      sums.loss += scored.losses[i];
      sums.bytes += corpus_.n_bytes[first + i];
    }
    sums.predictions += static_cast<int64_t>(scored.losses.size());
  }

  EvalModel& model_;
  const PerplexityOptions& options_;
  Corpus corpus_;
  std::vector<Placed> windows_;
  Perplexity result_;
};

}  // namespace

std::vector<Window> CoverDocument(int64_t n_tokens, int window, int stride) {
  MOESCOPE_CHECK(1 <= stride && stride < window);
  std::vector<Window> windows;
  for (int64_t counted = 1; counted < n_tokens;) {
    const int64_t end = std::min<int64_t>(windows.empty() ? window : counted + stride, n_tokens);
    windows.push_back({std::max<int64_t>(0, end - window), end, end - counted});
    counted = end;
  }
  return windows;
}

std::vector<Window> CoverTargets(int64_t n_tokens, int length, int longest, int stride) {
  MOESCOPE_CHECK(1 <= stride && stride < length && length <= longest);
  std::vector<Window> windows;
  for (int64_t end = longest; end <= n_tokens; end += stride) {
    windows.push_back({end - length, end, stride});
  }
  return windows;
}

Perplexity RunPerplexity(EvalModel& model, const PerplexityOptions& options,
                         const text::ParquetOpener& open_parquet) {
  return Evaluation(model, options).Run(open_parquet);
}

}  // namespace moescope::lab
