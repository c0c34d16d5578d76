#include "files/sentencepiece_writer.h"

#include <bit>
#include <cstdint>

namespace moescope::files {
namespace {

// Fields of one message, appended in order.
class MessageWriter {
 public:
  void Number(uint64_t field, uint64_t value) {
    Varint(field << 3);
    Varint(value);
  }
  // int32 fields are sign-extended to 64 bits on the wire.
  void Signed(uint64_t field, int value) { Number(field, std::bit_cast<uint64_t>(int64_t{value})); }
  void Float(uint64_t field, float value) {
    Varint(field << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Bytes(uint64_t field, std::string_view value) {
    Varint(field << 3 | 2);
    Varint(value.size());
    bytes_.append(value);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

MessageWriter PieceMessage(const Vocabulary::Piece& piece) {
  MessageWriter message;
  message.Bytes(1, piece.text);
  message.Float(2, piece.score);
  message.Number(3, static_cast<uint64_t>(piece.type));
  return message;
}

bool HasBytePieces(const Vocabulary& vocabulary) {
  for (const Vocabulary::Piece& piece : vocabulary.pieces) {
    if (piece.type == PieceType::kByte) return true;
  }
  return false;
}

MessageWriter TrainerMessage(const Vocabulary& vocabulary) {
  constexpr uint64_t kBpe = 2;
  MessageWriter message;
  message.Number(3, kBpe);
  message.Number(4, vocabulary.pieces.size());
  message.Number(35, HasBytePieces(vocabulary) ? 1 : 0);  // byte_fallback
  message.Signed(40, vocabulary.unknown_id);
  message.Signed(41, vocabulary.bos_id);
  message.Signed(42, vocabulary.eos_id);
  message.Signed(43, -1);  // no padding piece
  return message;
}

MessageWriter NormalizerMessage(const Vocabulary& vocabulary) {
  MessageWriter message;
  message.Bytes(1, "identity");
  message.Number(3, vocabulary.add_space_prefix ? 1 : 0);
  message.Number(4, vocabulary.remove_extra_whitespaces ? 1 : 0);
  message.Number(5, 1);  // escape_whitespaces
  return message;
}

}  // namespace

std::string WriteSentencePieceModel(const Vocabulary& vocabulary) {
  MessageWriter model;
  for (const Vocabulary::Piece& piece : vocabulary.pieces) {
    model.Bytes(1, PieceMessage(piece).bytes());
  }
  model.Bytes(2, TrainerMessage(vocabulary).bytes());
  model.Bytes(3, NormalizerMessage(vocabulary).bytes());
  return model.bytes();
}

}  // namespace moescope::files
