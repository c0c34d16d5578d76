// Words of a run's text: where each occurs, found by spelling tokens out with the vocabulary.
// Definitions: docs/analyses.md, "Routes of words".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "study/analysis/route_columns.h"

namespace moescope::study {

// Letters, digits and '_'; beyond ASCII everything but blanks and common punctuation.
bool IsWordCharacter(uint32_t code);

// Whether a text asks for a token, as "#17", and not for a word.
bool IsTokenName(const std::string& text);

// Tokens and words longer than this are not spelled out: the text breaks off there.
inline constexpr size_t kMaxSpelledBytes = 256;

// Where something occurs: rows of last pieces, increasing.
struct Occurrences {
  std::string text;  // as asked for
  std::vector<int32_t> rows;
  int64_t after_space = 0;  // of them, those whose first piece begins with a space
};

// All words of one data set, or of all. 12 bytes an occurrence. Immutable once made.
class WordIndex {
 public:
  // `vocabulary`: bytes by token id; it and `rows` must outlive the index. dataset: an index into
  // rows.datasets; -1: all.
  WordIndex(const RowColumns& rows, const std::vector<std::string>& vocabulary, int dataset);

  int size() const { return static_cast<int>(words_.size()); }
  const std::string& word(int index) const { return words_[index]; }
  int64_t count(int index) const { return first_[index + 1] - first_[index]; }
  Occurrences At(int index) const;

  // A word, any other text between word boundaries ("don't", "New York"), or "#17": a token id.
  // Throws Error(kNotFound) when it does not occur, with near spellings that do.
  Occurrences Find(const std::string& text) const;
  // Up to `limit` words with the same letters in another case, else at most two changes away;
  // nearest first, then the frequent.
  std::vector<int> Near(std::string_view text, int limit) const;

 private:
  void AddDocument(const DocumentRange& document, std::vector<int32_t>& word_of,
                   std::vector<int32_t>& row_of);
  Occurrences FindToken(const std::string& text, int32_t id) const;
  Occurrences FindPhrase(const std::string& text) const;
  [[noreturn]] void ThrowNotFound(const std::string& text) const;
  bool IsIndexed(const DocumentRange& document) const {
    return dataset_ < 0 || document.dataset == dataset_;
  }

  const RowColumns& rows_;
  const std::vector<std::string>& vocabulary_;
  int dataset_;
  std::vector<std::string> words_;  // by first appearance
  std::vector<int64_t> after_space_;
  std::unordered_map<std::string, int32_t> number_;
  std::vector<int64_t> first_;  // [n_words + 1] into occurrences_
  std::vector<int32_t> occurrences_;
};

}  // namespace moescope::study
