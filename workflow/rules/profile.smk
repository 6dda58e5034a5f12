# The measurements, and their profiles as SQLite. `run` is the folder of a process: device/method/
# variant/resolution, of further processes with /process-2, /process-3, … behind it.


# A measurement takes all of `quiet` and every other job a part of it: nothing of this study
# runs beside a measurement, whatever --cores says. Measurements of other studies on the same
# machine are kept out by a lock that the measuring process holds.
#
# A rule per process, because priorities are those of rules: the first process of every run comes
# before the second of any, so that what drifts in the meantime is seen between processes.
#
# A measurement that fails does not fail its job: it leaves a note beside its record and files
# without contents, so that tables, figures and the page are made of all others. Its decision has
# the next call try it again. `update`: what was measured before stays until the new is whole.
#
# What is told by RUN_OPTIONS (common.smk) rather than by a parameter must not measure anything
# again when it is switched. What was left out for its memory, `decision` runs again.
for PROCESS in range(1, STUDY.processes + 1):
    NUMBER = "" if PROCESS == 1 else f"_{PROCESS}"

    rule:
        name:
            f"profile{NUMBER}"
        input:
            files=lambda wildcards: RUNS[wildcards.run].files,
            decision=lambda wildcards: DECISIONS.file(f"{wildcards.run}/run.json"),
        output:
            run=update("results/{run}/run.json"),
            profile=update(
                "results/{run}/profile.nsys-rep"
                if COLLECTOR.nsys
                else "results/{run}/profile.sqlite"
            ),
        log:
            "results/logs/profile/{run}.log",
        wildcard_constraints:
            run=process_pattern(PROCESS),
        priority: 1 + STUDY.processes - PROCESS
        resources:
            **SCHEDULER,
            **needed_by(f"profile{NUMBER}"),
            **COSTS.measuring(),
            quiet=100,
        params:
            request=lambda wildcards: RUNS[wildcards.run].request.as_json(),
            code=lambda wildcards: RUNS[wildcards.run].code_digest,
        shell:
            "python -m profiling run --request {params.request:q} $RUN_OPTIONS"
            " --keep-going --log {log:q} --out $(dirname {output.run:q}) 2>&1 | tee {log:q}"

    rule:
        name:
            f"latency{NUMBER}"
        input:
            files=lambda wildcards: RUNS[wildcards.run].files,
            decision=lambda wildcards: DECISIONS.file(f"{wildcards.run}/latency.json"),
        output:
            update("results/{run}/latency.json"),
        log:
            "results/logs/latency/{run}.log",
        wildcard_constraints:
            run=process_pattern(PROCESS),
        priority: 1 + STUDY.processes - PROCESS
        resources:
            **SCHEDULER,
            **needed_by(f"latency{NUMBER}"),
            **COSTS.measuring(),
            quiet=100,
        params:
            request=lambda wildcards: RUNS[wildcards.run].latency.as_json(),
            code=lambda wildcards: RUNS[wildcards.run].code_digest,
        shell:
            "python -m profiling run --request {params.request:q} $RUN_OPTIONS"
            " --keep-going --log {log:q} --out $(dirname {output:q}) 2>&1 | tee {log:q}"


if COLLECTOR.nsys:

    rule export:
        input:
            "results/{run}/profile.nsys-rep",
        output:
            "results/{run}/profile.sqlite",
        log:
            "results/logs/export/{run}.log",
        resources:
            **COSTS.reading(),
            quiet=1,
        shell:
            "python -m profiling export {input:q} --keep-going -o {output:q} > {log:q} 2>&1"


rule attribute:
    input:
        run="results/{run}/run.json",
        profile="results/{run}/profile.sqlite",
    output:
        ranges="results/{run}/ranges.parquet",
        kernels="results/{run}/kernels.parquet",
    log:
        "results/logs/attribute/{run}.log",
    resources:
        **COSTS.reading(),
        quiet=1,
    params:
        code=code_digest("analysis.commands.attribute"),
    shell:
        "python -m analysis attribute {input.profile:q} --run {input.run:q}"
        " -o {output.ranges:q} --kernel-table {output.kernels:q} --keep-going"
        " 2>&1 | tee {log:q}"
