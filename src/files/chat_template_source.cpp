#include "files/chat_template_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/json_events.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

using nlohmann::json;

constexpr const char* kTemplateFile = "chat_template.jinja";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";

[[noreturn]] void Refuse(const Folder& folder, const char* key, std::string_view expected,
                         const json& found) {
  throw Error(ErrorKind::kBadInput,
              fmt::format("cannot use {}: {}: {}: expected {}, found {}", kTokenizerConfig,
                          folder.PathOf(kTokenizerConfig), key, expected, found.type_name()));
}

// The configuration, or null when there is none.
json ReadConfig(const Folder& folder) {
  if (!folder.Has(kTokenizerConfig)) return nullptr;
  const std::string text = folder.ReadText(kTokenizerConfig, kMaxTokenizerConfigBytes);
  CheckJson(text, folder.PathOf(kTokenizerConfig));
  json config = json::parse(text);
  if (!config.is_object()) Refuse(folder, "the file", "an object", config);
  return config;
}

// Several templates: each {name, template}.
std::optional<std::string> DefaultOf(const Folder& folder, const json& list) {
  for (const json& entry : list) {
    const bool named = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                       entry.contains("template") && entry["template"].is_string();
    if (!named) Refuse(folder, "chat_template", "a list of {name, template}", entry);
    if (entry["name"] == "default") return entry["template"].get<std::string>();
  }
  return std::nullopt;
}

std::optional<std::string> TokenOf(const Folder& folder, const json& config, const char* key) {
  const auto at = config.find(key);
  if (at == config.end() || at->is_null()) return std::nullopt;
  if (at->is_string()) return at->get<std::string>();
  const bool has_content =
      at->is_object() && at->contains("content") && (*at)["content"].is_string();
  if (!has_content) Refuse(folder, key, "a string or an object with `content`", *at);
  return (*at)["content"].get<std::string>();
}

}  // namespace

std::optional<std::string> FindChatTemplate(const Folder& folder) {
  if (folder.Has(kTemplateFile)) return folder.ReadText(kTemplateFile, kMaxChatTemplateBytes);
  const json config = ReadConfig(folder);
  if (!config.is_object()) return std::nullopt;
  const auto at = config.find("chat_template");
  if (at == config.end() || at->is_null()) return std::nullopt;
  if (at->is_string()) return at->get<std::string>();
  if (at->is_array()) return DefaultOf(folder, *at);
  Refuse(folder, "chat_template", "a string or a list of {name, template}", *at);
}

ChatTokens FindChatTokens(const Folder& folder) {
  const json config = ReadConfig(folder);
  if (!config.is_object()) return {};
  return {TokenOf(folder, config, "bos_token"), TokenOf(folder, config, "eos_token")};
}

}  // namespace moescope::files
