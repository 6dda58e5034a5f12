# One measurement per device × method × variant × resolution, and its profile as SQLite.

RUN = "{device}/{method}/{variant}/{resolution}"


# A measurement takes all of `quiet` and every other job a part of it: nothing of this study
# runs beside a measurement, whatever --cores says. Measurements of other studies on the same
# machine are kept out by a lock that the measuring process holds.
#
# Whether runs that cannot fit are left out must not measure anything again when it is switched.
# `option` therefore asks for the input: of parameters made from input, output or resources Snakemake
# keeps no record. What was left out and no longer would be is run again through `decision`.
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
    params:
        request=lambda wildcards: RUNS[RUN.format(**wildcards)].request.as_json(),
        code=lambda wildcards: RUNS[RUN.format(**wildcards)].code_digest,
        option=lambda wildcards, input: DECISIONS.options,
    shell:
        "python -m profiling run --request {params.request:q} {params.option}"
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
    params:
        code=code_digest("analysis.commands.attribute"),
    shell:
        "python -m analysis attribute {input.profile:q} --run {input.run:q} -o {output:q}"
        " 2>&1 | tee {log:q}"
