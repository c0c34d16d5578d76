// All of a text as token ids in memory, cut into the sequences a sweep will see, with the unit that
// each belongs to: for measurements that go over the text more than once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lab/text_model.h"
#include "text/document.h"
#include "text/sequences.h"

namespace moescope::lab {

// A unit of a data set with its plain rows.
struct TextUnit {
  std::string dataset, name;
  int64_t n_tokens = 0;
  int64_t n_pairs = 0;  // those with a token after them in their sequence
};

struct TextSequence {
  size_t begin = 0, end = 0;  // into TokenisedText::ids
  int32_t unit = 0;
  bool has_bos = false;
  size_t size() const { return end - begin; }
};

// 4 bytes a token.
struct TokenisedText {
  std::vector<int32_t> ids;
  std::vector<TextSequence> sequences;
  std::vector<TextUnit> units;           // data set by data set, in the order met
  std::vector<int32_t> dataset_of_unit;  // into datasets
  std::vector<std::string> datasets;
  int64_t n_documents = 0;

  std::span<const int32_t> Ids(const TextSequence& sequence) const {
    return std::span(ids).subspan(sequence.begin, sequence.size());
  }
  size_t longest() const;  // rows of the longest sequence
};

// Reads the whole of the data; the policy's chunk must be set. Warnings go to stderr. Throws Error
// as OpenDocuments and SequenceReader, kCancelled.
TokenisedText ReadTokenisedText(const TextModel& opened, const std::vector<text::DataSpec>& data,
                                const text::SequencePolicy& policy,
                                const text::ParquetOpener& open_parquet);
// What the policy's chunk comes to. Throws Error(kBadInput) when it is above the model's context.
int ChunkOf(const text::SequencePolicy& policy, const files::ModelConfig& config);

}  // namespace moescope::lab
