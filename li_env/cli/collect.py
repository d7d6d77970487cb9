"""``li-env collect``."""

from __future__ import annotations

from li_env.cli._collect_arguments import Arguments


def run(arguments: Arguments) -> None:
    """Collect, join, summarise."""
    import time
    from dataclasses import replace

    from li_env.cli._collecting import claim, manifest_of, open_player, prepare
    from li_env.cli._held_out import held_out_note, maps_of
    from li_env.cli._output import progress_display
    from li_env.datasets.cluster import check_address, collect_on_ray
    from li_env.datasets.collect import Progress, collect
    from li_env.datasets.finish import SUMMARY, finish, read_summary
    from li_env.datasets.formats import Formats
    from li_env.datasets.journal import Journal
    from li_env.datasets.recorder import episodes_of
    from li_env.validation import check_whole

    for name, most in (("worlds", 10**5), ("encoders", 256), ("slice_size", 10**6)):
        check_whole(name, getattr(arguments, name), 1, most)
    if check_whole("workers", arguments.workers, 0, 1024) and arguments.ray is not None:
        raise ValueError(f"workers={arguments.workers} is of no use with ray, whose workers render alone; allowed: 0")
    # Absolute: starting the game changes the current folder for a while.
    arguments = replace(arguments, out=arguments.out.absolute())
    manifest, player, runner = manifest_of(arguments)
    formats = Formats(manifest, runner)
    if arguments.ray is not None:
        check_address(arguments.ray)
    prepare(arguments.out, manifest, arguments.resume)
    note = held_out_note(maps_of(runner.world, episodes_of(runner.task), manifest.episodes))
    if note is not None:
        print(note)
    with claim(arguments.out):
        if (arguments.out / SUMMARY).exists():
            Journal(arguments.out).remove()
            print(f"complete already: {arguments.out}, content {read_summary(arguments.out)['content'][:16]}")
            return
        before = len(Journal(arguments.out).numbers())
        began = time.monotonic()
        with progress_display() as display:
            row = display.add_task("episodes", total=len(manifest.episodes), completed=before)

            def show(progress: Progress) -> None:
                speed = progress.frames / max(1e-9, time.monotonic() - began)
                share = progress.successes / max(1, progress.episodes)
                said = f"{speed:.0f} frames/s, success {share:.2f}"
                display.update(row, completed=before + progress.episodes, description=said)

            if arguments.ray is None:
                progress = collect(
                    player,
                    runner,
                    manifest,
                    arguments.out,
                    arguments.worlds,
                    arguments.encoders,
                    None,
                    show,
                    arguments.processes,
                )
            else:
                progress = collect_on_ray(
                    open_player, manifest, arguments.out, arguments.ray, arguments.worlds, arguments.encoders,
                    arguments.slice_size, show, arguments.processes,
                )  # fmt: skip
        summary = finish(arguments.out, manifest, formats)
    seconds = time.monotonic() - began
    print(
        f"{summary['episodes']} episodes ({summary['left_out']} left out), {summary['frames']} frames, success "
        f"{summary['success']:.3f}; {progress.steps} steps in {seconds:.1f} s, content {summary['content'][:16]}: "
        f"{arguments.out}"
    )
