#include "text/added_tokens.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/unicode_classes.h"
#include "text/utf8.h"

namespace moescope::text {
namespace {

// The character that ends at `end`. Requires: end > 0.
Utf8Step StepBefore(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  const Utf8Step step = StepUtf8(text, begin);
  return step.valid && begin + step.n_bytes == end ? step : Utf8Step{};
}

bool IsWord(const Utf8Step& step) {
  return step.valid && UnicodeClasses::Get().IsWord(step.code_point);
}

bool IsSpace(const Utf8Step& step) {
  return step.valid && UnicodeClasses::Get().IsSpace(step.code_point);
}

}  // namespace

void AddedTokens::Add(const files::AddedToken& token, const std::string& text) {
  n_bytes_ += text.size();
  if (text.empty() || text.size() > kMaxTokenBytes || n_bytes_ > kMaxBytesTogether) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot use the vocabulary: added token {} has {} bytes; supported are "
                            "1 to {}, and {} for all together",
                            token.id, text.size(), kMaxTokenBytes, kMaxBytesTogether));
  }
  trie_.Add(text, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(token);
}

// A run is read once, however many tokens want it.
size_t AddedTokens::Walk::EndOfSpaces(size_t at) {
  if (at >= spaces_begin_ && at <= spaces_end_) return spaces_end_;
  spaces_begin_ = spaces_end_ = at;
  while (spaces_end_ < text_.size()) {
    const Utf8Step step = StepUtf8(text_, spaces_end_);
    if (!IsSpace(step)) break;
    spaces_end_ += step.n_bytes;
  }
  return spaces_end_;
}

// What HF tokenizers makes of a token found at [begin, end): nothing where a word goes on and the
// token must be one by itself; white space on either side may belong to it.
bool AddedTokens::Walk::Accept(const files::AddedToken& token, size_t begin, size_t end,
                               Match& match) {
  if (token.special && !specials_) return false;
  if (token.single_word) {
    if (begin > 0 && IsWord(StepBefore(text_, begin))) return false;
    if (end < text_.size() && IsWord(StepUtf8(text_, end))) return false;
  }
  if (token.lstrip) {
    while (begin > done_) {
      const Utf8Step before = StepBefore(text_, begin);
      if (!IsSpace(before)) break;
      begin -= before.n_bytes;
    }
  }
  if (token.rstrip) end = EndOfSpaces(end);
  match = {&token, begin, end};
  return true;
}

bool AddedTokens::Walk::Next(Match& match) {
  if (pending_.token != nullptr) {
    match = pending_;
    pending_.token = nullptr;
    done_ = match.end;
    return true;
  }
  while (!tokens_.empty() && search_ < text_.size()) {
    if (!tokens_.trie_.MayStart(static_cast<uint8_t>(text_[search_]))) {
      ++search_;
      continue;
    }
    const PieceTrie::Match found = tokens_.trie_.Longest(text_, search_);
    if (found.id < 0) {
      ++search_;
      continue;
    }
    const size_t begin = search_;
    search_ += found.n_bytes;
    Match token;
    if (!Accept(tokens_.tokens_[static_cast<size_t>(found.id)], begin, search_, token)) continue;
    if (token.begin <= done_) {
      match = token;
      done_ = match.end;
      return true;
    }
    pending_ = token;
    match = {nullptr, done_, token.begin};
    return true;
  }
  if (done_ >= text_.size()) return false;
  match = {nullptr, done_, text_.size()};
  done_ = text_.size();
  return true;
}

}  // namespace moescope::text
