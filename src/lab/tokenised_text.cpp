#include "lab/tokenised_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/cancellation.h"
#include "base/error.h"
#include "lab/chat.h"

namespace moescope::lab {
namespace {

class TextCollector {
 public:
  explicit TextCollector(TokenisedText& text) : text_(text) {}

  void Add(const text::TokenisedDocument& document) {
    const int32_t unit = UnitOf(DatasetOf(document.dataset), document.unit);
    const size_t first = text_.ids.size();
    text_.ids.insert(text_.ids.end(), document.ids.begin(), document.ids.end());
    const std::vector<int64_t>& starts = document.sequence_starts;
    for (size_t i = 0; i < starts.size(); ++i) {
      const bool is_last = i + 1 == starts.size();
      AddSequence({.begin = first + static_cast<size_t>(starts[i]),
                   .end = is_last ? text_.ids.size() : first + static_cast<size_t>(starts[i + 1]),
                   .unit = unit,
                   .has_bos = i == 0 && document.has_bos});
    }
    ++text_.n_documents;
  }

 private:
  void AddSequence(const TextSequence& sequence) {
    text_.sequences.push_back(sequence);
    const auto n = static_cast<int64_t>(sequence.size()) - (sequence.has_bos ? 1 : 0);
    TextUnit& unit = text_.units[static_cast<size_t>(sequence.unit)];
    unit.n_tokens += n;
    unit.n_pairs += std::max<int64_t>(n - 1, 0);
  }
  int32_t DatasetOf(const std::string& name) {
    const auto found = std::find(text_.datasets.begin(), text_.datasets.end(), name);
    const auto index = static_cast<int32_t>(found - text_.datasets.begin());
    if (found == text_.datasets.end()) text_.datasets.push_back(name);
    return index;
  }
  int32_t UnitOf(int32_t dataset, const std::string& name) {
    const auto [place, is_new] =
        units_.try_emplace({dataset, name}, static_cast<int32_t>(text_.units.size()));
    if (is_new) {
      text_.units.push_back(
          {.dataset = text_.datasets[static_cast<size_t>(dataset)], .name = name});
      text_.dataset_of_unit.push_back(dataset);
    }
    return place->second;
  }

  TokenisedText& text_;
  std::map<std::pair<int32_t, std::string>, int32_t> units_;
};

}  // namespace

size_t TokenisedText::longest() const {
  size_t rows = 0;
  for (const TextSequence& sequence : sequences) rows = std::max(rows, sequence.size());
  return rows;
}

TokenisedText ReadTokenisedText(const TextModel& opened, const std::vector<text::DataSpec>& data,
                                const text::SequencePolicy& policy,
                                const text::ParquetOpener& open_parquet) {
  std::vector<text::DataSpec> specs = data;
  UseChatTemplate(opened, specs);
  text::SequenceReader reader(text::OpenDocuments(specs, open_parquet), *opened.tokenizer, policy);
  TokenisedText text;
  TextCollector collector(text);
  text::TokenisedDocument document;
  while (reader.Next(document)) {
    ThrowIfCancelled();
    collector.Add(document);
  }
  for (const std::string& line : reader.Warnings()) fmt::print(stderr, "warning: {}\n", line);
  return text;
}

int ChunkOf(const text::SequencePolicy& policy, const files::ModelConfig& config) {
  const int context = config.context;
  const int chunk = policy.chunk > 0 ? policy.chunk : context;
  if (chunk <= context) return chunk;
  throw Error(
      ErrorKind::kBadInput,
      fmt::format("--chunk: expected at most the model's context of {}, found {}", context, chunk));
}

}  // namespace moescope::lab
