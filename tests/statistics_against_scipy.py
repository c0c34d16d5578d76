"""The statistics of src/study/analysis against SciPy and NumPy, on random data.

usage: statistics_against_scipy.py STATISTICS_ANSWERS [--cases N] [--seed S]

Adjusted p-values, Wilson intervals, normal quantiles, exact permutation tests and percentile
bootstraps over given resample indices are SciPy's or NumPy's; Mantel-Haenszel and its variance are
the published formulas, checked against SciPy's asymptotics where there is one stratum. Skipped (77)
where the packages are not installed.
"""
import argparse
import subprocess
import sys

try:
    import numpy as np
    import scipy.stats as st
    from scipy.stats.contingency import odds_ratio
except ImportError:
    print("skipped: no scipy package")
    sys.exit(77)

TOLERANCE = 1e-12


def words(*parts):
    return " ".join(np.format_float_positional(v, unique=True, trim="0") if isinstance(v, float) else str(v)
                    for part in parts for v in (np.ravel(part).tolist() if not isinstance(part, str) else [part]))


def adjusted(rng):
    p = rng.uniform(size=rng.integers(1, 40)) ** rng.integers(1, 4)
    p = np.round(p, 2) if rng.uniform() < 0.3 else p  # ties
    yield words("bh", p.size, p), st.false_discovery_control(p, method="bh")
    order = np.argsort(p, kind="stable")
    holm = np.empty_like(p)
    holm[order] = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(p.size, 0, -1)))
    yield words("holm", p.size, p), holm


def proportion(rng):
    n = int(rng.integers(1, 300))
    k, level = int(rng.integers(0, n + 1)), float(rng.choice([0.8, 0.95, 0.99]))
    ci = st.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    yield words("wilson", k, n, level), [ci.low, ci.high]
    q = float(rng.uniform(1e-6, 1 - 1e-6))
    yield words("quantile", q), [st.norm.ppf(q)]


def mantel_haenszel(rng):
    tables = rng.integers(0, 60, size=(rng.integers(1, 30), 4)).astype(float) + (rng.uniform() < 0.5)
    a, b, c, d = tables.T
    n = np.maximum(tables.sum(axis=1), 1)
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    if r.sum() == 0 or s.sum() == 0:
        return
    variance = ((p * r).sum() / (2 * r.sum() ** 2) + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
                + (q * s).sum() / (2 * s.sum() ** 2))
    yield words("mh", len(tables), tables), [r.sum() / s.sum(), variance]
    one = tables[0]
    if one.min() > 0:
        sample = odds_ratio(one.astype(int).reshape(2, 2), kind="sample")
        low, high = sample.confidence_interval(0.95)
        sd = (np.log(high) - np.log(low)) / (2 * st.norm.ppf(0.975))
        yield words("mh", 1, one), [sample.statistic, sd ** 2]


def bootstrap(rng):
    units, samples, level = int(rng.integers(10, 40)), int(rng.integers(50, 200)), float(rng.choice([0.9, 0.95]))
    size = rng.integers(1, 1000, size=units).astype(float)
    hits = np.floor(size * rng.uniform(size=units))
    index = rng.integers(0, units, size=(samples, units))
    values = hits[index].sum(axis=1) / size[index].sum(axis=1)
    expected = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    yield words("bootstrap", level, units, samples, np.stack([hits, size], axis=1), index), expected


def permutation(rng):
    units = int(rng.integers(4, 10))
    labels = np.zeros(units, int)
    labels[rng.permutation(units)[:rng.integers(2, units - 1)]] = 1
    values = np.round(rng.normal(size=units) + labels, 1 if rng.uniform() < 0.5 else 6)
    groups = (values[labels == 1], values[labels == 0])
    statistic = lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis)
    result = st.permutation_test(groups, statistic, vectorized=True, n_resamples=np.inf, alternative="greater")
    # Arrangements equal but for rounding are ties. Both sides: distance from the mean of all
    # arrangements, which is 0 for a difference of means.
    null, observed = result.null_distribution, result.statistic
    yield words("permutation", units, labels, values), [
        np.mean(null >= observed - 1e-9), np.mean(np.abs(null) >= abs(observed) - 1e-9)]


def spearman(rng):
    n = int(rng.integers(3, 60))
    a = rng.normal(size=n)
    b = a * rng.uniform(-1, 1) + rng.normal(size=n)
    a, b = (np.round(v, 1) if rng.uniform() < 0.5 else v for v in (a, b))  # ties
    if np.ptp(a) > 0 and np.ptp(b) > 0:
        yield words("spearman", n, a, b), [st.spearmanr(a, b).statistic]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    cases = [case for _ in range(arguments.cases)
             for kind in (adjusted, proportion, mantel_haenszel, bootstrap, permutation, spearman) for case in kind(rng)]
    out = subprocess.run([arguments.program], input="\n".join(line for line, _ in cases) + "\n",
                         stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    worst, n_different = {}, 0
    for (line, expected), answer in zip(cases, out, strict=True):
        kind, found = line.split()[0], np.array(answer.split(), float)
        error = np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)))
        worst[kind] = max(worst.get(kind, 0), error)
        if not error <= TOLERANCE:
            n_different += 1
            print(f"different: {line[:200]}\n  expected {expected}\n  found    {found}")
    print(f"{len(cases)} cases, seed {arguments.seed}, {n_different} differ; largest relative error: "
          + ", ".join(f"{kind} {error:.1e}" for kind, error in worst.items()))
    return 1 if n_different else 0


if __name__ == "__main__":
    sys.exit(main())
