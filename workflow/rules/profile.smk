# One measurement per device × method × variant × resolution, and its profile as SQLite.

RUN = "{device}/{method}/{variant}/{resolution}"


# A measurement takes all of `quiet` and every other job a part of it: nothing of this study
# runs beside a measurement, whatever --cores says. Measurements of other studies on the same
# machine are kept out by a lock that the measuring process holds.
#
# Whether runs that cannot fit are left out is told by LEAVE_OUT (common.smk) rather than by a
# parameter: switching it must not measure anything again. What was left out, `decision` runs again.
rule profile:
    input:
        files=lambda wildcards: RUNS[RUN.format(**wildcards)].files,
        decision=lambda wildcards: DECISIONS.file(RUN.format(**wildcards)),
    output:
        run=f"results/{RUN}/run.json",
        profile=(
            f"results/{RUN}/profile.nsys-rep"
            if COLLECTOR.nsys
            else f"results/{RUN}/profile.sqlite"
        ),
    log:
        f"results/logs/profile/{RUN}.log",
    resources:
        quiet=100,
        runtime=COSTS.run_minutes,
        mem_mb=COSTS.run_memory_mb,
        cpus_per_task=COSTS.threads,
    params:
        request=lambda wildcards: RUNS[RUN.format(**wildcards)].request.as_json(),
        code=lambda wildcards: RUNS[RUN.format(**wildcards)].code_digest,
    shell:
        'python -m profiling run --request {params.request:q} --plan "$PLAN" $LEAVE_OUT'
        " --out $(dirname {output.run:q}) 2>&1 | tee {log:q}"


if COLLECTOR.nsys:

    rule export:
        input:
            f"results/{RUN}/profile.nsys-rep",
        output:
            f"results/{RUN}/profile.sqlite",
        log:
            f"results/logs/export/{RUN}.log",
        resources:
            quiet=1,
            runtime=COSTS.profile_minutes,
            mem_mb=COSTS.profile_memory_mb,
        shell:
            "python -m profiling export {input:q} -o {output:q} > {log:q} 2>&1"


rule attribute:
    input:
        run=f"results/{RUN}/run.json",
        profile=f"results/{RUN}/profile.sqlite",
    output:
        f"results/{RUN}/ranges.parquet",
    log:
        f"results/logs/attribute/{RUN}.log",
    resources:
        quiet=1,
        runtime=COSTS.profile_minutes,
        mem_mb=COSTS.profile_memory_mb,
    params:
        code=code_digest("analysis.commands.attribute"),
    shell:
        "python -m analysis attribute {input.profile:q} --run {input.run:q} -o {output:q}"
        " 2>&1 | tee {log:q}"
