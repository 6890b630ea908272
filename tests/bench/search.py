"""Runs the search engine and its peers on test functions with the same budget, start and step, and prints a Markdown table.

    python search.py ASK_TELL [--seeds N]

ASK_TELL is the example program of the search crate. The budget is 40 evaluations a dimension, what a real search of expensive trials
has. Starts are drawn from [-3, 3] in each coordinate, the same for every optimiser; sigma0 is 1; Optuna's TPE, which has neither, gets
the box [-5, 5] and the start as its first trial. A cell is the median over the seeds of the best value found; lower is better.
"""

import argparse
import json
import logging
import statistics
import subprocess
import warnings
import zlib

import cma
import cmaes
import numpy as np
import optuna

EVALUATIONS_PER_DIMENSION = 40


def sphere(x):
    return float(np.sum(x**2))


def ellipsoid(x):
    return float(np.sum(10.0 ** (6 * np.arange(len(x)) / (len(x) - 1)) * x**2))


def rosenbrock(x):
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def noisy_sphere(x):
    """With an error that depends on the point only, as fixed evaluation items make it."""
    error = np.random.default_rng(zlib.crc32(x.tobytes())).normal()
    return sphere(x) + 0.1 * error


def ours(ask_tell, function, start, budget, seed):
    with subprocess.Popen([ask_tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def say(message):
            process.stdin.write(json.dumps(message) + "\n")

        def call(message):
            say(message)
            answer = json.loads(process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer

        say({"dimension": len(start), "x0": list(start), "sigma0": 1.0, "seed": seed, "directions": ["minimize"]})
        best = np.inf
        while budget > 0:
            trials = call({"ask": budget})["trials"]
            values = [function(np.array(trial["x"])) for trial in trials]
            call({"tell": [{"id": trial["id"], "values": [value]} for trial, value in zip(trials, values)]})
            best, budget = min([best, *values[:budget]]), budget - len(trials)
        process.stdin.close()
    return best


def pycma(function, start, budget, seed):
    engine = cma.CMAEvolutionStrategy(start, 1.0, {"seed": seed + 1, "verbose": -9})
    best = np.inf
    while budget > 0:
        points = engine.ask()
        values = [function(point) for point in points]
        engine.tell(points, values)
        best, budget = min([best, *values[:budget]]), budget - len(points)
    return best


def cyberagent(function, start, budget, seed):
    engine = cmaes.CMA(mean=start, sigma=1.0, seed=seed)
    best = np.inf
    while budget > 0:
        points = [engine.ask() for _ in range(engine.population_size)]
        told = [(point, function(point)) for point in points]
        engine.tell(told)
        best, budget = min([best, *(value for _, value in told[:budget])]), budget - len(points)
    return best


def tpe(function, start, budget, seed):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    names = [f"x{index}" for index in range(len(start))]
    study.enqueue_trial(dict(zip(names, map(float, start))))
    study.optimize(lambda trial: function(np.array([trial.suggest_float(name, -5, 5) for name in names])), n_trials=budget)
    return study.best_value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ask_tell")
    parser.add_argument("--seeds", type=int, default=9)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore")

    optimisers = {
        "mergesearch": lambda *problem: ours(arguments.ask_tell, *problem),
        "pycma": pycma,
        "cmaes": cyberagent,
        "Optuna TPE": tpe,
    }
    print(f"Budget: {EVALUATIONS_PER_DIMENSION} evaluations a dimension. Median of {arguments.seeds} seeds; lower is better.\n")
    print(f"| function | n | {' | '.join(optimisers)} |\n|---|---|{'---|' * len(optimisers)}")
    for function in (sphere, ellipsoid, rosenbrock, noisy_sphere):
        for dimension in (5, 15):
            starts = [np.random.default_rng(seed).uniform(-3, 3, dimension) for seed in range(arguments.seeds)]
            budget = EVALUATIONS_PER_DIMENSION * dimension
            cells = [
                statistics.median(optimise(function, start, budget, seed) for seed, start in enumerate(starts))
                for optimise in optimisers.values()
            ]
            print(f"| {function.__name__.replace('_', ' ')} | {dimension} | {' | '.join(f'{cell:.2g}' for cell in cells)} |")


if __name__ == "__main__":
    main()
