#include "files/tokenizer_steps.h"

#include <fmt/format.h>

#include "base/error.h"
#include "files/json_members.h"
#include "files/limits.h"

namespace moescope::files {
namespace {

using Behaviour = PreTokeniserStep::Behaviour;
using Prefix = PreTokeniserStep::Prefix;

struct Part {
  const JsonValue* value;
  std::string where;
};

// The steps of a part: itself, or those of sequences inside sequences, in order. No recursion: the
// depth of a file is bounded, but not by what the stack of a caller holds.
std::vector<Part> Flatten(const JsonValue& value, const std::string& where,
                          const std::string& list_key, const std::string& path) {
  std::vector<Part> parts;
  std::vector<Part> todo = {{&value, where}};
  while (!todo.empty()) {
    Part part = std::move(todo.back());
    todo.pop_back();
    JsonMembers members(*part.value, part.where, path);
    if (members.Text("type") != "Sequence") {
      parts.push_back(std::move(part));
      if (parts.size() > kMaxTokenizerSteps) {
        members.Unsupported("", fmt::format("at most {} steps", kMaxTokenizerSteps), "more");
      }
      continue;
    }
    const std::vector<JsonValue>& items = members.List(list_key);
    members.RefuseOthers();
    if (items.size() > kMaxTokenizerSteps) {
      members.Unsupported(list_key, fmt::format("at most {} steps", kMaxTokenizerSteps), "more");
    }
    for (size_t i = items.size(); i-- > 0;) {
      todo.push_back({&items[i], fmt::format("{}.{}[{}]", part.where, list_key, i)});
    }
  }
  return parts;
}

// A text that takes part in cutting: not empty and not a book.
std::string StepText(JsonMembers& members, const std::string& key) {
  std::string text = members.Text(key);
  if (text.size() > kMaxStepTextBytes) {
    members.Unsupported(key, fmt::format("at most {} bytes", kMaxStepTextBytes),
                        std::to_string(text.size()));
  }
  return text;
}

std::string NonEmptyText(JsonMembers& members, const std::string& key) {
  std::string text = StepText(members, key);
  if (text.empty()) members.Unsupported(key, "a text", "an empty one");
  return text;
}

// {"String": text} or {"Regex": expression}.
std::string Pattern(JsonMembers& members, bool& is_regex) {
  JsonMembers pattern(members.Any("pattern"), members.Where("pattern"), members.path());
  is_regex = pattern.Has("Regex");
  std::string text = NonEmptyText(pattern, is_regex ? "Regex" : "String");
  pattern.RefuseOthers();
  return text;
}

std::string PlainPattern(JsonMembers& members) {
  bool is_regex = false;
  std::string text = Pattern(members, is_regex);
  if (is_regex) members.Unsupported("pattern", "a plain String", "a Regex");
  return text;
}

bool IsOneCharacter(const std::string& text) {
  size_t n = 0;
  for (char c : text) n += (static_cast<uint8_t>(c) & 0xc0) != 0x80 ? 1 : 0;
  return n == 1;
}

std::string Character(JsonMembers& members, const std::string& key) {
  std::string text = members.Text(key);
  if (!IsOneCharacter(text)) members.Corrupt(key, "one character", "'" + text.substr(0, 40) + "'");
  return text;
}

NormaliserStep ParseNormaliserStep(JsonMembers& members) {
  using Kind = NormaliserStep::Kind;
  NormaliserStep step;
  const std::string type = members.Text("type");
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    step.kind = type == "NFC"    ? Kind::kNfc
                : type == "NFD"  ? Kind::kNfd
                : type == "NFKC" ? Kind::kNfkc
                                 : Kind::kNfkd;
  } else if (type == "Prepend") {
    step.kind = Kind::kPrepend;
    step.text = StepText(members, "prepend");
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    step.text = PlainPattern(members);
    step.replacement = StepText(members, "content");
  } else if (type == "Lowercase") {
    step.kind = Kind::kLowercase;
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    step.left = members.Boolean("strip_left");
    step.right = members.Boolean("strip_right");
  } else {
    members.Unsupported("type",
                        "NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip, Sequence",
                        "'" + type.substr(0, 60) + "'");
  }
  members.RefuseOthers();
  return step;
}

Behaviour ParseBehaviour(JsonMembers& members) {
  const std::string name = members.Text("behavior");
  if (name == "Removed") return Behaviour::kRemoved;
  if (name == "Isolated") return Behaviour::kIsolated;
  if (name == "MergedWithPrevious") return Behaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behaviour::kMergedWithNext;
  if (name == "Contiguous") return Behaviour::kContiguous;
  members.Corrupt("behavior", "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
                  "'" + name.substr(0, 60) + "'");
}

// Older files say add_prefix_space, newer ones prepend_scheme, some both.
Prefix ParsePrependScheme(JsonMembers& members) {
  const bool old_says_never = !members.Boolean("add_prefix_space", true);
  const std::string scheme = members.TextOr("prepend_scheme", old_says_never ? "never" : "always");
  if (old_says_never && scheme != "never") {
    members.Corrupt("prepend_scheme", "'never' beside add_prefix_space false",
                    "'" + scheme.substr(0, 60) + "'");
  }
  if (scheme == "never") return Prefix::kNever;
  if (scheme == "first") return Prefix::kFirst;
  if (scheme == "always") return Prefix::kAlways;
  members.Corrupt("prepend_scheme", "first, always or never", "'" + scheme.substr(0, 60) + "'");
}

// What both the pre-tokeniser and the decoder of this name have.
PreTokeniserStep ParseMetaspace(JsonMembers& members) {
  PreTokeniserStep step;
  step.kind = PreTokeniserStep::Kind::kMetaspace;
  step.pattern = Character(members, "replacement");
  if (members.TextOr("str_rep", step.pattern) != step.pattern) {
    members.Corrupt("str_rep", "the replacement", "another text");
  }
  step.prefix = ParsePrependScheme(members);
  step.split = members.Boolean("split", true);
  return step;
}

// What pre-tokeniser, post-processor and decoder of this name have.
PreTokeniserStep ParseByteLevel(JsonMembers& members) {
  PreTokeniserStep step;
  step.kind = PreTokeniserStep::Kind::kByteLevel;
  step.prefix = members.Boolean("add_prefix_space") ? Prefix::kAlways : Prefix::kNever;
  step.split = members.Boolean("use_regex", true);
  members.Boolean("trim_offsets");  // of HF's offsets, which are not ours
  return step;
}

PreTokeniserStep ParsePreTokeniserStep(JsonMembers& members) {
  PreTokeniserStep step;
  const std::string type = members.Text("type");
  if (type == "Split") {
    step.kind = PreTokeniserStep::Kind::kSplit;
    step.pattern = Pattern(members, step.is_regex);
    step.behaviour = ParseBehaviour(members);
    step.invert = members.Boolean("invert");
  } else if (type == "Digits") {
    step.kind = PreTokeniserStep::Kind::kDigits;
    step.behaviour =
        members.Boolean("individual_digits") ? Behaviour::kIsolated : Behaviour::kContiguous;
  } else if (type == "Metaspace") {
    step = ParseMetaspace(members);
  } else if (type == "ByteLevel") {
    step = ParseByteLevel(members);
  } else {
    members.Unsupported("type", "Split, Digits, Metaspace, ByteLevel, Sequence",
                        "'" + type.substr(0, 60) + "'");
  }
  members.RefuseOthers();
  return step;
}

DecoderStep ParseDecoderStep(JsonMembers& members) {
  using Kind = DecoderStep::Kind;
  DecoderStep step;
  const std::string type = members.Text("type");
  if (type == "ByteLevel") {
    ParseByteLevel(members);
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    step.text = PlainPattern(members);
    step.replacement = StepText(members, "content");
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
  } else if (type == "Fuse") {
    step.kind = Kind::kFuse;
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    step.text = Character(members, "content");
    const uint64_t start = members.Unsigned("start", UINT32_MAX);
    const uint64_t stop = members.Unsigned("stop", UINT32_MAX);
    // More than one, or the end, would need tokens that are yet to come.
    if (start > 1) members.Unsupported("start", "0 or 1", std::to_string(start));
    if (stop > 0) members.Unsupported("stop", "0", std::to_string(stop));
    step.drops_first = start == 1;
  } else if (type == "Metaspace") {
    PreTokeniserStep same = ParseMetaspace(members);
    step.kind = Kind::kMetaspace;
    step.text = same.pattern;
    step.drops_first = same.prefix != Prefix::kNever;
  } else {
    members.Unsupported("type",
                        "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence",
                        "'" + type.substr(0, 60) + "'");
  }
  members.RefuseOthers();
  return step;
}

// Decoding goes token by token, so steps must come in an order that allows it: one ByteLevel or
// Metaspace alone, or Replace... ByteFallback? Fuse? Strip?.
void CheckDecoderOrder(const std::vector<DecoderStep>& steps, const std::string& path) {
  using Kind = DecoderStep::Kind;
  int stage = 0;
  bool fused = false;
  for (const DecoderStep& step : steps) {
    const bool alone = step.kind == Kind::kByteLevel || step.kind == Kind::kMetaspace;
    const int own = step.kind == Kind::kReplace        ? 1
                    : step.kind == Kind::kByteFallback ? 2
                    : step.kind == Kind::kFuse         ? 3
                                                       : 4;
    fused = fused || step.kind == Kind::kFuse;
    const bool again = own == stage && own != 1;
    const bool good = alone ? steps.size() == 1 : own >= stage && !again;
    if (good && (step.kind != Kind::kStrip || fused)) {
      stage = own;
      continue;
    }
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("cannot use tokenizer: {}: decoder: supported is ByteLevel or Metaspace "
                    "alone, or Replace, ByteFallback, Fuse and Strip in this order, found others",
                    path));
  }
}

}  // namespace

std::vector<NormaliserStep> ParseNormaliser(const JsonValue& value, const std::string& path) {
  std::vector<NormaliserStep> steps;
  if (value.IsNull()) return steps;
  for (const Part& part : Flatten(value, "normalizer", "normalizers", path)) {
    JsonMembers members(*part.value, part.where, path);
    steps.push_back(ParseNormaliserStep(members));
  }
  return steps;
}

std::vector<PreTokeniserStep> ParsePreTokeniser(const JsonValue& value, const std::string& path) {
  std::vector<PreTokeniserStep> steps;
  if (value.IsNull()) return steps;
  const std::vector<Part> parts = Flatten(value, "pre_tokenizer", "pretokenizers", path);
  for (const Part& part : parts) {
    JsonMembers members(*part.value, part.where, path);
    steps.push_back(ParsePreTokeniserStep(members));
    // Behind it the text is no longer a text.
    if (steps.back().kind == PreTokeniserStep::Kind::kByteLevel && &part != &parts.back()) {
      members.Unsupported("type", "ByteLevel as the last step", "steps behind it");
    }
  }
  return steps;
}

std::vector<DecoderStep> ParseDecoder(const JsonValue& value, const std::string& path) {
  std::vector<DecoderStep> steps;
  if (value.IsNull()) return steps;
  for (const Part& part : Flatten(value, "decoder", "decoders", path)) {
    JsonMembers members(*part.value, part.where, path);
    steps.push_back(ParseDecoderStep(members));
  }
  CheckDecoderOrder(steps, path);
  return steps;
}

namespace {

// The name in {"SpecialToken": {"id": name, "type_id": 0}}, "" for a {"Sequence": ...}.
std::string SpecialTokenOf(const JsonValue& item, const std::string& where,
                           const std::string& path) {
  JsonMembers members(item, where, path);
  const char* key = members.Has("SpecialToken") ? "SpecialToken" : "Sequence";
  JsonMembers piece(members.Any(key), members.Where(key), path);
  const std::string id = piece.Text("id");
  piece.Unsigned("type_id", UINT32_MAX);
  piece.RefuseOthers();
  members.RefuseOthers();
  if (key == std::string_view("Sequence") && id != "A" && id != "B") {
    piece.Corrupt("id", "A or B", "'" + id.substr(0, 40) + "'");
  }
  return key == std::string_view("SpecialToken") ? id : "";
}

// The id that {name: {"id": name, "ids": [1], "tokens": [name]}} gives a name.
int32_t TemplateTokenId(JsonMembers& members, const std::string& name) {
  JsonMembers all(members.Any("special_tokens"), members.Where("special_tokens"), members.path());
  if (name.empty()) return -1;
  JsonMembers token(all.Any(name), all.Where(name), members.path());
  token.Text("id");
  token.List("tokens");
  const std::vector<JsonValue>& ids = token.List("ids");
  token.RefuseOthers();
  if (ids.size() != 1 || ids[0].kind != JsonValue::Kind::kUnsigned ||
      ids[0].number >= static_cast<uint64_t>(kMaxVocabSize)) {
    token.Unsupported("ids", "a list of one id", "another value");
  }
  return static_cast<int32_t>(ids[0].number);
}

TokenBefore TokenBeforeSequence(JsonMembers& members) {
  const std::vector<JsonValue>& items = members.List("single");
  TokenBefore before;
  bool seen = false;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", members.Where("single"), i);
    const std::string name = SpecialTokenOf(items[i], where, members.path());
    seen = seen || name.empty();
    if (seen) continue;
    if (!before.text.empty()) members.Unsupported("single", "one token before the text", "several");
    before.text = name;
  }
  if (!seen) members.Corrupt("single", "a Sequence", "none");
  members.List("pair");  // of two texts: not used here
  before.id = TemplateTokenId(members, before.text);
  return before;
}

}  // namespace

TokenBefore ParseTokenBefore(const JsonValue& value, const std::string& path) {
  TokenBefore before;
  if (value.IsNull()) return before;
  for (const Part& part : Flatten(value, "post_processor", "processors", path)) {
    JsonMembers members(*part.value, part.where, path);
    const std::string type = members.Text("type");
    if (type == "ByteLevel") {
      ParseByteLevel(members);
    } else if (type == "TemplateProcessing") {
      const TokenBefore token = TokenBeforeSequence(members);
      if (!token.text.empty() && !before.text.empty()) {
        members.Unsupported("single", "one token before the text", "several");
      }
      if (!token.text.empty()) before = token;
    } else {
      members.Unsupported("type", "ByteLevel, TemplateProcessing, Sequence",
                          "'" + type.substr(0, 60) + "'");
    }
    members.RefuseOthers();
  }
  return before;
}

}  // namespace moescope::files
