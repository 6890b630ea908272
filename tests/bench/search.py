"""Runs the search engine and its peers on test functions with the same budget, start and step, and prints a Markdown table.

    python search.py ASK_TELL [--seeds N]

ASK_TELL is the example program of the search crate. The budget is 40 evaluations a dimension, what a real search of expensive trials
has. Starts are drawn from [-3, 3] in each coordinate, the same for every optimiser; sigma0 is 1; Optuna's TPE, which has neither, gets
the box [-5, 5] and the start as its first trial. A cell is the median over the seeds of the true value of the point that looked best.
"""

import argparse
import json
import logging
import statistics
import subprocess
import warnings
import zlib

# It says on standard error that it can't plot.
warnings.filterwarnings("ignore", module="cma")
import cma  # noqa: E402
import cmaes
import numpy as np
import optuna

EVALUATIONS_PER_DIMENSION = 40
SIGMA = 1.0


def sphere(x):
    return float(np.sum(x**2))


def ellipsoid(x):
    return float(np.sum(10.0 ** (6 * np.arange(len(x)) / (len(x) - 1)) * x**2))


def rosenbrock(x):
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


class Problem:
    """A function with a start, a budget and perhaps an error that depends on the point only, as fixed evaluation items make it."""

    def __init__(self, function, error, dimension, seed):
        self.function, self.error, self.seed = function, error, seed
        self.start = np.random.default_rng(seed).uniform(-3, 3, dimension)
        self.left = EVALUATIONS_PER_DIMENSION * dimension
        self.best = (np.inf, np.inf)

    def __call__(self, x):
        x = np.asarray(x, dtype=float)
        value = self.function(x)
        seen = value + self.error * np.random.default_rng(zlib.crc32(x.tobytes())).normal()
        # Beyond the budget a generation may be completed, but counts no more.
        if self.left > 0:
            self.best = min(self.best, (seen, value))
            self.left -= 1
        return seen


def mergesearch(ask_tell, problem):
    with subprocess.Popen([ask_tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def say(message):
            process.stdin.write(json.dumps(message) + "\n")

        def call(message):
            say(message)
            answer = json.loads(process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer

        say({"dimension": len(problem.start), "x0": list(problem.start), "sigma0": SIGMA, "seed": problem.seed})
        while problem.left > 0:
            trials = call({"ask": 1_000})["trials"]
            call({"tell": [{"id": trial["id"], "values": [problem(trial["x"])]} for trial in trials]})
        process.stdin.close()


def pycma(problem):
    engine = cma.CMAEvolutionStrategy(problem.start, SIGMA, {"seed": problem.seed + 1, "verbose": -9})
    while problem.left > 0:
        points = engine.ask()
        engine.tell(points, [problem(point) for point in points])


def cyberagent(problem):
    engine = cmaes.CMA(mean=problem.start, sigma=SIGMA, seed=problem.seed)
    while problem.left > 0:
        engine.tell([(point, problem(point)) for point in (engine.ask() for _ in range(engine.population_size))])


def tpe(problem):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=problem.seed))
    names = [f"x{index}" for index in range(len(problem.start))]
    study.enqueue_trial(dict(zip(names, map(float, problem.start))))
    study.optimize(lambda trial: problem([trial.suggest_float(name, -5, 5) for name in names]), n_trials=problem.left)


def median(optimise, function, error, dimension, seeds):
    problems = [Problem(function, error, dimension, seed) for seed in range(seeds)]
    for problem in problems:
        optimise(problem)
    return statistics.median(problem.best[1] for problem in problems)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ask_tell")
    parser.add_argument("--seeds", type=int, default=9)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore")

    optimisers = {
        "mergesearch": lambda problem: mergesearch(arguments.ask_tell, problem),
        "pycma": pycma,
        "cmaes": cyberagent,
        "Optuna TPE": tpe,
    }
    functions = {"sphere": (sphere, 0), "ellipsoid": (ellipsoid, 0), "rosenbrock": (rosenbrock, 0), "noisy sphere": (sphere, 0.1)}
    print(f"Budget: {EVALUATIONS_PER_DIMENSION} evaluations a dimension. Median of {arguments.seeds} seeds; lower is better.\n")
    print(f"| function | n | {' | '.join(optimisers)} |\n|---|---|{'---|' * len(optimisers)}")
    for label, (function, error) in functions.items():
        for dimension in (5, 15):
            cells = [median(optimise, function, error, dimension, arguments.seeds) for optimise in optimisers.values()]
            print(f"| {label} | {dimension} | {' | '.join(f'{cell:.2g}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
