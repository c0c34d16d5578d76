"""Our chat templates against jinja2, set up as transformers sets it up for them.

usage: chat_template_against_jinja.py CHAT_TEMPLATE_RENDER [--expressions N] [--seed S]

Every template of tests/chat_templates/ with every conversation below, and N random templates made of
constructs that conversations' templates use. Both must write the same text, or both refuse. Skipped
(77) where the package is not installed.
"""
import argparse
import datetime
import json
import pathlib
import random
import subprocess
import sys
import threading
import warnings

try:
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("skipped: no jinja2 package")
    sys.exit(77)

warnings.simplefilter("ignore", SyntaxWarning)
NOW = datetime.datetime(2024, 7, 26, 9, 5, 3)


class Generation(Extension):
    """{% generation %}: its body, as a block with variables of its own."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


TOOL = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather at a place <now> & \"later\"",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name of a city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "array", "items": {"type": "integer"}}}, "required": ["city"]}}}
CALL = {"id": "call12345", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Z\u00fcrich", "days": [1, 2.5, None]}}}


def conversations():
    user = {"role": "user", "content": "Hello, how are you?"}
    answer = {"role": "assistant", "content": "Fine.  \n"}
    system = {"role": "system", "content": "  You are <b>kind</b>.\n\n"}
    again = {"role": "user", "content": "\u4f60\u597d \U0001F600 it's \"quoted\"\\ \n"}
    thought = {"role": "assistant", "content": "<think>\nhm, 1 < 2\n</think>\n\nYes."}
    reasoned = {"role": "assistant", "content": "No.", "reasoning_content": "\nbecause\n"}
    parts = {"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image"},
                                         {"type": "text", "text": "this"}]}
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    silent_call = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]}
    result = {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": "{\"t\": 21}"}
    lists = [
        [], [user], [system], [user, answer], [system, user], [system, user, answer],
        [system, user, answer, again], [user, answer, again, thought, user],
        [user, thought, again, reasoned, user], [parts], [system, parts, answer],
        [user, user], [answer, user], [user, system, answer], [{"role": "critic", "content": "x"}],
        [user, call, result, answer], [system, user, silent_call, result, result, answer, again],
        [user, call, result], [{"role": "user"}], [{"role": "user", "content": ""}],
        [system, user, answer] * 6, [{"role": "user", "content": 3}],
    ]
    for messages in lists:
        for tools in (None, [TOOL], [TOOL, TOOL]):
            for prompt in (False, True):
                request = {"messages": messages, "tools": tools, "documents": None,
                           "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}
                yield request
        yield {**request, "tools": None, "enable_thinking": False, "date_string": "1 May 2025"}


# --- random templates ---

VALUES = {
    "s": "Hello World", "u": "\u00c4rger stra\u00dfe \u01c6 \u03a3\u0391\u03a3", "e": "", "sp": " \t x y \n",
    "n": 7, "z": 0, "m": -3, "f": 2.5, "t": True, "no": None, "l": [3, 1, 2], "el": [],
    "w": ["b", "A", "c", "a"], "d": {"b": 1, "a": [1, "x"], "C": None},
    "ms": [{"role": "user", "content": "hi", "n": 1}, {"role": "system", "content": " S "},
           {"role": "assistant", "content": None, "n": 2, "k": {"x": "deep"}}],
    "big": 9007199254740993, "tiny": 1e-7, "huge": 1.5e300, "c": "a,b,,c", "q": "it's \"so\"\\\n\u00e9\u200b"}
NAMES = list(VALUES) + ["missing"]
STRINGS = ["''", "'a'", "' '", "'lo'", "\"it's\"", "'x\\ny'", "','", "'\u00e9'", "'W'", "'role'", "'b'", "'%s!'"]
FILTERS = [
    "trim", "length", "upper", "lower", "join", "join(', ')", "tojson", "tojson(indent=2)",
    "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "tojson(sort_keys=true)", "default('D')",
    "default('D', true)", "first", "last", "list", "map('upper')|list", "map(attribute='role')|list",
    "map(attribute='k.x')|list", "selectattr('n')|list", "selectattr('role', 'equalto', 'user')|list",
    "rejectattr('n', 'defined')|list", "selectattr('content', 'none')|list", "select('string')|list",
    "reject('number')|list", "select|list", "string", "int", "int(5)", "float", "replace('l', 'LL')",
    "replace('', '-')", "replace('o', '0', 1)", "items|list", "sort", "sort(reverse=true)",
    "sort(case_sensitive=true)", "sort(attribute='role')", "unique|list", "reverse|list", "indent",
    "indent(2, true)", "indent('> ', blank=true)", "safe", "dictsort", "dictsort(by='value')",
    "dictsort(reverse=true)", "title", "capitalize", "abs", "round", "round(1)", "round(2, 'floor')",
    "count", "sum", "min", "max", "map('int')|list", "trim('Hd ')", "format('x')", "map('default', 'q')|list",
    "join('-', attribute='role')", "reverse|join", "select('in', [1, 'a'])|list"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer",
         "float", "boolean", "true", "false", "equalto('a')", "== 7", "eq(3)", "in [1, 'a', none]",
         "divisibleby 2", "odd", "even", "lower", "upper", "ne 1", "gt 2", "lt(9)", "sameas none", "callable"]
METHODS = [
    "strip()", "strip('Hd ')", "lstrip()", "rstrip('\\n')", "split()", "split('l')", "split(',', 1)",
    "split(None, 1)", "startswith('He')", "endswith(('d', 'x'))", "upper()", "lower()", "title()",
    "capitalize()", "replace('l', '')", "replace('l', 'L', 1)", "find('o')", "rfind('o')", "join(['a', 'b'])",
    "get('a')", "get('zz', 'dflt')", "items()|list", "keys()|list", "values()|list", "count('l')", "index(1)",
    "splitlines()", "rsplit('o', 1)", "removeprefix('He')", "append(1)", "pop()", "update({})", "b", "a", "C",
    "role", "__class__", "__class__.__mro__", "zz", "_x", "sort()", "0"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Expressions:
    def __init__(self, rng):
        self.rng = rng

    def atom(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.55:
            return rng.choice(NAMES)
        if kind < 0.75:
            return rng.choice(STRINGS)
        return rng.choice(["0", "1", "2", "-1", "10", "3.25", "1e3", "0x1f", "1_000", "true", "False", "none",
                           "2 ** 5", "2 ** -1", "[]", "{}", "()", "(1,)", "(1, 'a')", "[1, [2, 'b']]", "{'a': 1, 'b': [none]}",
                           "range(4)", "range(5, 0, -2)|list", "dict(a=1)", "namespace(a=2).a"])

    def expression(self, depth):
        rng = self.rng
        if depth <= 0:
            return self.atom()
        inner = lambda: self.expression(depth - 1 - rng.randrange(2))
        kind = rng.random()
        if kind < 0.22:
            return f"{inner()}|{rng.choice(FILTERS)}"
        if kind < 0.32:
            return f"({inner()})|{rng.choice(FILTERS)}"
        if kind < 0.42:
            return f"{rng.choice(NAMES)}.{rng.choice(METHODS)}"
        if kind < 0.47:
            return f"({inner()}).{rng.choice(METHODS)}"
        if kind < 0.68:
            return f"{inner()} {rng.choice(BINARY)} {inner()}"
        if kind < 0.74:
            return f"{inner()} is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
        if kind < 0.80:
            part = lambda: rng.choice(["", "0", "1", "-1", "2", "-2", "9"])
            step = rng.choice(["", ":", ":-1", ":2", ":-2"])
            return f"({inner()})[{part()}:{part()}{step}]"
        if kind < 0.86:
            return f"({inner()})[{rng.choice(['0', '-1', '1', '9'] + STRINGS)}]"
        if kind < 0.91:
            return f"({inner()} if {inner()}{rng.choice([' else ' + inner(), ''])})"
        if kind < 0.94:
            return f"not {inner()}"
        if kind < 0.97:
            return f"[{inner()}, {inner()}]"
        return f"{{'a': {inner()}, {inner()}: 1}}"

    def tag(self, text):
        rng = self.rng
        return "{%" + rng.choice(["", "", "", "-", "+"]) + f" {text} " + rng.choice(["", "", "", "-"]) + "%}"

    def data(self):
        return self.rng.choice(["", " ", "\n", "  \n", "\n  ", " a ", "b\n", "\n\n", "\t", "\u00a0\n", "\r\n  ",
                                "{# c #}", "{#- c -#}\n", "{# c +#}\n", "{% raw %}{{ x }}{% endraw %}\n",
                                "\n  {%- raw -%} {% r {%- endraw %}\n", "{{- 'v' -}}", "  {{ 'v' }}\n"])

    def statement(self, depth):
        rng, tag, data = self.rng, self.tag, self.data
        expression = lambda: self.expression(2)
        body = lambda: data() + self.statement(depth - 1) + data() if depth > 0 else data()
        kind = rng.randrange(11)
        if kind == 0:
            return tag(f"if {expression()}") + body() + tag("else") + body() + tag("endif")
        if kind == 1:
            loop = rng.choice(["loop.index", "loop.last", "loop.length", "loop.previtem", "loop.nextitem",
                               "loop.first", "loop.revindex0", "loop.cycle('a', 'b')", "loop['index0']"])
            where = rng.choice(["", "", f" if {rng.choice(['i', 'i is number', 'i != 1'])}"])
            leave = rng.choice(["", tag("break"), tag("if loop.index > 1") + tag("continue") + tag("endif")])
            return (tag(f"for i in {expression()}{where}") + "[{{ i }}" + leave + "{{ " + loop + " }}]" + body() +
                    tag("else") + "none" + tag("endfor"))
        if kind == 2:
            return tag(f"set v = {expression()}") + "{{ v }}" + body()
        if kind == 3:
            return tag("set v" + rng.choice(["", " | trim", " | upper | trim"])) + body() + tag("endset") + "<{{ v }}>"
        if kind == 4:
            return (tag(f"macro f(a, b={expression()})") + "({{ a }}-{{ b }})" + body() + tag("endmacro") +
                    "{{ f(" + rng.choice(["", "1", "1, 2", "b=3", "1, b='x'", "1, 2, 3", "c=1"]) + ") }}")
        if kind == 5:
            return (tag(f"set ns = namespace(x={expression()}, y=0)") + tag("for i in [1, 2, 3]") +
                    tag("set ns.y = ns.y + i") + tag("set v = i") + tag("endfor") + "{{ ns.x }}{{ ns.y }}{{ v }}")
        if kind == 6:
            return (tag("for k, v in d.items()") + "{{ k }}={{ v }};" + body() + tag("endfor") + "{{ k }}")
        if kind == 7:
            return tag("filter upper") + body() + tag("endfilter")
        if kind == 8:
            return tag("generation") + body() + tag("endgeneration")
        if kind == 9:
            return tag(f"with v = {expression()}, w2 = 1") + "{{ v }}" + body() + tag("endwith")
        return "{{ " + expression() + " }}"


def random_templates(n, seed):
    rng = random.Random(seed)
    expressions = Expressions(rng)
    for i in range(n):
        if i % 3 == 0:
            yield expressions.data() + expressions.statement(2) + expressions.data()
        else:
            yield "{{ " + expressions.expression(3) + " }}"


# --- comparison ---

def known_difference(text, error, answer):
    """What docs/chat-templates.md lists; whatever we call unsupported is listed there."""
    if "lists what is supported" in answer.get("error", ""):
        return True
    # jinja2 works out constants before it runs: it then finds nothing where it would raise, and raises
    # for what would not run.
    if text is not None and "cannot slice" in answer.get("error", ""):
        return True
    if error is not None and "unhashable type" in error:
        return True
    # Objects that Python writes with their address or type.
    return text is not None and any(word.lower() in text.lower() for word in ("<generator", "<built-in", "<bound method", "dict_",
                                                              "Undefined", "reversed object", "<Macro", "<class",
                                                              "reverseiterator", "<function", "<Namespace", "Markup("))


def render(env, template, request):
    try:
        return env.from_string(template).render(**request), None
    except Exception as error:  # whatever Python raises counts as a refusal
        return None, f"{type(error).__name__}: {error}"


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def render(self, template, request):
        self.process.stdin.write(json.dumps({"template": template, "request": request}) + "\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(20, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            sys.exit(f"the program ended with {self.process.wait()} on {template!r}")
        return json.loads(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--expressions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    env, ours = environment(), Ours(arguments.program)
    folder = pathlib.Path(__file__).parent / "chat_templates"
    cases = [(path.name, path.read_text(encoding="utf-8"), request)
             for path in sorted(folder.glob("*.jinja")) for request in conversations()]
    if not cases:
        print(f"no templates in {folder}")
        return 1
    cases += [("random", template, VALUES)
              for template in random_templates(arguments.expressions, arguments.seed)]
    n_different = n_known = n_texts = 0
    for name, template, request in cases:
        text, error = render(env, template, request)
        answer = ours.render(template, request)
        n_texts += text is not None
        if text == answer.get("text"):
            continue
        if name == "random" and known_difference(text, error, answer):
            n_known += 1
            continue
        n_different += 1
        if n_different <= 40:
            shown = template if name == "random" else f"{name} {json.dumps(request)[:300]}"
            print(f"-- {shown!r}\n   jinja2: {text!r} {error or ''}\n   ours:   {answer}")
    print(f"{len(cases)} cases, {n_texts} of them texts, seed {arguments.seed}: {n_different} differences, "
          f"{n_known} of the documented kinds")
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
