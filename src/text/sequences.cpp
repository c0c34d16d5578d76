#include "text/sequences.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moescope::text {
namespace {

constexpr std::pair<BosPolicy, std::string_view> kPolicies[] = {
    {BosPolicy::kDocument, "document"}, {BosPolicy::kNone, "none"}, {BosPolicy::kStream, "stream"}};

// Appends one text of a stream to those before it. Requires: the same data set.
void Join(const Document& next, Document& stream) {
  if (next.has_tokens != stream.has_tokens) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot join {} to a stream: {}: expected {}, found {}", stream.dataset,
                            next.source, stream.has_tokens ? "tokens" : "text",
                            next.has_tokens ? "tokens" : "text"));
  }
  stream.text += next.text;
  stream.tokens.insert(stream.tokens.end(), next.tokens.begin(), next.tokens.end());
}

template <typename T>
void InsertFirst(T value, std::vector<T>& values) {
  values.reserve(values.size() + 1);  // an insertion would double it
  values.insert(values.begin(), value);
}

}  // namespace

BosPolicy ParseBosPolicy(const std::string& name) {
  for (const auto& [policy, spelling] : kPolicies) {
    if (spelling == name) return policy;
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("unknown BOS policy '{}': expected document, none or stream", name));
}

std::string_view Name(BosPolicy policy) {
  return kPolicies[static_cast<int>(policy)].second;
}

struct SequenceReader::State {
  std::unique_ptr<DocumentSource> documents;
  const Tokenizer& tokenizer;
  SequencePolicy policy;
  Document ahead;  // read but not yet delivered
  bool has_ahead = false;
  int64_t n_documents = 0;
  int64_t n_rows = 0;

  bool NextDocument(Document& document);
  void Tokenise(const Document& document, TokenisedDocument& out);
  void TakeTokens(const Document& document, TokenisedDocument& out) const;
  void EncodeText(const Document& document, TokenisedDocument& out);
  void Cut(TokenisedDocument& out) const;
};

// The next document of the policy: one of the source's, or a whole data set.
bool SequenceReader::State::NextDocument(Document& document) {
  if (has_ahead) {
    document = std::move(ahead);
    has_ahead = false;
  } else if (!documents->Next(document)) {
    return false;
  }
  if (policy.bos != BosPolicy::kStream) return true;
  while (documents->Next(ahead)) {
    has_ahead = ahead.dataset != document.dataset;
    if (has_ahead) break;
    Join(ahead, document);
  }
  document.source = document.unit = document.dataset;
  return true;
}

void SequenceReader::State::TakeTokens(const Document& document, TokenisedDocument& out) const {
  for (const int32_t id : document.tokens) {
    if (id >= 0 && id < tokenizer.vocab_size()) continue;
    throw Error(ErrorKind::kBadInput,
                fmt::format("cannot take the tokens of {} in {}: expected ids below {}, found {}",
                            document.source, document.dataset, tokenizer.vocab_size(), id));
  }
  out.ids = document.tokens;
  out.byte_start.assign(out.ids.size(), 0);
  out.byte_end.assign(out.ids.size(), 0);
  out.has_bos = !out.ids.empty() && out.ids[0] == tokenizer.bos_id();
  out.hash = XXH3_64bits(out.ids.data(), out.ids.size() * sizeof(int32_t));
}

void SequenceReader::State::EncodeText(const Document& document, TokenisedDocument& out) {
  out.n_bytes = document.text.size();
  out.hash = XXH3_64bits(document.text.data(), document.text.size());
  out.has_bos = policy.bos != BosPolicy::kNone && tokenizer.adds_bos() && tokenizer.bos_id() >= 0;
  const size_t room = policy.max_tokens > 0 ? static_cast<size_t>(policy.max_tokens - n_rows)
                                            : Tokenizer::kAllTokens;
  EncodeOptions options = policy.encode;
  if (document.has_specials) options.specials = Specials::kRecognised;
  Encoding encoding;
  tokenizer.Encode(document.text, options, encoding, room);
  // Moved, not copied: the tokens of a huge text are most of the memory it takes.
  out.ids = std::move(encoding.ids);
  out.byte_start = std::move(encoding.byte_start);
  out.byte_end = std::move(encoding.byte_end);
  // A chat template may have written it.
  const bool begins_with_bos = !out.ids.empty() && out.ids[0] == tokenizer.bos_id();
  if (document.has_specials && begins_with_bos) out.has_bos = true;
  if (!out.has_bos || (document.has_specials && begins_with_bos)) return;
  InsertFirst(tokenizer.bos_id(), out.ids);
  InsertFirst(0u, out.byte_start);
  InsertFirst(0u, out.byte_end);
}

void SequenceReader::State::Cut(TokenisedDocument& out) const {
  if (policy.max_tokens > 0) {
    const auto room = static_cast<size_t>(policy.max_tokens - n_rows);
    if (out.ids.size() > room) {
      out.ids.resize(room);
      out.byte_start.resize(room);
      out.byte_end.resize(room);
    }
  }
  const auto n = static_cast<int64_t>(out.ids.size());
  const int64_t step = policy.chunk > 0 ? policy.chunk : std::max<int64_t>(n, 1);
  for (int64_t row = 0; row < n; row += step) out.sequence_starts.push_back(row);
}

void SequenceReader::State::Tokenise(const Document& document, TokenisedDocument& out) {
  out = {};
  out.dataset = document.dataset;
  out.source = document.source;
  out.unit = document.unit;
  if (document.has_tokens) {
    TakeTokens(document, out);
  } else {
    EncodeText(document, out);
  }
  Cut(out);
}

SequenceReader::SequenceReader(std::unique_ptr<DocumentSource> documents,
                               const Tokenizer& tokenizer, const SequencePolicy& policy)
    : state_(new State{.documents = std::move(documents),
                       .tokenizer = tokenizer,
                       .policy = policy,
                       .ahead = {}}) {}

SequenceReader::~SequenceReader() = default;

bool SequenceReader::Next(TokenisedDocument& document) {
  State& state = *state_;
  Document source;
  do {
    if (state.policy.max_tokens > 0 && state.n_rows >= state.policy.max_tokens) return false;
    if (!state.NextDocument(source)) return false;
    state.Tokenise(source, document);
  } while (document.ids.empty());
  document.document = state.n_documents++;
  state.n_rows += static_cast<int64_t>(document.ids.size());
  return true;
}

uint64_t SequenceReader::bytes_read() const {
  return state_->documents->bytes_read();
}
uint64_t SequenceReader::bytes_total() const {
  return state_->documents->bytes_total();
}
std::vector<std::string> SequenceReader::Warnings() const {
  return state_->documents->Warnings();
}

}  // namespace moescope::text
