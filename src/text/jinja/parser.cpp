// Recursive descent with jinja2's precedences, held to a depth and a number of nodes.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "text/jinja/lexer.h"
#include "text/jinja/limits.h"
#include "text/jinja/syntax.h"

namespace moescope::text::jinja {
namespace {

struct OperatorRow {
  std::string_view text;
  Operator op;
};
constexpr OperatorRow kComparisons[] = {{"==", Operator::kEqual},  {"!=", Operator::kNotEqual},
                                        {"<", Operator::kLess},    {"<=", Operator::kLessEqual},
                                        {">", Operator::kGreater}, {">=", Operator::kGreaterEqual}};
constexpr OperatorRow kSums[] = {{"+", Operator::kAdd}, {"-", Operator::kSubtract}};
constexpr OperatorRow kProducts[] = {{"*", Operator::kMultiply},
                                     {"/", Operator::kDivide},
                                     {"//", Operator::kFloorDivide},
                                     {"%", Operator::kModulo}};
constexpr OperatorRow kPowers[] = {{"**", Operator::kPower}};

using EndWords = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(Template& result, std::string_view origin)
      : result_(result),
        origin_(origin),
        tokens_(Tokenise(result.source, origin, result.strings)) {}

  void Run() { result_.body = ParseBody({}); }

 private:
  // --- tokens ---

  const Token& Current() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token Take() {
    const Token token = Current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  static bool IsName(const Token& token, std::string_view name) {
    return token.kind == TokenKind::kName && token.text == name;
  }
  static bool IsOperator(const Token& token, std::string_view text) {
    return token.kind == TokenKind::kOperator && token.text == text;
  }
  bool AtName(std::string_view name) const { return IsName(Current(), name); }
  bool AtOperator(std::string_view text) const { return IsOperator(Current(), text); }
  bool SkipName(std::string_view name) { return AtName(name) && (Take(), true); }
  bool SkipOperator(std::string_view text) { return AtOperator(text) && (Take(), true); }
  void ExpectOperator(std::string_view text) {
    if (!SkipOperator(text)) Refuse(fmt::format("expected '{}', found {}", text, Found()));
  }
  void ExpectName(std::string_view name) {
    if (!SkipName(name)) Refuse(fmt::format("expected '{}', found {}", name, Found()));
  }
  std::string_view TakeName() {
    if (Current().kind != TokenKind::kName) Refuse("expected a name, found " + Found());
    return Take().text;
  }
  void ExpectBlockEnd() {
    if (Current().kind != TokenKind::kBlockEnd) Refuse("expected %}, found " + Found());
    Take();
  }

  std::string Found() const {
    switch (Current().kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
        return "%}";
      case TokenKind::kVariableEnd:
        return "}}";
      case TokenKind::kString:
        return "a string";
      default:
        return fmt::format("'{}'", Current().text.substr(0, 60));
    }
  }
  [[noreturn]] void Refuse(const std::string& message) const {
    RefuseTemplate(origin_, Current().line, message);
  }
  [[noreturn]] void Unsupported(const std::string& what) const {
    UnsupportedTemplate(origin_, Current().line, what);
  }
  [[noreturn]] void Unexpected() const { Refuse("unexpected " + Found()); }

  // --- nodes ---

  NodePtr New(NodeKind kind, int line) {
    if (++n_nodes_ > kMaxNodes) {
      Refuse(fmt::format("expected at most {} constructs, found more", kMaxNodes));
    }
    NodePtr node = std::make_unique<Node>();
    node->kind = kind;
    node->line = line;
    return node;
  }
  NodePtr New(NodeKind kind) { return New(kind, Current().line); }
  NodePtr NewExtra(NodeKind kind, int line) {
    NodePtr node = New(kind, line);
    node->extra = std::make_unique<NodeExtra>();
    return node;
  }
  // Null children are allowed where the kind says so.
  void Adopt(Node& parent, NodePtr child) const {
    if (child != nullptr) parent.depth = std::max(parent.depth, child->depth + 1);
    CheckDepth(parent.depth);
    parent.children.push_back(std::move(child));
  }
  NodePtr Unary(NodeKind kind, int line, NodePtr operand) {
    NodePtr node = New(kind, line);
    Adopt(*node, std::move(operand));
    return node;
  }
  NodePtr Binary(NodeKind kind, int line, NodePtr left, NodePtr right) {
    NodePtr node = Unary(kind, line, std::move(left));
    Adopt(*node, std::move(right));
    return node;
  }
  NodePtr Constant(const Value& value, int line) {
    NodePtr node = New(NodeKind::kConstant, line);
    node->value = value;
    return node;
  }
  int Symbol(std::string_view name) {
    const auto [at, is_new] = symbols_.try_emplace(name, static_cast<int>(result_.symbols.size()));
    if (is_new) result_.symbols.push_back(name);
    return at->second;
  }

  void CheckDepth(int depth) const {
    if (depth > kMaxSyntaxDepth) {
      Refuse(fmt::format("expected at most {} levels of nesting, found more", kMaxSyntaxDepth));
    }
  }
  // Counts how deep the parser itself is.
  class Level {
   public:
    explicit Level(Parser& parser) : depth_(parser.depth_) { parser.CheckDepth(++depth_); }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    int& depth_;
  };

  // --- statements ---

  // Up to, and without, a block that begins with one of `ends`; to the end of the source if empty.
  NodePtr ParseBody(EndWords ends) {
    const Level level(*this);
    NodePtr body = New(NodeKind::kBody);
    while (Current().kind != TokenKind::kEnd) {
      const int line = Current().line;
      if (Current().kind == TokenKind::kData) {
        NodePtr text = New(NodeKind::kText);
        text->value = Value::String(Take().text);
        Adopt(*body, std::move(text));
      } else if (Current().kind == TokenKind::kVariableBegin) {
        Take();
        Adopt(*body, Unary(NodeKind::kOutput, line, ParseTuple()));
        if (Current().kind != TokenKind::kVariableEnd) Refuse("expected }}, found " + Found());
        Take();
      } else {
        Take();
        for (const std::string_view end : ends) {
          if (AtName(end)) return body;
        }
        Adopt(*body, ParseStatement());
        ExpectBlockEnd();
      }
    }
    if (ends.size() > 0) {
      Refuse(fmt::format("expected {{% {} %}}, found the end of the template", *(ends.end() - 1)));
    }
    return body;
  }

  // The body of a block whose tag ends here, and the word that ends it.
  NodePtr ParseBlock(EndWords ends) {
    SkipOperator(":");
    ExpectBlockEnd();
    return ParseBody(ends);
  }
  NodePtr ParseBlockToEnd(std::string_view end) {
    NodePtr body = ParseBlock({end});
    Take();
    return body;
  }

  NodePtr ParseStatement() {
    if (Current().kind != TokenKind::kName) Refuse("expected a statement's name, found " + Found());
    const std::string_view name = Current().text;
    if (name == "set") return ParseSet();
    if (name == "if") return ParseIf();
    if (name == "for") return ParseFor();
    if (name == "macro") return ParseMacro();
    if (name == "call") return ParseCallBlock();
    if (name == "filter") return ParseFilterBlock();
    if (name == "with") return ParseWith();
    if (name == "generation") {
      const int line = Take().line;
      return InFunction(
          [&] { return Unary(NodeKind::kScope, line, ParseBlockToEnd("endgeneration")); });
    }
    if (name == "break" || name == "continue") {
      if (loop_depth_ == 0) Refuse(fmt::format("'{}' outside of a loop", name));
      return New(name == "break" ? NodeKind::kBreak : NodeKind::kContinue, Take().line);
    }
    if (name.starts_with("end") || name == "else" || name == "elif") Unexpected();
    Unsupported(fmt::format("statement '{}'", name.substr(0, 60)));
  }

  // A body that jinja2 makes a function of: loops around it cannot be left from inside.
  template <typename Parse>
  NodePtr InFunction(Parse parse) {
    const int outer = std::exchange(loop_depth_, 0);
    NodePtr node = parse();
    loop_depth_ = outer;
    return node;
  }

  NodePtr ParseSet() {
    const int line = Take().line;
    NodePtr target = ParseTarget({}, true);
    if (SkipOperator("=")) return Binary(NodeKind::kSet, line, std::move(target), ParseTuple());
    NodePtr filters = ParseFilters(nullptr);
    NodePtr node = Unary(NodeKind::kSetBlock, line, std::move(target));
    Adopt(*node, std::move(filters));
    Adopt(*node, ParseBlockToEnd("endset"));
    return node;
  }

  NodePtr ParseIf() {
    NodePtr node = New(NodeKind::kIf, Take().line);
    while (true) {
      Adopt(*node, ParseTuple(false));
      Adopt(*node, ParseBlock({"elif", "else", "endif"}));
      const std::string_view word = Take().text;
      if (word == "elif") continue;
      if (word == "else") Adopt(*node, ParseBlockToEnd("endif"));
      return node;
    }
  }

  NodePtr ParseFor() {
    NodePtr node = New(NodeKind::kFor, Take().line);
    Adopt(*node, ParseTarget({"in"}, false));
    ExpectName("in");
    Adopt(*node, ParseTuple(false, {"recursive"}));
    Adopt(*node, SkipName("if") ? ParseExpression() : nullptr);
    if (AtName("recursive")) Unsupported("a recursive loop");
    const size_t n_loop_names = n_loop_names_;
    ++loop_depth_;
    Adopt(*node, ParseBlock({"else", "endfor"}));
    --loop_depth_;
    node->uses_loop = n_loop_names_ > n_loop_names;
    if (node->uses_loop) node->symbol = Symbol("loop");
    Adopt(*node, Take().text == "else" ? ParseBlockToEnd("endfor") : nullptr);
    return node;
  }

  // (a, b=default): the symbols, and the defaults as children.
  void ParseSignature(Node& macro) {
    ExpectOperator("(");
    bool has_default = false;
    while (!AtOperator(")")) {
      if (!macro.extra->parameters.empty()) ExpectOperator(",");
      macro.extra->parameters.push_back(Symbol(TakeName()));
      if (SkipOperator("=")) {
        has_default = true;
        Adopt(macro, ParseExpression());
      } else if (has_default) {
        Refuse("a parameter without default follows one with a default");
      }
    }
    Take();
  }

  // Signature and body of a macro or call block.
  NodePtr ParseMacroRest(NodePtr macro, bool has_signature, std::string_view end) {
    macro->children.emplace_back();  // the body comes first
    if (has_signature) ParseSignature(*macro);
    return InFunction([&] {
      // A call block's call stands between its signature and its body.
      NodePtr call = end == "endcall" ? ParseExpression() : nullptr;
      if (call != nullptr && call->kind != NodeKind::kCall) Refuse("expected a call");
      const Uses before = uses_;
      NodePtr body = ParseBlockToEnd(end);
      macro->depth = std::max(macro->depth, body->depth + 1);
      CheckDepth(macro->depth);
      macro->children[0] = std::move(body);
      macro->extra->uses_varargs = uses_.varargs > before.varargs;
      macro->extra->uses_kwargs = uses_.kwargs > before.kwargs;
      macro->extra->uses_caller = uses_.caller > before.caller;
      if (call == nullptr) return std::move(macro);
      const int line = macro->line;
      return Binary(NodeKind::kCallBlock, line, std::move(call), std::move(macro));
    });
  }

  NodePtr ParseMacro() {
    NodePtr macro = NewExtra(NodeKind::kMacro, Take().line);
    const std::string_view name = TakeName();
    macro->symbol = Symbol(name);
    macro->value = Value::String(name);
    return ParseMacroRest(std::move(macro), true, "endmacro");
  }

  NodePtr ParseCallBlock() {
    NodePtr macro = NewExtra(NodeKind::kMacro, Take().line);
    macro->value = Value::String("caller");
    return ParseMacroRest(std::move(macro), AtOperator("("), "endcall");
  }

  NodePtr ParseFilterBlock() {
    const int line = Take().line;
    NodePtr filters = ParseFilters(ParseFilter(nullptr));
    return Binary(NodeKind::kFilterBlock, line, std::move(filters), ParseBlockToEnd("endfilter"));
  }

  NodePtr ParseWith() {
    NodePtr node = New(NodeKind::kWith, Take().line);
    while (Current().kind != TokenKind::kBlockEnd) {
      if (!node->children.empty()) ExpectOperator(",");
      Adopt(*node, ParseTarget({}, false));
      ExpectOperator("=");
      Adopt(*node, ParseExpression());
    }
    Adopt(*node, ParseBlockToEnd("endwith"));
    return node;
  }

  // What can be assigned to: a name, names with commas between, or an attribute of a namespace.
  NodePtr ParseTarget(EndWords ends, bool with_namespace) {
    NodePtr first = ParseTargetItem(with_namespace);
    if (!AtOperator(",")) return first;
    const int line = first->line;
    NodePtr tuple = Unary(NodeKind::kTuple, line, std::move(first));
    while (SkipOperator(",")) {
      if (AtTupleEnd(ends)) break;
      Adopt(*tuple, ParseTargetItem(with_namespace));
    }
    return tuple;
  }
  NodePtr ParseTargetItem(bool with_namespace) {
    const Level level(*this);
    if (SkipOperator("(")) {
      NodePtr inner = ParseTarget({}, false);
      ExpectOperator(")");
      return inner;
    }
    const int line = Current().line;
    const std::string_view name = TakeName();
    for (const std::string_view word : {"true", "false", "none", "True", "False", "None"}) {
      if (name == word) Refuse(fmt::format("cannot assign to '{}'", name));
    }
    const bool is_attribute = with_namespace && AtOperator(".");
    NodePtr node = New(is_attribute ? NodeKind::kNamespaceTarget : NodeKind::kName, line);
    node->symbol = Symbol(name);
    if (is_attribute) {
      Take();
      node->value = Value::String(TakeName());
    }
    return node;
  }

  // --- expressions ---

  bool AtTupleEnd(EndWords ends) const {
    const TokenKind kind = Current().kind;
    if (kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || AtOperator(")")) {
      return true;
    }
    return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return AtName(end); });
  }

  // One expression, or several with commas between: a tuple.
  NodePtr ParseTuple(bool with_conditional = true, EndWords ends = {}, bool in_brackets = false) {
    NodePtr tuple = New(NodeKind::kTuple);
    bool has_comma = false;
    while (!AtTupleEnd(ends)) {
      Adopt(*tuple, ParseExpression(with_conditional));
      if (!SkipOperator(",")) break;
      has_comma = true;
    }
    if (has_comma) return tuple;
    if (!tuple->children.empty()) return std::move(tuple->children[0]);
    if (!in_brackets) Refuse("expected an expression, found " + Found());
    return tuple;
  }

  NodePtr ParseExpression(bool with_conditional = true) {
    const Level level(*this);
    NodePtr value = ParseOr();
    while (with_conditional && AtName("if")) {
      const int line = Take().line;
      NodePtr node = Unary(NodeKind::kConditional, line, ParseOr());
      Adopt(*node, std::move(value));
      Adopt(*node, SkipName("else") ? ParseExpression() : nullptr);
      value = std::move(node);
    }
    return value;
  }

  NodePtr ParseOr() {
    NodePtr left = ParseAnd();
    while (AtName("or")) {
      const int line = Take().line;
      left = Binary(NodeKind::kOr, line, std::move(left), ParseAnd());
    }
    return left;
  }

  NodePtr ParseAnd() {
    NodePtr left = ParseNot();
    while (AtName("and")) {
      const int line = Take().line;
      left = Binary(NodeKind::kAnd, line, std::move(left), ParseNot());
    }
    return left;
  }

  NodePtr ParseNot() {
    if (!AtName("not")) return ParseCompare();
    const Level level(*this);
    const int line = Take().line;
    return Unary(NodeKind::kNot, line, ParseNot());
  }

  template <size_t n>
  const OperatorRow* AtOneOf(const OperatorRow (&rows)[n]) const {
    if (Current().kind != TokenKind::kOperator) return nullptr;
    const auto row = std::find_if(std::begin(rows), std::end(rows), [&](const OperatorRow& each) {
      return each.text == Current().text;
    });
    return row == std::end(rows) ? nullptr : &*row;
  }

  NodePtr ParseCompare() {
    NodePtr first = ParseSum();
    NodePtr node;
    while (true) {
      Operator op = Operator::kIn;
      if (const OperatorRow* row = AtOneOf(kComparisons)) {
        op = row->op;
        Take();
      } else if (AtName("not") && IsName(Next(), "in")) {
        op = Operator::kNotIn;
        Take();
        Take();
      } else if (!SkipName("in")) {
        break;
      }
      if (node == nullptr) {
        node = NewExtra(NodeKind::kCompare, first->line);
        Adopt(*node, std::move(first));
      }
      node->extra->operators.push_back(op);
      Adopt(*node, ParseSum());
    }
    return node == nullptr ? std::move(first) : std::move(node);
  }

  template <size_t n, typename Operand>
  NodePtr ParseChain(const OperatorRow (&rows)[n], Operand operand) {
    NodePtr left = operand();
    while (const OperatorRow* row = AtOneOf(rows)) {
      NodePtr node = NewExtra(NodeKind::kArithmetic, Take().line);
      node->extra->operators.push_back(row->op);
      Adopt(*node, std::move(left));
      Adopt(*node, operand());
      left = std::move(node);
    }
    return left;
  }
  NodePtr ParseSum() {
    return ParseChain(kSums, [&] { return ParseConcat(); });
  }
  NodePtr ParseConcat() {
    NodePtr first = ParseProduct();
    if (!AtOperator("~")) return first;
    const int line = first->line;
    NodePtr node = Unary(NodeKind::kConcat, line, std::move(first));
    while (SkipOperator("~")) Adopt(*node, ParseProduct());
    return node;
  }
  NodePtr ParseProduct() {
    return ParseChain(kProducts, [&] { return ParsePower(); });
  }
  NodePtr ParsePower() {
    return ParseChain(kPowers, [&] { return ParseUnary(); });
  }

  NodePtr ParseUnary(bool with_filter = true) {
    const Level level(*this);
    NodePtr node;
    if (AtOperator("-") || AtOperator("+")) {
      const Token sign = Take();
      const NodeKind kind = sign.text == "-" ? NodeKind::kNegative : NodeKind::kPositive;
      node = Unary(kind, sign.line, ParseUnary(false));
    } else {
      node = ParsePrimary();
    }
    node = ParsePostfix(std::move(node));
    return with_filter ? ParseFilterExpression(std::move(node)) : std::move(node);
  }

  NodePtr ParsePrimary() {
    const Token token = Current();
    switch (token.kind) {
      case TokenKind::kName:
        Take();
        return NameOrLiteral(token);
      case TokenKind::kString:
        return ParseString();
      case TokenKind::kInteger:
        Take();
        return Constant(Value::Integer(token.integer), token.line);
      case TokenKind::kFloat:
        Take();
        return Constant(Value::Float(token.number), token.line);
      default:
        break;
    }
    if (SkipOperator("(")) {
      NodePtr node = ParseTuple(true, {}, true);
      ExpectOperator(")");
      return node;
    }
    if (AtOperator("[")) return ParseList();
    if (AtOperator("{")) return ParseDict();
    Unexpected();
  }

  NodePtr NameOrLiteral(const Token& token) {
    const std::string_view name = token.text;
    if (name == "true" || name == "True") return Constant(Value::Boolean(true), token.line);
    if (name == "false" || name == "False") return Constant(Value::Boolean(false), token.line);
    if (name == "none" || name == "None") return Constant(Value::None(), token.line);
    if (name == "loop") ++n_loop_names_;
    if (name == "varargs") ++uses_.varargs;
    if (name == "kwargs") ++uses_.kwargs;
    if (name == "caller") ++uses_.caller;
    NodePtr node = New(NodeKind::kName, token.line);
    node->symbol = Symbol(name);
    return node;
  }

  NodePtr ParseString() {
    const Token first = Take();
    std::string_view text = first.text;
    if (Current().kind == TokenKind::kString) {
      std::string joined(text);
      while (Current().kind == TokenKind::kString) joined += Take().text;
      text = result_.strings.emplace_back(std::move(joined));
    }
    return Constant(Value::String(text), first.line);
  }

  NodePtr ParseList() {
    NodePtr list = New(NodeKind::kList, Take().line);
    while (!AtOperator("]")) {
      if (!list->children.empty()) ExpectOperator(",");
      if (AtOperator("]")) break;
      Adopt(*list, ParseExpression());
    }
    Take();
    return list;
  }

  NodePtr ParseDict() {
    NodePtr dict = New(NodeKind::kDict, Take().line);
    while (!AtOperator("}")) {
      if (!dict->children.empty()) ExpectOperator(",");
      if (AtOperator("}")) break;
      Adopt(*dict, ParseExpression());
      ExpectOperator(":");
      Adopt(*dict, ParseExpression());
    }
    Take();
    return dict;
  }

  NodePtr ParsePostfix(NodePtr node) {
    while (true) {
      if (AtOperator(".")) {
        node = ParseAttribute(std::move(node));
      } else if (AtOperator("[")) {
        node = ParseSubscript(std::move(node));
      } else if (AtOperator("(")) {
        node = ParseCall(std::move(node));
      } else {
        return node;
      }
    }
  }

  NodePtr ParseAttribute(NodePtr object) {
    const int line = Take().line;
    const Token name = Take();
    if (name.kind == TokenKind::kInteger) {
      return Binary(NodeKind::kItem, line, std::move(object),
                    Constant(Value::Integer(name.integer), line));
    }
    if (name.kind != TokenKind::kName) Refuse("expected a name or number after '.'");
    NodePtr node = Unary(NodeKind::kAttribute, line, std::move(object));
    node->value = Value::String(name.text);
    return node;
  }

  NodePtr ParseSubscript(NodePtr object) {
    const int line = Take().line;
    NodePtr start = AtOperator(":") ? nullptr : ParseExpression();
    if (!AtOperator(":")) {
      if (AtOperator(",")) Unsupported("several subscripts");
      ExpectOperator("]");
      return Binary(NodeKind::kItem, line, std::move(object), std::move(start));
    }
    NodePtr node = Unary(NodeKind::kSlice, line, std::move(object));
    Adopt(*node, std::move(start));
    for (int part = 0; part < 2; ++part) {
      const bool given = SkipOperator(":") && !AtOperator(":") && !AtOperator("]");
      Adopt(*node, given ? ParseExpression() : nullptr);
    }
    ExpectOperator("]");
    return node;
  }

  // "(...)" as further children of `node`.
  void ParseArguments(Node& node) {
    ExpectOperator("(");
    bool first = true;
    while (!AtOperator(")")) {
      if (!first) ExpectOperator(",");
      first = false;
      if (AtOperator(")")) break;
      if (AtOperator("*") || AtOperator("**")) Unsupported("arguments unpacked with *");
      if (Current().kind == TokenKind::kName && IsOperator(Next(), "=")) {
        node.extra->keywords.push_back(Take().text);
        Take();
      } else if (!node.extra->keywords.empty()) {
        Refuse("an argument without name follows one with a name");
      } else {
        ++node.extra->n_positional;
      }
      Adopt(node, ParseExpression());
    }
    Take();
  }

  NodePtr ParseCall(NodePtr callee) {
    NodePtr node = NewExtra(NodeKind::kCall, Current().line);
    Adopt(*node, std::move(callee));
    ParseArguments(*node);
    return node;
  }

  NodePtr ParseFilterExpression(NodePtr node) {
    while (true) {
      if (AtOperator("|")) {
        node = ParseFilters(std::move(node));
      } else if (AtName("is")) {
        node = ParseTest(std::move(node));
      } else if (AtOperator("(")) {
        node = ParseCall(std::move(node));
      } else {
        return node;
      }
    }
  }

  NodePtr ParseFilters(NodePtr node) {
    while (SkipOperator("|")) node = ParseFilter(std::move(node));
    return node;
  }

  // NAME or NAME(arguments), of the value `input`.
  NodePtr ParseFilter(NodePtr input) {
    NodePtr node = NewExtra(NodeKind::kFilter, Current().line);
    Adopt(*node, std::move(input));
    const std::string_view name = TakeName();
    node->extra->filter = FindFilter(name);
    if (node->extra->filter == nullptr) Unsupported(fmt::format("filter '{}'", name.substr(0, 60)));
    if (AtOperator("(")) ParseArguments(*node);
    return node;
  }

  bool AtTestArgument() const {
    switch (Current().kind) {
      case TokenKind::kName:
        return !AtName("else") && !AtName("or") && !AtName("and");
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return true;
      default:
        return AtOperator("[") || AtOperator("{");
    }
  }

  NodePtr ParseTest(NodePtr tested) {
    const int line = Take().line;
    const bool negated = SkipName("not");
    NodePtr node = NewExtra(NodeKind::kTest, line);
    Adopt(*node, std::move(tested));
    const std::string_view name = TakeName();
    node->extra->test = FindTest(name);
    if (node->extra->test == nullptr) Unsupported(fmt::format("test '{}'", name.substr(0, 60)));
    if (AtOperator("(")) {
      ParseArguments(*node);
    } else if (AtTestArgument()) {
      if (AtName("is")) Refuse("tests cannot follow each other; use brackets");
      node->extra->n_positional = 1;
      Adopt(*node, ParsePostfix(ParsePrimary()));
    }
    return negated ? Unary(NodeKind::kNot, line, std::move(node)) : std::move(node);
  }

  // How often names that a macro gets without asking were read so far.
  struct Uses {
    size_t varargs = 0, kwargs = 0, caller = 0;
  };

  Template& result_;
  std::string_view origin_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::unordered_map<std::string_view, int> symbols_;
  size_t n_nodes_ = 0;
  int depth_ = 0;
  int loop_depth_ = 0;
  size_t n_loop_names_ = 0;
  Uses uses_;
};

}  // namespace

std::unique_ptr<const Template> ParseTemplate(std::string_view source, std::string_view origin) {
  auto result = std::make_unique<Template>();
  result->source = NormaliseSource(source);
  Parser(*result, origin).Run();
  return result;
}

}  // namespace moescope::text::jinja
