#include "text/test_vocabulary.h"

#include <fmt/format.h>

namespace moescope::text {

files::Vocabulary MakeVocabulary(const std::vector<TestPiece>& pieces, TestFlags flags) {
  files::Vocabulary vocabulary;
  vocabulary.pieces = {{"<unk>", 0, files::PieceType::kUnknown},
                       {"<s>", 0, files::PieceType::kControl},
                       {"</s>", 0, files::PieceType::kControl}};
  for (int byte = 0; flags.bytes && byte < 256; ++byte) {
    vocabulary.pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, files::PieceType::kByte});
  }
  for (const TestPiece& piece : pieces) {
    vocabulary.pieces.push_back({piece.text, piece.score, piece.type});
  }
  vocabulary.add_space_prefix = flags.prefix;
  return vocabulary;
}

std::unique_ptr<Tokenizer> MakeTokenizer(const std::vector<TestPiece>& pieces, TestFlags flags) {
  return MakeTokenizer(std::make_shared<files::Vocabulary>(MakeVocabulary(pieces, flags)));
}

}  // namespace moescope::text
