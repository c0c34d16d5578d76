// Runs a parsed template once.
#pragma once

#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/syntax.h"

namespace moescope::text::jinja {

// Variables of one block. Kept after its end only if a macro was defined in it.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;
  std::vector<std::pair<int, Value>> variables;
};

// Not thread-safe; for one rendering. Requires: `parsed` and what `origin` views outlive it.
class Renderer {
 public:
  // `now`: local time for strftime_now.
  Renderer(const Template& parsed, std::string_view origin, std::function<std::tm()> now);
  ~Renderer();

  // Makes values for Set; they live as long as the renderer.
  Runtime& runtime() { return runtime_; }
  void Set(std::string_view name, const Value& value);
  // Throws Error(kBadInput) for what the template refuses or does wrong and for a spent budget,
  // Error(kUnsupported). Requires: called once.
  std::string Run();

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  class Level;
  class ForLoop;

  // Statements.
  Flow Execute(const Node& node);
  Flow ExecuteAll(const Node& body);
  Flow ExecuteIf(const Node& node);
  Flow ExecuteFor(const Node& node);
  Flow ExecuteWith(const Node& node);
  Flow ExecuteScope(const Node& body);
  void ExecuteSetBlock(const Node& node);
  void ExecuteCallBlock(const Node& node);
  void ExecuteFilterBlock(const Node& node);
  Value MakeMacro(const Node& node);
  void Assign(const Node& target, const Value& value);
  void AssignAttribute(const Node& target, const Value& value);
  void Append(std::string_view text);
  // What a body writes, with variables of its own.
  Value Capture(const Node& body, Flow& flow);

  // Expressions.
  Value Evaluate(const Node& node);
  Value EvaluateConstruct(const Node& node);
  Value EvaluateList(const Node& node);
  Value EvaluateDict(const Node& node);
  Value EvaluateConcat(const Node& node);
  Value EvaluateSlice(const Node& node);
  Value EvaluateFilter(const Node& node, const Value& input);
  Value EvaluateCall(const Node& node);
  bool EvaluateTest(const Node& node);
  bool EvaluateCompare(const Node& node);
  Arguments EvaluateArguments(const Node& node);
  Value Lookup(int symbol);

  // Calls.
  Value Call(const Value& callee, const Arguments& arguments);
  Value CallFunction(Function function, const Arguments& arguments);
  Value CallMacro(const Macro& macro, const Arguments& arguments);
  void BindParameters(const Macro& macro, const Arguments& arguments);
  Value CallRange(const Arguments& arguments);
  Value CallNamespace(const Arguments& arguments);
  Value CallDict(const Arguments& arguments);
  Value CallStrftime(const Arguments& arguments);

  Scope* NewScope(Scope* parent);
  void ReleaseScope(Scope* scope);
  void SetVariable(int symbol, const Value& value);
  // -1 for a name that does not occur in the template.
  int SymbolOf(std::string_view name) const;

  const Template& template_;
  std::function<std::tm()> now_;
  Runtime runtime_;
  std::vector<Value> globals_;  // by symbol
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  Scope* scope_ = nullptr;
  std::deque<Namespace> namespaces_;
  std::deque<Macro> macros_;
  std::vector<std::unique_ptr<ForLoop>> loops_;  // those that a value may point to
  size_t n_variables_ = 0;
  int caller_symbol_ = -1, kwargs_symbol_ = -1, varargs_symbol_ = -1;
  int depth_ = 0;
  std::string* out_ = nullptr;
  size_t n_out_bytes_ = 0;  // of all texts that are being written
};

}  // namespace moescope::text::jinja
