# From runs and counts to tables.


# Counts need no image and no GPU: the same for every device.
rule count_memory:
    input:
        decision=lambda wildcards: DECISIONS.file(
            "counts/{method}/{variant}/memory.json".format(**wildcards)
        ),
    output:
        "results/counts/{method}/{variant}/memory.json",
    log:
        "results/logs/count_memory/{method}/{variant}.log",
    resources:
        quiet=1,
    params:
        arguments=lambda wildcards: COUNTS[
            "counts/{method}/{variant}".format(**wildcards)
        ].arguments,
        code=lambda wildcards: COUNTS[
            "counts/{method}/{variant}".format(**wildcards)
        ].code_digest,
    shell:
        "python -m profiling memory {params.arguments:q} --keep-going -o {output:q}"
        " > {log:q} 2>&1"


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
