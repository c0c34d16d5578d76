#include "text/record_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "text/chat_template.h"

namespace moescope::text {
namespace {

DataSpec Spec(const std::string& text_template = "", const std::string& unit_field = "") {
  return {.name = "set", .path = {}, .unit_field = unit_field, .text_template = text_template};
}

Document Read(const DataSpec& spec, const std::string& json) {
  Document document;
  EXPECT_TRUE(RecordReader(spec).Read(json, "dir/f.jsonl:3", "f.jsonl:3", document)) << json;
  return document;
}

void ExpectError(const DataSpec& spec, const std::string& json, ErrorKind kind,
                 const std::string& part) {
  Document document;
  try {
    RecordReader(spec).Read(json, "dir/f.jsonl:3", "f.jsonl:3", document);
    ADD_FAILURE() << "no error for " << json;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("dir/f.jsonl:3"), std::string::npos) << error.what();
  }
}

TEST(RecordReader, TakesTextAndNamesTheDocumentByItsPlace) {
  const Document document =
      Read(Spec(), R"({"label": 1, "text": "a\r\nb\rc", "x": [{"text": 2}]})");
  EXPECT_EQ(document.text, "a\nb\rc");
  EXPECT_EQ(document.dataset, "set");
  EXPECT_EQ(document.source, "f.jsonl:3");
  EXPECT_EQ(document.unit, "f.jsonl:3");
}

TEST(RecordReader, KeepsCarriageReturnsWhenRaw) {
  DataSpec spec = Spec();
  spec.raw = true;
  EXPECT_EQ(Read(spec, R"({"text": "a\r\nb"})").text, "a\r\nb");
}

TEST(RecordReader, TakesTokensAsTheyAre) {
  const Document document = Read(Spec(), R"({"tokens": [1, 70000, 0], "text": "ignored"})");
  EXPECT_TRUE(document.has_tokens);
  EXPECT_EQ(document.tokens, (std::vector<int32_t>{1, 70000, 0}));
  EXPECT_TRUE(document.text.empty());
  // A count or a list of words beside a text is not ids.
  EXPECT_EQ(Read(Spec(), R"({"tokens": 17, "text": "b"})").text, "b");
  EXPECT_EQ(Read(Spec(), R"({"tokens": ["b", "c"], "text": "b c"})").text, "b c");
  EXPECT_EQ(Read(Spec(), R"({"tokens": [[1]], "text": "b"})").text, "b");
}

TEST(RecordReader, TakesTheUnitFromUnitThenSourceThenPlace) {
  EXPECT_EQ(Read(Spec(), R"({"text": "a", "source": "book"})").unit, "book");
  EXPECT_EQ(Read(Spec(), R"({"text": "a", "source": "book"})").source, "book");
  EXPECT_EQ(Read(Spec(), R"({"text": "a", "source": "book", "unit": 12})").unit, "12");
  EXPECT_EQ(Read(Spec("", "repo"), R"({"text": "a", "unit": "u", "repo": "r"})").unit, "r");
  EXPECT_EQ(Read(Spec("", "-"), R"({"text": "a", "unit": "u"})").unit, "set");
  ExpectError(Spec("", "repo"), R"({"text": "a"})", ErrorKind::kBadInput, "'repo'");
}

TEST(RecordReader, FillsATemplateFromAnyFields) {
  const DataSpec spec = Spec(R"({instruction}\n{context}\n\{{n}\}{ok})");
  EXPECT_EQ(
      Read(spec, R"({"n": -1.50, "ok": true, "context": null, "instruction": "Do {x}"})").text,
      "Do {x}\n\n{-1.50}true");
  ExpectError(spec, R"({"instruction": "a", "context": "b", "n": 1})", ErrorKind::kBadInput,
              "'ok'");
  ExpectError(spec, R"({"instruction": ["a"], "context": "b", "n": 1, "ok": 1})",
              ErrorKind::kBadInput, "'instruction'");
}

TEST(RecordReader, TakesTextsOfManyMegabytes) {
  const std::string text(5 << 20, 'a');
  EXPECT_EQ(Read(Spec(), R"({"text": ")" + text + R"("})").text, text);
}

TEST(RecordReader, SaysNothingIsThereForAnEmptyText) {
  Document document;
  EXPECT_FALSE(RecordReader(Spec()).Read(R"({"text": ""})", "f:1", "f:1", document));
  EXPECT_FALSE(RecordReader(Spec()).Read(R"({"tokens": []})", "f:1", "f:1", document));
}

TEST(RecordReader, RefusesWhatIsNotADocument) {
  ExpectError(Spec(), R"({"messages": []})", ErrorKind::kUnsupported, "messages");
  ExpectError(Spec(), R"({"txt": "a", "id": 1})", ErrorKind::kBadInput, "[txt, id]");
  ExpectError(Spec(), R"({"text": null})", ErrorKind::kBadInput, "found null");
  ExpectError(Spec(), R"({"text": 3})", ErrorKind::kBadInput, "a number");
  ExpectError(Spec(), R"(["text"])", ErrorKind::kBadInput, "JSON object");
  ExpectError(Spec(), R"([{"text": "a"}])", ErrorKind::kBadInput, "JSON object");
  ExpectError(Spec(), R"("text")", ErrorKind::kBadInput, "JSON object");
}

TEST(RecordReader, RefusesBrokenJson) {
  const std::string deep(65, '[');
  for (const std::string& json :
       {std::string(R"({"text": "a")"), std::string("{\"text\": \"\xff\"}"),
        std::string(R"({"text": "\ud800"})"), std::string(R"({"text": "a"} x)"),
        std::string(R"({"text": "a", "text": "b"})"), "{\"x\": " + deep,
        "{\"x\": " + deep + std::string(65, ']') + ", \"text\": \"a\"}"}) {
    ExpectError(Spec(), json, ErrorKind::kCorrupt, "cannot read JSON");
  }
}

DataSpec ChatSpec() {
  DataSpec spec = Spec();
  spec.chat_template = std::make_shared<const ChatTemplate>(
      "{{ bos_token }}{% for m in messages %}"
      "{% if m.role == 'critic' %}{{ raise_exception('no critics') }}{% endif %}"
      "<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"
      "{% if tools %}{{ tools | tojson }}{% endif %}",
      "chat_template.jinja");
  spec.bos_token = "<s>";
  spec.eos_token = "</s>";
  return spec;
}

TEST(RecordReader, WritesMessagesThroughTheChatTemplate) {
  const Document document = Read(ChatSpec(), R"({"id": {"role": [1]}, "messages": [
      {"role": "user", "content": "Hi\r\nyou", "weight": 1.5}, {"content": "Yes", "role": "assistant"}],
      "source": "talk"})");
  EXPECT_EQ(document.text, "<s><|user|>Hi\nyou</s><|assistant|>Yes</s>");
  EXPECT_TRUE(document.has_specials);
  EXPECT_FALSE(document.has_tokens);
  EXPECT_EQ(document.source, "talk");
}

TEST(RecordReader, HandsToolsToTheChatTemplate) {
  EXPECT_EQ(Read(ChatSpec(),
                 R"({"tools": [{"b": 1, "a": -2}], "messages": [{"role": "r", "content": ""}]})")
                .text,
            R"(<s><|r|></s>[{"b": 1, "a": -2}])");
}

TEST(RecordReader, PrefersTemplateThenTokensThenTextToMessages) {
  const std::string messages = R"("messages": [{"role": "user", "content": "m"}])";
  DataSpec spec = ChatSpec();
  EXPECT_EQ(Read(spec, R"({"text": "t", )" + messages + "}").text, "t");
  EXPECT_FALSE(Read(spec, R"({"text": "t", )" + messages + "}").has_specials);
  EXPECT_TRUE(Read(spec, R"({"tokens": [1], "text": "t", )" + messages + "}").has_tokens);
  EXPECT_EQ(Read(spec, R"({"text": null, )" + messages + "}").text, "<s><|user|>m</s>");
  spec.text_template = "{text}!";
  EXPECT_EQ(Read(spec, R"({"text": "t", )" + messages + "}").text, "t!");
  // What a text stands beside is not looked at.
  EXPECT_EQ(Read(ChatSpec(), R"({"text": "t", "messages": 99999999999999999999})").text, "t");
}

TEST(RecordReader, RefusesMessagesThatAreNoConversation) {
  for (const char* messages : {"3", "\"x\"", "{}", "null", "[3]", "[{}]", R"([{"role": 3}])",
                               R"([{"role": "user", "content": "x"}, []])"}) {
    ExpectError(ChatSpec(), fmt::format(R"({{"messages": {}}})", messages), ErrorKind::kBadInput,
                "'messages': expected an array of objects");
  }
  ExpectError(ChatSpec(), R"({"messages": [{"role": "critic", "content": "x"}]})",
              ErrorKind::kBadInput, "chat_template.jinja:1: the template says: no critics");
  Document document;
  EXPECT_FALSE(RecordReader(ChatSpec()).Read(R"({"messages": []})", "f:1", "f:1", document));
}

TEST(RecordReader, SaysWhatIsMissingWhenTheModelHasNoChatTemplate) {
  ExpectError(Spec(), R"({"messages": [{"role": "user", "content": "x"}]})",
              ErrorKind::kUnsupported, "--template");
}

TEST(TextTemplate, RefusesWhatCannotBeMeant) {
  for (const char* pattern : {"", "plain", "{", "{}", "{a", "a}", "{a{b}}", "\\", "{a}\\x"}) {
    EXPECT_THROW(TextTemplate{pattern}, Error) << pattern;
  }
}

}  // namespace
}  // namespace moescope::text
