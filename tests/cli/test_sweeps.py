"""Recipes that run a sweep: their options, the names of their runs, and how they end."""

import dataclasses
import importlib.util
import shutil
from pathlib import Path

import keras
import pytest

import sonikeras
from sonikeras.cli.recipes import main
from sonikeras.cli.sweeps import SweepScript, check_data, config_names, results_of
from sonikeras.evaluation import experiment, sweep
from sonikeras.evaluation.sweep import Result, Run
from sonikeras.models import weights
from sonikeras.training import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
SCRIPT = SweepScript(
    name="demo",
    description="A demo.",
    recipe=Recipe(network="efficientnet_lite0", images_per_class=50, seed=7),
    seeds=3,
    smoke={"data": "c2", "images_per_class": 5, "epochs": 2, "seeds": 2},
)


def load(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(*arguments, work=lambda options: ([], [])):
    """The options that the script's work gets, and its recipe."""
    given = []

    def noting(options):
        given.append((options, SCRIPT.recipe_for(options, "efficientnet_lite0")))
        return work(options)

    parser = SCRIPT.parser()
    parser.add_argument("--data")
    SCRIPT.main(parser, noting, arguments)
    return given[0]


def test_the_recipe_has_the_options_that_are_given():
    options, recipe = start()
    assert recipe == SCRIPT.recipe and recipe.images_per_class == 50
    assert list(options.seeds) == [7, 8, 9] and options.directory == Path("runs/demo")
    options, recipe = start("--data", "c4", "--weights", "none", "--epochs", "3", "--seeds", "1", "--out", "mine")
    assert (recipe.data, recipe.weights, recipe.epochs, recipe.images_per_class) == ("c4", None, 3, 50)
    assert list(options.seeds) == [7] and options.directory == Path("mine")
    assert start("--data-dir", "cats")[1].data is None
    assert start("--data-dir", "cats", "--data", "c4")[1].data == "c4"


def test_a_smoke_run_is_small_where_nothing_is_given():
    options, recipe = start("--smoke", "--epochs", "4", "--only-page")
    assert (recipe.data, recipe.images_per_class, recipe.epochs, recipe.image_size) == ("c2", 5, 4, 64)
    assert list(options.seeds) == [7, 8] and options.directory == Path("runs/demo-smoke")
    assert options.command == "python recipes/demo.py --smoke --epochs 4"
    assert start("--smoke", "--data-dir", "cats")[1].data is None


def test_the_end_says_where_the_results_are_and_what_failed(capsys):
    def work(options):
        runs = [Run(name, {}, SCRIPT.recipe) for name in ("a", "b")]
        return [Result(runs[0], error="OSError: full"), Result(runs[1])], [Path("a.csv"), Path("b.html")]

    with pytest.raises(SystemExit, match="^error: 1 of 2 runs failed: a. See their error.txt.$"):
        start(work=work)
    assert capsys.readouterr().out == "The results are in a.csv and b.html\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), r"^Interrupted. Repeat the command to resume .* in runs/demo\.$"),
        (ValueError("The rule. Received: x"), r"^error: The rule. Received: x$"),
    ],
)
def test_errors_are_one_line(error, message):
    def work(options):
        raise error

    with pytest.raises(SystemExit, match=message):
        start(work=work)
    with pytest.raises(TypeError, match="a bug"):
        start(work=lambda options: (_ for _ in ()).throw(TypeError("a bug")))


def test_only_page_runs_nothing():
    options, recipe = start("--only-page", "--out", "sweep")
    (result,) = results_of(options, [Run("a", {}, recipe)])
    assert result.report is None and result.error is None and not Path("sweep").exists()


def test_the_weights_are_said_once_before_any_work(capsys, monkeypatch, tiny_network):
    steps = []
    monkeypatch.setattr(sweep, "sweep", lambda runs, directory: steps.append("runs") or [])
    options, recipe = start("--out", "sweep", "--weights", "none")
    recipes = [
        SCRIPT.recipe,
        dataclasses.replace(SCRIPT.recipe, seed=8),
        dataclasses.replace(recipe, network=tiny_network),
    ]
    runs = [Run(str(i), {}, each) for i, each in enumerate(recipes)]
    capsys.readouterr()
    results_of(options, runs, prepare=lambda: steps.append("files"))
    assert capsys.readouterr().out == "Weights: efficientnet_lite0 (efficientnet-lite0-57934424.pth), tiny (random)\n"
    assert steps == ["files", "runs"]


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("study", ["--weights", "nowhere.h5"], r"must be the path of a file. Received: weights='nowhere.h5'"),
        (
            "study",
            ["--models", "resnet50", "--weights", "other.pth"],
            r"weights of backbone='resnet50'.*'other.pth', which",
        ),
        (
            "study",
            ["--models", "resnet50", "efficientnet_b0"],
            "No weights for 2 of 2 networks: resnet50, efficientnet_b0. ",
        ),
        (
            "channels",
            ["--network", "resnet50"],
            r"ImageNet weights of backbone='resnet50' could not be downloaded: offline",
        ),
    ],
)
def test_networks_without_weights_are_an_error_before_any_work(script, options, message, monkeypatch):
    def offline(*args, **kwargs):
        raise Exception("offline")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.setattr(experiment, "run", lambda *args, **kwargs: pytest.fail("a run"))
    Path("other.pth").symlink_to(weights.installed_path("efficientnet_lite0"))
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as caught:
        load(script).main([*options, "--smoke", "--seeds", "1", "--out", "sweep"])
    assert "\n" not in str(caught.value) and not Path("sweep").exists()


@pytest.mark.parametrize("seeds", ["0", "-1", "1.5", "many"])
def test_seeds_are_counted_from_one(seeds, capsys):
    with pytest.raises(SystemExit, match="2"):
        start("--seeds", seeds)
    assert f"--seeds: must be an integer of at least 1. Received: {seeds}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["study", "channels", "quickstart", "best"])
def test_help_has_no_dictionary(name, capsys):
    module = load(name)
    with pytest.raises(SystemExit, match="0"):
        if hasattr(module, "RECIPE"):
            module.main(module.RECIPE, module.__doc__, ["--help"])
        else:
            module.main(["--help"])
    text = capsys.readouterr().out
    assert (
        module.__doc__ in text
        and "--smoke" in text
        and not {"{'", "['", "{}", "('"} & {text[i : i + 2] for i in range(len(text))}
    )


def test_help_has_no_dictionary_of_a_recipe_of_your_own(capsys):
    config = sonikeras.SonificationConfig.preset("matched").replace(frames=64)
    recipe = Recipe(network="efficientnet_lite0", config=config, class_weight={"cat": 2.0, "dog": 0.5})
    with pytest.raises(SystemExit, match="0"):
        main(recipe, "My recipe.", ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Default: cat=2.0,dog=0.5." in text and "Default: the recipe's own." in text
    assert "{'" not in text and "SonificationConfig(" not in text and "Default: None" not in text


def test_names_of_configs_are_their_own():
    names = config_names(
        ["image", "study", "a/long.json", "b/long.json", "Long.wav", "study", "c/study.json", "ä:b.json"]
    )
    assert list(names.values())[:3] == ["image", "study", "long"] and len(names) == 7
    assert names["b/long.json"].startswith("b_long.json~") and names["Long.wav"] == "Long.wav"
    assert names["c/study.json"].startswith("c_study.json~") and names["ä:b.json"].startswith("ä_b~")
    # Another config at the end leaves the others' names, so that their runs are found again.
    more = config_names([*names, "d/long.json", "matched"])
    assert names.items() <= more.items()


def test_study_takes_files_as_configs(monkeypatch):
    study = load("study")
    config = sonikeras.SonificationConfig.preset("matched").replace(frames=64)
    config.save("short.json")
    Path("other").mkdir()
    shutil.copy("short.json", "other/short.json")
    given = []
    monkeypatch.setattr(study, "study", lambda options: given.extend(study.make_runs(options)) or ([], []))
    study.main(["--configs", "image", "matched", "short.json", "other/short.json", "--data", "c2", "--seeds", "1"])
    names = [run.name for run in given]
    assert names[:3] == [f"c2/efficientnet_lite0/{chain}/42" for chain in ("image", "matched", "short")]
    assert names[3].startswith("c2/efficientnet_lite0/other_short.json~")
    assert [run.recipe.config for run in given] == ["study", "matched", config, config]
    assert [run.recipe.output for run in given] == ["image", *["picture"] * 3]
    assert given[2].factors == {"data": "c2", "network": "efficientnet_lite0", "config": "short", "seed": 42}


def runs_of_study(monkeypatch, *arguments):
    """The runs that the study would make."""
    study = load("study")
    given = []
    monkeypatch.setattr(study, "study", lambda options: given.extend(study.make_runs(options)) or ([], []))
    study.main([*arguments, "--seeds", "1"])
    return given


def test_class_counts_are_nested_subsets_in_the_order_of_the_names(monkeypatch, image_folder):
    root = image_folder(("d", "b", "a", "c"), count=5)
    options = ["--data-dir", str(root), "--configs", "image", "image_gray", "photo", "--class-counts", "4", "2", "2"]
    given = runs_of_study(monkeypatch, *options)
    assert list(dict.fromkeys(run.factors["data"] for run in given)) == ["2 classes", "4 classes"]
    assert given[0].name == "2 classes/efficientnet_lite0/image/42"
    assert [run.recipe.classes for run in given] == [("a", "b")] * 3 + [("a", "b", "c", "d")] * 3
    assert [run.recipe.output for run in given[:3]] == ["image", "image_gray", "picture"]
    assert given[2].recipe.config == "photo" and given[0].recipe.data is None
    few, all_of_them = (given[i].recipe.dataset("train", shuffle=False).examples for i in (0, 3))
    assert few.class_names == ["a", "b"] and few.full_names == all_of_them.full_names[: len(few)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class-counts", "2", "5"], r"must be from 2 to the number of classes, 3: \['a', 'b', 'c'\]. Received: 5"),
        (["--class-counts", "1"], "must be from 2 to the number of classes, 3: .* Received: 1"),
        (["--class-counts", "2", "--data", "c2"], "`--class-counts` and `--data` must not be combined"),
        (["--class-counts", "2", "--data-dir", "nowhere"], "`data_dir` must be a folder. Received: data_dir=nowhere"),
        (["--class-counts", "2", "--data-dir", ""], "`--class-counts` needs `--data-dir`"),
        (["--data-dir", "empty"], r"at least one file of .* none in empty/a"),
    ],
)
def test_bad_folders_are_an_error_before_any_work(options, message, image_folder, monkeypatch):
    monkeypatch.setattr(experiment, "run", lambda *args, **kwargs: pytest.fail("a run"))
    root = image_folder(("c", "b", "a"), count=5)
    for name in ("a", "b"):
        Path("empty", name).mkdir(parents=True)
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as caught:
        load("study").main(["--data-dir", str(root), *options, "--smoke", "--out", "sweep"])
    assert "\n" not in str(caught.value) and not Path("sweep").exists()


def test_unequal_classes_are_said_once_before_any_work(image_folder, capsys):
    root = image_folder(("a", "b", "c"), count=6)
    for split, kept in (("train", {"a": 6, "b": 6, "c": 6}), ("test", {"a": 2, "b": 1, "c": 2})):
        for name, count in kept.items():
            for i in range(count):
                Path("split", split, name).mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name / f"picture{i}.png", Path("split", split, name, f"{i}.png"))
    recipe = Recipe(network="efficientnet_lite0", data=None, data_dir="split")
    check_data([Run(str(seed), {"data": "all", "seed": seed}, recipe) for seed in (1, 2)], Path("sweep"))
    printed = capsys.readouterr().out
    assert printed == "Unequal classes in all, test split: from 1 images of b to 2 of a\n"
    shutil.rmtree("split/test/b")
    check_data([Run("1", {"data": "all"}, dataclasses.replace(recipe, classes=["a", "c"]))], Path("sweep"))
    assert "Unequal" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.json", "A config file must exist. Received: nowhere.json"),
        ("bad.json", "bad.json"),
        ("imgae", "must be 'image', 'image_gray' or a config. `config` must be a preset"),
    ],
)
def test_an_unreadable_config_is_refused_before_any_work(text, message, capsys):
    Path("bad.json").write_text("{")
    with pytest.raises(SystemExit, match="2"):
        load("study").main(["--configs", "image", text])
    assert message in capsys.readouterr().err.splitlines()[-1] and not Path("runs").exists()
