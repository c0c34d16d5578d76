#include "files/folder_vocabulary.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/json_members.h"
#include "files/limits.h"
#include "files/tokenizer_json.h"

namespace moescope::files {
namespace {

constexpr const char* kModelName = "tokenizer.model";
constexpr const char* kJsonName = "tokenizer.json";
constexpr const char* kConfigName = "tokenizer_config.json";

using VocabularyPointer = std::shared_ptr<const Vocabulary>;

VocabularyPointer ReadModel(const Folder& folder) {
  return std::make_shared<const Vocabulary>(ParseSentencePieceModel(
      folder.ReadText(kModelName, kMaxTokenizerModelBytes), folder.PathOf(kModelName)));
}

// The id of the piece that `text` names.
int IdOfText(const Vocabulary& vocabulary, const JsonMembers& config, const std::string& key,
             const std::string& text) {
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.pieces[id].text == text && vocabulary.pieces[id].type != PieceType::kUnused) {
      return static_cast<int>(id);
    }
  }
  config.Unsupported(key, "a piece of tokenizer.json", "'" + text.substr(0, 60) + "'");
}

// bos_token and eos_token are null, a text, or an object with the text as its content.
int SpecialId(const Vocabulary& vocabulary, JsonMembers& config, const std::string& key) {
  const JsonValue& value = config.AnyOrNull(key);
  if (value.IsNull()) return -1;
  if (value.kind == JsonValue::Kind::kString) {
    return IdOfText(vocabulary, config, key, value.text);
  }
  JsonMembers token(value, key, config.path());
  return IdOfText(vocabulary, config, key, token.Text("content"));
}

// An id of the configuration, if the vocabulary has it.
int IdOrNone(const Vocabulary& vocabulary, int id) {
  return id >= 0 && id < static_cast<int>(vocabulary.pieces.size()) ? id : -1;
}

}  // namespace

Vocabulary ReadFolderTokenizerJson(const Folder& folder, int config_bos, int config_eos) {
  Vocabulary vocabulary = ParseTokenizerJson(folder.ReadText(kJsonName, kMaxTokenizerJsonBytes),
                                             folder.PathOf(kJsonName));
  const int template_bos = vocabulary.bos_id;
  if (template_bos < 0) vocabulary.bos_id = IdOrNone(vocabulary, config_bos);
  vocabulary.eos_id = IdOrNone(vocabulary, config_eos);
  if (!folder.Has(kConfigName)) return vocabulary;
  const std::string path = folder.PathOf(kConfigName);
  const JsonValue tree = ReadJsonTree(folder.ReadText(kConfigName, kMaxTokenizerConfigBytes), path);
  JsonMembers config(tree, "", path);
  if (template_bos < 0 && config.Has("bos_token")) {
    vocabulary.bos_id = SpecialId(vocabulary, config, "bos_token");
  }
  if (config.Has("eos_token")) vocabulary.eos_id = SpecialId(vocabulary, config, "eos_token");
  vocabulary.adds_bos =
      config.Boolean("add_bos_token", vocabulary.adds_bos) && vocabulary.bos_id >= 0;
  return vocabulary;
}

void AddFolderVocabulary(const Folder& folder, CheckpointBuilder& builder) {
  const bool has_json = folder.Has(kJsonName);
  if (folder.Has(kModelName)) {
    try {
      return builder.SetVocabulary(ReadModel(folder));
    } catch (const Error& error) {
      // Other tokenizers have files of this name too.
      const bool other = error.kind() == ErrorKind::kUnsupported ||
                         (error.kind() == ErrorKind::kCorrupt && has_json);
      if (!other) throw;
      builder.SetTokenizerNote(error.what());
    }
  } else if (!has_json) {
    builder.SetTokenizerNote(
        fmt::format("{} has no tokenizer.model and no tokenizer.json", folder.path()));
  }
  if (!has_json) return;
  try {
    builder.SetVocabulary(std::make_shared<const Vocabulary>(
        ReadFolderTokenizerJson(folder, builder.config().bos_id, builder.config().eos_id)));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    builder.SetTokenizerNote(error.what());
  }
}

}  // namespace moescope::files
