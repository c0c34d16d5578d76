#include "files/tokenizer_json.h"

#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "files/json_members.h"
#include "files/limits.h"
#include "files/tokenizer_steps.h"

namespace moescope::files {
namespace {

// Ids without a piece, for which room is made all the same.
constexpr size_t kMaxHoles = 65'536;

[[noreturn]] void Corrupt(const std::string& path, std::string_view where,
                          std::string_view expected, std::string_view found) {
  throw Error(ErrorKind::kCorrupt,
              fmt::format("cannot read tokenizer: {}: {}: expected {}, found {}", path, where,
                          expected, found));
}

// Pieces by id as a file lists them: in any order, some ids missing.
class PieceList {
 public:
  explicit PieceList(const std::string& path) : path_(path) {}

  void Add(uint64_t id, const std::string& text, PieceType type) {
    const std::string where = fmt::format("piece '{}'", text.substr(0, 60));
    if (id >= static_cast<uint64_t>(kMaxVocabSize)) {
      Corrupt(path_, where, fmt::format("an id below {}", kMaxVocabSize), std::to_string(id));
    }
    n_bytes_ += text.size();
    if (n_bytes_ > kMaxVocabularyBytes) {
      Corrupt(path_, where, fmt::format("at most {} bytes of pieces", kMaxVocabularyBytes), "more");
    }
    largest_ = std::max(largest_, id);
    entries_.push_back({static_cast<uint32_t>(id), {text, 0, type}});
  }

  std::vector<Vocabulary::Piece> Take() {
    if (entries_.empty()) Corrupt(path_, "model.vocab", "pieces", "none");
    if (largest_ >= entries_.size() + kMaxHoles) {
      Corrupt(path_, "model.vocab", fmt::format("at most {} ids without a piece", kMaxHoles),
              fmt::format("{} pieces and the id {}", entries_.size(), largest_));
    }
    std::vector<Vocabulary::Piece> pieces(largest_ + 1, {"", 0, PieceType::kUnused});
    std::vector<bool> taken(pieces.size());
    for (Entry& entry : entries_) {
      if (taken[entry.id]) {
        Corrupt(path_, fmt::format("piece '{}'", entry.piece.text.substr(0, 60)),
                "an id of its own",
                fmt::format("that of '{}'", pieces[entry.id].text.substr(0, 60)));
      }
      taken[entry.id] = true;
      pieces[entry.id] = std::move(entry.piece);
    }
    return pieces;
  }

 private:
  struct Entry {
    uint32_t id;
    Vocabulary::Piece piece;
  };
  const std::string& path_;
  std::vector<Entry> entries_;
  uint64_t largest_ = 0;
  uint64_t n_bytes_ = 0;
};

// Takes model.vocab and model.merges out of the stream, the rest becomes a tree.
class TokenizerHandler : public JsonHandler {
 public:
  explicit TokenizerHandler(const std::string& path) : path_(path), pieces_(path), rest_(path) {}

  void BeginObject() override {
    if (in_ == Part::kModel && waiting_ == Part::kVocab) {
      in_ = Part::kVocab;
      waiting_ = Part::kModel;
      has_vocab_ = true;
      return;
    }
    Expected("an object");
    rest_.BeginObject();
    if (rest_.depth() == 2 && section_ == "model") in_ = Part::kModel;
  }
  void EndObject() override {
    if (in_ == Part::kVocab) {
      in_ = Part::kModel;
      return;
    }
    rest_.EndObject();
    if (in_ == Part::kModel && rest_.depth() == 1) in_ = Part::kRest;
  }
  void BeginArray() override {
    if (in_ == Part::kModel && waiting_ == Part::kMerges) {
      in_ = Part::kMerges;
      waiting_ = Part::kModel;
      has_merges_ = true;
      return;
    }
    if (in_ == Part::kMerges) {
      in_ = Part::kPair;
      pair_.clear();
      return;
    }
    Expected("a list");
    rest_.BeginArray();
  }
  void EndArray() override {
    if (in_ == Part::kPair) {
      if (pair_.size() != 2) Corrupt(path_, "model.merges", "pairs", "a list of another length");
      AddMerge([&] { merges_.Add(pair_[0], pair_[1]); });
      in_ = Part::kMerges;
    } else if (in_ == Part::kMerges) {
      in_ = Part::kModel;
    } else {
      rest_.EndArray();
    }
  }
  void Key(const std::string& key) override {
    if (in_ == Part::kVocab) {
      piece_ = key;
      return;
    }
    if (rest_.depth() == 1) section_ = key;
    const bool of_model = in_ == Part::kModel && rest_.depth() == 2;
    waiting_ = of_model && key == "vocab"    ? Part::kVocab
               : of_model && key == "merges" ? Part::kMerges
                                             : Part::kModel;
    if (waiting_ == Part::kModel) rest_.Key(key);
  }
  void String(const std::string& value) override {
    if (in_ == Part::kPair) {
      if (pair_.size() == 2) Corrupt(path_, "model.merges", "pairs", "a longer list");
      pair_.push_back(value);
    } else if (in_ == Part::kMerges) {
      // Written by old versions at the head of a file of merges.
      if (!value.starts_with("#version")) AddMerge([&] { merges_.AddWords(value, path_); });
    } else {
      Expected("a string");
      rest_.String(value);
    }
  }
  void Unsigned(uint64_t value) override {
    if (in_ == Part::kVocab) {
      pieces_.Add(value, piece_, PieceType::kNormal);
      return;
    }
    Expected("a number");
    rest_.Unsigned(value);
  }
  void Other(std::string_view what) override {
    Expected(what);
    rest_.Other(what);
  }

  PieceList& pieces() { return pieces_; }
  const MergeList& merges() const { return merges_; }
  bool has_vocab() const { return has_vocab_; }
  bool has_merges() const { return has_merges_; }
  JsonValue TakeRest() { return rest_.Take(); }

 private:
  enum class Part { kRest, kModel, kVocab, kMerges, kPair };

  // Refuses a value where only ids, merges or the two lists may stand.
  void Expected(std::string_view found) const {
    const std::string_view shown = found.substr(0, 40);
    if (in_ == Part::kVocab) {
      Corrupt(path_, fmt::format("model.vocab: '{}'", piece_.substr(0, 60)), "an id", shown);
    }
    if (in_ == Part::kMerges || in_ == Part::kPair) {
      Corrupt(path_, "model.merges", "strings or pairs of strings", shown);
    }
    if (waiting_ == Part::kVocab) Corrupt(path_, "model.vocab", "an object of pieces", shown);
    if (waiting_ == Part::kMerges) Corrupt(path_, "model.merges", "a list", shown);
  }
  template <typename F>
  void AddMerge(F&& add) {
    const bool pair = in_ == Part::kPair;
    if (merges_.size() > 0 && pair != merges_are_pairs_) {
      Corrupt(path_, "model.merges", "strings or pairs", "both");
    }
    merges_are_pairs_ = pair;
    if (merges_.size() >= kMaxMerges) {
      Corrupt(path_, "model.merges", fmt::format("at most {}", kMaxMerges), "more");
    }
    add();
  }

  const std::string& path_;
  PieceList pieces_;
  MergeList merges_;
  JsonTreeBuilder rest_;
  Part in_ = Part::kRest;
  Part waiting_ = Part::kModel;  // the list whose key has come but not its value; kModel: none
  bool has_vocab_ = false, has_merges_ = false, merges_are_pairs_ = false;
  std::string section_, piece_;
  std::vector<std::string> pair_;
};

// Settings that would change ids and that nobody publishes.
void RequireAbsent(JsonMembers& model, const std::string& key) {
  const JsonValue& value = model.AnyOrNull(key);
  const bool empty = value.kind == JsonValue::Kind::kString && value.text.empty();
  if (!value.IsNull() && !empty) model.Unsupported(key, "null", value.Shown());
}

// dropout makes ids random; 0 is the same as none.
void RequireNoDropout(JsonMembers& model) {
  const JsonValue& value = model.AnyOrNull("dropout");
  const bool zero = (value.kind == JsonValue::Kind::kUnsigned && value.number == 0) ||
                    (value.kind == JsonValue::Kind::kOtherNumber && value.text == "0.0");
  if (!value.IsNull() && !zero) model.Unsupported("dropout", "null", value.Shown());
}

struct ModelMembers {
  std::optional<std::string> unknown;
};

ModelMembers ReadModel(const JsonValue& value, const std::string& path, Vocabulary& vocabulary) {
  JsonMembers model(value, "model", path);
  const std::string type = model.Text("type");
  if (type != "BPE") model.Unsupported("type", "BPE", "'" + type.substr(0, 60) + "'");
  RequireNoDropout(model);
  RequireAbsent(model, "continuing_subword_prefix");
  RequireAbsent(model, "end_of_word_suffix");
  vocabulary.fuse_unknown = model.Boolean("fuse_unk", false);
  vocabulary.byte_fallback = model.Boolean("byte_fallback", false);
  vocabulary.ignore_merges = model.Boolean("ignore_merges", false);
  ModelMembers members;
  if (!model.AnyOrNull("unk_token").IsNull()) members.unknown = model.Text("unk_token");
  model.RefuseOthers();
  return members;
}

AddedToken ReadAddedToken(const JsonValue& value, size_t index, const std::string& path) {
  JsonMembers members(value, fmt::format("added_tokens[{}]", index), path);
  AddedToken token;
  token.id = static_cast<int32_t>(members.Unsigned("id", static_cast<uint64_t>(kMaxVocabSize) - 1));
  token.text = members.Text("content");
  if (token.text.empty()) members.Corrupt("content", "a text", "an empty one");
  token.single_word = members.Boolean("single_word");
  token.lstrip = members.Boolean("lstrip");
  token.rstrip = members.Boolean("rstrip");
  token.normalized = members.Boolean("normalized");
  token.special = members.Boolean("special");
  members.RefuseOthers();
  return token;
}

using IdsByText = std::unordered_map<std::string_view, int32_t>;

IdsByText IndexPieces(const std::vector<Vocabulary::Piece>& pieces) {
  IdsByText ids;
  ids.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type == PieceType::kUnused) continue;
    ids.emplace(pieces[id].text, static_cast<int32_t>(id));
  }
  return ids;
}

// Added tokens are pieces of the model or come on top; either way the id must be the same.
void AddTokens(const JsonValue& list, PieceList& pieces, const std::string& path,
               Vocabulary& vocabulary) {
  if (list.IsNull()) return;
  if (list.kind != JsonValue::Kind::kArray) Corrupt(path, "added_tokens", "a list", list.Shown());
  for (size_t i = 0; i < list.items.size(); ++i) {
    vocabulary.added_tokens.push_back(ReadAddedToken(list.items[i], i, path));
  }
  vocabulary.pieces = pieces.Take();
  const IdsByText model_ids = IndexPieces(vocabulary.pieces);
  PieceList all(path);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.pieces[id].type != PieceType::kUnused) {
      all.Add(id, vocabulary.pieces[id].text, PieceType::kNormal);
    }
  }
  for (AddedToken& token : vocabulary.added_tokens) {
    const auto found = model_ids.find(token.text);
    token.in_model = found != model_ids.end();
    if (found == model_ids.end()) {
      all.Add(static_cast<uint64_t>(token.id), token.text, PieceType::kNormal);
    } else if (found->second != token.id) {
      Corrupt(path, fmt::format("added token '{}'", token.text.substr(0, 60)),
              fmt::format("the id {} it has in model.vocab", found->second),
              std::to_string(token.id));
    }
  }
  vocabulary.pieces = all.Take();
}

void SetTypes(Vocabulary& vocabulary, const std::string& path) {
  size_t n_bytes = 0;
  for (Vocabulary::Piece& piece : vocabulary.pieces) {
    if (!vocabulary.byte_fallback || ByteOfPiece(piece.text) < 0) continue;
    piece.type = PieceType::kByte;
    ++n_bytes;
  }
  if (n_bytes > 0 && n_bytes < 256) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot use tokenizer: {}: model.byte_fallback: supported is a "
                            "vocabulary with all 256 byte pieces, found {}",
                            path, n_bytes));
  }
  for (const AddedToken& token : vocabulary.added_tokens) {
    vocabulary.pieces[static_cast<size_t>(token.id)].type =
        token.special ? PieceType::kControl : PieceType::kUserDefined;
  }
}

int IdOf(const IdsByText& ids, const std::string& text, const char* where,
         const std::string& path) {
  const auto found = ids.find(text);
  if (found == ids.end()) {
    Corrupt(path, where, "a piece of the vocabulary", "'" + text.substr(0, 60) + "'");
  }
  return found->second;
}

void SetSpecialIds(const ModelMembers& model, const TokenBefore& before, const std::string& path,
                   Vocabulary& vocabulary) {
  const IdsByText ids = IndexPieces(vocabulary.pieces);
  vocabulary.unknown_id = model.unknown ? IdOf(ids, *model.unknown, "model.unk_token", path) : -1;
  vocabulary.bos_id = vocabulary.eos_id = -1;
  if (before.text.empty()) return;
  vocabulary.bos_id = IdOf(ids, before.text, "post_processor.single", path);
  vocabulary.adds_bos = true;
  if (before.id != vocabulary.bos_id) {
    Corrupt(path, "post_processor.special_tokens",
            fmt::format("the id {} of '{}'", vocabulary.bos_id, before.text.substr(0, 60)),
            std::to_string(before.id));
  }
}

}  // namespace

void MergeList::Add(std::string_view left, std::string_view right) {
  text_.append(left);
  const auto middle = static_cast<uint32_t>(text_.size());
  text_.append(right);
  ends_.push_back({middle, static_cast<uint32_t>(text_.size())});
}

void MergeList::AddWords(std::string_view words, const std::string& path) {
  const size_t space = words.find(' ');
  const bool good =
      space != std::string_view::npos && words.find(' ', space + 1) == std::string_view::npos;
  if (!good) {
    Corrupt(path, fmt::format("merge {}", size()), "two words",
            fmt::format("'{}'", words.substr(0, 60)));
  }
  Add(words.substr(0, space), words.substr(space + 1));
}

void MergeList::Resolve(Vocabulary& vocabulary, const std::string& path) const {
  const IdsByText ids = IndexPieces(vocabulary.pieces);
  vocabulary.merges.reserve(ends_.size());
  uint32_t begin = 0;
  for (const Ends& ends : ends_) {
    const std::string_view whole = std::string_view(text_).substr(begin, ends.right - begin);
    auto id_of = [&](std::string_view text) {
      const auto found = ids.find(text);
      if (found == ids.end()) {
        Corrupt(path, fmt::format("merge {}", vocabulary.merges.size()), "pieces of the vocabulary",
                fmt::format("'{}'", text.substr(0, 60)));
      }
      return found->second;
    };
    const size_t middle = ends.left - begin;
    vocabulary.merges.push_back(
        {id_of(whole.substr(0, middle)), id_of(whole.substr(middle)), id_of(whole)});
    begin = ends.right;
  }
}

Vocabulary ParseTokenizerJson(std::string_view bytes, const std::string& path) {
  TokenizerHandler handler(path);
  // Every piece is a key; added tokens and steps have some more.
  ReadJson(bytes, path, handler, 0, size_t{1} << 20,
           static_cast<uint64_t>(kMaxVocabSize) + (uint64_t{1} << 20));
  const JsonValue rest = handler.TakeRest();
  JsonMembers members(rest, "", path);
  Vocabulary vocabulary;
  vocabulary.kind = TokenizerKind::kBpe;
  const std::string version = members.TextOr("version", "1.0");
  if (version != "1.0") members.Unsupported("version", "'1.0'", "'" + version.substr(0, 40) + "'");
  members.Ignore("truncation");
  members.Ignore("padding");
  const ModelMembers model = ReadModel(members.Any("model"), path, vocabulary);
  if (!handler.has_vocab()) Corrupt(path, "model.vocab", "an object of pieces", "no such member");
  if (!handler.has_merges()) Corrupt(path, "model.merges", "a list", "no such member");
  vocabulary.normaliser = ParseNormaliser(members.AnyOrNull("normalizer"), path);
  vocabulary.pre_tokeniser = ParsePreTokeniser(members.AnyOrNull("pre_tokenizer"), path);
  vocabulary.decoder = ParseDecoder(members.AnyOrNull("decoder"), path);
  const TokenBefore before = ParseTokenBefore(members.AnyOrNull("post_processor"), path);
  AddTokens(members.AnyOrNull("added_tokens"), handler.pieces(), path, vocabulary);
  if (vocabulary.pieces.empty()) vocabulary.pieces = handler.pieces().Take();
  members.RefuseOthers();
  if (vocabulary.byte_fallback && vocabulary.IsByteLevel()) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot use tokenizer: {}: supported is model.byte_fallback or a "
                            "ByteLevel pre_tokenizer, found both",
                            path));
  }
  handler.merges().Resolve(vocabulary, path);
  SetTypes(vocabulary, path);
  SetSpecialIds(model, before, path, vocabulary);
  CheckVocabulary(vocabulary, path);
  return vocabulary;
}

}  // namespace moescope::files
