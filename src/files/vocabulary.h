// The vocabulary of a SentencePiece BPE model, as tokenizer.model and GGUF `llama` files hold it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moescope::files {

// Values as in sentencepiece_model.proto and GGUF tokenizer.ggml.token_type.
enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct Vocabulary {
  struct Piece {
    std::string text;  // U+2581 stands for a space; bytes are "<0x0A>"
    float score = 0;   // larger merges first
    PieceType type = PieceType::kNormal;
  };
  std::vector<Piece> pieces;  // index = token id
  int unknown_id = 0;
  int bos_id = 1;  // -1: none
  int eos_id = 2;
  bool add_space_prefix = true;
  bool remove_extra_whitespaces = false;
  // 16 hex digits of XXH3 over pieces, scores, types and flags: the tokenizer's identity.
  std::string Identity() const;
};

// The byte that "<0x0A>" stands for; -1 for any other text.
int ByteOfPiece(std::string_view text);

// What every vocabulary fulfils, wherever it came from: finite scores, UTF-8, no empty or repeated
// normal pieces, all 256 byte pieces or none, one unknown piece, ids in range.
// Throws Error(kCorrupt) naming the piece.
void CheckVocabulary(const Vocabulary& vocabulary, const std::string& path);

// Parses the protobuf of a tokenizer.model: bounded (at most 2^22 pieces, their text
// <= 64 MiB together); models other than BPE and normalisers other than identity are refused.
// Throws Error(kCorrupt) with the offset, Error(kUnsupported).
// Source: sentencepiece_model.proto of SentencePiece; protobuf wire format.
Vocabulary ParseSentencePieceModel(std::string_view bytes, const std::string& path);

}  // namespace moescope::files
