#include "files/vocabulary.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cmath>
#include <type_traits>
#include <unordered_set>

#include "base/error.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

// Rejects overlong forms, surrogates and code points past U+10FFFF. Source: RFC 3629, section 4.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto lead = static_cast<uint8_t>(text[i]);
    int n_more = lead < 0x80   ? 0
                 : lead < 0xc2 ? -1
                 : lead < 0xe0 ? 1
                 : lead < 0xf0 ? 2
                 : lead < 0xf5 ? 3
                               : -1;
    if (n_more < 0 || text.size() - i <= static_cast<size_t>(n_more)) return false;
    for (int j = 1; j <= n_more; ++j) {
      if ((static_cast<uint8_t>(text[i + static_cast<size_t>(j)]) & 0xc0) != 0x80) return false;
    }
    auto second = n_more > 0 ? static_cast<uint8_t>(text[i + 1]) : uint8_t{0};
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) {
      return false;
    }
    i += static_cast<size_t>(n_more) + 1;
  }
  return true;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void CheckPieces(const Vocabulary& vocabulary, const std::string& path) {
  auto refuse = [&](size_t id, const std::string& reason) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read vocabulary: {}: piece {}: {}", path, id, reason));
  };
  const bool bpe = vocabulary.kind == TokenizerKind::kBpe;
  std::unordered_set<std::string_view> texts;
  std::vector<bool> bytes(256, false);
  int n_bytes = 0;
  int unknown = -1;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Vocabulary::Piece& piece = vocabulary.pieces[id];
    if (!std::isfinite(piece.score)) refuse(id, "expected a finite score");
    if (!IsUtf8(piece.text)) refuse(id, "expected UTF-8");
    switch (piece.type) {
      case PieceType::kNormal:
      case PieceType::kUserDefined:
        if (piece.text.empty() && !bpe) refuse(id, "expected text, found none");
        if (!texts.insert(piece.text).second)
          refuse(id, "expected a text that differs from all others");
        break;
      case PieceType::kByte: {
        int byte = ByteOfPiece(piece.text);
        if (byte < 0) refuse(id, "expected a byte such as <0x0A>");
        if (bytes[static_cast<size_t>(byte)]) refuse(id, "expected each byte once");
        bytes[static_cast<size_t>(byte)] = true;
        ++n_bytes;
        break;
      }
      case PieceType::kUnknown:
        if (unknown >= 0) refuse(id, fmt::format("expected one unknown piece, {} is one", unknown));
        unknown = static_cast<int>(id);
        break;
      case PieceType::kControl:
      case PieceType::kUnused:
        break;
    }
  }
  auto check = [&](bool good, const std::string& expected) {
    if (good) return;
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read vocabulary: {}: expected {}", path, expected));
  };
  check(n_bytes == 0 || n_bytes == 256,
        fmt::format("all 256 byte pieces or none, found {}", n_bytes));
  if (bpe) return;
  check(unknown >= 0 && unknown == vocabulary.unknown_id,
        fmt::format("the unknown piece to be piece {}, found {}", vocabulary.unknown_id, unknown));
}

void CheckMerge(const Vocabulary& vocabulary, const Vocabulary::Merge& merge,
                const std::string& path) {
  const auto n_pieces = static_cast<int64_t>(vocabulary.pieces.size());
  auto valid = [&](int32_t id) { return id >= 0 && id < n_pieces; };
  bool good = valid(merge.left) && valid(merge.right) && valid(merge.merged);
  if (good) {
    const std::string& left = vocabulary.pieces[merge.left].text;
    const std::string& right = vocabulary.pieces[merge.right].text;
    good = !left.empty() && !right.empty() && vocabulary.pieces[merge.merged].text == left + right;
  }
  if (good) return;
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read vocabulary: {}: merge of {} and {}: expected a piece of "
                          "their joined text, found {}",
                          path, merge.left, merge.right, merge.merged));
}

void CheckAddedTokens(const Vocabulary& vocabulary, const std::string& path) {
  const auto n_pieces = static_cast<int64_t>(vocabulary.pieces.size());
  std::unordered_set<std::string_view> texts;
  std::unordered_set<int32_t> ids;
  for (const AddedToken& token : vocabulary.added_tokens) {
    auto refuse = [&](std::string_view expected) {
      throw Error(ErrorKind::kCorrupt,
                  fmt::format("cannot read vocabulary: {}: added token {}: expected {}", path,
                              token.id, expected));
    };
    if (token.id < 0 || token.id >= n_pieces) refuse(fmt::format("an id below {}", n_pieces));
    if (token.text.empty() || !IsUtf8(token.text)) refuse("a text in UTF-8");
    if (!texts.insert(token.text).second) refuse("a text that differs from the others");
    if (!ids.insert(token.id).second) refuse("an id that differs from the others");
    if (vocabulary.pieces[token.id].text != token.text) refuse("the text of the piece");
  }
}

// What an identity is made of.
class Hash {
 public:
  Hash() : state_(XXH3_createState()) { XXH3_64bits_reset(state_); }
  ~Hash() { XXH3_freeState(state_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  template <typename T>
  void Add(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    XXH3_64bits_update(state_, &value, sizeof(value));
  }
  void Add(const std::string& text) {
    Add(static_cast<uint64_t>(text.size()));
    XXH3_64bits_update(state_, text.data(), text.size());
  }
  std::string Digest() const { return fmt::format("{:016x}", XXH3_64bits_digest(state_)); }

 private:
  XXH3_state_t* state_;
};

void AddSteps(const Vocabulary& vocabulary, Hash& hash) {
  hash.Add(static_cast<uint64_t>(vocabulary.normaliser.size()));
  for (const NormaliserStep& step : vocabulary.normaliser) {
    hash.Add(step.kind), hash.Add(step.text), hash.Add(step.replacement);
    hash.Add(step.left), hash.Add(step.right);
  }
  hash.Add(static_cast<uint64_t>(vocabulary.pre_tokeniser.size()));
  for (const PreTokeniserStep& step : vocabulary.pre_tokeniser) {
    hash.Add(step.kind), hash.Add(step.pattern), hash.Add(step.is_regex);
    hash.Add(step.behaviour), hash.Add(step.invert), hash.Add(step.prefix), hash.Add(step.split);
  }
  hash.Add(static_cast<uint64_t>(vocabulary.decoder.size()));
  for (const DecoderStep& step : vocabulary.decoder) {
    hash.Add(step.kind), hash.Add(step.text), hash.Add(step.replacement);
    hash.Add(step.drops_first);
  }
}

// What only the kind kBpe has, so that identities of SentencePiece vocabularies stay as they were.
void AddBpe(const Vocabulary& vocabulary, Hash& hash) {
  hash.Add(vocabulary.kind);
  hash.Add(static_cast<uint64_t>(vocabulary.merges.size()));
  for (const Vocabulary::Merge& merge : vocabulary.merges) {
    hash.Add(merge.left), hash.Add(merge.right), hash.Add(merge.merged);
  }
  hash.Add(vocabulary.byte_fallback);
  hash.Add(vocabulary.fuse_unknown);
  hash.Add(vocabulary.ignore_merges);
  AddSteps(vocabulary, hash);
  for (const AddedToken& token : vocabulary.added_tokens) {
    hash.Add(token.id), hash.Add(token.text), hash.Add(token.single_word);
    hash.Add(token.lstrip), hash.Add(token.rstrip), hash.Add(token.normalized);
    hash.Add(token.special), hash.Add(token.in_model);
  }
}

}  // namespace

const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char* const kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

int ByteOfPiece(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int high = HexDigit(text[3]);
  int low = HexDigit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool Vocabulary::IsByteLevel() const {
  return !pre_tokeniser.empty() && pre_tokeniser.back().kind == PreTokeniserStep::Kind::kByteLevel;
}

void CheckVocabulary(const Vocabulary& vocabulary, const std::string& path) {
  CheckPieces(vocabulary, path);
  const auto n_pieces = static_cast<int64_t>(vocabulary.pieces.size());
  auto check = [&](bool good, const std::string& expected) {
    if (good) return;
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read vocabulary: {}: expected {}", path, expected));
  };
  auto valid_id = [&](int id) { return id >= -1 && id < n_pieces; };
  check(valid_id(vocabulary.bos_id), fmt::format("a BOS id below {}", n_pieces));
  check(valid_id(vocabulary.eos_id), fmt::format("an EOS id below {}", n_pieces));
  if (vocabulary.kind == TokenizerKind::kSentencePiece) return;
  check(valid_id(vocabulary.unknown_id), fmt::format("an unknown id below {}", n_pieces));
  check(!vocabulary.byte_fallback || !vocabulary.IsByteLevel(),
        "byte fallback or byte level, not both");
  for (const Vocabulary::Merge& merge : vocabulary.merges) CheckMerge(vocabulary, merge, path);
  CheckAddedTokens(vocabulary, path);
}

std::string Vocabulary::Identity() const {
  Hash hash;
  for (const Piece& piece : pieces) {
    hash.Add(piece.text);
    hash.Add(piece.score);
    hash.Add(piece.type);
  }
  hash.Add(int32_t{unknown_id});
  hash.Add(int32_t{bos_id});
  hash.Add(int32_t{eos_id});
  hash.Add(static_cast<uint8_t>(add_space_prefix));
  hash.Add(static_cast<uint8_t>(remove_extra_whitespaces));
  if (kind != TokenizerKind::kSentencePiece) AddBpe(*this, hash);
  return hash.Digest();
}

}  // namespace moescope::files
