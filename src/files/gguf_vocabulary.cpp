#include "files/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "files/limits.h"
#include "files/tokenizer_json.h"

namespace moescope::files {
namespace {

std::vector<PieceType> ReadPieceTypes(const GgufKeys& keys, const GgufFile& file) {
  const char* key = "tokenizer.ggml.token_type";
  const GgufArray& array = keys.Array(key);
  if (array.type != GgufType::kI32 && array.type != GgufType::kU32) {
    keys.Refuse(key, "32-bit integers", "another type");
  }
  std::vector<PieceType> types;
  for (int32_t type : file.ReadI32s(array)) {
    if (type < 1 || type > 6) keys.Refuse(key, "types from 1 to 6", std::to_string(type));
    types.push_back(static_cast<PieceType>(type));
  }
  return types;
}

const GgufArray& ReadTokensArray(const GgufKeys& keys) {
  const GgufArray& tokens = keys.Array("tokenizer.ggml.tokens");
  if (tokens.type != GgufType::kString || tokens.count < 1 ||
      tokens.count > static_cast<uint64_t>(kMaxVocabSize)) {
    keys.Refuse("tokenizer.ggml.tokens", fmt::format("1 to {} strings", kMaxVocabSize),
                fmt::format("{} elements", tokens.count));
  }
  return tokens;
}

Vocabulary ReadLlama(const GgufKeys& keys, const GgufFile& file) {
  const GgufArray& tokens = ReadTokensArray(keys);
  const GgufArray& scores = keys.Array("tokenizer.ggml.scores");
  const GgufArray& types = keys.Array("tokenizer.ggml.token_type");
  if (scores.type != GgufType::kF32 || scores.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.scores", fmt::format("{} float32 numbers", tokens.count),
                fmt::format("{} elements", scores.count));
  }
  if (types.count != tokens.count) {
    keys.Refuse("tokenizer.ggml.token_type", fmt::format("{} elements", tokens.count),
                std::to_string(types.count));
  }
  Vocabulary vocabulary;
  for (std::string& text : file.ReadStrings(tokens, kMaxVocabularyBytes)) {
    vocabulary.pieces.push_back({.text = std::move(text)});
  }
  std::vector<float> piece_scores = file.ReadF32s(scores);
  std::vector<PieceType> piece_types = ReadPieceTypes(keys, file);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    vocabulary.pieces[id].score = piece_scores[id];
    vocabulary.pieces[id].type = piece_types[id];
  }
  int64_t last = static_cast<int64_t>(tokens.count) - 1;
  vocabulary.unknown_id = keys.IntegerOr("tokenizer.ggml.unknown_token_id", 0, last, 0);
  int default_bos = keys.BooleanOr("tokenizer.ggml.add_bos_token", true) ? 1 : -1;
  vocabulary.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, last, default_bos);
  vocabulary.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, last, 2);
  vocabulary.add_space_prefix = keys.BooleanOr("tokenizer.ggml.add_space_prefix", true);
  vocabulary.remove_extra_whitespaces =
      keys.BooleanOr("tokenizer.ggml.remove_extra_whitespaces", false);
  CheckVocabulary(vocabulary, file.path());
  return vocabulary;
}

// Names of tokenizer.ggml.pre and the cuts they stand for; the first name of a cut is written.
// Source: llm_tokenizer_bpe of llama.cpp.
struct PreName {
  const char* name;
  const char* pattern;  // null: the expression of GPT-2
  bool single_digits;   // cut out before
  bool ignore_merges;
};
const PreName kPreNames[] = {
    {"gpt-2", nullptr, false, false},
    {"llama-bpe", kLlama3Pattern, false, true},
    {"qwen2", kQwen2Pattern, false, false},
    {"smollm", nullptr, true, false},
    {"dbrx", kLlama3Pattern, false, false},
    {"default", nullptr, false, false},
    {"phi-2", nullptr, false, false},
    {"mpt", nullptr, false, false},
    {"olmo", nullptr, false, false},
    {"llama3", kLlama3Pattern, false, true},
    {"llama-v3", kLlama3Pattern, false, true},
    {"falcon3", kLlama3Pattern, false, true},
    {"pixtral", kLlama3Pattern, false, true},
    {"smaug-bpe", kLlama3Pattern, false, false},
    {"deepseek-r1-qwen", kQwen2Pattern, false, false},
    {"stablelm2", kQwen2Pattern, false, false},
    {"starcoder", nullptr, true, false},
    {"refact", nullptr, true, false},
    {"command-r", nullptr, true, false},
    {"codeshell", nullptr, true, false},
};

const PreName* FindPreName(const std::string& name) {
  for (const PreName& pre : kPreNames) {
    if (name == pre.name) return &pre;
  }
  return nullptr;
}

std::vector<PreTokeniserStep> StepsOf(const PreName& pre) {
  std::vector<PreTokeniserStep> steps;
  if (pre.single_digits) {
    steps.emplace_back().kind = PreTokeniserStep::Kind::kDigits;
  }
  if (pre.pattern != nullptr) {
    PreTokeniserStep& split = steps.emplace_back();
    split.pattern = pre.pattern;
    split.is_regex = true;
  }
  PreTokeniserStep& bytes = steps.emplace_back();
  bytes.kind = PreTokeniserStep::Kind::kByteLevel;
  bytes.split = pre.pattern == nullptr;
  return steps;
}

bool SameSteps(const std::vector<PreTokeniserStep>& a, const std::vector<PreTokeniserStep>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const PreTokeniserStep& x, const PreTokeniserStep& y) {
                      return x.kind == y.kind && x.pattern == y.pattern &&
                             x.is_regex == y.is_regex && x.behaviour == y.behaviour &&
                             x.invert == y.invert && x.prefix == y.prefix && x.split == y.split;
                    });
}

// Not of llama.cpp: files of ours say here that text is brought into NFC first. GGUF has no place
// for it, and others cut text as it is.
constexpr const char* kNfcKey = "moescope.tokenizer.nfc";

void ReadPieces(const GgufKeys& keys, const GgufFile& file, Vocabulary& vocabulary) {
  const GgufArray& tokens = ReadTokensArray(keys);
  if (keys.Array("tokenizer.ggml.token_type").count != tokens.count) {
    keys.Refuse("tokenizer.ggml.token_type", fmt::format("{} elements", tokens.count),
                std::to_string(keys.Array("tokenizer.ggml.token_type").count));
  }
  const std::vector<PieceType> types = ReadPieceTypes(keys, file);
  for (std::string& text : file.ReadStrings(tokens, kMaxVocabularyBytes)) {
    const size_t id = vocabulary.pieces.size();
    PieceType type = types[id];
    if (type == PieceType::kByte) {
      keys.Refuse("tokenizer.ggml.token_type", "no byte pieces in a gpt2 vocabulary",
                  fmt::format("piece {}", id));
    }
    if (type == PieceType::kUnknown) type = PieceType::kControl;
    if (type == PieceType::kControl || type == PieceType::kUserDefined) {
      AddedToken& token = vocabulary.added_tokens.emplace_back();
      token.id = static_cast<int32_t>(id);
      token.text = text;
      token.special = type == PieceType::kControl;
    }
    vocabulary.pieces.push_back({std::move(text), 0, type});
  }
}

void ReadMerges(const GgufKeys& keys, const GgufFile& file, Vocabulary& vocabulary) {
  const char* key = "tokenizer.ggml.merges";
  const GgufArray& merges = keys.Array(key);
  if (merges.type != GgufType::kString || merges.count > kMaxMerges) {
    keys.Refuse(key, fmt::format("at most {} strings", kMaxMerges),
                fmt::format("{} elements", merges.count));
  }
  MergeList list;
  for (const std::string& words : file.ReadStrings(merges, 2 * kMaxVocabularyBytes)) {
    list.AddWords(words, file.path());
  }
  list.Resolve(vocabulary, file.path());
}

Vocabulary ReadGpt2(const GgufKeys& keys, const GgufFile& file, const PreName& pre) {
  Vocabulary vocabulary;
  vocabulary.kind = TokenizerKind::kBpe;
  ReadPieces(keys, file, vocabulary);
  ReadMerges(keys, file, vocabulary);
  vocabulary.pre_tokeniser = StepsOf(pre);
  vocabulary.ignore_merges = pre.ignore_merges;
  vocabulary.decoder.emplace_back().kind = DecoderStep::Kind::kByteLevel;
  if (keys.BooleanOr(kNfcKey, false)) {
    vocabulary.normaliser.emplace_back().kind = NormaliserStep::Kind::kNfc;
  }
  if (keys.BooleanOr("tokenizer.ggml.add_space_prefix", false)) {
    vocabulary.pre_tokeniser.back().prefix = PreTokeniserStep::Prefix::kAlways;
  }
  // What a byte without a piece would be: files name a token here that the model never uses so.
  vocabulary.unknown_id = -1;
  const int64_t last = static_cast<int64_t>(vocabulary.pieces.size()) - 1;
  keys.IntegerOr("tokenizer.ggml.unknown_token_id", 0, last, -1);
  vocabulary.bos_id = keys.IntegerOr("tokenizer.ggml.bos_token_id", 0, last, -1);
  vocabulary.eos_id = keys.IntegerOr("tokenizer.ggml.eos_token_id", 0, last, -1);
  vocabulary.adds_bos =
      keys.BooleanOr("tokenizer.ggml.add_bos_token", pre.ignore_merges) && vocabulary.bos_id >= 0;
  CheckVocabulary(vocabulary, file.path());
  return vocabulary;
}

const PreName* PreNameOf(const Vocabulary& vocabulary) {
  for (const PreName& pre : kPreNames) {
    if (SameSteps(StepsOf(pre), vocabulary.pre_tokeniser) &&
        pre.ignore_merges == vocabulary.ignore_merges) {
      return &pre;
    }
  }
  return nullptr;
}

bool IsNfcOrNothing(const std::vector<NormaliserStep>& steps) {
  return steps.empty() || (steps.size() == 1 && steps[0].kind == NormaliserStep::Kind::kNfc);
}

std::vector<std::string> MergeWords(const Vocabulary& vocabulary) {
  std::vector<std::string> words;
  for (const Vocabulary::Merge& merge : vocabulary.merges) {
    words.push_back(vocabulary.pieces[static_cast<size_t>(merge.left)].text + " " +
                    vocabulary.pieces[static_cast<size_t>(merge.right)].text);
  }
  return words;
}

}  // namespace

std::shared_ptr<const Vocabulary> ReadGgufVocabulary(const GgufKeys& keys, const GgufFile& file,
                                                     std::string& note) {
  const std::string kind = keys.TextOr("tokenizer.ggml.model", "none");
  if (kind == "llama") return std::make_shared<const Vocabulary>(ReadLlama(keys, file));
  if (kind != "gpt2") {
    note = fmt::format("{} has a tokenizer of kind '{}'; read are 'llama' and 'gpt2'", file.path(),
                       kind.substr(0, 40));
    return nullptr;
  }
  const std::string name = keys.TextOr("tokenizer.ggml.pre", "default");
  const PreName* pre = FindPreName(name);
  if (pre != nullptr) return std::make_shared<const Vocabulary>(ReadGpt2(keys, file, *pre));
  std::string known;
  for (const PreName& each : kPreNames)
    known += (known.empty() ? "" : ", ") + std::string(each.name);
  note = fmt::format("{}: tokenizer.ggml.pre: supported is one of {}; found '{}'", file.path(),
                     known, name.substr(0, 40));
  return nullptr;
}

std::string AddGgufBpeVocabulary(const Vocabulary& vocabulary, int n_rows, GgufWriter& writer) {
  if (!vocabulary.IsByteLevel()) return "GGUF has no kind for BPE vocabularies of characters";
  const PreName* pre = PreNameOf(vocabulary);
  const bool plain_tokens =
      std::all_of(vocabulary.added_tokens.begin(), vocabulary.added_tokens.end(),
                  [](const AddedToken& t) { return !t.lstrip && !t.rstrip && !t.single_word; });
  if (pre == nullptr || !plain_tokens || !IsNfcOrNothing(vocabulary.normaliser)) {
    return "GGUF has no name for the way this vocabulary cuts text";
  }
  std::vector<Vocabulary::Piece> pieces = vocabulary.pieces;
  for (auto id = static_cast<int>(pieces.size()); id < n_rows; ++id) {
    pieces.push_back({fmt::format("[PAD{}]", id), 0, PieceType::kUnused});
  }
  std::vector<std::string_view> texts;
  std::vector<int32_t> types;
  for (const Vocabulary::Piece& piece : pieces) {
    texts.push_back(piece.text);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  const std::vector<std::string> merges = MergeWords(vocabulary);
  writer.AddText("tokenizer.ggml.model", "gpt2");
  writer.AddText("tokenizer.ggml.pre", pre->name);
  writer.AddTexts("tokenizer.ggml.tokens", texts);
  writer.AddI32s("tokenizer.ggml.token_type", types);
  writer.AddTexts("tokenizer.ggml.merges", {merges.begin(), merges.end()});
  writer.AddBool("tokenizer.ggml.add_bos_token", vocabulary.adds_bos);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
  if (!vocabulary.normaliser.empty()) writer.AddBool(kNfcKey, true);
  return "";
}

}  // namespace moescope::files
