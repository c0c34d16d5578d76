#include "files/chat_template_source.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moescope::files {
namespace {

using Contents = std::map<std::string, std::string>;

std::optional<std::string> Find(const Contents& contents) {
  return FindChatTemplate(*MakeMemoryFolder("model", contents));
}

ChatTokens Tokens(const std::string& config) {
  return FindChatTokens(*MakeMemoryFolder("model", {{"tokenizer_config.json", config}}));
}

std::string ErrorOf(const std::string& config) {
  try {
    Find({{"tokenizer_config.json", config}});
    Tokens(config);
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "accepted";
}

TEST(ChatTemplateSource, PrefersTheFileOfItsOwn) {
  const std::string config = R"({"chat_template": "from config"})";
  EXPECT_EQ(Find({{"chat_template.jinja", "from file\n"}, {"tokenizer_config.json", config}}),
            "from file\n");
  EXPECT_EQ(Find({{"tokenizer_config.json", config}}), "from config");
}

TEST(ChatTemplateSource, TakesTheOneNamedDefault) {
  EXPECT_EQ(Find({{"tokenizer_config.json",
                   R"({"chat_template": [{"name": "rag", "template": "r"},
                                         {"name": "default", "template": "d"}]})"}}),
            "d");
  EXPECT_EQ(
      Find({{"tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"}]})"}}),
      std::nullopt);
}

TEST(ChatTemplateSource, FindsNothingWhereThereIsNothing) {
  EXPECT_EQ(Find({}), std::nullopt);
  EXPECT_EQ(Find({{"tokenizer_config.json", "{}"}}), std::nullopt);
  EXPECT_EQ(Find({{"tokenizer_config.json", R"({"chat_template": null})"}}), std::nullopt);
  EXPECT_EQ(FindChatTokens(*MakeMemoryFolder("model", {})).bos_token, std::nullopt);
}

TEST(ChatTemplateSource, ReadsTokensAsTextsOrObjects) {
  const ChatTokens tokens =
      Tokens(R"({"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>"})");
  EXPECT_EQ(tokens.bos_token, "<s>");
  EXPECT_EQ(tokens.eos_token, "</s>");
  EXPECT_EQ(Tokens(R"({"bos_token": null})").bos_token, std::nullopt);
}

TEST(ChatTemplateSource, RefusesWhatItCannotMean) {
  for (const char* config :
       {"[]", "3", R"({"chat_template": 3})", R"({"chat_template": [3]})",
        R"({"chat_template": [{"name": "default"}]})", R"({"chat_template": {"a": "b"}})",
        R"({"bos_token": 3})", R"({"eos_token": {"text": "x"}})", R"({"eos_token": ["x"]})"}) {
    const std::string error = ErrorOf(config);
    EXPECT_TRUE(error.starts_with("bad input: ")) << config << ": " << error;
    EXPECT_NE(error.find("model/tokenizer_config.json"), std::string::npos) << error;
  }
  for (const char* config : {"", "{", R"({"a": 1, "a": 2})", "{\"a\": \"\xff\"}"}) {
    EXPECT_TRUE(ErrorOf(config).starts_with("corrupt")) << config << ": " << ErrorOf(config);
  }
}

TEST(ChatTemplateSource, RefusesFilesBeyondTheirLimits) {
  const std::string large((1 << 20) + 1, ' ');
  EXPECT_THROW(Find({{"chat_template.jinja", large}}), Error);
  EXPECT_TRUE(ErrorOf(std::string((16 << 20) + 1, ' ')).starts_with("bad input"));
}

}  // namespace
}  // namespace moescope::files
