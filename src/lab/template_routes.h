// `route --minimal`: words put into templates, one short sequence for each word and template, and
// which experts the word's last piece and the tokens after it go to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel/thread_pool.h"
#include "lab/text_model.h"
#include "routing/routed_rows.h"
#include "store/run_description.h"
#include "text/word_template.h"

namespace moescope::lab {

// What of a run's text policy a template needs to become a sequence as the run's documents did.
struct TemplatePolicy {
  bool bos = false;  // every sequence begins with it
  text::EncodeOptions encode;
};
// A template is a text of its own: BOS before it, where the run's documents (or its stream) begin
// with one. `run_path` is for messages. Throws Error(kBadInput) when the model is dense, or its
// identity or its tokenizer's (under every way to encode) is not the run's.
TemplatePolicy PolicyOfRun(const TextModel& opened, const store::RunDescription& run,
                           const std::string& run_path);

// One word in one template.
struct PlacedWord {
  std::vector<int32_t> ids;
  // Row of the token that ends where the word does. -1: the word does not stand by itself there,
  // that is, no token ends with it, or its first one holds more than blanks before it.
  int64_t last_piece = -1;
};
PlacedWord PlaceWord(const text::Tokenizer& tokenizer, const TemplatePolicy& policy,
                     const text::WordTemplate& in, std::string_view word);

struct TemplateRoutesOptions {
  uint64_t memory_bytes = 0;  // for the sweep and for what is kept
  int64_t wave_tokens = 0;    // of a wave at most; 0: as planned
};

// All words in all templates: planned at once, so that the cost can be said before it is paid.
class TemplateRoutes {
 public:
  // The model must outlive it. Throws Error(kBadInput) naming word and template of a sequence
  // longer than the context, Error(kResource) when the memory does not do.
  TemplateRoutes(const TextModel& opened, const TemplatePolicy& policy,
                 std::span<const text::WordTemplate> templates, std::span<const std::string> words,
                 const TemplateRoutesOptions& options, ThreadPool& pool);

  // Words that do not stand by themselves in a template are not run there.
  int64_t n_sequences() const { return n_sequences_; }
  int64_t n_tokens() const { return n_tokens_; }

  // [n_words, n_templates] the rows from the word's last piece to the end of the sequence; none
  // where it does not stand by itself. Bit-identical for any number of threads and any memory.
  // Throws Error as Sweep::Run.
  std::vector<routing::RoutedRows> Run() const;

 private:
  void PlanMemory(uint64_t memory_bytes);

  const engine::Model& model_;
  ThreadPool& pool_;
  std::vector<PlacedWord> placed_;  // [n_words, n_templates]
  int64_t n_sequences_ = 0, n_tokens_ = 0;
  int max_sequence_ = 1;
  int64_t wave_rows_ = 0;
};

}  // namespace moescope::lab
