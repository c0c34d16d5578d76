#include "text/test_vocabulary.h"

#include <fmt/format.h>

#include "text/byte_alphabet.h"

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

namespace {

int32_t IdOf(files::Vocabulary& vocabulary, const std::string& text) {
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.pieces[id].text == text) return static_cast<int32_t>(id);
  }
  vocabulary.pieces.push_back({text});
  return static_cast<int32_t>(vocabulary.pieces.size()) - 1;
}

void AddMerges(files::Vocabulary& vocabulary, const TestMerges& merges) {
  for (const auto& [left, right] : merges) {
    const int32_t left_id = IdOf(vocabulary, left), right_id = IdOf(vocabulary, right);
    vocabulary.merges.push_back({left_id, right_id, IdOf(vocabulary, left + right)});
  }
}

std::string Spelled(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) AppendUtf8(kByteAlphabet[static_cast<uint8_t>(c)], text);
  return text;
}

}  // namespace

files::Vocabulary MakeByteVocabulary(const TestMerges& merges) {
  files::Vocabulary vocabulary;
  vocabulary.kind = files::TokenizerKind::kBpe;
  vocabulary.unknown_id = vocabulary.bos_id = vocabulary.eos_id = -1;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.pieces.push_back({Spelled(std::string(1, static_cast<char>(byte)))});
  }
  TestMerges spelled;
  for (const auto& [left, right] : merges) spelled.emplace_back(Spelled(left), Spelled(right));
  AddMerges(vocabulary, spelled);
  vocabulary.pre_tokeniser.emplace_back().kind = files::PreTokeniserStep::Kind::kByteLevel;
  vocabulary.decoder.emplace_back().kind = files::DecoderStep::Kind::kByteLevel;
  return vocabulary;
}

files::Vocabulary MakeCharacterVocabulary(const std::vector<std::string>& characters,
                                          const TestMerges& merges) {
  files::Vocabulary vocabulary;
  vocabulary.kind = files::TokenizerKind::kBpe;
  vocabulary.unknown_id = 0;
  vocabulary.bos_id = vocabulary.eos_id = -1;
  vocabulary.pieces.push_back({"<unk>"});
  for (const std::string& character : characters) vocabulary.pieces.push_back({character});
  AddMerges(vocabulary, merges);
  vocabulary.decoder.emplace_back().kind = files::DecoderStep::Kind::kFuse;
  return vocabulary;
}

files::AddedToken& AddToken(files::Vocabulary& vocabulary, const std::string& text) {
  files::AddedToken token;
  token.id = static_cast<int32_t>(vocabulary.pieces.size());
  token.text = text;
  vocabulary.pieces.push_back({text, 0, files::PieceType::kUserDefined});
  return vocabulary.added_tokens.emplace_back(token);
}

std::unique_ptr<Tokenizer> MakeTokenizer(files::Vocabulary vocabulary) {
  files::CheckVocabulary(vocabulary, "test");
  return MakeTokenizer(std::make_shared<const files::Vocabulary>(std::move(vocabulary)));
}

}  // namespace moescope::text
