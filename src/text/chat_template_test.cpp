#include "text/chat_template.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>

#include "base/error.h"

namespace moescope::text {
namespace {

// Sanitizers cost several times the time and memory.
#if defined(_GLIBCXX_ASSERTIONS)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

ChatValue Message(const std::string& role, const std::string& content) {
  return ChatValue(ChatValue::Dict{{"role", ChatValue(role)}, {"content", ChatValue(content)}});
}

ChatRequest Conversation() {
  ChatRequest request;
  request.messages = ChatValue::List{Message("system", " Be kind. "), Message("user", "Hi\nthere"),
                                     Message("assistant", "Hello <b>")};
  request.bos_token = "<s>";
  request.eos_token = "</s>";
  return request;
}

std::string Render(const std::string& source, const ChatRequest& request = Conversation()) {
  return ChatTemplate(source).Render(request);
}

// The error of a template, as "kind: message"; what it writes otherwise.
std::string ErrorOf(const std::string& source) {
  try {
    return "text: " + Render(source).substr(0, 100);
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
}

void ExpectError(const std::string& source, const std::string& kind, const std::string& part) {
  const std::string error = ErrorOf(source);
  EXPECT_EQ(error.substr(0, kind.size() + 1), kind + ":") << source << "\n" << error;
  EXPECT_NE(error.find(part), std::string::npos) << source << "\n" << error;
}

TEST(ChatTemplate, WritesAConversation) {
  EXPECT_EQ(Render("{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}"
                   "{{ eos_token if loop.last else '\\n' }}{% endfor %}"),
            "<s><|system|>Be kind.\n<|user|>Hi\nthere\n<|assistant|>Hello <b></s>");
}

TEST(ChatTemplate, TakesNewlinesAndIndentationOfBlocksAway) {
  EXPECT_EQ(Render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(Render("a\n  {%+ if true %}b{% endif +%}\nc"), "a\n  b\nc");
  EXPECT_EQ(Render("a \n {%- if true -%} \n b {{- 'x' -}} \n {%- endif %} c"), "abx c");
  EXPECT_EQ(Render("a {# x #}\nb{% raw %} {{ y }} {% endraw %}\n"), "a b {{ y }} ");
}

TEST(ChatTemplate, LeavesOutWhatIsNotGiven) {
  EXPECT_EQ(Render("{{ tools is none }} {{ nothing is defined }} {{ nothing }}"), "True False ");
  ChatRequest request = Conversation();
  request.eos_token.reset();
  EXPECT_EQ(Render("{{ eos_token is defined }}", request), "False");
  request.variables = {{"enable_thinking", ChatValue(false)}, {"bos_token", ChatValue("B")}};
  EXPECT_EQ(Render("{{ enable_thinking is false }}{{ bos_token }}", request), "TrueB");
}

TEST(ChatTemplate, KeepsTheOrderOfKeysInJson) {
  ChatRequest request = Conversation();
  request.tools = ParseChatValue(R"([{"name": "f", "b": 1, "a": [1.0, null, "<é>"]}])", "tools");
  EXPECT_EQ(Render("{{ tools[0] | tojson }}", request),
            R"({"name": "f", "b": 1, "a": [1.0, null, "<é>"]})");
  EXPECT_EQ(Render("{{ tools[0].a | tojson(indent=2) }}", request),
            "[\n  1.0,\n  null,\n  \"<é>\"\n]");
}

TEST(ChatTemplate, AsksForTheTimeOnlyThroughTheRequest) {
  ChatRequest request = Conversation();
  request.now = [] {
    std::tm time{};
    time.tm_year = 124;
    time.tm_mon = 6;
    time.tm_mday = 4;
    return time;
  };
  EXPECT_EQ(Render("{{ strftime_now('%d %b %Y|%-d%%') }}", request), "04 Jul 2024|4%");
}

TEST(ChatTemplate, SaysWhatTheTemplateRefuses) {
  ExpectError("\n{{ raise_exception('no ' ~ messages[0].role) }}", "bad input",
              "template:2: the template says: no system");
}

TEST(ChatTemplate, NamesTheLineOfWhatIsWrong) {
  ExpectError("a\n\n{% if x %}", "bad input", "template:3: expected {% endif %}");
  ExpectError("a\n{{ x | nosuch }}", "unsupported", "template:2: filter 'nosuch'");
  ExpectError("{{ x is nosuch }}", "unsupported", "template:1: test 'nosuch'");
  ExpectError("\n{% include 'x' %}", "unsupported", "template:2: statement 'include'");
  ExpectError("a\n{{ nothing.x }}", "bad input", "template:2: 'nothing' is undefined");
  ExpectError("{{ messages.append(1) }}", "unsupported", "method 'append' of a list");
  try {
    ChatTemplate("{{", "dir/chat_template.jinja");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("dir/chat_template.jinja:1:"), std::string::npos);
  }
}

TEST(ChatTemplate, CanBeUsedManyTimes) {
  const ChatTemplate chat(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
      "{% endfor %}{{ ns.n }}");
  EXPECT_EQ(chat.Render(Conversation()), "3");
  EXPECT_EQ(chat.Render(Conversation()), "3");
}

TEST(ChatTemplate, WritesConversationsOfMegabytes) {
  ChatRequest request = Conversation();
  const std::string text(8 << 20, 'x');
  request.messages = ChatValue::List{Message("user", text), Message("assistant", text)};
  const std::string out = Render(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + "
      "'<|im_end|>\\n' }}"
      "{% endfor %}",
      request);
  EXPECT_EQ(out.size(), 2 * (text.size() + 12 + 1 + 11) + 4 + 9);
}

std::string Repeat(const std::string& part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

std::vector<std::string> HostileTemplates() {
  const std::string nul(1, '\0');
  return {
      // Nesting.
      "{{ " + Repeat("(", 100'000) + "1" + Repeat(")", 100'000) + " }}",
      "{{ " + Repeat("[", 100'000) + Repeat("]", 100'000) + " }}",
      "{{ " + Repeat("{1:", 50'000) + "1" + Repeat("}", 50'000) + " }}",
      "{{ " + Repeat("not ", 100'000) + "1 }}",
      "{{ " + Repeat("-", 100'000) + "1 }}",
      "{{ 1" + Repeat("+1", 60'000) + " }}",
      "{{ x" + Repeat(".x", 60'000) + " }}",
      "{{ x" + Repeat("[0]", 60'000) + " }}",
      "{{ x" + Repeat("()", 60'000) + " }}",
      "{{ x" + Repeat("|trim", 60'000) + " }}",
      "{{ 1" + Repeat(" if 1 else 1", 60'000) + " }}",
      "{{ 1" + Repeat(" or 1", 60'000) + " }}",
      "{{ 2" + Repeat("**2", 60'000) + " }}",
      Repeat("{% if 1 %}", 50'000),
      Repeat("{% for x in y %}", 50'000),
      Repeat("{% macro f() %}", 50'000),
      Repeat("{% set x %}", 50'000),
      "{% set " + Repeat("(", 50'000) + "x" + Repeat(")", 50'000) + " = 1 %}",
      // Growth.
      "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(s='') %}{% for i in range(100000) %}{% for j in range(1000) %}"
      "{% set ns.s = 'x' ~ ns.s %}{% endfor %}{% endfor %}",
      "{{ 'x' * 1000000000 }}",
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [1] * 9223372036854775807 }}",
      "{{ 'a' | replace('', 'b' * 60000000) }}",
      "{% set a = 'a' * 1000000 %}{{ a | replace('a', a) }}",
      "{% set a = 'a' * 1000000 %}{{ a | join(a) }}",
      "{{ '' | indent(1000000000, true) }}",
      "{{ [[1]] | tojson(indent=1000000000) }}",
      "{% for i in range(100000) %}{{ 'xxxxxxxxxx' * 1000 }}{% endfor %}",
      "{% set x %}{% for i in range(100000) %}{{ 'xxxxxxxxxx' * 1000 }}{% endfor %}{% endset %}",
      // Time.
      "{{ range(1000000000) }}",
      "{{ range(0, 9223372036854775807) | list }}",
      "{{ range(1, 2, 0) }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% for a in range(100000) %}{{ range(100000) | list | length }}{% endfor %}",
      "{% set l = range(100000) | list %}{% for a in l %}{{ a in l }}{{ -1 in l }}{% endfor %}",
      "{{ range(100000) | unique | list | length }}",
      "{% set a = 'a' * 10000000 %}{% for i in range(100000) %}{{ a.find('b') }}{% endfor %}",
      "{% set a = 'a' * 10000000 %}{% set b = 'a' * 5000000 ~ 'b' %}{% for i in range(100000) %}{{ "
      "b in a }}"
      "{{ a.rfind(b) }}{{ a.split(b) | length }}{% endfor %}",
      // Recursion.
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x ~ x) }}{% endmacro %}{{ "
      "f('a') }}",
      "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall "
      "%}"
      "{% endmacro %}{{ g() }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor "
      "%}{{ ns.x }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% "
      "endfor %}"
      "{{ ns.x | tojson }}",
      "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}"
      "{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
      // What is not there, or not meant for templates.
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      "{{ ''['__class__']['__base__'] }}",
      "{{ namespace.__init__.__globals__ }}",
      "{{ raise_exception.__globals__['os'].popen('id') }}",
      "{{ messages | map(attribute='__class__.__mro__') | list }}",
      "{{ '{0.__class__}'.format(1) }}",
      "{{ 'x' | attr('__class__') }}",
      "{{ x | nosuchfilter }}",
      "{{ x is nosuchtest }}",
      "{% nosuchstatement %}",
      "{% import 'os' as os %}",
      "{{ cycler('a').next() }}",
      "{{ messages.pop() }}",
      "{{ f(*messages) }}",
      // Numbers.
      "{{ 99999999999999999999999999 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 2 ** 1000000000 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ '99999999999999999999999' | int }}",
      "{{ 1" + Repeat("0", 100'000) + ".5 }}",
      "{{ 1 / 0 }}{{ 1 % 0 }}",
      "{{ 1.5 | round(1000000000) }}",
      "{{ '%.1000000000f' % 1.5 }}",
      "{{ strftime_now('%1000000000d') }}",
      // Broken sources.
      "{% if x",
      "{{ 'x",
      "{{ x",
      "{# x",
      "{% raw %}x",
      "{% endfor %}",
      "{% for x in %}{% endfor %}",
      "{{ }}",
      "{{ x ! y }}",
      "{{ (] }}",
      "{{ '\\ud800' }}",
      "{{ '\\x4' }}",
      "\xff\xfe{{ x }}",
      "{{ '\xc3' }}",
      "a" + nul + "b",
      "{{ x" + nul + " }}",
      Repeat("{{ a }}", 150'000),
      Repeat("x", (1 << 20) + 1),
  };
}

int64_t PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(ChatTemplate, HostileTemplatesEndInAnErrorSoon) {
  const std::vector<std::string> sources = HostileTemplates();
  EXPECT_GE(sources.size(), 50u);
  const int64_t before = PeakKilobytes();
  double slowest = 0;
  for (const std::string& source : sources) {
    const auto start = std::chrono::steady_clock::now();
    const std::string error = ErrorOf(source);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const bool is_error = error.starts_with("bad input: cannot use chat template: template:") ||
                          error.starts_with("unsupported: cannot use chat template: template:");
    EXPECT_TRUE(is_error) << source.substr(0, 200) << "\n" << error;
    EXPECT_EQ(error.find('\0'), std::string::npos);
    EXPECT_LT(error.size(), 600u) << source.substr(0, 200);
    EXPECT_LT(took.count(), kSanitized ? 10.0 : 1.0) << source.substr(0, 200);
    slowest = std::max(slowest, took.count());
  }
  RecordProperty("slowest_seconds", std::to_string(slowest));
  RecordProperty("grown_kilobytes", std::to_string(PeakKilobytes() - before));
  if (!kSanitized) {
    EXPECT_LT(PeakKilobytes() - before, 256 << 10);
  }
}

}  // namespace
}  // namespace moescope::text
