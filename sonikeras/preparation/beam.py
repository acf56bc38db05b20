"""`prepare` as an Apache Beam pipeline: on Spark, Flink, Dataflow, or on this machine."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sonikeras.config._checks import check_integer
from sonikeras.preparation._plan import Plan
from sonikeras.preparation._prepare import prepare as _prepare
from sonikeras.preparation._run import join, run

if TYPE_CHECKING:
    from sonikeras.sources import Examples


_EXAMPLES_IN_SHARD, _MOST_SHARDS = 256, 10_000


def prepare(
    name: str | None,
    directory: str | os.PathLike,
    *,
    pipeline_options: Any = None,
    num_shards: int | None = None,
    cache: bool | str | os.PathLike = False,
    **arguments: Any,
) -> list[str]:
    """`sonikeras.prepare` on the workers of an Apache Beam pipeline. The files are byte for byte the same.

    Each worker selects the examples itself and writes shards of them, like `sonikeras.prepare(..., shard=...)`. Finally
    the manifests of the shards are joined here. All workers must have mounted the file system of the images and of
    `directory` at the same path. If the runner retries a bundle, or if you restart the pipeline, finished files are
    kept. Switch off speculative execution, as in Spark: a second attempt at a shard fails while the first one runs.

    Args:
        name: As in `sonikeras.prepare`.
        directory: Folder to write to. It is created if necessary.
        pipeline_options: `apache_beam.options.pipeline_options.PipelineOptions`, which name the runner. Defaults to
            `None`: the default runner of Beam, on this machine.
        num_shards: Integer, the number of shards. Defaults to `None`: one for 256 examples, or one for each record
            file, at most 10,000.
        cache: As in `sonikeras.prepare`. Defaults to `False`, because workers are temporary.
        **arguments: Further arguments of `sonikeras.prepare`, except `shard`.

    Returns:
        List of names of the images left out with `on_error="skip"`: paths if they are files.

    Raises:
        ImportError: Apache Beam is not installed.
        TypeError: `sonikeras.prepare` has no such argument.
        ValueError: An argument is not allowed. The runner reports errors on workers in its own way.

    Example:
        >>> import sonikeras.preparation.beam
        >>> from apache_beam.options.pipeline_options import PipelineOptions  # doctest: +SKIP
        >>> options = PipelineOptions(runner="FlinkRunner", flink_master="localhost:8081")  # doctest: +SKIP
        >>> sonikeras.preparation.beam.prepare("c2", "prepared", pipeline_options=options)  # doctest: +SKIP
        []
    """
    bound = _signature().bind(name, directory, cache=cache, **arguments)
    bound.apply_defaults()
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            "`sonikeras.preparation.beam` needs Apache Beam: pip install 'sonikeras[beam]'. "
            "Received: no module apache_beam"
        ) from error
    if num_shards is not None:
        check_integer("num_shards", num_shards, minimum=1)
    plan = Plan.of(**bound.arguments)
    examples = plan.examples()
    plan.claim(examples)
    size = plan.shard_size if plan.format == "tfrecord" else _EXAMPLES_IN_SHARD
    count = num_shards or min(max(-(-len(selected) // size) for selected in examples.values()), _MOST_SHARDS)
    with apache_beam.Pipeline(options=pipeline_options) as pipeline:
        (
            pipeline
            | "Shards" >> apache_beam.Create(range(count), reshuffle=False)
            | "Spread" >> apache_beam.Reshuffle()
            | "Prepare" >> apache_beam.ParDo(_shard_writer(plan, count))
        )
    return join(plan, examples, count)


def _signature() -> inspect.Signature:
    """The arguments of `sonikeras.prepare` and their defaults, without `shard`."""
    signature = inspect.signature(_prepare)
    return signature.replace(parameters=[each for each in signature.parameters.values() if each.name != "shard"])


def _shard_writer(plan: Plan, count: int) -> Any:
    """The `DoFn` that writes shards, given their indices. Its base class exists only if Beam is installed."""
    import apache_beam

    class ShardWriter(apache_beam.DoFn):  # type: ignore[misc]
        def setup(self) -> None:
            self._examples: dict[str, Examples] = plan.examples()

        def process(self, index: int) -> Iterator[str]:
            yield from run(plan, self._examples, (index, count), threads=1, quiet=True)

    return ShardWriter()
