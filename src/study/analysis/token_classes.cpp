#include "study/analysis/token_classes.h"

#include <algorithm>
#include <string_view>

namespace moescope::study {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsCapital(char c) {
  return c >= 'A' && c <= 'Z';
}
bool IsLetter(char c) {
  return IsCapital(c) || (c >= 'a' && c <= 'z') || (c & 0x80) != 0;
}
bool IsPunctuation(char c) {
  return c > ' ' && c < 0x7f && !IsDigit(c) && !(IsLetter(c) && (c & 0x80) == 0);
}

template <typename Test>
bool All(std::string_view text, Test test) {
  return !text.empty() && std::all_of(text.begin(), text.end(), test);
}

// What can be told from the token alone.
uint8_t ClassifyBytes(std::string_view bytes) {
  std::string_view word = bytes;
  if (!word.empty() && word[0] == ' ') word.remove_prefix(1);
  uint8_t classes = 0;
  if (bytes.find('\n') != std::string_view::npos) classes |= 1u << kLineBreak;
  if (All(word, IsDigit)) classes |= 1u << kDigits;
  if (All(word, IsPunctuation)) classes |= 1u << kPunctuation;
  if (!word.empty() && IsCapital(word[0])) classes |= 1u << kCapital;
  if (std::any_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) != 0; })) {
    classes |= 1u << kNonAscii;
  }
  return classes;
}

}  // namespace

std::vector<uint8_t> ClassifyRows(const RowColumns& rows,
                                  const std::vector<std::string>& vocabulary) {
  std::vector<uint8_t> of_id;
  for (const std::string& bytes : vocabulary) of_id.push_back(ClassifyBytes(bytes));
  std::vector<uint8_t> classes(rows.n_rows());
  for (const DocumentRange& document : rows.documents) {
    for (int64_t s = 0; s < document.n_sequences; ++s) {
      const SequenceRange& sequence = rows.sequences[document.first_sequence + s];
      bool at_line_start = s == 0;
      bool after_letter = false;
      for (int64_t row = sequence.first_row; row < sequence.first_row + sequence.n_rows; ++row) {
        const size_t id = static_cast<size_t>(rows.token_id[row]);
        if (id >= vocabulary.size()) continue;  // also -1: unknown
        const std::string& bytes = vocabulary[id];
        uint8_t of_row = of_id[id];
        const bool blank = All(bytes, IsBlank);
        const bool line_break = (of_row >> kLineBreak & 1) != 0;
        if (at_line_start && blank) of_row |= 1u << kIndentation;
        if (at_line_start && !blank && !line_break) of_row |= 1u << kLineStart;
        if (after_letter && !bytes.empty() && IsLetter(bytes[0])) of_row |= 1u << kContinuation;
        classes[row] = of_row;
        if (line_break) {
          at_line_start = true;
        } else if (!blank) {
          at_line_start = false;
        }
        after_letter = !bytes.empty() && IsLetter(bytes.back());
      }
    }
  }
  return classes;
}

std::vector<std::string> LoadVocabularyBytes(store::Database& database) {
  std::vector<std::string> vocabulary;
  for (const auto& row : database.Query("SELECT token_id, bytes FROM vocabulary").rows) {
    const int64_t id = std::get<int64_t>(row[0]);
    if (id < 0 || id >= int64_t{1} << 22) continue;  // the limit of a vocabulary
    if (static_cast<size_t>(id) >= vocabulary.size()) vocabulary.resize(id + 1);
    if (const auto* bytes = std::get_if<std::string>(&row[1])) vocabulary[id] = *bytes;
  }
  return vocabulary;
}

}  // namespace moescope::study
