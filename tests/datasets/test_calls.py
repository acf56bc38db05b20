"""A script that uses data sets ends on time and with its own exit status, whatever is running."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

import sonikeras
from sonikeras.config import _errors as errors
from sonikeras.datasets._calls import numpy_function

# How often each ending is run. Such faults may occur in one run of several.
REPETITIONS = int(os.environ.get("SONIKERAS_ENDINGS", "1"))

COMMON = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore it
import keras, numpy as np, tensorflow as tf, sonikeras

def data(**options):
    return sonikeras.dataset("c2", **({"images_per_class": 200, "cache": False, "image_size": 32} | options))

def begun(dataset):
    iterator = iter(dataset)
    next(iterator)
    return iterator

noticed = threading.Event()

def interrupt(number=signal.SIGINT):
    def send():
        time.sleep(0.1)
        os.kill(os.getpid(), number)
        while not noticed.wait(10):  # a signal during a callback of the garbage collector is lost
            os.kill(os.getpid(), number)
    threading.Thread(target=send, daemon=True).start()

class Each(keras.callbacks.Callback):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def on_train_batch_end(self, batch, logs=None):
        self.function()

def fit(dataset, function=lambda: None, **options):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(dataset, callbacks=[Each(function)], verbose=0, **options)

def fail():
    raise ZeroDivisionError("mine")

def slow(x):
    time.sleep(0.2)
    return x
"""

ENDINGS = {
    # name: (script, its exit status, a line of its output)
    "iterator": ("it = begun(data())", 0, ""),
    "iterators": ("a, b = begun(data()), begun(data(split='test'))", 0, ""),
    "iterator in a function": ("def f():\n    it = begun(data())\n    sys.exit(3)\nf()", 3, ""),
    "error": ("it = begun(data())\nfail()", 1, "ZeroDivisionError: mine"),
    "exit": ("it = begun(data())\nsys.exit(3)", 3, ""),
    "error in a callback": ("fit(data(), fail)", 1, "ZeroDivisionError: mine"),
    "error that is kept": (
        "try:\n    fit(data(), fail)\nexcept ZeroDivisionError as error:\n    kept = error\nprint('on')",
        0,
        "on",
    ),
    "Ctrl-C in a loop": (
        "it = begun(data().repeat())\ninterrupt()\nfor x in it:\n    pass",
        -signal.SIGINT,
        "KeyboardInterrupt",
    ),
    "Ctrl-C in fit": (
        "started = []\nfit(data().repeat(), lambda: started or started.append(interrupt()), steps_per_epoch=10**6)",
        -signal.SIGINT,
        "KeyboardInterrupt",
    ),
    "Ctrl-C that is caught": (
        "it = begun(data().repeat())\ninterrupt()\n"
        "try:\n    for x in it: pass\nexcept KeyboardInterrupt:\n    noticed.set()\n    sys.exit(4)",
        4,
        "",
    ),
    "SIGTERM": ("it = begun(data().repeat())\ninterrupt(signal.SIGTERM)\nfor x in it: pass", -signal.SIGTERM, ""),
    "SIGTERM that is handled": (
        "signal.signal(signal.SIGTERM, lambda *_: (noticed.set(), sys.exit(5)))\nit = begun(data().repeat())\n"
        "interrupt(signal.SIGTERM)\nfor x in it: pass",
        5,
        "",
    ),
    "slow engine": ("it = begun(data(engine='librosa', batch_size=1))", 0, ""),
    "unreadable file": (
        "import pathlib\nfor name in 'ab':\n    folder = pathlib.Path('images', name)\n    folder.mkdir(parents=True)\n"
        "    for i in range(40):\n        keras.utils.save_img(folder / f'{i}.png', np.full((20, 20, 3), i))\n"
        "        if i % 4 == 0:\n            (folder / f'{i}.png').write_bytes(b'nothing')\n"
        "fit(sonikeras.dataset(data_dir='images', cache=False, image_size=32, batch_size=4))",
        1,
        r".png (7 bytes: of another format)",
    ),
    "other stages of a pipeline": (
        "it = begun(data(batch_size=4).map(lambda x, y: (tf.numpy_function(slow, [x], tf.float32), y)).repeat())",
        0,
        "",
    ),
    "errors that are ignored": (
        "it = begun(data(images_per_class=5, batch_size=4).repeat().ignore_errors().prefetch(2))",
        0,
        "",
    ),
    "function that augments": (
        "def change(x):\n    y = tf.numpy_function(slow, [x], tf.float32)\n    return tf.ensure_shape(y, x.shape)\n"
        "it = begun(data(augment=change, batch_size=4))",
        0,
        "",
    ),
    "tf.data.Dataset as source": (
        "def images():\n    while True:\n        yield slow(np.zeros((20, 20), np.uint8)), 0\n"
        "signature = tf.TensorSpec((20, 20), tf.uint8), tf.TensorSpec((), tf.int32)\n"
        "images = tf.data.Dataset.from_generator(images, output_signature=signature)\n"
        "it = begun(sonikeras.dataset(source=images, classes=['a', 'b'], split='test', batch_size=1))",
        0,
        "",
    ),
    "daemon thread": (
        "threading.Thread(target=lambda: list(data().repeat()), daemon=True).start()\ntime.sleep(2)",
        0,
        "",
    ),
    "daemon thread inside TensorFlow": (
        "d = data(batch_size=1).repeat().map(lambda x, y: y)\n"
        "threading.Thread(target=lambda: d.reduce(0, lambda s, y: s), daemon=True).start()\ntime.sleep(2)",
        0,
        "",
    ),
    "thread": (  # Python waits for it, and it gets all its data
        "threading.Thread(target=lambda: print(len(list(data(images_per_class=50, batch_size=4))), 'of 20')).start()",
        0,
        "20 of 20",
    ),
    "exit handler": (
        "import atexit\natexit.register(lambda: print(len(list(data(images_per_class=5))), 'at exit'))\n"
        "it = begun(data())",
        0,
        "1 at exit",
    ),
    "forked child": (
        "it = begun(data(images_per_class=5, batch_size=4))\ntime.sleep(2)\nchild = os.fork()\n"
        "if not child:\n    sys.exit(6)\nprint(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 'in the child')",
        0,
        "6 in the child",
    ),
    "child": (
        "import multiprocessing\nit = begun(data())\n"
        "child = multiprocessing.get_context('fork').Process(target=print, args=('child',), daemon=True)\n"
        "child.start()\nchild.join()\nsys.exit(child.exitcode)",
        0,
        "child",
    ),
    "prepare": (
        "interrupt()\nsonikeras.prepare('c2', 'prepared', engine='librosa', cache=False)",
        -signal.SIGINT,
        "KeyboardInterrupt",
    ),
}
QUICK = ("iterator", "error", "exit", "error in a callback", "Ctrl-C in a loop", "Ctrl-C in fit", "unreadable file")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ENDINGS]
)
def test_a_script_ends_with_its_own_status(tmp_path, name):
    script, status, line = ENDINGS[name]
    (tmp_path / "script.py").write_text(COMMON + textwrap.dedent(script) + "\n")
    for _ in range(REPETITIONS):
        ended = subprocess.run(
            [sys.executable, tmp_path / "script.py"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert ended.returncode == status, ended.stdout
        assert line in ended.stdout
        assert "terminate called" not in ended.stdout and "Exception ignored in atexit" not in ended.stdout
        subprocess.run(["rm", "-rf", tmp_path / "images", tmp_path / "prepared"], check=True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("Two\nlines. Received: [1] a.png (7 bytes)"), "Two lines. Received: [1] a.png (7 bytes)"),
        (OSError(5, "Input/output error", "a.png"), "[Errno 5] Input/output error: 'a.png'"),
        (MemoryError(), "MemoryError"),
        (ValueError('Received: Bär\\c:\\new ] "猫".png'), 'Received: Bär\\c:\\new ] "猫".png'),
    ],
)
def test_error_of_a_function_is_one_line(error, message):
    def function(_):
        raise error

    data = tf.data.Dataset.range(1).map(lambda i: numpy_function(function, [i], "float32"))
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        next(iter(data))
    assert errors.raised_inside(caught.value) == message
    assert "Traceback" not in str(caught.value)
    with pytest.raises(ValueError) as plain, errors.plain():
        next(iter(data))
    assert str(plain.value) == message
    assert plain.value.__cause__ is None and plain.value.__suppress_context__


def test_error_of_the_program_keeps_its_traceback():
    def function(_):
        return {}["key"]

    data = tf.data.Dataset.range(1).map(lambda i: numpy_function(function, [i], "float32"))
    with pytest.raises(tf.errors.OpError, match="(?s)KeyError.*Traceback.*in function") as caught, errors.plain():
        next(iter(data))
    assert errors.raised_inside(caught.value) is None


@pytest.mark.parametrize("text", ["assertion failed: [Rule.] [Received: label =] [7]\n\t [[{{node Assert}}]]"])
def test_an_assertion_of_several_parts_is_one_line(text):
    assert errors.raised_inside(Exception(text)) == "Rule. Received: label = 7"


def test_tensorflows_errors_are_one_line_of_a_command():
    with pytest.raises(tf.errors.OpError) as caught:
        tf.zeros((10**6, 10**6, 10))
    told = errors.in_one_line(caught.value)
    assert told.startswith("ResourceExhaustedError: OOM when allocating tensor") and "\n" not in told
    assert "{{" not in told and "[Op" not in told
    assert errors.in_one_line(MemoryError("Unable to allocate 8 TiB")) == (
        "There is not enough memory. Unable to allocate 8 TiB"
    )
    assert errors.in_one_line(TypeError("ours")) is None


@pytest.mark.parametrize("error", [MemoryError("8 TiB"), RuntimeError("decoder"), EOFError(), KeyError("chunk")])
def test_error_of_a_decoder_names_the_file_and_is_skipped(monkeypatch, image_folder, error):
    from sonikeras.sources import images

    read = images.read_image

    def broken(source, *, name=None, **options):
        if name.endswith("picture3.png"):
            raise error
        return read(source, name=name, **options)

    monkeypatch.setattr(images, "read_image", broken)
    folder = image_folder()
    data = sonikeras.dataset(data_dir=folder, cache=False, shuffle=False, output="image", batch_size=None)
    with pytest.raises(ValueError, match=rf"ant/picture3.png \({type(error).__name__}"), errors.plain():
        list(data)
    with pytest.warns(UserWarning, match="2 of .* left out"):
        skipped = sonikeras.dataset(data_dir=folder, on_error="skip").skipped
    assert {str(path)[len(str(folder)) + 1 :] for path in skipped} == {"ant/picture3.png", "bee/picture3.png"}
    assert np.all([x.shape == (224, 224, 3) for x, _ in data.take(1)])
