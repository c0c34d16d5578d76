#include "study/analysis/word_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/cancellation.h"
#include "base/error.h"
#include "study/figures/utf8.h"

namespace moescope::study {
namespace {

bool IsWord(const Character& character) {
  return character.valid && IsWordCharacter(character.code);
}

bool IsWordBefore(std::string_view text, size_t at) {
  for (size_t back = 1; back <= std::min<size_t>(4, at); ++back) {
    if ((static_cast<uint8_t>(text[at - back]) & 0xc0) == 0x80) continue;
    const Character character = NextCharacter(text, at - back);
    return character.n_bytes == back && IsWord(character);
  }
  return false;
}

bool IsWordAt(std::string_view text, size_t at) {
  return at < text.size() && IsWord(NextCharacter(text, at));
}

// A document's text and where its tokens begin in it. What cannot be spelled out is a NUL.
struct SpelledDocument {
  std::string text;
  std::vector<size_t> begin;  // [n_rows + 1]

  void Spell(const RowColumns& rows, const DocumentRange& document,
             const std::vector<std::string>& vocabulary) {
    text.clear();
    begin.assign(1, 0);
    for (int64_t row = 0; row < document.n_rows; ++row) {
      const int32_t id = rows.token_id[document.first_row + row];
      const bool known = id >= 0 && static_cast<size_t>(id) < vocabulary.size() &&
                         vocabulary[id].size() <= kMaxSpelledBytes;
      if (known)
        text += vocabulary[id];
      else
        text += '\0';
      begin.push_back(text.size());
    }
  }
  // The token that holds byte `at`, at or after `token`.
  size_t TokenOf(size_t at, size_t token) const {
    while (begin[token + 1] <= at) ++token;
    return token;
  }
};

struct Alignment {
  size_t last_token = 0;
  bool after_space = false;
};

// Whether tokens spell text[from, to) and nothing else but blanks before it. `token` is a token at
// or before `from`, and becomes the one that holds it.
std::optional<Alignment> Align(const SpelledDocument& document, size_t from, size_t to,
                               size_t& token) {
  token = document.TokenOf(from, token);
  for (size_t at = document.begin[token]; at < from; ++at) {
    const char c = document.text[at];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return std::nullopt;
  }
  const size_t last = document.TokenOf(to - 1, token);
  if (document.begin[last + 1] != to) return std::nullopt;
  return Alignment{last, document.text[document.begin[token]] == ' '};
}

// Characters to insert, delete or replace between two words, if at most two; else 3. Bytes stand
// for characters.
int EditDistance(std::string_view a, std::string_view b) {
  constexpr int kBand = 2, kFar = kBand + 1;
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size());
  if (std::abs(n - m) > kBand) return kFar;
  // Costs of (i, i + offset - kBand).
  int previous[2 * kBand + 1], current[2 * kBand + 1];
  for (int offset = 0; offset <= 2 * kBand; ++offset) {
    const int j = offset - kBand;
    previous[offset] = j < 0 || j > m ? kFar : j;
  }
  for (int i = 1; i <= n; ++i) {
    for (int offset = 0; offset <= 2 * kBand; ++offset) {
      const int j = i + offset - kBand;
      int best = kFar;
      if (j >= 0 && j <= m) {
        if (j > 0) best = previous[offset] + (a[i - 1] != b[j - 1]);
        if (offset < 2 * kBand) best = std::min(best, previous[offset + 1] + 1);
        if (offset > 0) best = std::min(best, current[offset - 1] + 1);
      }
      current[offset] = std::min(best, kFar);
    }
    std::copy(std::begin(current), std::end(current), std::begin(previous));
  }
  return previous[m - n + kBand];
}

char LowerCase(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool DiffersInCaseOnly(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return LowerCase(x) == LowerCase(y); });
}

std::optional<int32_t> ParseTokenId(const std::string& text) {
  if (text.size() < 2 || text[0] != '#') return std::nullopt;
  int32_t id = 0;
  const auto [stop, error] = std::from_chars(text.data() + 1, text.data() + text.size(), id);
  if (error != std::errc() || stop != text.data() + text.size() || id < 0) return std::nullopt;
  return id;
}

}  // namespace

bool IsTokenName(const std::string& text) {
  return ParseTokenId(text).has_value();
}

bool IsWordCharacter(uint32_t code) {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
           (code >= 'a' && code <= 'z') || code == '_';
  }
  if (code < 0xc0) return code == 0xaa || code == 0xb5 || code == 0xba;
  if (code == 0xd7 || code == 0xf7) return false;
  const bool is_punctuation =
      (code >= 0x2000 && code <= 0x206f) || (code >= 0x2190 && code <= 0x2bff) ||
      (code >= 0x3000 && code <= 0x303f) || (code >= 0xff00 && code <= 0xff0f) || code == 0xfeff ||
      code == 0xfffd;
  return !is_punctuation;
}

WordIndex::WordIndex(const RowColumns& rows, const std::vector<std::string>& vocabulary,
                     int dataset)
    : rows_(rows), vocabulary_(vocabulary), dataset_(dataset) {
  std::vector<int32_t> word_of, row_of;  // of each occurrence, in row order
  for (const DocumentRange& document : rows.documents) {
    ThrowIfCancelled();
    if (IsIndexed(document)) AddDocument(document, word_of, row_of);
  }
  first_.assign(words_.size() + 1, 0);
  for (int32_t word : word_of) ++first_[word + 1];
  for (size_t word = 0; word < words_.size(); ++word) first_[word + 1] += first_[word];
  std::vector<int64_t> next(first_.begin(), first_.end() - 1);
  occurrences_.resize(word_of.size());
  for (size_t i = 0; i < word_of.size(); ++i) occurrences_[next[word_of[i]]++] = row_of[i];
}

void WordIndex::AddDocument(const DocumentRange& document, std::vector<int32_t>& word_of,
                            std::vector<int32_t>& row_of) {
  SpelledDocument spelled;
  spelled.Spell(rows_, document, vocabulary_);
  const std::string_view text = spelled.text;
  size_t token = 0;
  std::string word;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    Character character = NextCharacter(text, at);
    while (IsWord(character)) {
      at += character.n_bytes;
      if (at == text.size()) break;
      character = NextCharacter(text, at);
    }
    if (at == from) {
      at += character.n_bytes;
      continue;
    }
    if (at - from > kMaxSpelledBytes) continue;
    const auto alignment = Align(spelled, from, at, token);
    if (!alignment) continue;
    word.assign(text.substr(from, at - from));
    const auto [place, is_new] = number_.try_emplace(word, static_cast<int32_t>(words_.size()));
    if (is_new) {
      words_.push_back(word);
      after_space_.push_back(0);
    }
    after_space_[place->second] += alignment->after_space;
    word_of.push_back(place->second);
    row_of.push_back(static_cast<int32_t>(document.first_row) +
                     static_cast<int32_t>(alignment->last_token));
  }
}

Occurrences WordIndex::At(int index) const {
  return {words_[index],
          {occurrences_.begin() + first_[index], occurrences_.begin() + first_[index + 1]},
          after_space_[index]};
}

Occurrences WordIndex::Find(const std::string& text) const {
  Occurrences found;
  if (const auto id = ParseTokenId(text)) {
    found = FindToken(text, *id);
  } else if (const auto word = number_.find(text); word != number_.end()) {
    found = At(word->second);
  } else if (!text.empty()) {
    found = FindPhrase(text);
  }
  if (found.rows.empty()) ThrowNotFound(text);
  return found;
}

Occurrences WordIndex::FindToken(const std::string& text, int32_t id) const {
  Occurrences found = {text, {}, 0};
  for (const DocumentRange& document : rows_.documents) {
    if (!IsIndexed(document)) continue;
    for (int64_t row = document.first_row; row < document.first_row + document.n_rows; ++row) {
      if (rows_.token_id[row] == id) found.rows.push_back(static_cast<int32_t>(row));
    }
  }
  const bool spaced = static_cast<size_t>(id) < vocabulary_.size() && !vocabulary_[id].empty() &&
                      vocabulary_[id][0] == ' ';
  if (spaced) found.after_space = static_cast<int64_t>(found.rows.size());
  return found;
}

Occurrences WordIndex::FindPhrase(const std::string& text) const {
  Occurrences found = {text, {}, 0};
  const bool begins_as_word = IsWordAt(text, 0), ends_as_word = IsWordBefore(text, text.size());
  SpelledDocument spelled;
  for (const DocumentRange& document : rows_.documents) {
    ThrowIfCancelled();
    if (!IsIndexed(document)) continue;
    spelled.Spell(rows_, document, vocabulary_);
    size_t token = 0;
    for (size_t at = spelled.text.find(text); at != std::string::npos;
         at = spelled.text.find(text, at + 1)) {
      const size_t end = at + text.size();
      if (begins_as_word && IsWordBefore(spelled.text, at)) continue;
      if (ends_as_word && IsWordAt(spelled.text, end)) continue;
      const auto alignment = Align(spelled, at, end, token);
      if (!alignment) continue;
      found.rows.push_back(static_cast<int32_t>(document.first_row) +
                           static_cast<int32_t>(alignment->last_token));
      found.after_space += alignment->after_space;
    }
  }
  return found;
}

std::vector<int> WordIndex::Near(std::string_view text, int limit) const {
  constexpr size_t kMaxAsked = 64;
  if (text.empty() || text.size() > kMaxAsked) return {};
  struct Candidate {
    int distance, word;
  };
  std::vector<Candidate> candidates;
  for (int word = 0; word < size(); ++word) {
    const int distance =
        DiffersInCaseOnly(text, words_[word]) ? 0 : EditDistance(text, words_[word]);
    const bool is_near = distance < 3 && static_cast<size_t>(distance) * 2 <= text.size() + 1;
    if (is_near) candidates.push_back({distance, word});
  }
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    if (a.distance != b.distance) return a.distance < b.distance;
    if (count(a.word) != count(b.word)) return count(a.word) > count(b.word);
    return words_[a.word] < words_[b.word];
  });
  std::vector<int> near;
  for (const Candidate& candidate : candidates) {
    if (static_cast<int>(near.size()) == limit) break;
    near.push_back(candidate.word);
  }
  return near;
}

void WordIndex::ThrowNotFound(const std::string& text) const {
  constexpr int kSuggestions = 5;
  std::string near;
  for (int word : Near(text, kSuggestions)) {
    near += fmt::format("{}{} ({})", near.empty() ? "" : ", ", words_[word], count(word));
  }
  throw Error(
      ErrorKind::kNotFound,
      fmt::format(
          "cannot find '{}' {}: {}; case counts, a word goes from one word boundary to the next, "
          "and #ID names a token",
          text,
          dataset_ < 0 ? "in the run"
                       : fmt::format("in data set {}", rows_.datasets[dataset_].name),
          near.empty() ? "no word there is spelled nearly so" : "near spellings are " + near));
}

}  // namespace moescope::study
