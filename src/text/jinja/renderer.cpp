#include "text/jinja/renderer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moescope::text::jinja {

// Counts how deep the evaluation is, so that it ends well before the stack does.
class Renderer::Level {
 public:
  explicit Level(Renderer& renderer) : depth_(renderer.depth_) {
    if (++depth_ > kMaxEvaluationDepth) {
      renderer.runtime_.Refuse(fmt::format(
          "expected at most {} levels of evaluation, found more (a macro that calls itself?)",
          kMaxEvaluationDepth));
    }
  }
  ~Level() { --depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  int& depth_;
};

// The items of a loop, of which those that the filter drops are found out one by one, as in jinja2:
// the body may change what the filter sees.
class Renderer::ForLoop : public Loop {
 public:
  ForLoop(Renderer& renderer, const Node& node, const Value& iterated)
      : renderer_(renderer),
        node_(node),
        scope_(renderer.scope_),
        iterated_(iterated),
        walk_(renderer.runtime_, iterated) {
    depth0 = 0;
  }

  bool Peek(Value& item) override {
    if (ahead_ == items_.size() && !Fetch()) return false;
    item = items_[ahead_];
    return true;
  }
  size_t Length() override {
    if (has_length_) return length_;
    has_length_ = true;
    const auto sized = renderer_.runtime_.Length(iterated_);
    if (node_.children[2] == nullptr && sized) return length_ = *sized;
    while (Fetch()) {
    }
    return length_ = items_.size() - ahead_ + static_cast<size_t>(index0 + 1);
  }
  bool Next(Value& item) {
    if (!Peek(item)) return false;
    if (++ahead_ == items_.size()) {
      items_.clear();
      ahead_ = 0;
    }
    ++index0;
    before = std::exchange(current, item);
    return true;
  }

 private:
  bool Fetch() {
    Value item;
    while (walk_.Next(item)) {
      if (!Passes(item)) continue;
      renderer_.runtime_.CheckCount(items_.size() + 1);
      items_.push_back(item);
      return true;
    }
    return false;
  }
  bool Passes(const Value& item) {
    const Node* filter = node_.children[2].get();
    if (filter == nullptr) return true;
    Scope* const outer = renderer_.scope_;
    renderer_.scope_ = renderer_.NewScope(scope_);
    renderer_.Assign(*node_.children[0], item);
    const bool passes = renderer_.runtime_.Truth(renderer_.Evaluate(*filter));
    renderer_.ReleaseScope(renderer_.scope_);
    renderer_.scope_ = outer;
    return passes;
  }

  Renderer& renderer_;
  const Node& node_;
  Scope* scope_;  // around the loop
  Value iterated_;
  Walk walk_;
  std::vector<Value> items_;  // looked at already; those before ahead_ are used up
  size_t ahead_ = 0;
  bool has_length_ = false;
  size_t length_ = 0;
};

Renderer::Renderer(const Template& parsed, std::string_view origin, std::function<std::tm()> now)
    : template_(parsed), now_(std::move(now)), runtime_(origin) {
  for (const std::string_view name : parsed.symbols) globals_.push_back(Value::Undefined(name));
  constexpr std::pair<std::string_view, Function> kFunctions[] = {
      {"range", Function::kRange},
      {"namespace", Function::kNamespace},
      {"dict", Function::kDict},
      {"raise_exception", Function::kRaiseException},
      {"strftime_now", Function::kStrftimeNow}};
  for (const auto& [name, function] : kFunctions) Set(name, Value::OfFunction(function));
  caller_symbol_ = SymbolOf("caller");
  kwargs_symbol_ = SymbolOf("kwargs");
  varargs_symbol_ = SymbolOf("varargs");
}

Renderer::~Renderer() = default;

void Renderer::Set(std::string_view name, const Value& value) {
  const int symbol = SymbolOf(name);
  if (symbol >= 0) globals_[static_cast<size_t>(symbol)] = value;
}

int Renderer::SymbolOf(std::string_view name) const {
  const auto at = std::find(template_.symbols.begin(), template_.symbols.end(), name);
  return at == template_.symbols.end() ? -1 : static_cast<int>(at - template_.symbols.begin());
}

std::string Renderer::Run() {
  std::string out;
  out_ = &out;
  scope_ = NewScope(nullptr);
  Execute(*template_.body);
  return out;
}

void Renderer::Append(std::string_view text) {
  runtime_.Scan(text.size());
  n_out_bytes_ += text.size();
  if (n_out_bytes_ > kMaxOutputBytes) {
    runtime_.Refuse(
        fmt::format("expected at most {} bytes of output, found more", kMaxOutputBytes));
  }
  out_->append(text);
}

// --- scopes ---

Scope* Renderer::NewScope(Scope* parent) {
  Scope* scope = nullptr;
  if (free_scopes_.empty()) {
    runtime_.Count(sizeof(Scope));
    scope = &scopes_.emplace_back();
  } else {
    scope = free_scopes_.back();
    free_scopes_.pop_back();
  }
  scope->parent = parent;
  return scope;
}

void Renderer::ReleaseScope(Scope* scope) {
  if (scope->captured) return;
  n_variables_ -= scope->variables.size();
  scope->variables.clear();
  constexpr size_t kKeptVariables = 64;
  if (scope->variables.capacity() > kKeptVariables) scope->variables.shrink_to_fit();
  free_scopes_.push_back(scope);
}

void Renderer::SetVariable(int symbol, const Value& value) {
  auto& variables = scope_->variables;
  runtime_.Step(1 + variables.size() / kWordsPerStep);
  for (auto& [other, place] : variables) {
    if (other != symbol) continue;
    place = value;
    return;
  }
  runtime_.CheckCount(++n_variables_);
  variables.emplace_back(symbol, value);
}

Value Renderer::Lookup(int symbol) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    runtime_.Step(1 + scope->variables.size() / kWordsPerStep);
    for (const auto& [other, value] : scope->variables) {
      if (other == symbol) return value;
    }
  }
  return globals_[static_cast<size_t>(symbol)];
}

void Renderer::Assign(const Node& target, const Value& value) {
  if (target.kind == NodeKind::kName) return SetVariable(target.symbol, value);
  if (target.kind == NodeKind::kNamespaceTarget) return AssignAttribute(target, value);
  const std::vector<Value> items = runtime_.Items(value);
  if (items.size() != target.children.size()) {
    runtime_.Refuse(fmt::format("expected {} values to assign, found {}", target.children.size(),
                                items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) Assign(*target.children[i], items[i]);
}

void Renderer::AssignAttribute(const Node& target, const Value& value) {
  const Value object = Lookup(target.symbol);
  if (!object.is(Kind::kNamespace)) runtime_.RefuseKind("set an attribute of", object);
  auto& attributes = object.name_space->attributes;
  runtime_.Step(1 + attributes.size() / kWordsPerStep);
  for (auto& [name, place] : attributes) {
    if (name != target.value.text()) continue;
    place = value;
    return;
  }
  runtime_.Count(sizeof(attributes[0]) * 2);
  attributes.emplace_back(target.value.text(), value);
}

// --- statements ---

Renderer::Flow Renderer::Execute(const Node& node) {
  const Level level(*this);
  runtime_.set_line(node.line);
  runtime_.Step();
  switch (node.kind) {
    case NodeKind::kBody:
      return ExecuteAll(node);
    case NodeKind::kText:
      Append(node.value.text());
      return Flow::kNormal;
    case NodeKind::kOutput:
      Append(runtime_.Text(Evaluate(*node.children[0])));
      return Flow::kNormal;
    case NodeKind::kIf:
      return ExecuteIf(node);
    case NodeKind::kFor:
      return ExecuteFor(node);
    case NodeKind::kSet:
      Assign(*node.children[0], Evaluate(*node.children[1]));
      return Flow::kNormal;
    case NodeKind::kSetBlock:
      ExecuteSetBlock(node);
      return Flow::kNormal;
    case NodeKind::kMacro:
      SetVariable(node.symbol, MakeMacro(node));
      return Flow::kNormal;
    case NodeKind::kCallBlock:
      ExecuteCallBlock(node);
      return Flow::kNormal;
    case NodeKind::kFilterBlock:
      ExecuteFilterBlock(node);
      return Flow::kNormal;
    case NodeKind::kWith:
      return ExecuteWith(node);
    case NodeKind::kScope:
      return ExecuteScope(*node.children[0]);
    case NodeKind::kBreak:
      return Flow::kBreak;
    case NodeKind::kContinue:
      return Flow::kContinue;
    default:
      runtime_.Refuse("an expression where a statement belongs");
  }
}

Renderer::Flow Renderer::ExecuteAll(const Node& body) {
  for (const NodePtr& child : body.children) {
    const Flow flow = Execute(*child);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Renderer::Flow Renderer::ExecuteIf(const Node& node) {
  size_t i = 0;
  for (; i + 1 < node.children.size(); i += 2) {
    if (runtime_.Truth(Evaluate(*node.children[i]))) return Execute(*node.children[i + 1]);
  }
  return i < node.children.size() ? Execute(*node.children[i]) : Flow::kNormal;
}

Renderer::Flow Renderer::ExecuteFor(const Node& node) {
  auto owned = std::make_unique<ForLoop>(*this, node, Evaluate(*node.children[1]));
  ForLoop& loop = *owned;
  Value loop_value = Value::OfKind(Kind::kLoop);
  loop_value.loop = &loop;
  if (node.uses_loop) {
    runtime_.Count(sizeof(ForLoop));
    loops_.push_back(std::move(owned));
  }
  Scope* const outer = scope_;
  bool finished_one = false;
  for (Value item; loop.Next(item);) {
    scope_ = NewScope(outer);
    Assign(*node.children[0], item);
    if (node.uses_loop) SetVariable(node.symbol, loop_value);
    const Flow flow = Execute(*node.children[3]);
    ReleaseScope(scope_);
    scope_ = outer;
    finished_one = finished_one || flow == Flow::kNormal;
    if (flow == Flow::kBreak) break;
  }
  // jinja2 asks whether one round came to its end, not whether there was one.
  if (finished_one || node.children[4] == nullptr) return Flow::kNormal;
  return ExecuteScope(*node.children[4]);
}

Renderer::Flow Renderer::ExecuteScope(const Node& body) {
  Scope* const outer = scope_;
  scope_ = NewScope(outer);
  const Flow flow = Execute(body);
  ReleaseScope(scope_);
  scope_ = outer;
  return flow;
}

// Expressions see the variables around the block, not each other's.
Renderer::Flow Renderer::ExecuteWith(const Node& node) {
  std::vector<Value> values;
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    values.push_back(Evaluate(*node.children[i + 1]));
  }
  Scope* const outer = scope_;
  scope_ = NewScope(outer);
  for (size_t i = 0; i < values.size(); ++i) Assign(*node.children[2 * i], values[i]);
  const Flow flow = Execute(*node.children.back());
  ReleaseScope(scope_);
  scope_ = outer;
  return flow;
}

Value Renderer::Capture(const Node& body, Flow& flow) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  flow = ExecuteScope(body);
  out_ = outer;
  n_out_bytes_ -= text.size();
  return runtime_.NewString(text);
}

void Renderer::ExecuteSetBlock(const Node& node) {
  Flow flow = Flow::kNormal;
  Value value = Capture(*node.children[2], flow);
  if (node.children[1] != nullptr) value = EvaluateFilter(*node.children[1], value);
  Assign(*node.children[0], value);
}

void Renderer::ExecuteFilterBlock(const Node& node) {
  Flow flow = Flow::kNormal;
  const Value text = Capture(*node.children[1], flow);
  Append(runtime_.Text(EvaluateFilter(*node.children[0], text)));
}

Value Renderer::MakeMacro(const Node& node) {
  runtime_.Count(sizeof(Macro));
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) {
    runtime_.Count(sizeof(Scope) + scope->variables.size() * sizeof(scope->variables[0]));
    scope->captured = true;
  }
  Macro& macro = macros_.emplace_back();
  macro.node = &node;
  macro.name = node.value.text();
  macro.scope = scope_;
  Value value = Value::OfKind(Kind::kMacro);
  value.macro = &macro;
  return value;
}

void Renderer::ExecuteCallBlock(const Node& node) {
  const Node& call = *node.children[0];
  const Value callee = Evaluate(*call.children[0]);
  Arguments arguments = EvaluateArguments(call);
  arguments.named.emplace_back("caller", MakeMacro(*node.children[1]));
  Append(runtime_.Text(Call(callee, arguments)));
}

// --- expressions ---

Value Renderer::Evaluate(const Node& node) {
  const Level level(*this);
  runtime_.Step();
  switch (node.kind) {
    case NodeKind::kConstant:
      return node.value;
    case NodeKind::kName:
      return Lookup(node.symbol);
    case NodeKind::kAttribute: {
      Method method;
      const Value object = Evaluate(*node.children[0]);
      runtime_.set_line(node.line);
      const Value value = GetAttribute(runtime_, object, node.value.text(), method);
      return value.is(Kind::kMethod) && value.method == &method ? runtime_.NewMethod(method)
                                                                : value;
    }
    case NodeKind::kAnd:
    case NodeKind::kOr: {
      const Value left = Evaluate(*node.children[0]);
      return runtime_.Truth(left) == (node.kind == NodeKind::kOr) ? left
                                                                  : Evaluate(*node.children[1]);
    }
    case NodeKind::kArithmetic: {
      const Value left = Evaluate(*node.children[0]);
      const Value right = Evaluate(*node.children[1]);
      runtime_.set_line(node.line);
      return Arithmetic(runtime_, node.extra->operators[0], left, right);
    }
    case NodeKind::kCall:
      return EvaluateCall(node);
    default:
      return EvaluateConstruct(node);
  }
}

Value Renderer::EvaluateConstruct(const Node& node) {
  switch (node.kind) {
    case NodeKind::kList:
    case NodeKind::kTuple:
      return EvaluateList(node);
    case NodeKind::kDict:
      return EvaluateDict(node);
    case NodeKind::kNot:
      return Value::Boolean(!runtime_.Truth(Evaluate(*node.children[0])));
    case NodeKind::kNegative:
      return Negative(runtime_, Evaluate(*node.children[0]));
    case NodeKind::kPositive: {
      const Value value = Evaluate(*node.children[0]);
      if (!value.is_number()) runtime_.RefuseKind("take + of", value);
      return value.is(Kind::kFloat) ? value : Value::Integer(value.as_integer());
    }
    case NodeKind::kCompare:
      return Value::Boolean(EvaluateCompare(node));
    case NodeKind::kConcat:
      return EvaluateConcat(node);
    case NodeKind::kConditional:
      if (runtime_.Truth(Evaluate(*node.children[0]))) return Evaluate(*node.children[1]);
      return node.children[2] == nullptr ? Value::Undefined("if without else")
                                         : Evaluate(*node.children[2]);
    case NodeKind::kItem: {
      const Value object = Evaluate(*node.children[0]);
      const Value key = Evaluate(*node.children[1]);
      runtime_.set_line(node.line);
      return GetItem(runtime_, object, key);
    }
    case NodeKind::kSlice:
      return EvaluateSlice(node);
    case NodeKind::kFilter:
      return EvaluateFilter(node, {});
    case NodeKind::kTest:
      return Value::Boolean(EvaluateTest(node));
    default:
      runtime_.Refuse("a statement where an expression belongs");
  }
}

Value Renderer::EvaluateList(const Node& node) {
  std::vector<Value> items;
  items.reserve(node.children.size());
  for (const NodePtr& child : node.children) items.push_back(Evaluate(*child));
  return runtime_.NewList(items, node.kind == NodeKind::kList ? Kind::kList : Kind::kTuple);
}

Value Renderer::EvaluateDict(const Node& node) {
  std::vector<Entry> entries;
  for (size_t i = 0; i < node.children.size(); i += 2) {
    const Value key = Evaluate(*node.children[i]);
    const Value value = Evaluate(*node.children[i + 1]);
    if (key.is(Kind::kList) || key.is(Kind::kDict)) runtime_.RefuseKind("use as a key", key);
    runtime_.SetEntry(key, value, entries);
  }
  return runtime_.NewDict(entries);
}

Value Renderer::EvaluateConcat(const Node& node) {
  std::string_view text;
  for (const NodePtr& child : node.children) {
    text = runtime_.Concat(text, runtime_.Text(Evaluate(*child))).text();
  }
  return Value::String(text);
}

Value Renderer::EvaluateSlice(const Node& node) {
  const Value object = Evaluate(*node.children[0]);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) {
    const Node* part = node.children[i + 1].get();
    parts[i] = part == nullptr ? Value::None() : Evaluate(*part);
  }
  runtime_.set_line(node.line);
  return GetSlice(runtime_, object, parts[0], parts[1], parts[2]);
}

bool Renderer::EvaluateCompare(const Node& node) {
  Value left = Evaluate(*node.children[0]);
  for (size_t i = 1; i < node.children.size(); ++i) {
    const Value right = Evaluate(*node.children[i]);
    runtime_.set_line(node.line);
    if (!CompareWith(runtime_, node.extra->operators[i - 1], left, right)) return false;
    left = right;
  }
  return true;
}

Arguments Renderer::EvaluateArguments(const Node& node) {
  Arguments arguments;
  const NodeExtra& extra = *node.extra;
  for (size_t i = 0; i < extra.n_positional; ++i) {
    arguments.positional.push_back(Evaluate(*node.children[1 + i]));
  }
  for (size_t i = 0; i < extra.keywords.size(); ++i) {
    arguments.named.emplace_back(extra.keywords[i],
                                 Evaluate(*node.children[1 + extra.n_positional + i]));
  }
  return arguments;
}

// `input`: what the innermost filter of a block gets.
Value Renderer::EvaluateFilter(const Node& node, const Value& input) {
  const Level level(*this);
  const Node* inner = node.children[0].get();
  const Value value = inner == nullptr                   ? input
                      : inner->kind == NodeKind::kFilter ? EvaluateFilter(*inner, input)
                                                         : Evaluate(*inner);
  const Arguments arguments = EvaluateArguments(node);
  runtime_.set_line(node.line);
  runtime_.Step();
  return node.extra->filter->apply(runtime_, value, arguments);
}

bool Renderer::EvaluateTest(const Node& node) {
  const Value value = Evaluate(*node.children[0]);
  const Arguments arguments = EvaluateArguments(node);
  runtime_.set_line(node.line);
  return node.extra->test->holds(runtime_, value, arguments);
}

Value Renderer::EvaluateCall(const Node& node) {
  const Node& callee = *node.children[0];
  Method method;
  Value value;
  if (callee.kind == NodeKind::kAttribute) {
    // Where most methods are called: no memory is spent on naming one.
    const Value object = Evaluate(*callee.children[0]);
    runtime_.set_line(callee.line);
    value = GetAttribute(runtime_, object, callee.value.text(), method);
  } else {
    value = Evaluate(callee);
  }
  const Arguments arguments = EvaluateArguments(node);
  runtime_.set_line(node.line);
  return Call(value, arguments);
}

}  // namespace moescope::text::jinja
