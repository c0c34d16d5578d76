#include "study/analysis/word_pieces.h"

#include <algorithm>
#include <string_view>

namespace moescope::study {
namespace {

constexpr std::string_view kMarkedBlank = "\xe2\x96\x81";  // U+2581, SentencePiece's blank

std::string_view WithoutBlanks(std::string_view bytes) {
  for (;;) {
    if (!bytes.empty() && (bytes[0] == ' ' || bytes[0] == '\t')) {
      bytes.remove_prefix(1);
    } else if (bytes.substr(0, kMarkedBlank.size()) == kMarkedBlank) {
      bytes.remove_prefix(kMarkedBlank.size());
    } else {
      return bytes;
    }
  }
}

bool IsLetter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c & 0x80) != 0;
}

}  // namespace

WordPieces::WordPieces(std::vector<std::string> vocabulary) {
  for (const std::string& bytes : vocabulary) {
    const std::string_view letters = WithoutBlanks(bytes);
    const bool is_piece = !letters.empty() &&
                          std::all_of(letters.begin(), letters.end(), IsLetter) &&
                          letters.find(kMarkedBlank) == std::string_view::npos;
    letters_.emplace_back(is_piece ? letters : std::string_view());
    kinds_.push_back(!is_piece ? kNoPiece : letters.size() < bytes.size() ? kBegins : kContinues);
  }
}

WordPieces::Kind WordPieces::KindOf(const RowColumns& rows, int64_t row) const {
  const size_t id = static_cast<size_t>(rows.token_id[row]);
  return id < kinds_.size() ? kinds_[id] : kNoPiece;  // also -1: unknown
}

std::vector<WordRange> WordPieces::WordsOf(const RowColumns& rows,
                                           const DocumentRange& document) const {
  std::vector<WordRange> words;
  for (int64_t s = 0; s < document.n_sequences; ++s) {
    const SequenceRange& sequence = rows.sequences[document.first_sequence + s];
    const int64_t end = sequence.first_row + sequence.n_rows;
    bool cut = s > 0;  // the sequence before may hold the beginning
    for (int64_t row = sequence.first_row; row < end;) {
      const Kind kind = KindOf(rows, row);
      WordRange word = {row, 1};
      ++row;
      if (kind == kNoPiece) {
        cut = false;
        continue;
      }
      while (row < end && KindOf(rows, row) == kContinues &&
             rows.position[row] == rows.position[row - 1] + 1) {
        ++row;
        ++word.n_rows;
      }
      const bool has_beginning = kind == kBegins || !cut;
      const bool goes_on = row == end && s + 1 < document.n_sequences &&
                           rows.sequences[document.first_sequence + s + 1].n_rows > 0 &&
                           KindOf(rows, end) == kContinues;
      if (has_beginning && !goes_on) words.push_back(word);
      cut = false;
    }
  }
  return words;
}

std::string WordPieces::Text(const RowColumns& rows, const WordRange& word) const {
  std::string text;
  for (int64_t row = word.first_row; row < word.first_row + word.n_rows; ++row) {
    text += letters_[rows.token_id[row]];
  }
  return text;
}

}  // namespace moescope::study
