"""`prepare` as an Apache Beam pipeline: on Spark, Flink, Dataflow, or on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sonikeras.config import SonificationConfig
from sonikeras.config._checks import check_integer
from sonikeras.preparation._job import SHARD_SIZE, Job

if TYPE_CHECKING:
    from sonikeras.sources import Examples


_EXAMPLES_IN_SHARD, _MOST_SHARDS = 256, 10_000


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    pipeline_options: Any = None,
    num_shards: int | None = None,
    data_dir: str | os.PathLike | None = None,
    source: Any = "builtin",
    classes: Sequence[str] | None = None,
    images_per_class: int | None = None,
    config: str | SonificationConfig = "study",
    engine: str = "auto",
    seed: int = 42,
    cache: bool | str | os.PathLike = False,
    on_error: str = "raise",
    format: str = "files",
    audio_format: str | None = None,
    pictures: bool = True,
    shard_size: int = SHARD_SIZE,
    verify: bool = False,
) -> list[str]:
    """`sonikeras.prepare` on the workers of an Apache Beam pipeline. It writes the same files, byte for byte.

    Each worker finds the examples for itself and makes shards of them, as `sonikeras.prepare(..., shard=...)` does; in
    the end the manifest is put together here. Images and `directory` must be on a file system that all workers have
    mounted at the same path. A bundle that the runner starts again keeps what the first attempt made, and so does a
    pipeline that is started again. Two attempts at one shard at the same time, as Spark's speculation starts, must be
    switched off: the second one fails.

    Args:
        name: As of `sonikeras.prepare`, like all arguments that are not said here.
        directory: Folder to write to.
        pipeline_options: `apache_beam.options.pipeline_options.PipelineOptions`, which name the runner. Defaults to
            `None`: Beam's default, which runs on this machine.
        num_shards: Integer, pieces that the work is given out in. Defaults to one for 256 examples, or one for each
            record file, at most 10,000.
        cache: As of `sonikeras.prepare`. Defaults to `False`: workers come and go.

    Returns:
        List of names of images that were left out, with `on_error="skip"`: paths where they are files.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: An argument breaks its rule. What goes wrong on a worker comes as the runner reports it.

    Example:
        >>> import sonikeras.preparation.beam
        >>> from apache_beam.options.pipeline_options import PipelineOptions  # doctest: +SKIP
        >>> options = PipelineOptions(runner="FlinkRunner", flink_master="localhost:8081")  # doctest: +SKIP
        >>> sonikeras.preparation.beam.prepare("c2", "heard", pipeline_options=options)  # doctest: +SKIP
        []
    """
    arguments = {key: value for key, value in locals().items() if key not in ("pipeline_options", "num_shards")}
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "`sonikeras.preparation.beam` needs Apache Beam: pip install 'sonikeras[beam]'. "
            "Received: no module apache_beam"
        ) from error
    if num_shards is not None:
        check_integer("num_shards", num_shards, minimum=1)
    job = Job.of(**arguments)
    parts = job.parts()
    job.claim(parts)
    piece = shard_size if format == "tfrecord" else _EXAMPLES_IN_SHARD
    count = num_shards or min(max(-(-len(examples) // piece) for examples in parts.values()), _MOST_SHARDS)
    with apache_beam.Pipeline(options=pipeline_options) as pipeline:
        (
            pipeline
            | "Shards" >> apache_beam.Create(range(count), reshuffle=False)
            | "Spread" >> apache_beam.Reshuffle()
            | "Prepare" >> apache_beam.ParDo(_prepare_shards(job, count))
        )
    return job.join(parts, count)


def _prepare_shards(job: Job, count: int) -> Any:
    """The `DoFn` that makes shards, given their indices. It is a class of its own only where there is Beam."""
    import apache_beam

    class PrepareShard(apache_beam.DoFn):  # type: ignore[misc]
        def setup(self) -> None:
            self._parts: dict[str, Examples] = job.parts()

        def process(self, index: int) -> Iterator[str]:
            yield from job.run(self._parts, (index, count), threads=1, quiet=True)

    return PrepareShard()
