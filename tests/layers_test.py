"""src/LAYERS against the #include lines: who may include whom, no cycles, and headers that belong to
one place only.

usage: layers_test.py SOURCE_DIR
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]) / "src"
problems = []

allowed = {}
for line in (root / "LAYERS").read_text().splitlines():
    line = line.split("#")[0].strip()
    if line:
        folder, _, others = line.partition(":")
        allowed[folder] = set(others.split()) | {folder}

# Header (a regular expression on the name between the brackets) and where it may stand.
kernel_isa = r"engine/kernels/\w+/"
places = [
    (r"nlohmann/json.hpp|CLI/|spdlog/|fmt/", r".*\.cpp$", "JSON, CLI, log and format headers: only in .cpp"),
    (r"duckdb\.h(pp)?$", r"store/.*\.cpp$", "DuckDB: only in store/*.cpp"),
    (r"\w*intrin\.h$|arm_neon\.h$|simde/", kernel_isa + r"|base/platform/|.*_test\.cpp$",
     "intrinsics: only in engine/kernels/<isa>/"),
    (r"sys/mman\.h$|cpuid\.h$|sys/syscall\.h$", r"base/platform/|.*_test\.cpp$",
     "operating system headers: only in base/platform/"),
    (r"torch/", r"train/", "torch: only in train/"),
    (r"regex$|cassert$|assert\.h$", r"$^", "std::regex recurses, assert aborts: nowhere"),
]


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line)
        if match:
            yield number, match[1]


def find_cycle(graph):
    """A cycle of `graph` (node -> nodes) as a list, or None; iterative depth-first search."""
    done = set()
    for start in sorted(graph):
        path, stack = [], [(start, iter(sorted(graph[start])))]
        on_path = {start}
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if n in graph and n not in done), None)
            if following is None:
                stack.pop()
                done.add(node)
                on_path.discard(node)
            elif following in on_path:
                nodes = [n for n, _ in stack]
                return nodes[nodes.index(following):] + [following]
            else:
                stack.append((following, iter(sorted(graph[following]))))
                on_path.add(following)
    return None


files, folders = {}, {}
n_includes = 0
for path in sorted(root.rglob("*")):
    if path.suffix not in (".h", ".cpp"):
        continue
    name = path.relative_to(root).as_posix()
    folder = name.split("/")[0]
    is_test = name.endswith("_test.cpp") or "/testing/" in name
    if folder not in allowed:
        problems.append(f"{name}: folder {folder} has no line in src/LAYERS")
        continue
    files[name] = set()
    for number, header in includes(path):
        n_includes += 1
        for pattern, place, rule in places:
            if re.match(pattern, header) and not re.match(place, name):
                problems.append(f"{name}:{number}: <{header}>: {rule}")
        if not (root / header).is_file():
            continue
        files[name].add(header)
        target = header.split("/")[0]
        if is_test:  # a test may reach up for what it needs to set a scene
            continue
        if target not in allowed[folder]:
            problems.append(f"{name}:{number}: {folder} may not include {target} (src/LAYERS)")
        folders.setdefault(folder, set()).add(target)

for name, targets in folders.items():
    targets.discard(name)
for what, graph in (("folders", folders), ("files", files),
                    ("src/LAYERS", {k: v - {k} for k, v in allowed.items()})):
    cycle = find_cycle(graph)
    if cycle:
        problems.append(f"{what} include each other: {' -> '.join(cycle)}")

if n_includes < 50:
    problems.append(f"only {n_includes} #include lines found in {root}: is the path right?")
print("\n".join(problems) or f"{len(files)} files, {n_includes} includes: as src/LAYERS says")
sys.exit(bool(problems))
