#include "files/vocabulary.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cmath>
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

}  // namespace

int ByteOfPiece(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int high = HexDigit(text[3]);
  int low = HexDigit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void CheckVocabulary(const Vocabulary& vocabulary, const std::string& path) {
  auto refuse = [&](size_t id, const std::string& reason) {
    throw Error(ErrorKind::kCorrupt,
                fmt::format("cannot read vocabulary: {}: piece {}: {}", path, id, reason));
  };
  const auto n_pieces = static_cast<int64_t>(vocabulary.pieces.size());
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
        if (piece.text.empty()) refuse(id, "expected text, found none");
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
  auto valid_id = [&](int id) { return id >= -1 && id < n_pieces; };
  check(n_bytes == 0 || n_bytes == 256,
        fmt::format("all 256 byte pieces or none, found {}", n_bytes));
  check(unknown >= 0 && unknown == vocabulary.unknown_id,
        fmt::format("the unknown piece to be piece {}, found {}", vocabulary.unknown_id, unknown));
  check(valid_id(vocabulary.bos_id), fmt::format("a BOS id below {}", n_pieces));
  check(valid_id(vocabulary.eos_id), fmt::format("an EOS id below {}", n_pieces));
}

std::string Vocabulary::Identity() const {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  auto add = [&](const auto& value) { XXH3_64bits_update(state, &value, sizeof(value)); };
  for (const Piece& piece : pieces) {
    add(static_cast<uint64_t>(piece.text.size()));
    XXH3_64bits_update(state, piece.text.data(), piece.text.size());
    add(piece.score);
    add(piece.type);
  }
  add(int32_t{unknown_id});
  add(int32_t{bos_id});
  add(int32_t{eos_id});
  add(static_cast<uint8_t>(add_space_prefix));
  add(static_cast<uint8_t>(remove_extra_whitespaces));
  uint64_t hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("{:016x}", hash);
}

}  // namespace moescope::files
