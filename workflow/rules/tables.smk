# From runs and counts to tables.


# Counts need no image and no GPU: the same for every device. One job makes all that are not there:
# to import torch takes longer than most of them. Each is made in a process of its own, has a log of
# its own, and stays (`update`) while another is made again.
rule count_memory:
    input:
        decisions=[DECISIONS.file(f"{count}/memory.json") for count in ALL_COUNTS],
    output:
        update([*STUDY_FILES.counts, *STUDY_FILES.cpu_counts]),
    log:
        counts=expand(
            "results/logs/count_memory/{name}.log",
            name=[count.partition("/")[2] for count in ALL_COUNTS],
        ),
        job="results/logs/count_memory.log",
    threads: 2
    resources:
        quiet=1,
    params:
        counts=count_list(ALL_COUNTS.values()),
    shell:
        "python -m profiling counts {params.counts:q} $COUNT_OPTIONS -j {threads}"
        " > {log.job:q} 2>&1"


# The jobs of analysis.registry, each with the tables that it makes in one go.
for JOB, RULE in TABLE_RULES:

    rule:
        name:
            JOB.rule
        input:
            **RULE.input,
        output:
            **{
                name: report(file, **RULE.marks[name]) if name in RULE.marks else file
                for name, file in RULE.output.items()
            },
        log:
            f"results/logs/{JOB.rule}.log",
        resources:
            quiet=1,
        params:
            folders=RULE.folders,
            command=RULE.command,
            code=code_digest("analysis.commands.tables", JOB.module),
        shell:
            "{params.command} > {log:q} 2>&1"
