// tokenizer.json of Hugging Face's tokenizers: BPE models of characters or bytes, with everything
// around them that decides ids. Anything that text/ does not follow is refused by name.
#pragma once

#include <string>
#include <string_view>

#include "files/vocabulary.h"

namespace moescope::files {

// Bounded: nesting of 64, at most 2^22 pieces with 64 MiB of text, 2^23 merges. The BOS id is that
// of the token a template puts before the text; which token is EOS the file does not say: -1.
// truncation and padding are the caller's business and not read.
// Throws Error(kCorrupt) or Error(kUnsupported) naming the member. Linear in the file.
// Source: serialisation of the tokenizers library, version 1.0 of the format.
Vocabulary ParseTokenizerJson(std::string_view bytes, const std::string& path);

// The same from its parts: "a b" strings as GGUF and older files list merges.
// Throws Error(kCorrupt) for a merge of unknown pieces.
class MergeList {
 public:
  void Add(std::string_view left, std::string_view right);
  // "left right". Throws Error(kCorrupt) for other than two words.
  void AddWords(std::string_view words, const std::string& path);
  size_t size() const { return ends_.size(); }
  // Fills vocabulary.merges. Requires: pieces are complete.
  void Resolve(Vocabulary& vocabulary, const std::string& path) const;

 private:
  struct Ends {
    uint32_t left, right;
  };
  std::string text_;
  std::vector<Ends> ends_;  // of both words in text_
};

}  // namespace moescope::files
