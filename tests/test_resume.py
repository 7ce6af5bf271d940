"""A run that stops and resumes ends bit for bit as one that never stopped; and no crash costs more than a minute."""
import builtins
import errno
import functools
import itertools
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

import numpyvae as nv
from benchmarks.kills import command, digest, kill_and_resume, whole_run, write_images
from numpyvae.files import checkpoint, regular
from numpyvae.training import objectives
from numpyvae.cli import main
from numpyvae.cli.runs import Folder, Interrupt
from numpyvae.training.resume import Interval, TrainingState

STEPS, EPOCHS = 4, 3    # of 50 images in batches of 16, the last one short


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (50, 4, 3), np.uint8)


def new_run(images, kind=nv.VAE, optimizer=nv.Adam, **options):
    """A model, an optimizer and fit's arguments, all from one seed."""
    rng = np.random.default_rng(7)
    classes = {"n_classes": 3} if kind is nv.ConditionalVAE else {}
    model, optimizer = kind.dense(12, (6,), 2, rng=rng, **classes), optimizer(1e-2)
    return model, optimizer, {"epochs": EPOCHS, "batch_size": 16, "rng": rng, "optimizer": optimizer, **options}


def outcome(model, optimizer, options, records):
    """Everything that has to be equal: all but the seconds."""
    moments = [value.tobytes() for value in vars(optimizer).values() if isinstance(value, np.ndarray)]
    numbers = {key: value for key, value in vars(optimizer).items() if not isinstance(value, np.ndarray)}
    return (model.parameters.values.tobytes(), moments, numbers, options["rng"].bit_generator.state,
            [(record.epoch, record.loss, record.nll, record.kl, record.validation) for record in records])


def train(images, **options):
    model, optimizer, options = new_run(images, **options)
    return outcome(model, optimizer, options, list(nv.fit(model, images, **options)))


def after(steps):
    """A `stop` that returns True at this step."""
    return functools.partial(lambda counter: next(counter) == steps, itertools.count(1))


SETTINGS = {
    "adam": {}, "sgd": dict(optimizer=nv.SGD), "static pixels": dict(binarize="static"),
    "dynamic pixels, validation": dict(binarize="dynamic", validation=np.arange(60, dtype=np.uint8).reshape(5, 4, 3)),
    "schedules": dict(lr_end=1e-4, warmup=2), "iwae": dict(objective=objectives.iwae, samples=3),
    "conditional": dict(kind=nv.ConditionalVAE, labels=np.arange(50) % 3),
    "autoencoder": dict(kind=nv.Autoencoder),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_stopped_at_any_step_and_resumed_it_ends_with_the_same_bits(setting, images, tmp_path):
    options = SETTINGS[setting]
    whole, path = train(images, **options), tmp_path / "checkpoint.npz"
    for steps in range(1, STEPS * EPOCHS + 1):
        with pytest.raises(KeyboardInterrupt):
            train(images, checkpoint=path, stop=after(steps), **options)
        assert train(images, resume=path, **options) == whole, f"stopped after step {steps}"


def test_stopped_again_and_again(images, tmp_path):
    whole, path, resume = train(images), tmp_path / "checkpoint.npz", None
    for _ in range(STEPS * EPOCHS):
        with pytest.raises(KeyboardInterrupt):
            train(images, checkpoint=path, resume=resume, stop=after(1))
        resume = path
    assert train(images, resume=path) == whole


def test_saving_changes_nothing(images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    assert train(images, checkpoint=path, checkpoint_every="1 step") == train(images)
    assert train(images, resume=path) == train(images)    # it had finished: only its records are yielded
    assert nv.load(path).parameters.values.tobytes() == train(images)[0]


def test_other_versions_are_named_and_only_a_tolerance_is_claimed(images, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    monkeypatch.setattr(np, "__version__", "0.1")
    with pytest.warns(UserWarning, match="NumPy .* then, 0.1 now.*only to rounding, not bit for bit"):
        train(images, resume=path)


@pytest.mark.parametrize("change, named", [
    (dict(batch_size=8), "batch_size was 16 and is now 8"), (dict(epochs=2), "epochs was 3 and is now 2"),
    (dict(binarize="dynamic"), "binarize was 'none' and is now 'dynamic'"), (dict(lr_end=1e-5), "lr_end was None"),
    (dict(optimizer=nv.SGD), "the optimizer was"), (dict(kind=nv.Autoencoder), "the model was"),
])
def test_a_run_goes_on_as_it_began_or_not_at_all(change, named, images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    with pytest.raises(ValueError, match=named):
        train(images, resume=path, **change)


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_may_go_on_for_more_epochs(finished, images, tmp_path):
    """Bit for bit as if they had been asked for at first; not if the learning rate was to fall over fewer."""
    path = tmp_path / "checkpoint.npz"
    if finished:
        train(images, checkpoint=path)
    else:
        with pytest.raises(KeyboardInterrupt):
            train(images, checkpoint=path, stop=after(5))
    assert train(images, resume=path, epochs=5) == train(images, epochs=5)
    falling = tmp_path / "falling.npz"
    train(images, checkpoint=falling, lr_end=1e-5)
    with pytest.raises(ValueError, match="epochs was 3 and is now 5"):
        train(images, resume=falling, lr_end=1e-5, epochs=5)


def test_other_images_are_noticed(images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    with pytest.raises(ValueError, match="the images: checksum was"):
        train(images[::-1], resume=path)


def test_other_black_and_white_images_are_noticed(images, tmp_path):
    path, images = tmp_path / "checkpoint.npz", images > 0.5
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    with pytest.raises(ValueError, match="the images: checksum was"):
        train(~images, resume=path)


@pytest.mark.parametrize("name", ["labels", "validation images", "validation labels"])
def test_other_labels_and_validation_images_are_noticed(name, images, tmp_path):
    labels = np.arange(50) % 3
    data = {"labels": labels, "validation images": images[:9], "validation labels": labels[:9]}

    def run(data, **options):
        given = {name.removesuffix(" images").replace(" ", "_"): value for name, value in data.items()}
        return train(images, kind=nv.ConditionalVAE, **given, **options)
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        run(data, checkpoint=path, stop=after(5))
    with pytest.raises(ValueError, match=f"the {name}: checksum was"):
        run(data | {name: data[name][::-1]}, resume=path)


def test_validation_that_was_not_there_before_is_noticed(images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    with pytest.raises(ValueError, match="the validation images was None and is now"):
        train(images, resume=path, validation=images[:7])


def test_labels_of_another_integer_type_are_the_same_labels(images, tmp_path):
    path, labels = tmp_path / "checkpoint.npz", np.arange(50) % 3
    with pytest.raises(KeyboardInterrupt):
        train(images, kind=nv.ConditionalVAE, labels=labels, checkpoint=path, stop=after(5))
    train(images, kind=nv.ConditionalVAE, labels=labels.astype(np.int32), resume=path)


def test_the_place_where_two_models_differ_is_named(images, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(KeyboardInterrupt):
        train(images, checkpoint=path, stop=after(5))
    model, optimizer, options = new_run(images)
    other = nv.VAE.dense(12, (6,), 2, activation="tanh", rng=np.random.default_rng(7))
    with pytest.raises(ValueError, match="the model: encoder: layers: 0: activation was 'relu' and is now 'tanh'"):
        nv.fit(other, images, **options, resume=path)


@pytest.mark.parametrize("text", ["", "0 steps", "often", "5 hours", "-1 minutes", None])
def test_an_interval_is_steps_or_minutes(text):
    with pytest.raises(ValueError, match="expected a number of steps or minutes"):
        Interval("checkpoint_every", text)


def test_an_interval_counts_steps():
    due = Interval("checkpoint_every", "3 steps")
    assert [due() for _ in range(7)] == [False, False, True, False, False, True, False]


# Crashes in the middle of a save

class Crash(BaseException):
    """The process is gone: nothing catches this, nothing cleans up."""


class CrashingFile:
    """A file that lets some of its calls pass; in the next, only half of what is written arrives."""

    def __init__(self, file, count):
        self.file, self.count = file, count

    def write(self, data):
        if self.count():
            self.file.write(bytes(data)[:len(data) // 2])
            self.file.flush()
            raise Crash
        return self.file.write(data)

    def flush(self):
        if self.count():
            raise Crash
        return self.file.flush()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()


def save_with_a_crash(monkeypatch, state, path, at):
    """Save, and die in the call number `at` of write, flush, fsync and replace; how many calls there were."""
    calls = itertools.count(1)

    def is_the_end():
        return next(calls) == at

    def dying(function, after=False):
        def call(*arguments):
            died = is_the_end()
            if died and not after:
                raise Crash
            result = function(*arguments)
            if died:
                raise Crash
            return result
        return call

    with monkeypatch.context() as patch:
        patch.setattr(regular, "open", lambda *a, **k: CrashingFile(builtins.open(*a, **k), is_the_end), raising=False)
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(os, "replace", dying(os.replace, after=at % 2 == 0))
        patch.setattr(os, "unlink", lambda path: None)    # a dead process does not clean up
        state.save(path)
    return next(calls) - 1


def test_a_crash_at_any_step_of_a_save_leaves_a_checkpoint(images, tmp_path, monkeypatch):
    model, optimizer, options = new_run(images)
    state = TrainingState.begin(model, optimizer, options["rng"], {}, {"images": images})
    path = tmp_path / "checkpoint.npz"
    optimizer.step(model.parameters)
    state.save(path)
    old = model.parameters.values.copy()
    model.parameters.values += 1
    new = model.parameters.values.copy()
    whole = save_with_a_crash(monkeypatch, state, tmp_path / "other.npz", at=10**9)
    assert whole > 20    # writes of every array, a flush, two fsyncs, a replace
    seen = set()
    for at in range(1, whole + 1):
        with pytest.raises(Crash):
            save_with_a_crash(monkeypatch, state, path, at)
        found = nv.load(path).parameters.values
        assert found.tobytes() in (old.tobytes(), new.tobytes()), f"call {at}"
        seen.add(found.tobytes() == new.tobytes())
    assert seen == {False, True}    # the last calls come after the replace


def test_a_full_disk_says_so_and_the_old_checkpoint_stands(images, tmp_path, monkeypatch):
    model, optimizer, options = new_run(images)
    state = TrainingState.begin(model, optimizer, options["rng"], {}, {"images": images})
    path = tmp_path / "checkpoint.npz"
    state.save(path)
    before = path.read_bytes()
    model.parameters.values += 1

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device.*its old content is intact"):
        state.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["checkpoint.npz"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a file")
def test_a_disk_that_fills_up_in_the_middle_of_a_write(tmp_path):
    """A real failing write: the kernel lets a file grow to 2 kB, and no further."""
    script = """
import resource, signal, sys
import numpy as np
from numpyvae.files import checkpoint
path = sys.argv[1]
checkpoint.write(path, {"old": True}, {"a": np.zeros(10)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    checkpoint.write(path, {"old": False}, {"a": np.zeros(10_000)})
except OSError as error:
    print(error)
assert checkpoint.read(path)[0]["old"]
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "c.npz")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be written (File too large)" in done.stdout and os.listdir(tmp_path) == ["c.npz"]


def test_weights_that_are_no_numbers_are_not_saved(images, tmp_path):
    model, optimizer, options = new_run(images)
    state = TrainingState.begin(model, optimizer, options["rng"], {}, {"images": images})
    path = tmp_path / "checkpoint.npz"
    state.save(path)
    before = path.read_bytes()
    model.parameters["mu_head.W"][0, 0] = np.inf
    with pytest.raises(FloatingPointError, match="the weight mu_head.W is not finite"):
        state.save(path)
    assert path.read_bytes() == before


# A real process

@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)
    return tmp_path


def start_and_wait(out):
    """A training process that has begun to save."""
    process = subprocess.Popen(command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not os.path.exists(os.path.join(out, "checkpoint.npz")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.full)])
def test_killed_at_random_and_resumed_it_ends_with_the_same_bits(n, folder):
    """Some of the 200 that `python -m benchmarks.kills` runs."""
    for place, found in kill_and_resume(n, whole_run(), seed=0):
        assert found == digest("whole"), f"killed {place}"


@pytest.mark.parametrize("n", [pytest.param(5, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.full)])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_every_time(folder, times, n):
    """Once saves after the step, twice stops at once; in both cases the run can be resumed."""
    rng = np.random.default_rng(times)
    for i in range(n):
        out = f"run{i}"
        process = start_and_wait(out)
        time.sleep(rng.uniform(0, 0.3))
        for _ in range(times):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                time.sleep(rng.uniform(0, 0.01))
        _, errors = process.communicate(timeout=60)
        if process.returncode == 0:    # it had finished before
            continue
        assert process.returncode == 130 and "Traceback" not in errors, errors
        assert f"resume with  numpyvae train --resume {out}" in errors
        checkpoint.read(f"{out}/checkpoint.npz")


def test_a_ctrl_c_within_a_save_is_not_taken_for_a_damaged_file(images, tmp_path, monkeypatch):
    """It may come when an array is half written; zipfile then cannot close, and raises an error of its own."""
    model, _, _ = new_run(images)
    model.save(tmp_path / "model.npz")
    before, opened = (tmp_path / "model.npz").read_bytes(), []

    def interrupted(archive, *arguments, **options):
        opened.append(really_open(archive, *arguments, **options))
        raise KeyboardInterrupt

    really_open = zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        model.save(tmp_path / "model.npz")
    assert isinstance(caught.value.__cause__, ValueError) and len(opened) == 1
    assert (tmp_path / "model.npz").read_bytes() == before and os.listdir(tmp_path) == ["model.npz"]
    monkeypatch.undo()
    opened.pop()._zipfile.fp = None    # so that nothing is left to close


def test_a_second_ctrl_c_that_python_drops_leaves_no_traceback(capsys, monkeypatch):
    """It drops what is raised in a __del__, also of an object half made; other mistakes there are still reported."""
    class Cleared:
        def __init__(self, clear):
            self.clear = clear

        def __del__(self):
            self.clear()

    class HalfMade:
        def __del__(self):
            self.never_made

    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: reported.append(dropped.exc_type))
    before = signal.getsignal(signal.SIGINT)
    try:
        with Interrupt() as interrupt:
            HalfMade()    # no Ctrl-C: a mistake
            for clear in (lambda: signal.raise_signal(signal.SIGINT), lambda: signal.raise_signal(signal.SIGINT),
                          lambda: 1 / 0):
                Cleared(clear)
            HalfMade()
            assert interrupt.is_requested()
        HalfMade()
    finally:
        signal.signal(signal.SIGINT, before)    # after an interrupt it keeps ignoring Ctrl-C: the command is ending
    assert reported == [AttributeError, ZeroDivisionError]
    assert capsys.readouterr().err == "numpyvae: stopping after this step; Ctrl-C again stops at once\n"


def test_a_second_process_in_the_same_folder_is_told_so_and_stops(folder, capsys):
    process = start_and_wait("run")
    try:
        assert main(command("run")[3:]) == 1
        assert "--out is 'run', which another numpyvae train is using" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()
    with Folder("run", resumed=True, overwrite=False):    # the lock went with the process
        pass


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(folder, capsys):
    assert main([*command("whole")[3:], "--epochs", "3"]) == 0
    os.makedirs("run")
    os.link("whole/run.json", "run/run.json")
    for left in "run/checkpoint.npz.999.part", "run/movie.part":
        with open(left, "wb") as half:
            half.write(b"PK")
    assert main(["train", "--resume", "run"]) == 0
    assert "holds no checkpoint yet" in capsys.readouterr().err
    assert digest("run") == digest("whole")
    # Leftovers of dead processes are removed, and nothing else.
    assert [name for name in os.listdir("run") if name.endswith(".part")] == ["movie.part"]
