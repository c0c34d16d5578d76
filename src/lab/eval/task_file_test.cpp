// Files of questions: every shape as its data set has it, and what is said to those that are none.
#include "lab/eval/task_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "lab/eval/answer_number.h"
#include "lab/eval/csv_reader.h"
#include "lab/eval/task_shapes.h"

namespace moescope::lab {
namespace {

template <typename Function>
std::string MessageOf(Function function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(ExitCode(error.kind()), 2) << error.what();
    return error.what();
  }
  return "no error";
}

std::string ChoiceError(const std::string& text, const std::string& path = "t.jsonl",
                        const std::string& shape = "") {
  return MessageOf([&] { ParseChoiceTask(text, path, shape); });
}

ChoiceItem Only(const std::string& text, const std::string& shape) {
  const ChoiceTask task = ParseChoiceTask(text, "t.jsonl");
  EXPECT_EQ(task.shape, shape);
  EXPECT_EQ(task.items.size(), 1u);
  return task.items.front();
}

TEST(CsvReader, ReadsQuotedFieldsAndLineEnds) {
  const auto records = ParseCsv(
      "\xEF\xBB\xBF"
      "a,\"b, \"\"c\"\"\nd\",\r\n\n\"\",x\"y",
      "t.csv");
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].line, 1);
  EXPECT_EQ(records[0].fields, (std::vector<std::string>{"a", "b, \"c\"\nd", ""}));
  EXPECT_EQ(records[1].line, 4);
  EXPECT_EQ(records[1].fields, (std::vector<std::string>{"", "x\"y"}));
  EXPECT_TRUE(ParseCsv("", "t.csv").empty());
}

TEST(CsvReader, RefusesWhatIsNoCsvNamingTheLine) {
  EXPECT_EQ(MessageOf([] { ParseCsv("a\n\"b\nc", "t.csv"); }),
            "cannot read CSV: t.csv:2: expected a closing quote, found the end of the file");
  EXPECT_EQ(MessageOf([] { ParseCsv("\"a\"b,c", "t.csv"); }),
            "cannot read CSV: t.csv:1: expected a comma after a quoted field, found more of it");
  EXPECT_EQ(MessageOf([] { ParseCsv("a\nb\xFF", "t.csv"); }),
            "cannot read CSV: t.csv:2: expected UTF-8, found other bytes");
  EXPECT_EQ(MessageOf([] { ParseCsv(std::string(64, ','), "t.csv"); }),
            "cannot read CSV: t.csv:1: expected at most 64 fields, found more");
}

TEST(TaskFile, ReadsMmluAsCsvWithAndWithoutHeader) {
  for (const char* header : {"", "question,A,B,C,D,answer\n"}) {
    const ChoiceTask task = ParseChoiceTask(
        std::string(header) + "\"Two, and two? \",3,4,5,6,B\nSky?,red,green,blue,grey,C\n",
        "t.csv");
    EXPECT_EQ(task.shape, "mmlu");
    ASSERT_EQ(task.items.size(), 2u);
    EXPECT_EQ(task.items[0].Context(0), "Two, and two?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:");
    EXPECT_EQ(task.items[0].Continuation(1), " B");
    EXPECT_EQ(task.items[0].answer, 1);
    EXPECT_EQ(task.items[1].answer, 2);
  }
}

TEST(TaskFile, ReadsEveryShapeOfJsonLines) {
  const ChoiceItem cloze = Only(
      R"({"context":"It was","choices":[" late."," blue.",""],"answer":0,"unit":"u"})", "cloze");
  EXPECT_EQ(cloze.Context(2) + cloze.Continuation(0), "It was late.");
  EXPECT_EQ(cloze.unit, "u");

  const ChoiceItem mmlu = Only(R"({"question":"Q","choices":["x","y"],"answer":1})", "mmlu");
  EXPECT_EQ(mmlu.Context(0) + mmlu.Continuation(1), "Q\nA. x\nB. y\nAnswer: B");
  EXPECT_EQ(mmlu.answer, 1);

  const ChoiceItem hella =
      Only(R"({"activity_label":"Roof","ctx_a":"A man [step] sits.","ctx_b":"he Looks","ctx":"c",)"
           R"("endings":["up  [x]now","down"],"label":"1"})",
           "hellaswag");
  EXPECT_EQ(hella.Context(0), "Roof: A man sits. He looks");
  EXPECT_EQ(hella.Continuation(0), " up now");
  EXPECT_EQ(hella.answer, 1);

  for (const char* arc :
       {R"({"question":"Q","choices":{"text":["x","y"],"label":["1","2"]},"answerKey":"2"})",
        R"({"question":{"stem":"Q","choices":[{"text":"x","label":"1"},{"text":"y","label":"2"}]},)"
        R"("answerKey":"2"})"}) {
    const ChoiceItem item = Only(arc, "arc");
    EXPECT_EQ(item.Context(1) + item.Continuation(1), "Question: Q\nAnswer: y");
    EXPECT_EQ(item.answer, 1);
  }

  const ChoiceItem wino =
      Only(R"({"sentence":"The _ was too big.","option1":"cup","option2":"box","answer":"2"})",
           "winogrande");
  EXPECT_EQ(wino.Context(0) + wino.Continuation(0), "The cup was too big.");
  EXPECT_EQ(wino.Context(1), "The box");
  EXPECT_EQ(wino.answer, 1);

  const ChoiceItem piqa = Only(R"({"goal":"G","sol1":"x","sol2":"y","label":0})", "piqa");
  EXPECT_EQ(piqa.Context(0) + piqa.Continuation(0), "Question: G\nAnswer: x");

  for (const char* answer : {R"("answer":true)", R"("label":1)"}) {
    const ChoiceItem item =
        Only(std::string(R"({"question":"is it","passage":"P.",)") + answer + "}", "boolq");
    EXPECT_EQ(item.Context(0) + item.Continuation(1), "P.\nQuestion: is it?\nAnswer: yes");
    EXPECT_EQ(item.answer, 1);
  }
}

TEST(TaskFile, HashNamesTheBytes) {
  const std::string text = R"({"goal":"G","sol1":"x","sol2":"y","label":0})";
  EXPECT_EQ(ParseChoiceTask(text, "a.jsonl").hash, ParseChoiceTask(text, "b.jsonl").hash);
  EXPECT_NE(ParseChoiceTask(text, "a.jsonl").hash, ParseChoiceTask(text + "\n", "a.jsonl").hash);
}

TEST(TaskFile, RefusesBadLinesNamingFieldValueAndRange) {
  EXPECT_EQ(ChoiceError("Q,a,b,E\n", "t.csv"),
            "cannot read item: t.csv:1: answer: expected a letter from A to B, found 'E'");
  EXPECT_EQ(ChoiceError("Q,a\n", "t.csv"),
            "cannot read item: t.csv:1: expected a question, 2 to 26 choices and the answer's "
            "letter, found 2 fields");
  EXPECT_EQ(ChoiceError("\n{\"context\":\"c\",\"choices\":[\"a\",\"b\"],\"answer\":2}"),
            "cannot read item: t.jsonl:2: field 'answer': expected a number from 0 to 1, found 2");
  EXPECT_EQ(
      ChoiceError(R"({"context":"c","choices":[],"answer":0})"),
      "cannot read item: t.jsonl:1: field 'choices': expected a list of at least two choices, "
      "found a list");
  EXPECT_EQ(ChoiceError(R"({"context":"c","choices":["a",1],"answer":0})"),
            "cannot read item: t.jsonl:1: field 'choices': expected texts in the list, found 1");
  EXPECT_EQ(ChoiceError(R"({"endings":["a","b"],"ctx":"c","label":""})"),
            "cannot read item: t.jsonl:1: field 'label': expected a number from 0 to 1, found ''");
  EXPECT_EQ(ChoiceError(R"({"goal":"G","sol1":"x","sol2":"y"})"),
            "cannot read item: t.jsonl:1: field 'label': expected a number from 0 to 1, found no "
            "such field");
  EXPECT_EQ(ChoiceError(R"({"sentence":"No gap.","option1":"a","option2":"b","answer":"1"})"),
            "cannot read item: t.jsonl:1: field 'sentence': expected a gap '_', found none");
  EXPECT_EQ(ChoiceError(R"({"question":"Q","choices":{"text":["x","y"],"label":["A","B","C"]},)"
                        R"("answerKey":"A"})"),
            "cannot read item: t.jsonl:1: field 'choices.label': expected 2 labels, found 3");
  EXPECT_EQ(ChoiceError(R"({"question":"Q","choices":{"text":["x","y"],"label":["A","B"]},)"
                        R"("answerKey":"C"})"),
            "cannot read item: t.jsonl:1: field 'answerKey': expected one of A, B, found 'C'");
  EXPECT_NE(ChoiceError(R"({"text":"x"})").find("t.jsonl:1: expected the fields of a task"),
            std::string::npos);
  EXPECT_EQ(ChoiceError("[1]"),
            "cannot read item: t.jsonl:1: expected a JSON object, found a list");
  EXPECT_NE(ChoiceError("{\"context\":\n").find("t.jsonl:1"), std::string::npos);
  EXPECT_EQ(ChoiceError(" \n"),
            "cannot read task: t.jsonl: expected at least one item, found none");
  EXPECT_EQ(ChoiceError("question,A,B,answer\n", "t.csv"),
            "cannot read task: t.csv: expected at least one item, found none");
  EXPECT_NE(ChoiceError("x", "t.jsonl", "sat").find("--task sat: expected one of cloze, mmlu, "),
            std::string::npos);
  EXPECT_NE(ChoiceError("Q,a,b,A\n", "t.csv", "arc").find("expected .jsonl"), std::string::npos);
}

TEST(TaskFile, RefusesADeepRecordWithoutRecursion) {
  EXPECT_NE(ChoiceError(std::string(1 << 20, '[')).find("t.jsonl:1"), std::string::npos);
}

TEST(TaskFile, ReadsAnswersThatEndInANumber) {
  const AnswerTask task =
      ParseAnswerTask(R"({"question":"How many?","answer":"6 times 200.\n#### 1,200"})", "t.jsonl");
  EXPECT_EQ(task.items[0].number, "1200");
  EXPECT_EQ(MessageOf([] { ParseAnswerTask(R"({"question":"Q","answer":"7"})", "t.jsonl"); }),
            "cannot read item: t.jsonl:1: field 'answer': expected '#### NUMBER' at its end, found "
            "none");
}

TEST(AnswerNumber, IsWhatFollowsTheMarkOrTheLastOne) {
  EXPECT_EQ(MarkedNumber("so 3.\n#### -1,234.50."), "-1234.50");
  EXPECT_EQ(MarkedNumber("#### none #### 5"), "5");
  EXPECT_EQ(MarkedNumber("it is 5"), "");
  EXPECT_EQ(LastNumber("first 3, then $1,200."), "1200");
  EXPECT_EQ(LastNumber("minus -7 and"), "-7");
  EXPECT_EQ(LastNumber("nothing ..."), "");
}

}  // namespace
}  // namespace moescope::lab
